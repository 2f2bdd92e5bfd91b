"""Findings of `doctor`, each with the command that fixes it."""

from __future__ import annotations

from enum import Enum

import msgspec

from trunkline.domain.errors import TrunklineError


class Health(Enum):
    """The state of a checked item."""

    OK = "well"
    WARNING = "worth knowing"
    ERROR = "in the way"


class Finding(msgspec.Struct, frozen=True):
    """The result for one checked item.

    Attributes:
        about: the item: `git`, `sign-in`, `gate msrv`.
        message: the result.
        health: its state.
        fix: the command that fixes it, or "".
        error: the error that prevented the check, if there was one.
    """

    about: str
    message: str
    health: Health = Health.OK
    fix: str = ""
    error: TrunklineError | None = None
