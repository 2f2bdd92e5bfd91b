"""Injected failures: which requests they hit, what they do, how often."""

from __future__ import annotations

import time
from dataclasses import dataclass
from enum import Enum


class FaultKind(Enum):
    """What happens to a request that a fault hits."""

    STATUS = "status"
    RATE_LIMIT = "rate limit"
    SECONDARY_LIMIT = "secondary rate limit"
    DROP = "drop the connection before the effect"
    LOSE_REPLY = "do it, then drop the connection"


@dataclass
class Fault:
    """One injected failure.

    Attributes:
        kind: what happens.
        match: a GraphQL operation name, or a REST route `METHOD /path`; empty hits every request.
        status: the HTTP status of STATUS and SECONDARY_LIMIT (403 or 429).
        headers: added to the answer.
        times: hits left; it is spent at 0.
        hits: hits so far.
    """

    kind: FaultKind
    match: str = ""
    status: int = 502
    headers: dict[str, str] | None = None
    times: int = 1
    hits: int = 0

    def wants(self, operation: str, route: str) -> bool:
        """Say whether it hits this request."""
        return self.times > 0 and self.match in {"", operation, route}

    def strike(self) -> None:
        """Count one hit."""
        self.times -= 1
        self.hits += 1


def answer(fault: Fault, request_id: str) -> tuple[int, dict[str, str], object]:
    """Return status, headers and JSON body of a fault that answers.

    Sources: docs.github.com, "Rate limits for the REST API" (primary: 403 or 429 with x-ratelimit-remaining 0 and
    x-ratelimit-reset; secondary: 403 or 429, retry-after or nothing) and "Troubleshooting the REST API".
    """
    extra = dict(fault.headers or {})
    where = "https://docs.github.com/rest/using-the-rest-api/rate-limits-for-the-rest-api"
    if fault.kind is FaultKind.RATE_LIMIT:
        reset = str(int(time.time()) + 60)
        message = f"API rate limit exceeded for user ID 1. Please include the request ID {request_id}."
        limits = {"X-RateLimit-Remaining": "0", "X-RateLimit-Used": "5000", "X-RateLimit-Reset": reset}
        return 403, {**limits, **extra}, {"message": message, "documentation_url": where, "status": "403"}
    if fault.kind is FaultKind.SECONDARY_LIMIT:
        message = (
            "You have exceeded a secondary rate limit. Please wait a few minutes before you try again."
            f" Please include the request ID {request_id}."
        )
        body = {"message": message, "documentation_url": f"{where}#about-secondary-rate-limits"}
        return fault.status, extra, {**body, "status": str(fault.status)}
    return fault.status, extra, {"message": "Server Error", "status": str(fault.status)}
