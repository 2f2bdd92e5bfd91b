"""Rewritten entries as data: the commits that an entry shall have, and the result for the journal."""

from __future__ import annotations

import msgspec

from trunkline.domain.commits import Commit
from trunkline.domain.names import BranchName, EntryKey, Oid
from trunkline.domain.replayed import Replayed


class NewCommit(msgspec.Struct, frozen=True):
    """A commit that an entry shall have.

    Attributes:
        source: the commit whose author, date and encoding it keeps, and whose message if `message`
            is None.
        changes: the commits whose changes it holds, in the order in which they are applied.
        message: its message; None: that of `source`.
        moved: it comes from another entry, so it is written anew even in the same place: an old head
            of that entry must not hold it, or it would count as that entry's (docs/fork-points.md).
    """

    source: Commit
    changes: tuple[Commit, ...]
    message: bytes | None = None
    moved: bool = False

    @classmethod
    def unchanged(cls, commit: Commit) -> NewCommit:
        """Return a commit with its own change and message."""
        return cls(commit, (commit,))

    @property
    def keeps_source(self) -> bool:
        """A commit with the change of its source and nothing else, with the same message, in its own entry."""
        return not self.moved and self.changes == (self.source,) and self.message in {None, self.source.message}


class Rewrite(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The rewrite of an entry: the commits before and after.

    Attributes:
        pr: the entry's pull request, or its branch while it has none.
        local: the local branch before; None: the run creates it.
        result: the commits before and after.
        notes: messages for the user.
    """

    pr: EntryKey
    local: Oid | None
    result: Replayed
    notes: tuple[str, ...] = ()


class Staged(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The staged changes that a run puts into commits.

    Attributes:
        branch: the branch that is checked out; it moves, and files and index stay as they are.
        index: the tree of the index before the run.
        wanted: the tree that the index shall have; another than `index` with `--all`.
    """

    branch: BranchName
    index: Oid
    wanted: Oid
