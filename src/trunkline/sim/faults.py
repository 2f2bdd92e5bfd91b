"""Injected failures: which requests or pushes they hit, what they do, how often; declared in Python or in TOML.

A file of faults has a table each, by the names of `Fault`; `$name` stands for what the reader knows by that name:

    [[fault]]
    kind = "status"
    match = "PATCH /repos/$repository/pulls/$pr"
    status = 503
    times = 2

The files in `days/` are what `invoke rehearse --fault NAME` knows by name.
"""

from __future__ import annotations

import time
from collections.abc import Mapping
from enum import Enum
from pathlib import Path
from string import Template

import msgspec
import tomli

from trunkline.domain.errors import UsageError

DAYS = Path(__file__).parent / "days"


class FaultKind(Enum):
    """What happens to a request, or to a push, that a fault hits."""

    STATUS = "status"
    """Respond with an HTTP status; the request has no effect."""
    RATE_LIMIT = "rate-limit"
    """Respond that the primary rate limit is spent, with its reset time."""
    SECONDARY_LIMIT = "secondary-limit"
    """Respond with GitHub's secondary rate limit."""
    DROP = "drop"
    """The connection drops before the effect."""
    LOSE_REPLY = "lose-reply"
    """The request has its effect, then the connection drops."""
    CLOSE = "close"
    """Somebody closes a pull request just before; the request itself is handled as usual."""
    PUSH_DROPS = "push-drops"
    """The connection of a push drops before it has begun."""
    SOMEBODY_PUSHES = "somebody-pushes"
    """Somebody else's commit reaches a branch just before the push does."""


OF_PUSHES = frozenset({FaultKind.PUSH_DROPS, FaultKind.SOMEBODY_PUSHES})


class Fault(msgspec.Struct, forbid_unknown_fields=True):
    """One injected failure.

    Attributes:
        kind: what happens.
        match: a GraphQL operation name, or a REST route `METHOD /path`; empty hits every request.
        status: the HTTP status of STATUS and SECONDARY_LIMIT (403 or 429).
        headers: added to the answer.
        times: hits left; it is spent at 0.
        hits: hits so far.
        repository: `owner/name`, of CLOSE and SOMEBODY_PUSHES.
        number: the pull request that CLOSE closes.
        branch: the branch that SOMEBODY_PUSHES moves.
    """

    kind: FaultKind
    match: str = ""
    status: int = 502
    headers: dict[str, str] | None = None
    times: int = 1
    hits: int = 0
    repository: str = ""
    number: int = 0
    branch: str = ""

    def wants(self, operation: str, route: str) -> bool:
        """Say whether it hits this request."""
        return self.times > 0 and self.kind not in OF_PUSHES and self.match in {"", operation, route}

    def strike(self) -> None:
        """Count one hit."""
        self.times -= 1
        self.hits += 1


class _File(msgspec.Struct, forbid_unknown_fields=True):
    fault: list[Fault]


def days() -> tuple[str, ...]:
    """Return the names of the bad days that ship."""
    return tuple(sorted(path.stem for path in DAYS.glob("*.toml")))


def declared(path: Path, known: Mapping[str, str]) -> tuple[Fault, ...]:
    """Read a file of faults.

    Args:
        path: the file.
        known: what `$name` stands for.

    Raises:
        UsageError: it is no such file; the error names the key.
    """
    try:
        given = tomli.loads(Template(path.read_text(encoding="utf-8")).substitute(known))
        return tuple(msgspec.convert(given, _File).fault)
    except OSError as error:
        raise UsageError(f"{path} cannot be read", why=error.strerror or "") from error
    except KeyError as error:
        names = ", ".join(f"${name}" for name in known) or "no name"
        raise UsageError(f"{path}: ${error.args[0]} is not known here", why=f"known: {names}") from error
    except (msgspec.ValidationError, ValueError) as error:  # the schema's, TOML's, text's, or a lone $
        raise UsageError(f"{path} is not a file of faults", why=str(error)) from error


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
