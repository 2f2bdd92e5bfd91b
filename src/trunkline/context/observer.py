"""Observe the world, and keep the observation until something changes it."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from typing import Any, Generic, TypeVar

import msgspec
from msgspec.structs import replace

from trunkline.context import native
from trunkline.context.landed import recognised
from trunkline.context.observation import World, disagree, fetch_replaced_heads, local_states, observe_remote
from trunkline.context.scope import Scope
from trunkline.domain.merge_choice import MergeRules
from trunkline.domain.names import BranchName, Oid, PrNumber, branch_ref
from trunkline.domain.native import NativeStack
from trunkline.domain.snapshot import LocalState, PullRequest, Snapshot
from trunkline.gates.proof import Surroundings
from trunkline.git import history, refs
from trunkline.github import branch_rules, opening
from trunkline.state.change_log import Part

_MAX_AGE = 0.25
"""The age in seconds up to which an observation of local branches is reused before one moves."""

T = TypeVar("T")


class _Observed(msgspec.Struct, Generic[T], frozen=True):
    """An observation, and the number of changes of this process before it (`ChangeLog.position`)."""

    value: T
    position: int


class Observer:
    """Observes on demand; the only place that holds an observation, one per task.

    A part is observed again once this process changed it, which the doors to git and GitHub log
    (`ChangeLog`), or if a caller wants it fresh because others may have changed it.
    """

    def __init__(self, scope: Scope) -> None:
        """Observe nothing yet.

        Args:
            scope: the entry or the stack whose remote branches are observed.
        """
        self._scope = scope
        self._changes = scope.git.changes
        self._snapshot: _Observed[Snapshot] | None = None
        self._remote: _Observed[Mapping[str, Oid]] | None = None
        self._branches: _Observed[Mapping[BranchName, LocalState]] | None = None
        self._observed_at = float("-inf")
        self._machine: Surroundings | None = None
        self._rules: MergeRules | None = None
        self._native: _Observed[tuple[NativeStack, ...] | None] | None = None
        self._refused: set[Oid] = set()
        self._outside: dict[BranchName, Sequence[PullRequest]] = {}

    def observe(self, fresh: Part = Part.NOTHING) -> World:
        """Return the world; only the parts that changed since the last call are observed again.

        Args:
            fresh: parts that are observed again in any case.

        Raises:
            ExternalError: a request to GitHub or to the remote failed.
            UsageError: the remote has no trunk.
        """
        self._drop(fresh)
        snapshot = self._pulls()
        remote, branches = self._remote_refs(), self._local_branches()
        both = {name: replace(state, remote=remote.get(branch_ref(name))) for name, state in branches.items()}
        return World(snapshot, remote[branch_ref(self._scope.stack.trunk)], remote, both)

    def _drop(self, parts: Part) -> None:
        """Forget the observation of some parts."""
        if parts & Part.PULLS:
            self._snapshot = None
        if parts & Part.REFS:
            self._remote = None
        if parts & Part.LOCAL:
            self._branches = None
        if parts & (Part.NATIVE | Part.PULLS):
            self._native = None
        if parts & Part.MACHINE:
            self._machine = None

    def pulls_of(self, branch: BranchName) -> Sequence[PullRequest]:
        """Return the pull requests that a branch had, requested once; their heads are fetched if they are missing."""
        if branch not in self._outside:
            scope = self._scope
            self._outside[branch] = found = opening.of_branch(scope.github, branch)
            heads = [head for pr in found for head in (pr.head_oid, *pr.historical_heads)]
            if absent := history.missing(scope.git, heads):
                refs.fetch_commits(scope.git, scope.stack.remote, sorted(absent))
        return self._outside[branch]

    def _pulls(self) -> Snapshot:
        """Return the pull requests, with GitHub's responses to the changes of this process."""
        if self._snapshot is None or self._is_stale(self._snapshot, Part.PULLS):
            position = self._changes.position
            self._snapshot = _Observed(self._read_pulls(), position)
        position = self._changes.position
        snapshot, changes = self._snapshot.value, self._changes.since(self._snapshot.position, Part.PULLS)
        shown = {change.pull_request.number: change.pull_request for change in changes if change.pull_request}
        if shown:
            snapshot = replace(snapshot, pull_requests={**snapshot.pull_requests, **shown})
            self._snapshot = _Observed(snapshot, position)
        return snapshot

    def _read_pulls(self) -> Snapshot:
        """Read the pull requests, and the remote's refs at the same moment."""
        scope = self._scope
        snapshot, remote = self._read_both()
        if disagree(scope.git, scope.stack, scope.entries, snapshot, remote):  # they may lag: once more, no longer
            self._drop(Part.REFS)
            snapshot, remote = self._read_both()
        fetch_replaced_heads(scope.git, scope.stack, snapshot, refused=self._refused)
        return recognised(scope.git, scope.stack, snapshot, remote[branch_ref(scope.stack.trunk)])

    def _read_both(self) -> tuple[Snapshot, Mapping[str, Oid]]:
        """Read GitHub and the remote; the two requests run in parallel, and local branches are read meanwhile."""
        with self._scope.project.reading_pulls(merging=self._scope.stacked) as response:
            remote, _ = self._remote_refs(), self._local_branches()
            return response(), remote

    def last_tip(self, branch: BranchName) -> Oid | None:
        """Return the tip of a local branch as last observed; None if unknown or absent."""
        state = self._known_branches().get(branch)
        return state.local if state else None

    def local_now(self, branch: BranchName) -> LocalState:
        """Observe a local branch again, right before it moves.

        The user may have edited files or switched branches since. For a whole stack, one
        observation of all branches is reused for a moment: it costs 5 ms, and 20 entries move in
        100 ms. The ref itself is protected by compare-and-swap, whatever was observed.
        """
        if not self._scope.stacked or time.monotonic() - self._observed_at > _MAX_AGE:
            self._drop(Part.LOCAL)
        return self._local_branches()[branch]

    def machine(self) -> Surroundings:
        """Return this machine's toolchains and cargo configuration."""
        if self._machine is None:
            self._machine = Surroundings(self._scope.git, self._scope.stack.gates.sandbox)
        return self._machine

    def rules(self) -> MergeRules:
        """Return the repository's rules for a merge into trunk, requested once.

        Raises:
            ExternalError: the request to GitHub failed.
        """
        if self._rules is None:
            self._rules = branch_rules.merge_rules(self._scope.github, self._scope.stack.trunk)
        return self._rules

    def native_stacks(self) -> tuple[NativeStack, ...] | None:
        """Return the repository's native stacks on GitHub; None if it has none.

        Raises:
            ExternalError: the request to GitHub failed.
        """
        if self._native is None or self._is_stale(self._native, Part.NATIVE | Part.PULLS):
            position = self._changes.position
            with native.asking(self._scope) as response:
                self._native = _Observed(response(), position)
        return self._native.value

    def _is_stale(self, observed: _Observed[Any], parts: Part) -> bool:
        """Return whether this process changed a part since, and does not know the new value."""
        outdated: set[PrNumber | None] = set()
        for change in self._changes.since(observed.position, parts):
            if change.pull_request is not None:
                outdated.discard(change.number)
            elif change.tip is None:
                outdated.add(change.number)
        return bool(outdated)

    def _remote_refs(self) -> Mapping[str, Oid]:
        if self._remote is None or self._is_stale(self._remote, Part.REFS):
            position = self._changes.position
            found = observe_remote(self._scope.git, self._scope.stack, self._scope.entries)
            self._remote = _Observed(found, position)
        return self._remote.value

    def _known_branches(self) -> Mapping[BranchName, LocalState]:
        """Return the local branches as last observed, moved as this process moved them; empty: observe them again.

        Otherwise each entry of a stack that moves would have all branches observed again.
        """
        if self._branches is None or self._is_stale(self._branches, Part.LOCAL):
            return {}
        known, position = self._branches.value, self._changes.position
        changes = self._changes.since(self._branches.position, Part.LOCAL)
        moves = [change.tip for change in changes if change.tip and change.tip[0] in known]
        # Under a checkout that stays as it is, other files count as changed than before.
        if moves and (not self._scope.stacked or any(known[branch].checked_out for branch, _ in moves)):
            return {}
        if moves:
            known = {**known, **{branch: replace(known[branch], local=tip) for branch, tip in moves}}
        self._branches = _Observed(known, position)
        return known

    def _local_branches(self) -> Mapping[BranchName, LocalState]:
        if known := self._known_branches():
            return known
        names = [each.branch for each in self._scope.stack.entries]
        position = self._changes.position
        branches = local_states(self._scope.git, names, changes=not self._scope.stacked)
        self._branches, self._observed_at = _Observed(branches, position), time.monotonic()
        return branches
