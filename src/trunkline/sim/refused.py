"""How the simulated GitHub says no, in a form that both REST and GraphQL can word."""

from __future__ import annotations

from enum import Enum


class No(Enum):
    """Why, as REST's status code tells it."""

    BAD_REQUEST = 400
    NOT_FOUND = 404
    NOT_ALLOWED = 405
    CONFLICT = 409
    INVALID = 422
    NOT_SIMULATED = 501


class GitHubRefusal(Exception):
    """GitHub refuses.

    Args:
        no: the kind.
        message: GitHub's own sentence.
        field: the request's field that is wrong, where REST's `errors` names one.
        code: REST's code of the error: `invalid`, `custom`, `missing_field`.
    """

    def __init__(self, no: No, message: str, *, field: str = "", code: str = "invalid") -> None:
        super().__init__(message)
        self.no = no
        self.message = message
        self.field = field
        self.code = code


class NotSimulatedError(Exception):
    """The simulator does not imitate this; it never guesses."""

    def __init__(self, what: str) -> None:
        super().__init__(f"not simulated: {what}")
