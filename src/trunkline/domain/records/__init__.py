"""The records of a journal: a tagged union with one struct for each kind, in one module for each subject.

`state/journal.py` writes and reads them; `scripts/describe-records` makes docs/journal-records.md from this package.
A record is decoded strictly: an unknown kind, a missing or unknown field, or a value of another type is refused.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import msgspec

from trunkline.domain.records.base import EntryRecord, Intent, Record, StepRecord
from trunkline.domain.records.branches import (
    BranchDeleted,
    BranchMoved,
    BranchPushed,
    CheckoutSwitched,
    MoveWithdrawn,
    RemoteBranchDeleted,
)
from trunkline.domain.records.pull_requests import (
    MergeRequested,
    NativeStackLinked,
    NoteWritten,
    PullRequestClosed,
    PullRequestCreated,
    PullRequestEdited,
    PullRequestRetitled,
    StatusesPublished,
)
from trunkline.domain.records.replays import Adopted, Included, Paused, Resolved, WorktreeCreated
from trunkline.domain.records.rescue import LostBranch, PullRequestReopened, RestoredBaseDeleted
from trunkline.domain.records.run import (
    Aborted,
    Aborting,
    Head,
    Place,
    PlacedEntry,
    PlannedStep,
    Resumed,
    RunFinished,
    RunStarted,
    StepBegan,
    StepDone,
    StepFailed,
)
from trunkline.domain.records.stack_file import EntryAdded, EntryRemoved, StackFileWritten
from trunkline.domain.records.verdicts import CheckVerdicts, GateVerdicts, Verdicts

__all__ = [
    "Aborted",
    "Aborting",
    "Adopted",
    "AnyRecord",
    "BranchDeleted",
    "BranchMoved",
    "BranchPushed",
    "CheckVerdicts",
    "CheckoutSwitched",
    "EntryAdded",
    "EntryRecord",
    "EntryRemoved",
    "GateVerdicts",
    "Head",
    "Included",
    "Intent",
    "LostBranch",
    "MergeRequested",
    "MoveWithdrawn",
    "NativeStackLinked",
    "NoteWritten",
    "Paused",
    "Place",
    "PlacedEntry",
    "PlannedStep",
    "PullRequestClosed",
    "PullRequestCreated",
    "PullRequestEdited",
    "PullRequestReopened",
    "PullRequestRetitled",
    "Record",
    "RemoteBranchDeleted",
    "Resolved",
    "RestoredBaseDeleted",
    "Resumed",
    "RunFinished",
    "RunStarted",
    "StackFileWritten",
    "StatusesPublished",
    "StepBegan",
    "StepDone",
    "StepFailed",
    "StepRecord",
    "Verdicts",
    "WorktreeCreated",
    "decode",
    "encode",
]

AnyRecord = (
    RunStarted | StepBegan | StepDone | StepFailed | RunFinished | Resumed | Aborting | Aborted
    | BranchMoved | MoveWithdrawn | BranchDeleted | BranchPushed | RemoteBranchDeleted | PullRequestEdited
    | PullRequestRetitled
    | EntryAdded | EntryRemoved | PullRequestCreated | NativeStackLinked | NoteWritten | StackFileWritten
    | WorktreeCreated | MergeRequested | PullRequestClosed | PullRequestReopened | RestoredBaseDeleted
    | CheckoutSwitched | StatusesPublished | GateVerdicts | CheckVerdicts | Paused | Resolved | Included | Adopted
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
    """Return the record of JSON values from `encode`.

    Raises:
        ValueError: they are no record of this version; the message names the field that is wrong.
    """
    try:
        return msgspec.convert(values, AnyRecord)  # type: ignore[no-any-return]
    except msgspec.ValidationError as error:
        raise ValueError(str(error)) from error
