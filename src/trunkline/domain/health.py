"""What `doctor` finds: one line each, with the command that mends it."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum

from trunkline.domain.errors import TrunklineError


class Health(Enum):
    """How one thing stands."""

    OK = "well"
    WARNING = "worth knowing"
    ERROR = "in the way"


@dataclass(frozen=True)
class Finding:
    """One thing that was looked at.

    Attributes:
        about: what: `git`, `sign-in`, `gate msrv`.
        message: what was found.
        health: how it stands.
        fix: the command that mends it, or "".
        error: what stands in the way, where that is an error of its own.
    """

    about: str
    message: str
    health: Health = Health.OK
    fix: str = ""
    error: TrunklineError | None = None
