"""Records of branches: local ones, those of the remote, and the checkout."""

from __future__ import annotations

from trunkline.domain.changes import LocalMoved, RemoteMoved
from trunkline.domain.names import Id
from trunkline.domain.records.base import EntryRecord, Intent


class BranchMoved(Intent, frozen=True, kw_only=True, tag="branch-moved"):
    """A move of the local branch from `old` to `new`; `old` is null where the run creates the branch.

    Written: before the branch and its checkout move; with `keeps_files` the files and the index stay as they are.
    Resume: completes a replay whose branch holds `new`; brings back a checkout that is half moved.
    Undo: moves the branch back to `old`, keeping the files likewise; deletes a created one that is not checked out.
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
    """The deletion of the local branch, at `old`; with `taken_back` of one that a reverted run had created.

    Written: before `cleanup` deletes the branch of a merged entry, and before undo or abort deletes a created one.
    Resume: runs the step again.
    Undo: creates the branch again after an undo, and leaves one deleted that was merged. Its tip is kept as a backup.
    """

    old: Id
    taken_back: bool = False

    def change(self) -> LocalMoved | None:
        """Return the change of the local branch; None if the branch stays deleted."""
        return LocalMoved(pr=self.pr, before=self.old, left=self.old, deleted=True) if self.taken_back else None


class BranchPushed(Intent, frozen=True, kw_only=True, tag="branch-pushed"):
    """A push of the branch from `old` to `new`, with a lease on `old`; `old` is null where it must not exist.

    Written: before the push; of an atomic push one for each branch.
    Resume: pushes again unless the remote has `new`.
    Undo: pushes `old`, with a lease on what the run pushed; deletes a created one that no pull request needs.
    """

    remote: str
    old: Id | None
    new: Id

    def change(self) -> RemoteMoved:
        """Return the change of the remote branch."""
        return RemoteMoved(pr=self.pr, before=self.old or self.new, left=self.new, created=self.old is None)


class RemoteBranchDeleted(Intent, frozen=True, kw_only=True, tag="remote-branch-deleted"):
    """The deletion of the remote branch, at `old`; with `taken_back` of one that a reverted run had created.

    Written: before `cleanup` deletes the branch of a merged entry, and before undo or abort deletes a created one.
    Resume: runs the step again.
    Undo: pushes the branch again after an undo, and leaves one deleted that was merged. Its tip is kept as a backup.
    """

    remote: str
    old: Id
    taken_back: bool = False

    def change(self) -> RemoteMoved | None:
        """Return the change of the remote branch; None if the branch stays deleted."""
        return RemoteMoved(pr=self.pr, before=self.old, left=self.old, deleted=True) if self.taken_back else None


class CheckoutSwitched(EntryRecord, frozen=True, kw_only=True, tag="switching"):
    """A switch of the checkout to the entry's branch, from commit `old` to commit `new`.

    Written: before `git switch`.
    Resume: brings back a checkout that a killed git left half moved.
    Undo: ignores it; no branch moves.
    """

    old: Id | None
    new: Id | None
