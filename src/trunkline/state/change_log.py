"""Log what this process changed, so that an older observation is recognised as stale."""

from __future__ import annotations

from collections.abc import Sequence
from enum import Flag, auto

import msgspec

from trunkline.domain.names import BranchName, Oid, PrNumber
from trunkline.domain.snapshot import PullRequest


class Part(Flag):
    """A part of the world that a task or another program can change.

    `REMOTE` is refs and pull requests: where a ref moves on the remote, the pull requests show it.
    """

    NOTHING = 0
    PULLS = auto()
    REFS = auto()
    LOCAL = auto()
    NATIVE = auto()
    MACHINE = auto()
    REMOTE = PULLS | REFS
    ALL = REMOTE | LOCAL | NATIVE | MACHINE


class Change(msgspec.Struct, frozen=True):
    """A change that this process made, or may have made before it failed.

    Attributes:
        parts: the parts of the world that it changed.
        tip: the local branch that it moved, and its tip since then; nothing else changed.
        number: the pull request that it changed; nothing else changed.
        pull_request: that pull request as GitHub's response shows it.
    """

    parts: Part
    tip: tuple[BranchName, Oid] | None = None
    number: PrNumber | None = None
    pull_request: PullRequest | None = None


class ChangeLog:
    """The changes of this process in order: written by what runs git and gh, read by the observer.

    Whatever changes a ref, a work tree, the remote or a pull request appends here, so no caller has
    to know which observations its call made stale. Several threads may append.
    """

    def __init__(self) -> None:
        """Begin without changes."""
        self._changes: list[Change] = []

    def append(self, change: Change) -> None:
        """Append a change."""
        if change.parts:
            self._changes.append(change)

    @property
    def position(self) -> int:
        """The number of changes so far; `since` returns what is appended later."""
        return len(self._changes)

    def since(self, position: int, parts: Part) -> Sequence[Change]:
        """Return the changes of some parts after a position, oldest first."""
        later = self._changes[position:]
        return [change for change in later if change.parts & parts] if later else ()
