"""Injected failures: the requests or pushes that they hit, their effect, and how often.

They are declared in Python, or in a TOML file with one table per fault, whose keys are the fields
of `Fault`. The reader of the file replaces `$name` by its own values:

    [[fault]]
    kind = "status"
    match = "PATCH /repos/$repository/pulls/$pr"
    status = 503
    times = 2

`invoke rehearse --fault NAME` finds the files in `days/` by name.
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
    """Effect of a fault on a request or a push."""

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
    """Another user closes a pull request first; the request itself works."""
    PUSH_DROPS = "push-drops"
    """The connection of a push drops before it starts."""
    SOMEBODY_PUSHES = "somebody-pushes"
    """Another user's commit is pushed to the branch first."""


OF_PUSHES = frozenset({FaultKind.PUSH_DROPS, FaultKind.SOMEBODY_PUSHES})


class Fault(msgspec.Struct, forbid_unknown_fields=True):
    """One injected failure.

    Attributes:
        kind: its effect.
        match: a GraphQL operation name, or a REST route `METHOD /path`; empty hits every request.
        status: the HTTP status of STATUS and SECONDARY_LIMIT (403 or 429).
        headers: added to the response.
        times: hits left; 0 disables the fault.
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

    def applies_to(self, operation: str, route: str) -> bool:
        """Return whether the fault applies to this request."""
        return self.times > 0 and self.kind not in OF_PUSHES and self.match in {"", operation, route}

    def count_hit(self) -> None:
        """Count one hit."""
        self.times -= 1
        self.hits += 1


class _File(msgspec.Struct, forbid_unknown_fields=True):
    fault: list[Fault]


def days() -> tuple[str, ...]:
    """Return the names of the packaged fault files."""
    return tuple(sorted(path.stem for path in DAYS.glob("*.toml")))


def read_faults(path: Path, known: Mapping[str, str]) -> tuple[Fault, ...]:
    """Read a file of faults.

    Args:
        path: the file.
        known: name -> value of `$name`.

    Raises:
        UsageError: the file is invalid; the error names the key.
    """
    try:
        given = tomli.loads(Template(path.read_text(encoding="utf-8")).substitute(known))
        return tuple(msgspec.convert(given, _File).fault)
    except OSError as error:
        raise UsageError(f"{path} cannot be read", why=error.strerror or "") from error
    except KeyError as error:
        names = ", ".join(f"${name}" for name in known) or "no name"
        raise UsageError(f"{path}: ${error.args[0]} is not known here", why=f"known: {names}") from error
    except (msgspec.ValidationError, ValueError) as error:  # of the schema, TOML, the encoding, or a lone $
        raise UsageError(f"{path} is not a file of faults", why=str(error)) from error


def response_of(fault: Fault, request_id: str) -> tuple[int, dict[str, str], object]:
    """Return status, headers and JSON body of a fault with a response.

    Sources: docs.github.com, "Rate limits for the REST API" (primary: 403 or 429 with
    x-ratelimit-remaining 0 and x-ratelimit-reset; secondary: 403 or 429, retry-after or nothing)
    and "Troubleshooting the REST API".
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
