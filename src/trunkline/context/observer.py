"""Observe the world, and keep the observation until something changes it."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from enum import Flag, auto

from msgspec.structs import replace

from trunkline.context import native
from trunkline.context.landed import recognised
from trunkline.context.observation import World, disagree, fetch_replaced_heads, local_states, observe_remote
from trunkline.context.scope import Scope
from trunkline.domain.merge_choice import MergeRules
from trunkline.domain.names import BranchName, Oid, branch_ref
from trunkline.domain.native import NativeStack
from trunkline.domain.snapshot import LocalState, PullRequest, Snapshot
from trunkline.gates.proof import Surroundings
from trunkline.git import history, refs
from trunkline.github import branch_rules, opening

_MAX_AGE = 0.25
"""The age in seconds up to which an observation of local branches is reused before one moves."""


class Part(Flag):
    """A part of the world that a task or another program can change."""

    PULLS = auto()
    REMOTE = auto()
    LOCAL = auto()
    NATIVE = auto()
    MACHINE = auto()
    ALL = PULLS | REMOTE | LOCAL | NATIVE | MACHINE


class Observer:
    """Observes on demand; the only place that holds an observation, one per task."""

    def __init__(self, scope: Scope) -> None:
        """Observe nothing yet.

        Args:
            scope: the entry or the stack whose remote branches are observed.
        """
        self._scope = scope
        self._snapshot: Snapshot | None = None
        self._remote: Mapping[str, Oid] | None = None
        self._branches: Mapping[BranchName, LocalState] | None = None
        self._observed_at = float("-inf")
        self._machine: Surroundings | None = None
        self._rules: MergeRules | None = None
        self._native: tuple[tuple[NativeStack, ...] | None] | None = None
        self._refused: set[Oid] = set()
        self._outside: dict[BranchName, Sequence[PullRequest]] = {}

    def observe(self) -> World:
        """Return the world; only the parts that changed since the last call are observed again.

        Raises:
            ExternalError: a request to GitHub or to the remote failed.
            UsageError: the remote has no trunk.
        """
        if self._snapshot is None:
            self._snapshot = self._read_pulls()
        remote, branches = self._remote_refs(), self._local_branches()
        both = {name: replace(state, remote=remote.get(branch_ref(name))) for name, state in branches.items()}
        trunk = remote[branch_ref(self._scope.stack.trunk)]
        return World(self._snapshot, trunk, remote, both, self._pulls_of)

    def _pulls_of(self, branch: BranchName) -> Sequence[PullRequest]:
        """Return the pull requests that a branch had, requested once; their heads are fetched if they are missing."""
        if branch not in self._outside:
            scope = self._scope
            self._outside[branch] = found = opening.of_branch(scope.github, branch)
            heads = [head for pr in found for head in (pr.head_oid, *pr.historical_heads)]
            if absent := history.missing(scope.git, heads):
                refs.fetch_commits(scope.git, scope.stack.remote, sorted(absent))
        return self._outside[branch]

    def _read_pulls(self) -> Snapshot:
        """Read the pull requests, and the remote's refs at the same moment."""
        scope = self._scope
        snapshot, remote = self._read_both()
        if disagree(scope.git, scope.stack, scope.entries, snapshot, remote):  # they may lag: once more, no longer
            self._remote = None
            snapshot, remote = self._read_both()
        fetch_replaced_heads(scope.git, scope.stack, snapshot, refused=self._refused)
        return recognised(scope.git, scope.stack, snapshot, remote[branch_ref(scope.stack.trunk)])

    def _read_both(self) -> tuple[Snapshot, Mapping[str, Oid]]:
        """Read GitHub and the remote; the two requests run in parallel, and local branches are read meanwhile."""
        with self._scope.project.reading_pulls(merging=self._scope.stacked) as response:
            remote, _ = self._remote_refs(), self._local_branches()
            return response(), remote

    def invalidate(self, part: Part = Part.ALL) -> None:
        """Invalidate the observation of a part; that of the remote includes pull requests."""
        if part & (Part.PULLS | Part.REMOTE):
            self._snapshot = self._native = None
        if part & Part.REMOTE:
            self._remote = None
        if part & Part.LOCAL:
            self._branches = None
        if part & Part.NATIVE:
            self._native = None
        if part & Part.MACHINE:
            self._machine = None

    def update_pull_request(self, pr: PullRequest) -> None:
        """Replace a pull request by GitHub's response to a change."""
        if self._snapshot is not None:
            pulls = {**self._snapshot.pull_requests, pr.number: pr}
            self._snapshot = replace(self._snapshot, pull_requests=pulls)

    def update_tip(self, branch: BranchName, tip: Oid) -> None:
        """Replace the tip of a local branch that this task moved.

        Otherwise each entry of a stack would have to observe all branches again.
        """
        if self._scope.stacked and self._branches is not None and branch in self._branches:
            self._branches = {**self._branches, branch: replace(self._branches[branch], local=tip)}
        else:
            self.invalidate(Part.LOCAL)

    def last_tip(self, branch: BranchName) -> Oid | None:
        """Return the tip of a local branch as last observed; None if unknown or absent."""
        state = self._branches.get(branch) if self._branches is not None else None
        return state.local if state else None

    def local_now(self, branch: BranchName) -> LocalState:
        """Observe a local branch again, right before it moves.

        The user may have edited files or switched branches since. For a whole stack, one
        observation of all branches is reused for a moment: it costs 5 ms, and 20 entries move in
        100 ms. The ref itself is protected by compare-and-swap, whatever was observed.
        """
        if not self._scope.stacked or time.monotonic() - self._observed_at > _MAX_AGE:
            self.invalidate(Part.LOCAL)
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
        if self._native is None:
            with native.asking(self._scope) as response:
                self._native = (response(),)
        return self._native[0]

    def _remote_refs(self) -> Mapping[str, Oid]:
        if self._remote is None:
            self._remote = observe_remote(self._scope.git, self._scope.stack, self._scope.entries)
        return self._remote

    def _local_branches(self) -> Mapping[BranchName, LocalState]:
        if self._branches is None:
            names = [each.branch for each in self._scope.stack.entries]
            self._branches = local_states(self._scope.git, names, changes=not self._scope.stacked)
            self._observed_at = time.monotonic()
        return self._branches
