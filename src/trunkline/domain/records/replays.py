"""Records of a replay: its conflict, its pause, and the decisions of a person about it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal

from trunkline.domain.names import Id
from trunkline.domain.records.base import EntryRecord, Intent
from trunkline.domain.replayed import Replayed


class WorktreeCreated(Intent, frozen=True, kw_only=True, tag="worktree-created"):
    """The work tree of a conflict: its path, the commit that it is made at, and the commit that conflicts.

    Written: before the work tree is made.
    Resume: reads the resolution from it, then removes it.
    Undo: a finished run has none; abort backs up the work in it and removes it.
    """

    path: str
    onto: Id
    commit: Id


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
    Resume: continues from `new` after a kill, with the resolution of the conflict.
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
