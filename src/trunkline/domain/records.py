"""The records of a journal: a tagged union with one struct for each kind.

`state/journal.py` writes and reads them; `scripts/describe-records` makes docs/journal-records.md from this module.
A record is decoded strictly: an unknown kind, a missing or unknown field, or a value of another type is refused.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal

import msgspec

from trunkline.domain.added import AddedEntry
from trunkline.domain.changes import (
    Change,
    EntryInserted,
    LocalMoved,
    NoteChanged,
    OpenStateChanged,
    RemoteMoved,
    ReviewState,
    StackFileChanged,
    StateChanged,
    note_of,
)
from trunkline.domain.names import BranchName, EntryKey, Id, PrNumber
from trunkline.domain.options import Options
from trunkline.domain.replayed import Replayed
from trunkline.domain.rewrite import Rewrite, Staged
from trunkline.domain.step import StepName, StepStatus


class Record(msgspec.Struct, frozen=True, kw_only=True, tag_field="kind", forbid_unknown_fields=True):
    """One line of a journal.

    Attributes:
        at: the time of the record in ISO 8601, UTC; the journal sets it.
    """

    at: str = ""


class StepRecord(Record, frozen=True):
    """A record of a step.

    Attributes:
        step: the step.
    """

    step: StepName


class EntryRecord(StepRecord, frozen=True):
    """A record of a step about one entry.

    Attributes:
        pr: the entry's pull request, or its branch while it has none.
        branch: the entry's branch.
    """

    pr: EntryKey
    branch: BranchName

    @property
    def full_label(self) -> str:
        """The entry's number and branch for people; the branch alone while it had no pull request."""
        return str(self.branch) if isinstance(self.pr, str) else f"#{self.pr} {self.branch}"


class Intent(EntryRecord, frozen=True):
    """A change that is about to be made, with the expected and the desired value."""

    def change(self) -> Change | None:
        """Return the change that abort and undo take back; None: it stays, or abort has its own way to end it."""
        return None


# -- the run and its steps ----------------------------------------------------------------------------------------


class PlacedEntry(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """An entry of the stack at the beginning of a run."""

    pr: EntryKey
    branch: BranchName

    @property
    def number(self) -> PrNumber | None:
        """Its pull request's number; None: it had none."""
        return None if isinstance(self.pr, str) else self.pr

    @property
    def full_label(self) -> str:
        """Its number and branch for people; the branch alone while it has no pull request."""
        return str(self.branch) if self.number is None else f"#{self.number} {self.branch}"


class Place(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A repository on GitHub: host, owner and name."""

    host: str
    owner: str
    name: str


class Head(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The tips of an entry's branch at the beginning of a run: of the local branch and of the remote branch."""

    pr: EntryKey
    local: Id | None
    remote: Id | None


class PlannedStep(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A step of the run's plan."""

    name: StepName
    description: str
    commands: tuple[str, ...]
    publishes: tuple[str, ...]
    pr: EntryKey | None


class RunStarted(Record, frozen=True, kw_only=True, tag="run"):
    """The task, the stack, the options and the plan of the run.

    Written: first, before any step.
    Resume: continues with this plan and these options, to the commits of `rewrites` and the entries of `declared`.
    Undo: uses the stack, the remote and the repository as they are here; stack.toml may have changed since.
    """

    task: str
    pr: EntryKey
    branch: BranchName
    moves: tuple[BranchName, ...]
    stack: str
    stacked: bool
    trunk: BranchName
    remote: str
    entries: tuple[PlacedEntry, ...]
    repository: Place
    heads: tuple[Head, ...]
    options: Options
    steps: tuple[PlannedStep, ...]
    undoes: str | None = None
    changes: tuple[Change, ...] = ()
    rewrites: tuple[Rewrite, ...] = ()
    added: AddedEntry | None = None
    staged: Staged | None = None
    declared: tuple[PlacedEntry, ...] = ()


class StepBegan(StepRecord, frozen=True, tag="begin"):
    """The beginning of a step.

    Written: before the step does anything.
    Resume: runs the step again unless it is done.
    Undo: ignores it.
    """

    pr: EntryKey | None


class StepDone(StepRecord, frozen=True, kw_only=True, tag="done"):
    """The outcome of a step; `replayed` is the result of a step that replayed an entry.

    Written: after the step.
    Resume: does not run the step again, unless its branch has moved since.
    Undo: takes a requested merge whose step is done as merged.
    """

    pr: EntryKey | None
    mark: StepStatus
    message: str
    seconds: float
    facts: Mapping[str, Any]
    replayed: Replayed | None = None


class StepFailed(StepRecord, frozen=True, kw_only=True, tag="failed"):
    """The error that ended a step, and its exit code.

    Written: when a step fails or the answer to its question is no.
    Resume: runs the step again.
    Undo: refuses a run that ends here: `abort` takes it back.
    """

    pr: EntryKey | None
    what: str
    code: int


class RunFinished(Record, frozen=True, tag="finished"):
    """The end of a run.

    Written: after the last step.
    Resume: refuses.
    Undo: takes back only runs that have this record.
    """


class Resumed(Record, frozen=True, tag="resumed"):
    """The point where another process took the run up.

    Written: by `continue` and `skip`, before their first step.
    Resume: ignores it.
    Undo: ignores it.
    """


class Aborting(Record, frozen=True, tag="aborting"):
    """The beginning of an abort.

    Written: by `abort`, before it takes anything back.
    Resume: refuses; `abort` finishes what was begun.
    Undo: refuses. Records behind this one are the abort's own and are never taken back.
    """


class Aborted(Record, frozen=True, tag="aborted"):
    """The end of an abort.

    Written: by `abort`, after everything was taken back that could be.
    Resume: refuses.
    Undo: passes the run over.
    """


# -- intents ------------------------------------------------------------------------------------------------------


class BranchMoved(Intent, frozen=True, kw_only=True, tag="branch-moved"):
    """A move of the local branch from `old` to `new`; `old` is null where the run creates the branch.

    Written: before the branch and its checkout move; with `keeps_files` the files and the index stay as they are.
    Resume: completes a replay whose branch holds `new`; brings back a checkout that is half moved.
    Undo: moves the branch back to `old`, keeping the files likewise; abort deletes a branch that the run created.
    """

    old: Id | None
    new: Id
    checked_out: bool = False
    keeps_files: bool = False

    def change(self) -> LocalMoved:
        """Return the change of the local branch."""
        before = self.new if self.old is None else self.old
        created = self.old is None
        return LocalMoved(pr=self.pr, before=before, left=self.new, created=created, keeps_files=self.keeps_files)


class MoveWithdrawn(EntryRecord, frozen=True, kw_only=True, tag="withdrawn"):
    """An announced move of the local branch to `new` that did not happen, as was verified.

    Written: after a refused move whose checkout is as it was.
    Resume: ignores it.
    Undo: leaves the announced move out.
    """

    new: Id


class BranchDeleted(Intent, frozen=True, kw_only=True, tag="branch-deleted"):
    """The deletion of the local branch, which was at `old`.

    Written: before `cleanup` deletes the branch of a merged entry, and before abort deletes one that the run created.
    Resume: runs the step again.
    Undo: leaves the branch deleted; its tip is kept as a backup.
    """

    old: Id


class BranchPushed(Intent, frozen=True, kw_only=True, tag="branch-pushed"):
    """A push of the branch from `old` to `new`, with a lease on `old`; `old` is null where it must not exist.

    Written: before the push; of an atomic push one for each branch.
    Resume: pushes again unless the remote has `new`.
    Undo: pushes `old`, with a lease on what the run pushed; a branch that the run created stays.
    """

    remote: str
    old: Id | None
    new: Id

    def change(self) -> Change | None:
        """Return the change of the remote branch; None if the run created it."""
        if self.old is None:
            return None
        return RemoteMoved(pr=self.pr, before=self.old, left=self.new)


class RemoteBranchDeleted(Intent, frozen=True, kw_only=True, tag="remote-branch-deleted"):
    """The deletion of the remote branch, which was at `old`.

    Written: before `cleanup` deletes the branch of a merged entry.
    Resume: runs the step again.
    Undo: leaves the branch deleted; its tip is kept as a backup.
    """

    remote: str
    old: Id


class PullRequestEdited(Intent, frozen=True, kw_only=True, tag="pull-request-edited"):
    """A change of the pull request's base, draft state, or both.

    Written: before GitHub is sent the first of them.
    Resume: sends what GitHub does not show yet.
    Undo: restores base and draft state.
    """

    base: str
    draft: bool
    base_after: str
    draft_after: bool

    def change(self) -> StateChanged:
        """Return the change of base and draft state."""
        before, left = ReviewState(self.base, self.draft), ReviewState(self.base_after, self.draft_after)
        return StateChanged(pr=self.pr, before=before, left=left)


class NativeStackLinked(Intent, frozen=True, kw_only=True, tag="native-stack-linked"):
    """A change of GitHub's native stacks: those to dissolve, and the pull requests to link; `stack` 0 is a new one.

    Written: before GitHub is sent the first request.
    Resume: compares with GitHub again, and sends what is missing.
    Undo: leaves the stacks as they are; no branch depends on them.
    """

    stack: int
    numbers: tuple[PrNumber, ...]
    dissolved: tuple[int, ...]


class EntryAdded(Intent, frozen=True, kw_only=True, tag="entry-added"):
    """A new entry in stack.toml, with its place and what the checkout held before.

    Written: before stack.toml is written.
    Resume: writes the entry unless it is there, and checks out its branch.
    Undo: takes the entry out; the checkout goes back to where it was if nothing changed since. The branch stays.
    """

    added: AddedEntry

    def change(self) -> EntryInserted:
        """Return the change of stack.toml."""
        return EntryInserted(pr=self.pr, added=self.added)


class PullRequestCreated(Intent, frozen=True, kw_only=True, tag="pull-request-created"):
    """The creation of the entry's pull request, with its title and description.

    Written: before GitHub is sent it; not if the branch has an open pull request already.
    Resume: looks for an open pull request of the branch first, and creates it with these words otherwise.
    Undo: the pull request stays; a closed one could never be deleted.
    """

    base: str
    title: str
    body: str
    draft: bool


class NoteWritten(Intent, frozen=True, kw_only=True, tag="note-written"):
    """A change of the reviewer note: the whole description before and after.

    Written: before the description is sent.
    Resume: writes the note again unless it is up to date.
    Undo: restores the note between its markers; the author's text stays as it is.
    """

    body: str
    body_after: str

    def change(self) -> NoteChanged:
        """Return the change of the note."""
        return NoteChanged(pr=self.pr, before=note_of(self.body), left=note_of(self.body_after))


class PullRequestClosed(Intent, frozen=True, kw_only=True, tag="pull-request-closed"):
    """The closing of the pull request, or with `closed` false its reopening or creation (`number`: for a new entry).

    Written: before GitHub is sent it; for a creation after GitHub's response, which has the number.
    Resume: closes it unless GitHub shows it as closed.
    Undo: reopens it; closes one that the run created.
    """

    closed: bool
    number: PrNumber | None = None

    def change(self) -> OpenStateChanged:
        """Return the change of the state."""
        return OpenStateChanged(pr=self.pr, before=not self.closed, left=self.closed, number=self.number)


class StackFileWritten(Intent, frozen=True, kw_only=True, tag="stack-file-written"):
    """A change of stack.toml: its path, and the whole text before and after.

    Written: before the file is replaced.
    Resume: writes the entries again unless the file has them.
    Undo: restores the text if nobody has changed it since.
    """

    path: str
    text: str
    text_after: str

    def change(self) -> StackFileChanged:
        """Return the change of the file."""
        return StackFileChanged(pr=self.pr, path=self.path, before=self.text, left=self.text_after)


class WorktreeCreated(Intent, frozen=True, kw_only=True, tag="worktree-created"):
    """The work tree of a conflict: its path, the commit that it is made at, and the commit that conflicts.

    Written: before the work tree is made.
    Resume: reads the resolution from it, then removes it.
    Undo: a finished run has none; abort backs up the work in it and removes it.
    """

    path: str
    onto: Id
    commit: Id


class MergeRequested(Intent, frozen=True, kw_only=True, tag="merge-requested"):
    """A merge of the pull request, pinned to its head.

    Written: before GitHub is sent the merge.
    Resume: merges unless GitHub shows the pull request as merged.
    Undo: a merge stays, and so does everything that the run did for a merged entry.
    """

    head: Id
    method: str


class LostBranch(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A deleted branch that a rescue restores, and its tip."""

    branch: BranchName
    tip: Id


class PullRequestReopened(Intent, frozen=True, kw_only=True, tag="pull-request-reopened"):
    """A rescue: the branches that it restores, the base of the closed pull request, and its new base.

    Written: before the first branch is restored.
    Resume: completes the rescue from these values.
    Undo: the pull request stays open; abort deletes the restored base while the pull request is still closed.
    """

    gone: tuple[LostBranch, ...]
    base: BranchName
    base_after: BranchName


class RestoredBaseDeleted(EntryRecord, frozen=True, kw_only=True, tag="removing"):
    """The deletion of a base that the rescue had restored.

    Written: before the branch is deleted.
    Resume: deletes it unless it is gone.
    Undo: ignores it.
    """

    base: BranchName
    tip: Id


# -- what steps note beside their intents -------------------------------------------------------------------------


class CheckoutSwitched(EntryRecord, frozen=True, kw_only=True, tag="switching"):
    """A switch of the checkout to the entry's branch, from commit `old` to commit `new`.

    Written: before `git switch`.
    Resume: brings back a checkout that a killed git left half moved.
    Undo: ignores it; no branch moves.
    """

    old: Id | None
    new: Id | None


class StatusesPublished(EntryRecord, frozen=True, kw_only=True, tag="publishing"):
    """Commit statuses for gates that passed.

    Written: before GitHub is sent the first of them.
    Resume: sends those that GitHub does not show.
    Undo: leaves them: they are true of the commit.
    """

    commit: Id
    statuses: tuple[str, ...]


class Judged(EntryRecord, frozen=True, kw_only=True):
    """The verdicts of a step on a commit that no receipt holds.

    `unavailable` names what could not run, each with its fix; `accepted` what was accepted by name.
    """

    commit: Id
    unavailable: Mapping[str, str]
    accepted: tuple[str, ...]


class GatesJudged(Judged, frozen=True, kw_only=True, tag="gated"):
    """The gates that could not run on a commit, each with its fix, and those whose verdict was accepted by name.

    Written: after the gates ran.
    Resume: counts the former as unavailable and the latter as accepted.
    Undo: ignores it.
    """


class ChecksJudged(Judged, frozen=True, kw_only=True, tag="checked"):
    """The checks that could not run on a commit, each with its fix, and those whose verdict was accepted by name.

    Written: after the checks ran.
    Resume: counts the former as unavailable and the latter as accepted.
    Undo: ignores it.
    """


class Paused(EntryRecord, frozen=True, kw_only=True, tag="paused"):
    """A replay that stopped at a conflict: the replay so far, the commits that are left, and the work tree.

    Written: when a commit conflicts, and when `continue` finds the conflict unresolved.
    Resume: takes the resolution and replays the rest; `skip` leaves the commit out.
    Undo: refuses while the run is paused.
    """

    tip: Id
    local: Id | None
    remote: Id | None
    base: Id
    fork: Id
    about: str
    own: tuple[Id, ...]
    base_name: str
    notes: tuple[str, ...]
    unsigned: tuple[Id, ...]
    worktree: str
    onto: Id
    rest: tuple[Id, ...]
    mapped: tuple[tuple[Id, Id], ...]
    dropped: tuple[Id, ...]
    resolved: tuple[Id, ...]
    skipped: tuple[Id, ...]
    files: tuple[str, ...]
    conflicts: Mapping[str, tuple[str, ...]]


class Resolved(EntryRecord, frozen=True, kw_only=True, tag="resolved"):
    """The decision about a conflicting commit: the commit to go on from, and whether the conflicting one is left out.

    Written: before the work tree is removed.
    Resume: goes on from `new` after a kill; nobody has to resolve the conflict again.
    Undo: ignores it.
    """

    new: Id
    commit: Id
    left_out: Literal["", "emptied", "skipped"]


class Included(EntryRecord, frozen=True, kw_only=True, tag="included"):
    """A commit up to which a person takes in what others pushed to the branch since the run began.

    Written: by `continue --include`, or after the question was answered with yes.
    Resume: replays the entry again, with these commits.
    Undo: ignores it.
    """

    new: Id


class Adopted(EntryRecord, frozen=True, kw_only=True, tag="adopted"):
    """A tip that the user gave the branch after its replay, taken over as the entry's new head.

    Written: by `continue`, when it finds the branch moved.
    Resume: runs the steps that follow the replay again.
    Undo: ignores it.
    """

    replayed: Replayed


AnyRecord = (
    RunStarted | StepBegan | StepDone | StepFailed | RunFinished | Resumed | Aborting | Aborted
    | BranchMoved | MoveWithdrawn | BranchDeleted | BranchPushed | RemoteBranchDeleted | PullRequestEdited
    | EntryAdded | PullRequestCreated | NativeStackLinked | NoteWritten | StackFileWritten | WorktreeCreated
    | MergeRequested | PullRequestClosed | PullRequestReopened | RestoredBaseDeleted
    | CheckoutSwitched | StatusesPublished | GatesJudged | ChecksJudged | Paused | Resolved | Included | Adopted
)  # fmt: skip
"""Every kind of record."""


def encode(record: Record) -> dict[str, Any]:
    """Return a record as JSON values, with its kind."""
    values: dict[str, Any] = msgspec.to_builtins(record, enc_hook=_plain)
    return values


def _plain(value: object) -> str:
    """Return a string of a subclass of `str` as plain text; msgspec takes no subclasses."""
    if isinstance(value, str):
        return str.__str__(value)
    raise TypeError(f"not a JSON value: {value!r}")


def decode(values: Mapping[str, Any]) -> AnyRecord:
    """Return the record that `encode` gave the JSON values of.

    Raises:
        ValueError: they are no record of this version; says which field is wrong.
    """
    try:
        return msgspec.convert(values, AnyRecord)  # type: ignore[no-any-return]
    except msgspec.ValidationError as error:
        raise ValueError(str(error)) from error
