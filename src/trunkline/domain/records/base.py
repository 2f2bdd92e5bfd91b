"""The base classes of records."""

from __future__ import annotations

import msgspec

from trunkline.domain.changes import Change
from trunkline.domain.names import BranchName, EntryKey, labelled_fully
from trunkline.domain.step import StepName


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
        return labelled_fully(self.pr, self.branch)


class Intent(EntryRecord, frozen=True):
    """A change that is about to be made, with the expected and the desired value."""

    def change(self) -> Change | None:
        """Return the change that abort and undo take back; None: it stays, or abort has its own way to end it."""
        return None
