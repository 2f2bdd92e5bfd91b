"""The changes of a run to branches and pull requests, with the values before and after."""

from __future__ import annotations

from typing import ClassVar, TypeGuard

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
        before: the tip before the run; of a created branch the tip at which it was created.
        left: the tip that the run left; of a deleted branch its last tip.
        between: intermediate tips of the run.
        created: the run created the branch: the reversal deletes it.
        deleted: the run deleted the branch: the reversal creates it again.
    """

    before: Oid
    left: Oid
    between: tuple[Oid, ...] = ()
    created: bool = False
    deleted: bool = False

    def is_ours(self, tip: str) -> bool:
        """Return whether a tip ("" for no branch) is the previous one or one that the run set."""
        if not tip:
            return self.created or self.deleted
        return tip in {self.before, self.left, *self.between}


class LocalMoved(TipMoved, frozen=True, kw_only=True, tag="local"):
    """A move of the local branch.

    Attributes:
        keeps_files: the branch moved under its checkout, whose files stayed as they were.
        index: the tree of the index before the run; None: the run did not change the index.
        index_left: the tree that the run left in the index.
    """

    step: ClassVar[StepName] = StepName.REPLAY
    keeps_files: bool = False
    index: Oid | None = None
    index_left: Oid | None = None


class RemoteMoved(TipMoved, frozen=True, kw_only=True, tag="remote"):
    """A move of the branch on the remote."""

    @property
    def step(self) -> StepName:
        """The step of the reversal: the common push, or the deletion of a branch that the run created."""
        return StepName.CLEANUP if self.created else StepName.PUSH


class ReviewState(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The base of a pull request, and whether it is a draft."""

    base: str
    draft: bool


class StateChanged(_Change, frozen=True, kw_only=True, tag="state"):
    """A change of a pull request's base and draft state."""

    step: ClassVar[StepName] = StepName.READY
    before: ReviewState
    left: ReviewState


class TitleChanged(_Change, frozen=True, kw_only=True, tag="title"):
    """A change of a pull request's title: the whole title before and after."""

    step: ClassVar[StepName] = StepName.RETITLE
    before: str
    left: str


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


class EntryTakenOut(_Change, frozen=True, kw_only=True, tag="entry-taken-out"):
    """The removal of an entry from the stack (`undo` of `add`)."""

    step: ClassVar[StepName] = StepName.ADD
    added: AddedEntry


Change = (
    LocalMoved | RemoteMoved | StateChanged | TitleChanged | NoteChanged | StackFileChanged | OpenStateChanged
    | EntryInserted | EntryTakenOut
)  # fmt: skip


def is_different(change: Change) -> bool:
    """Return whether the state that the run left differs from the one before it: there is something to revert."""
    if isinstance(change, EntryInserted | EntryTakenOut):
        return True
    if isinstance(change, TipMoved) and (change.created or change.deleted):
        return not (change.created and change.deleted)
    return change.before != change.left


def is_pushed_back(change: Change) -> TypeGuard[RemoteMoved]:
    """Return whether the push of all old tips reverts a change; a created branch is deleted instead."""
    return isinstance(change, RemoteMoved) and not change.created


def rank(change: Change) -> tuple[int, int]:
    """Return the place of a change in the order of reversal.

    1. A pull request that the run created (`is_closed_first`).
    2. The push, since the remote alone can reject; then the other pull requests; then the branches of the remote
       that the run created, because GitHub closes the pull requests of a deleted branch.
    3. stack.toml, and an entry that was taken out of it: its checkout leaves a local branch, which moves next.
    4. The local branches, then an entry that was added: the checkout leaves its branch.
    5. Local branches that the run created, which are not checked out then.
    """
    if is_closed_first(change):
        return 0, 0
    if isinstance(change, EntryTakenOut):
        return 1, _ORDER.index(StepName.REPLAY)
    if isinstance(change, LocalMoved):
        return (3, 0) if change.created else (2, 0)
    if isinstance(change, EntryInserted):
        return 2, 1
    return 1, _ORDER.index(change.step)


_ORDER = (
    StepName.PUSH, StepName.READY, StepName.RETITLE, StepName.NOTE, StepName.CLOSE, StepName.CLEANUP,
    StepName.STACK_FILE, StepName.REPLAY,
)  # fmt: skip


def is_closed_first(change: Change) -> bool:
    """Return whether the reversal of a change closes a pull request.

    It comes before the reversal of pushes: a base that is pushed back may contain the pull request's
    head, and GitHub would mark an open one as merged.
    """
    return isinstance(change, OpenStateChanged) and change.before


def joined(first: Change, later: Change) -> Change:
    """Return a change combined with a later one of the same kind and entry."""
    if isinstance(first, EntryInserted | EntryTakenOut) or isinstance(later, EntryInserted | EntryTakenOut):
        return first
    if isinstance(first, TipMoved) and isinstance(later, TipMoved):
        between = tuple(dict.fromkeys((*first.between, first.left)))
        return msgspec.structs.replace(first, left=later.left, between=between, deleted=later.deleted)
    return msgspec.structs.replace(first, left=later.left)


def note_of(body: str) -> str | None:
    """Return the note of a description with its markers and LF line ends; None if there is none.

    Browsers save a description with CRLF, which makes no difference to the note.
    """
    block = block_of(body)
    return None if block is None else block.replace("\r\n", "\n")
