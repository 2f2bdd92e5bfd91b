"""A change that a run made to a branch or a pull request: the value before it, and the value that the run left."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import msgspec

from trunkline.domain.names import PrNumber
from trunkline.domain.note import block_of
from trunkline.domain.step import StepName

_TIPS = frozenset({StepName.PUSH, StepName.REPLAY})


class Change(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One thing that a run changed.

    Attributes:
        pr: the entry that it is about.
        step: the step that changed it: push, ready, note, or onto for the local branch.
        before: the value before the run.
        left: the value that the run left.
        between: further values that the run gave it on the way: tips.
        created: the run created it: the local branch, where there was none.
    """

    pr: PrNumber
    step: StepName
    before: Mapping[str, Any]
    left: Mapping[str, Any]
    between: tuple[str, ...] = ()
    created: bool = False

    def then(self, later: Change) -> Change:
        """Return this change and a later one of the same thing as one."""
        passed = (str(self.left["tip"]),) if self.step in _TIPS else ()
        between = tuple(dict.fromkeys((*self.between, *passed)))
        return msgspec.structs.replace(self, left=later.left, between=between)

    def is_ours(self, name: str, value: object) -> bool:
        """Return whether a value that stands there now is one that it had before the run, or that the run gave it."""
        return value in {self.before[name], self.left[name], *self.between}


def note_of(body: str) -> str | None:
    """Return the note of a description with its markers and with plain line ends; None: there is none.

    Browsers save a description with CRLF: two notes that differ in that alone are the same note.
    """
    block = block_of(body)
    return None if block is None else block.replace("\r\n", "\n")
