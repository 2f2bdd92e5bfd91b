"""A change of a run to a branch or a pull request, with the values before and after."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import msgspec

from trunkline.domain.names import EntryKey
from trunkline.domain.note import block_of
from trunkline.domain.step import StepName

_TIPS = frozenset({StepName.PUSH, StepName.REPLAY})


class Change(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One change of a run.

    Attributes:
        pr: the entry's pull request, or its branch while it has none.
        step: the step that changed it: push, ready, note, or onto for the local branch.
        before: the value before the run.
        left: the value that the run left.
        between: intermediate tips of the run.
        created: the run created the local branch.
        keeps_files: the branch moved under its checkout, whose files and index stayed as they were.
    """

    pr: EntryKey
    step: StepName
    before: Mapping[str, Any]
    left: Mapping[str, Any]
    between: tuple[str, ...] = ()
    created: bool = False
    keeps_files: bool = False

    def then(self, later: Change) -> Change:
        """Return this change combined with a later one of the same kind."""
        passed = (str(self.left["tip"]),) if self.step in _TIPS else ()
        between = tuple(dict.fromkeys((*self.between, *passed)))
        return msgspec.structs.replace(self, left=later.left, between=between)

    def is_ours(self, name: str, value: object) -> bool:
        """Return whether a current value is the previous one or one that the run set."""
        return value in {self.before[name], self.left[name], *self.between}


def note_of(body: str) -> str | None:
    """Return the note of a description with its markers and LF line ends; None if there is none.

    Browsers save a description with CRLF, which makes no difference to the note.
    """
    block = block_of(body)
    return None if block is None else block.replace("\r\n", "\n")
