"""The decisions of a plan and of the run that carries it out, as immutable values."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping

import msgspec
from msgspec.structs import replace

from trunkline.domain.merge_choice import MergeChoice
from trunkline.domain.names import EntryKey, Oid
from trunkline.domain.replay_plan import ReplayPreview
from trunkline.domain.rewrite import Rewrite
from trunkline.domain.step import Plan


class InitialTips(msgspec.Struct, frozen=True):
    """The tips of an entry's branch when the run began.

    Attributes:
        local: the local tip; None if there was no local branch.
        known: tips that need no confirmation: the local and remote tips at the start, and tips that
            the run itself made.
        included: later tips that the user has included.
        replayed: the run replays the branch, and so can include commits.
    """

    local: Oid | None
    known: frozenset[Oid]
    included: frozenset[Oid] = frozenset()
    replayed: bool = True


class Decisions(msgspec.Struct, frozen=True):
    """The decisions so far, by entry.

    Attributes:
        replays: the replays of a plan. Later entries of the plan are based on their tips. Empty
            while a run carries the plan out: the branches themselves hold the tips then.
        rewritten: the planned tips of rewritten entries. Empty during a run, as `replays` is.
        merges: the last merge choice of each entry.
        initial_tips: the tips of the branches when the run began; empty while a plan is made.
        accepted: gates that the user accepted as unavailable when prompted.
        landing: the entries that `land --together` lands, bottom first.
    """

    replays: Mapping[EntryKey, ReplayPreview] = msgspec.field(default_factory=dict)
    rewritten: Mapping[EntryKey, Oid] = msgspec.field(default_factory=dict)
    merges: Mapping[EntryKey, MergeChoice] = msgspec.field(default_factory=dict)
    initial_tips: Mapping[EntryKey, InitialTips] = msgspec.field(default_factory=dict)
    accepted: frozenset[str] = frozenset()
    landing: tuple[EntryKey, ...] = ()

    def with_replay(self, entry: EntryKey, preview: ReplayPreview) -> Decisions:
        """Return the decisions with the planned replay of an entry."""
        return replace(self, replays={**self.replays, entry: preview})

    def with_rewrites(self, rewrites: Iterable[Rewrite]) -> Decisions:
        """Return the decisions with the planned tips of rewritten entries."""
        return replace(self, rewritten={**self.rewritten, **{each.pr: each.result.new for each in rewrites}})

    def with_merge(self, entry: EntryKey, choice: MergeChoice) -> Decisions:
        """Return the decisions with the merge choice of an entry."""
        return replace(self, merges={**self.merges, entry: choice})

    def including(self, entry: EntryKey, tip: Oid) -> Decisions:
        """Return the decisions after the user included a tip that was pushed since the run began."""
        tips = self.initial_tips.get(entry)
        if tips is None:
            return self
        included = replace(tips, known=tips.known | {tip}, included=tips.included | {tip})
        return replace(self, initial_tips={**self.initial_tips, entry: included})

    def accepting(self, gates: Collection[str]) -> Decisions:
        """Return the decisions with more gates that may be unavailable."""
        return replace(self, accepted=self.accepted | frozenset(gates))

    def as_is(self, entry: EntryKey) -> MergeChoice | None:
        """Return the last choice for an entry if it is merged without a rewrite, else None."""
        choice = self.merges.get(entry)
        return choice if choice is not None and not choice.reason else None

    def planned_tip(self, entry: EntryKey) -> Oid | None:
        """Return the planned tip of an entry; None if neither a replay nor a rewrite is planned."""
        preview = self.replays.get(entry)
        return preview.done.tip if preview else self.rewritten.get(entry)


class Forecast(msgspec.Struct, frozen=True):
    """A plan, and the decisions that it was made from."""

    plan: Plan
    decisions: Decisions = msgspec.field(default_factory=Decisions)
