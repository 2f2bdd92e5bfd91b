"""What a rehearsal showed: the refs, pull requests and receipts that the real run would change."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from trunkline.domain.names import Oid, PrNumber


@dataclass(frozen=True)
class RefChange:
    """One ref of the remote, before and after; None: there is none. `commits`: in the new one, not in the old."""

    name: str
    old: Oid | None
    new: Oid | None
    commits: int


@dataclass(frozen=True)
class PullChange:
    """One pull request: field -> (before, after); the description as a unified diff under `body`."""

    number: PrNumber
    fields: tuple[tuple[str, str, str], ...]
    body: str


@dataclass(frozen=True)
class Rehearsed:
    """What came of it.

    Attributes:
        command: what was rehearsed, as a person would type it.
        code: its exit code.
        refs: the remote's refs that changed.
        pulls: the pull requests that changed.
        receipts: how many receipts it earned; they count here too.
        preparing: seconds that making the sandbox took.
        seconds: seconds that the task took.
        faults: how many failures were laid out for it.
        hits: how many of them it met.
        place: the sandbox, where it was kept; "": it is gone.
    """

    command: str
    code: int
    refs: tuple[RefChange, ...]
    pulls: tuple[PullChange, ...]
    receipts: int
    preparing: float
    seconds: float
    faults: int = 0
    hits: int = 0
    place: str = ""
