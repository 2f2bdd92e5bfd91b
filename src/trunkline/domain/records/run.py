"""Records of a run: its plan, its steps and its end."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import msgspec

from trunkline.domain.added import AddedEntry
from trunkline.domain.changes import Change
from trunkline.domain.names import BranchName, EntryKey, Id, PrNumber, labelled_fully
from trunkline.domain.options import Options
from trunkline.domain.records.base import Record, StepRecord
from trunkline.domain.replayed import Replayed
from trunkline.domain.rewrite import Rewrite, Staged
from trunkline.domain.step import StepName, StepStatus


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
        return labelled_fully(self.pr, self.branch)


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
    Undo: counts a requested merge as merged if its step is done.
    """

    pr: EntryKey | None
    mark: StepStatus
    message: str
    seconds: float
    facts: Mapping[str, Any]
    replayed: Replayed | None = None


class StepFailed(StepRecord, frozen=True, kw_only=True, tag="failed"):
    """The error that ended a step, and its exit code; `resumable` is whether `continue` can help.

    Written: when a step fails or the answer to its question is no.
    Resume: runs the step again. A run of one step that is not resumable and changed nothing is not open.
    Undo: refuses a run that ends here: `abort` takes it back.
    """

    pr: EntryKey | None
    what: str
    code: int
    resumable: bool = True


class RunFinished(Record, frozen=True, tag="finished"):
    """The end of a run.

    Written: after the last step.
    Resume: refuses.
    Undo: takes back only runs that have this record.
    """


class Resumed(Record, frozen=True, tag="resumed"):
    """The point where another process resumed the run.

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
    Undo: skips the run.
    """
