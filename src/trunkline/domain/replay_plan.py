"""A planned replay and its result, computed in memory: object ids only, no ref points to them yet."""

from __future__ import annotations

from typing import Any

import msgspec

from trunkline.domain.commits import Commit
from trunkline.domain.names import Oid
from trunkline.domain.snapshot import Snapshot


class Replay(msgspec.Struct, frozen=True):
    """Result of a replay.

    Attributes:
        tip: the last commit written, or the base if there was none.
        mapped: (old, new) of every commit replayed, in order.
        conflict: the commit that could not be merged, with the paths in conflict.
        rest: the commits from the conflicting one on, in order.
        emptied: the new commits that no longer change anything; kept and reported. Commits that
            were empty before do not count.
        dropped: the old commits that no longer change anything and were left out, as requested.
        regenerated: (new commit, path) of every conflicting file that was generated again instead
            of merged.
    """

    tip: Oid
    mapped: tuple[tuple[Oid, Oid], ...]
    conflict: tuple[Commit, tuple[str, ...]] | None = None
    rest: tuple[Commit, ...] = ()
    emptied: tuple[Oid, ...] = ()
    dropped: tuple[Oid, ...] = ()
    regenerated: tuple[tuple[Oid, str], ...] = ()


class ReplayPlan(msgspec.Struct, frozen=True):
    """A planned replay; it holds object ids only, so that it can be resumed from the journal.

    Attributes:
        tip: the entry's head as planned.
        local: the local branch's tip; None if there is none.
        remote: the remote branch's tip; None if there is none.
        base: the new base.
        fork: the fork point.
        about: the origin of the fork point, in words.
        own: the entry's own commits, oldest first.
        base_name: the name of the base, as a user writes it.
        notes: further messages for the user.
        unsigned: own commits whose signature is dropped.
        hand_merges: merges of the branch that were resolved by hand; they are not replayed.
        confirmed: own commits that were in question, and that the answer kept.
    """

    tip: Oid
    local: Oid | None
    remote: Oid | None
    base: Oid
    fork: Oid
    about: str
    own: tuple[Commit, ...]
    base_name: str
    notes: tuple[str, ...] = ()
    unsigned: tuple[Oid, ...] = ()
    hand_merges: tuple[Oid, ...] = ()
    confirmed: tuple[Oid, ...] = ()

    def facts(self) -> dict[str, Any]:
        """Return the plan as journal values."""
        return {
            "tip": self.tip,
            "local": self.local,
            "remote": self.remote,
            "base": self.base,
            "fork": self.fork,
            "about": self.about,
            "own": [commit.oid for commit in self.own],
            "base_name": self.base_name,
            "notes": list(self.notes),
            "unsigned": list(self.unsigned),
        }


class ReplayPreview(msgspec.Struct, frozen=True):
    """A replay that was computed in memory for the plan; no ref points to its commits yet.

    Attributes:
        work: the plan.
        done: its result.
        snapshot: the pull requests that it was made from.
        up_to_date: branches are updated by merges, and the branch contains its base.
    """

    work: ReplayPlan
    done: Replay
    snapshot: Snapshot
    up_to_date: bool = False

    @property
    def nothing(self) -> bool:
        """The commits are already on the base, and none is dropped."""
        return (self.work.fork == self.work.base or self.up_to_date) and not self.done.mapped
