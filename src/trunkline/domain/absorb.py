"""Hunks of staged changes, the commits that they belong to, and their text. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

import msgspec

from trunkline.domain.commits import Commit
from trunkline.domain.names import Oid
from trunkline.domain.stack import Entry


class Hunk(msgspec.Struct, frozen=True):
    """A run of changed lines of one file, without context; line numbers begin at 1.

    Attributes:
        path: the file.
        start: the first replaced line; without any, the line after which lines are added.
        length: the number of replaced lines.
        new_start: the first new line in the staged file.
        new_length: the number of new lines.
    """

    path: str
    start: int
    length: int
    new_start: int
    new_length: int

    @property
    def neighbours(self) -> tuple[int, ...]:
        """The lines whose commit decides: the replaced ones, or those around an insertion."""
        if self.length:
            return tuple(range(self.start, self.start + self.length))
        return (self.start, self.start + 1)

    def __str__(self) -> str:
        """Return file and line for people."""
        return f"{self.path}:{max(self.start, 1)}"


class Absorbed(msgspec.Struct, frozen=True):
    """A staged change and where it belongs.

    Attributes:
        path: the file.
        line: the first line of the change; 0 for a change of the whole file.
        entry: the entry; None: it fits nowhere and stays staged.
        commit: the commit that takes it; None: it fits nowhere.
        left: the reason why it stays staged; "" if it is taken.
    """

    path: str
    line: int
    entry: Entry | None = None
    commit: Commit | None = None
    left: str = ""

    @property
    def place(self) -> str:
        """File and line for people."""
        return f"{self.path}:{self.line}" if self.line else self.path


def target_of(hunk: Hunk, blamed: Mapping[int, Oid], order: Sequence[Oid]) -> Oid | None:
    """Return the commit that a hunk belongs to; None if no commit of the stack touched its lines.

    If several did, it is the topmost one: the others do not have all of the lines.

    Args:
        hunk: the hunk.
        blamed: line -> the commit that last touched it.
        order: the own commits of the stack, oldest first.
    """
    touched = {blamed[line] for line in hunk.neighbours if line in blamed}
    return next((commit for commit in reversed(order) if commit in touched), None)


def patched(old: Sequence[bytes], new: Sequence[bytes], hunks: Iterable[Hunk]) -> bytes:
    """Return a file after some of its hunks.

    Args:
        old: its lines with their ends, before.
        new: its lines with all hunks.
        hunks: those to apply.
    """
    made: list[bytes] = []
    done = 0
    for hunk in sorted(hunks, key=lambda each: (each.start, each.new_start)):
        begins = hunk.start - 1 if hunk.length else hunk.start
        made += [*old[done:begins], *new[hunk.new_start - 1 : hunk.new_start - 1 + hunk.new_length]]
        done = begins + hunk.length
    return b"".join([*made, *old[done:]])
