"""The changes of a run to branches and pull requests, with the values before and after."""

from __future__ import annotations

from typing import ClassVar

import msgspec

from trunkline.domain.added import AddedEntry
from trunkline.domain.names import EntryKey, Oid, PrNumber
from trunkline.domain.note import block_of
from trunkline.domain.step import StepName


class _Change(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One change of a run.

    Attributes:
        pr: the entry's pull request, or its branch while it has none.
    """

    pr: EntryKey


class TipMoved(_Change, frozen=True, kw_only=True):
    """A move of a branch.

    Attributes:
        before: the tip before the run.
        left: the tip that the run left.
        between: intermediate tips of the run.
    """

    before: Oid
    left: Oid
    between: tuple[Oid, ...] = ()

    def is_ours(self, tip: str) -> bool:
        """Return whether a tip is the previous one or one that the run set."""
        return tip in {self.before, self.left, *self.between}


class LocalMoved(TipMoved, frozen=True, kw_only=True, tag="local"):
    """A move of the local branch.

    Attributes:
        created: the run created the branch.
        keeps_files: the branch moved under its checkout, whose files and index stayed as they were.
    """

    step: ClassVar[StepName] = StepName.REPLAY
    created: bool = False
    keeps_files: bool = False


class RemoteMoved(TipMoved, frozen=True, kw_only=True, tag="remote"):
    """A move of the branch on the remote."""

    step: ClassVar[StepName] = StepName.PUSH


class ReviewState(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The base of a pull request, and whether it is a draft."""

    base: str
    draft: bool


class StateChanged(_Change, frozen=True, kw_only=True, tag="state"):
    """A change of a pull request's base and draft state."""

    step: ClassVar[StepName] = StepName.READY
    before: ReviewState
    left: ReviewState


class NoteChanged(_Change, frozen=True, kw_only=True, tag="note"):
    """A change of the reviewer note (`note_of`); None: there is none."""

    step: ClassVar[StepName] = StepName.NOTE
    before: str | None
    left: str | None


class StackFileChanged(_Change, frozen=True, kw_only=True, tag="stack-file"):
    """A change of stack.toml: its path, and the whole text before and after."""

    step: ClassVar[StepName] = StepName.STACK_FILE
    path: str
    before: str
    left: str


class OpenStateChanged(_Change, frozen=True, kw_only=True, tag="closed"):
    """The closing or creation of a pull request: whether it was closed before the run, and after it.

    Attributes:
        number: the pull request that a run created for an entry that it added; None: the entry's own.
    """

    step: ClassVar[StepName] = StepName.CLOSE
    before: bool
    left: bool
    number: PrNumber | None = None


class EntryInserted(_Change, frozen=True, kw_only=True, tag="entry"):
    """The addition of an entry to the stack (`add`)."""

    step: ClassVar[StepName] = StepName.ADD
    added: AddedEntry


Change = LocalMoved | RemoteMoved | StateChanged | NoteChanged | StackFileChanged | OpenStateChanged | EntryInserted


def is_different(change: Change) -> bool:
    """Return whether the value that the run left differs from the one before it."""
    return isinstance(change, EntryInserted) or change.before != change.left


def is_closed_first(change: Change) -> bool:
    """Return whether the reversal of a change closes a pull request.

    It comes before the reversal of pushes: a base that is pushed back may contain the pull request's
    head, and GitHub would mark an open one as merged.
    """
    return isinstance(change, OpenStateChanged) and change.before


def took_effect(change: Change) -> bool:
    """Return whether there is something to revert: a different value, or a branch that was created."""
    return is_different(change) or (isinstance(change, LocalMoved) and change.created)


def joined(first: Change, later: Change) -> Change:
    """Return a change combined with a later one of the same kind and entry."""
    if isinstance(first, EntryInserted) or isinstance(later, EntryInserted):
        return first
    if isinstance(first, TipMoved):
        between = tuple(dict.fromkeys((*first.between, first.left)))
        return msgspec.structs.replace(first, left=later.left, between=between)
    return msgspec.structs.replace(first, left=later.left)


def note_of(body: str) -> str | None:
    """Return the note of a description with its markers and LF line ends; None if there is none.

    Browsers save a description with CRLF, which makes no difference to the note.
    """
    block = block_of(body)
    return None if block is None else block.replace("\r\n", "\n")
