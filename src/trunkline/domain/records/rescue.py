"""Records of a rescue of a pull request whose base was deleted."""

from __future__ import annotations

import msgspec

from trunkline.domain.names import BranchName, Id
from trunkline.domain.records.base import EntryRecord, Intent


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
    Resume: deletes it unless it is deleted already.
    Undo: ignores it.
    """

    base: BranchName
    tip: Id
