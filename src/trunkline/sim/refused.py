"""Errors of the simulated GitHub, in a form for both REST and GraphQL."""

from __future__ import annotations

from enum import Enum


class RefusalKind(Enum):
    """Kind of a refusal, by REST's status code."""

    BAD_REQUEST = 400
    FORBIDDEN = 403
    NOT_FOUND = 404
    NOT_ALLOWED = 405
    CONFLICT = 409
    INVALID = 422
    NOT_SIMULATED = 501


class GitHubRefusal(Exception):
    """GitHub refuses a request.

    Args:
        no: the kind.
        message: GitHub's message.
        field: the wrong field of the request, if REST's `errors` names one.
        code: REST's error code: `invalid`, `custom`, `missing_field`.
    """

    def __init__(self, no: RefusalKind, message: str, *, field: str = "", code: str = "invalid") -> None:
        super().__init__(message)
        self.no = no
        self.message = message
        self.field = field
        self.code = code


class NotSimulatedError(Exception):
    """The requested behaviour is not simulated; the simulator never guesses."""

    def __init__(self, what: str) -> None:
        super().__init__(f"not simulated: {what}")
