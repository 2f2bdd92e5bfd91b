"""The context of a task: checkout, stack, entry, options, and the cached observation."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

from trunkline.context.landed import recognised
from trunkline.context.observation import World, local_states, observe_remote
from trunkline.domain.command import task_command
from trunkline.domain.errors import Refused, UsageError
from trunkline.domain.merge_choice import MergeChoice, MergeRules
from trunkline.domain.names import BranchName, EntryKey, Oid, PrNumber, branch_ref, entry_key, oid
from trunkline.domain.native import NativeStack
from trunkline.domain.repository import Repository
from trunkline.domain.snapshot import LocalState, PrState, PullRequest, Snapshot
from trunkline.domain.stack import Entry, Stack
from trunkline.domain.step import StepName
from trunkline.engine import ProgressReporter
from trunkline.git import refs
from trunkline.git.git import Git
from trunkline.github.client import GitHub

if TYPE_CHECKING:
    from trunkline.gates.proof import Surroundings


class Reporter(ProgressReporter, Protocol):
    """Receives progress events while a task runs, and prompts the user."""

    def command(self, command_line: str) -> None:
        """Report a mutation as the command that a user would have typed."""

    def progress(self, text: str) -> None:
        """Report a line of progress within a step."""

    def ask(self, question: str, /) -> bool:
        """Prompt the user; return False without an interactive user, or with `--yes`."""

    def ask_person(self, question: str, /) -> bool:
        """Prompt the user, even with `--yes`; return False without an interactive user."""

    def require_approval(self, *publishes: str) -> None:
        """Require approval before publishing: by `--yes` or by the user.

        Args:
            publishes: lines that describe what others will see.

        Raises:
            UsageError: there is no interactive user, and `--yes` was not given.
            Declined: the answer was no.
        """

    def running(self, gates: Mapping[str, float], lines: Mapping[str, str]) -> None:
        """Report the running gates, with start times (monotonic clock) and their details."""

    def gates_ended(self, seconds: float) -> None:
        """Report that all gates have finished, after some seconds."""


@dataclass(frozen=True)
class Options:
    """The options of a task, besides the entry.

    Attributes:
        skip: skipped steps.
        accept_unavailable: gates that may be unavailable.
        fork_point: the value of `--fork-point`, or "".
        fresh: ignore receipts, and rebuild the repository's own packages.
        clean: use an empty build cache.
        require: the condition of a merge, `checks` or `gates`; "": as in stack.toml.
        method: the merge method; "": as in stack.toml.
        watch: wait for reviewers too, for hours.
        drop_emptied: drop commits that became empty.
        baseline: run failed gates on the base too.
        accept_flaky: gates that are accepted although they both passed and failed on the same tree.
    """

    skip: frozenset[StepName] = frozenset()
    accept_unavailable: frozenset[str] = frozenset()
    fork_point: str = ""
    fresh: bool = False
    require: str = ""
    method: str = ""
    watch: bool = False
    drop_emptied: bool = False
    accept_flaky: frozenset[str] = frozenset()
    baseline: bool = False
    clean: bool = False


_LOOK_HOLDS = 0.25
"""How long, in seconds, an observation of a stack's local branches is reused."""


@dataclass
class WorldCache:
    """The cached observation, shared by all contexts of a task; None or absent: to be observed.

    Attributes:
        snapshot: the pull requests on GitHub.
        remote: the remote's refs.
        local: the local branches.
        looked: the time of that observation, by the monotonic clock.
        planned: the planned tips of entries, while a plan is made.
        foreseen: the replays of the plan, by entry; reused only if the observation is unchanged.
        surroundings: the toolchains and cargo's configuration on this machine.
        began: the tips of the branches when the run began (`pushed_commits.InitialTips`); empty
            while a plan is made.
        accepted: gates that the user accepted as unavailable when prompted.
        stack_source: the stack.toml that was read, if it is not at the top of the work tree.
        merges: the last merge choice of each entry (`merge_as_is.choose`).
        rules: the repository's rules for a merge into trunk.
        native: the repository's native stacks, in a tuple of one (`native.stacks_of`).
    """

    snapshot: Snapshot | None = None
    remote: Mapping[str, Oid] | None = None
    local: dict[BranchName, LocalState] = field(default_factory=dict)
    looked: float = float("-inf")
    planned: dict[EntryKey, Oid] = field(default_factory=dict)
    foreseen: dict[EntryKey, object] = field(default_factory=dict)
    surroundings: Surroundings | None = None
    began: dict[EntryKey, object] = field(default_factory=dict)
    accepted: set[str] = field(default_factory=set)
    stack_source: str = ""
    merges: dict[EntryKey, MergeChoice] = field(default_factory=dict)
    rules: MergeRules | None = None
    native: tuple[tuple[NativeStack, ...] | None] | None = None


@dataclass(frozen=True)
class Context:
    """The context of a task for one entry.

    Attributes:
        git: the user's checkout.
        stack: the stack.
        entry: the entry.
        repository: the repository on GitHub.
        options: the other options.
        reporter: who is told.
        stacked: entries below may be open, and the nearest of them is the base; otherwise all must
            be merged.
        cache: the cached observation.
    """

    git: Git
    stack: Stack
    entry: Entry
    repository: Repository
    options: Options
    reporter: Reporter
    stacked: bool = False
    cache: WorldCache = field(default_factory=WorldCache, repr=False)

    def of(self, entry: Entry) -> Context:
        """Return the context of another entry of the stack."""
        return replace(self, entry=entry)

    def over_the_stack(self) -> Context:
        """Return the context for tasks of the whole stack."""
        return replace(self, stacked=True, cache=WorldCache())

    @property
    def github(self) -> GitHub:
        """The stack's repository on GitHub."""
        return GitHub(self.repository, self.git.cwd, self.reporter.progress)

    @property
    def state(self) -> Path:
        """The directory of this repository's journals and lock."""
        return self.git.state_dir()

    @property
    def tracking(self) -> str:
        """The name of trunk's tracking branch: `origin/main`."""
        return f"{self.stack.remote}/{self.stack.trunk}"

    def world(self) -> World:
        """Return the observation; each part is cached until a change invalidates it (`invalidate`)."""
        if self.cache.snapshot is None:
            # The requests to GitHub and to the remote run in parallel.
            with self.asking(merging=self.stacked) as answer:
                remote, local = self._look()
                snapshot = answer()
            trunk = remote[branch_ref(self.stack.trunk)]
            self.cache.snapshot = recognised(self.git, self.stack, snapshot, trunk)
        else:
            remote, local = self._look()
        return World(self.cache.snapshot, remote[branch_ref(self.stack.trunk)], remote, local)

    def asking(
        self, *, merging: bool, trunk: BranchName | None = None
    ) -> AbstractContextManager[Callable[[], Snapshot]]:
        """Send the query for the stack's pull requests; the context's value waits for the response.

        Args and errors as of `GitHub.reading_stack`.
        """
        return self.github.reading_stack(self.stack.numbers, merging=merging, trunk=trunk)

    def _look(self) -> tuple[Mapping[str, Oid], LocalState]:
        heads = self.stack.entries if self.stacked else (self.entry,)
        remote, local = self.cache.remote, self.cache.local
        if remote is None:
            remote = self.cache.remote = observe_remote(self.git, self.stack, heads)
            local.update({branch: _with_remote(state, remote) for branch, state in local.items()})
        if self.entry.branch not in local:
            states = local_states(self.git, [each.branch for each in heads], changes=not self.stacked)
            local.update({branch: _with_remote(state, remote) for branch, state in states.items()})
            self.cache.looked = time.monotonic()
        return remote, local[self.entry.branch]

    def invalidate(self) -> None:
        """Invalidate all cached state."""
        self.invalidate_remote()
        self.invalidate_local()
        self.cache.surroundings = None

    def surroundings(self) -> Surroundings:
        """Return this machine's toolchains and cargo configuration, cached until `invalidate`."""
        # Imported here, because most tasks and `--list` do not need it.
        from trunkline.gates.proof import Surroundings  # noqa: PLC0415

        if self.cache.surroundings is None:
            self.cache.surroundings = Surroundings(self.git, self.stack.gates.sandbox)
        return self.cache.surroundings

    def invalidate_remote(self) -> None:
        """Invalidate what was observed on GitHub and the remote."""
        self.cache.snapshot = self.cache.remote = self.cache.native = None

    def invalidate_github(self) -> None:
        """Invalidate the pull requests and their native stacks."""
        self.cache.snapshot = self.cache.native = None

    def record_pull_request(self, pr: PullRequest) -> None:
        """Update the cache with a pull request from GitHub's response to a change."""
        if self.cache.snapshot is not None:
            known = self.cache.snapshot.pull_requests
            self.cache.snapshot = replace(self.cache.snapshot, pull_requests={**known, pr.number: pr})

    def invalidate_local(self) -> None:
        """Invalidate the local branches."""
        self.cache.local.clear()

    def refresh_local(self) -> LocalState:
        """Observe the entry's local branch again, right before it moves.

        The user may have edited files or switched branches since. For a whole stack, one
        observation of all branches is reused for a moment: it costs 5 ms, and 20 entries move in
        100 ms. The ref itself is protected by compare-and-swap, whatever was observed.
        """
        if not self.stacked or time.monotonic() - self.cache.looked > _LOOK_HOLDS:
            self.invalidate_local()
        return self._look()[1]

    def record_local_tip(self, tip: Oid) -> None:
        """Update the cache with the new tip of the entry's branch after our own move.

        Otherwise each entry of a stack would have to observe all branches again.
        """
        held = self.cache.local.get(self.entry.branch)
        if self.stacked and held is not None:
            self.cache.local[self.entry.branch] = replace(held, local=tip)
        else:
            self.invalidate_local()

    def local_tip(self) -> Oid:
        """Return the local branch's tip, as last observed.

        Raises:
            UsageError: there is no local branch yet.
        """
        ref = branch_ref(self.entry.branch)
        held = self.cache.local.get(self.entry.branch)
        tip = held.local if held else refs.read_refs(self.git, ref).get(ref)
        if tip is None:
            raise UsageError(
                f"there is no local branch {self.entry.branch}",
                next_command=task_command("switch", "--pr", self.entry.key),
            )
        return tip

    def verified_commit(self) -> Oid:
        """Return the commit that gates and checks run on.

        For an entry that is merged without a rewrite it is a commit with the tree of the merge,
        else the local branch's tip.

        Raises:
            UsageError: there is no local branch yet.
        """
        tip, choice = self.local_tip(), self.cache.merges.get(self.entry.key)
        as_is = choice is not None and not choice.reason and choice.head == tip
        return choice.result if choice is not None and as_is else tip

    def known(self, number: PrNumber) -> PullRequest:
        """Return a pull request of stack.toml, in any state.

        Raises:
            UsageError: GitHub has no such pull request.
        """
        pr = self.world().snapshot.pr(number)
        if pr is None:
            raise UsageError(
                f"{self.repository.slug} has no pull request #{number}",
                why="stack.toml lists it",
                next_command=f"gh pr list --repo {self.repository.argument} --state all",
            )
        return pr

    def open_pulls(self) -> tuple[PullRequest, ...]:
        """Return the stack's open pull requests, bottom first."""
        pulls = (self.world().snapshot.pr(entry.key) for entry in self.stack.entries)
        return tuple(pr for pr in pulls if pr is not None and pr.state is PrState.OPEN)

    def open_entries(self) -> tuple[Entry, ...]:
        """Return the entries whose pull requests are open or not made yet, bottom first."""
        numbers = {pr.number for pr in self.open_pulls()}
        return tuple(entry for entry in self.stack.entries if entry.number is None or entry.number in numbers)

    def no_branch(self) -> Refused:
        """Return the error for a branch that exists neither locally nor on the remote."""
        return Refused(
            f"there is no branch {self.entry.branch}, neither here nor on {self.stack.remote}",
            next_command=f"gh pr view {self.entry.number}" if self.entry.number else task_command("status"),
        )

    def pull_request(self) -> PullRequest:
        """Return the entry's pull request.

        Raises:
            Refused: it is closed, or its head is in another repository.
            UsageError: GitHub has no such pull request, or its branch is not the one in stack.toml.
        """
        return _open(self, self.entry)


def _with_remote(state: LocalState, remote: Mapping[str, Oid]) -> LocalState:
    return replace(state, remote=remote.get(branch_ref(state.branch)))


def _open(context: Context, entry: Entry) -> PullRequest:
    pr = context.known(entry.pr)
    if pr.state is PrState.MERGED:
        above = context.stack.above(entry)
        raise Refused(
            f"{entry.label} is merged already",
            why=f"{f'on {pr.merged_at[:10]}' if pr.merged_at else 'it was closed, and trunk has its changes'}; "
            "there is nothing left to do for it",
            next_command=task_command("rebase", "--pr", above.key) if above else "git fetch --prune",
        )
    if pr.state is PrState.CLOSED:
        raise Refused(
            f"{entry.label} is closed",
            why="a push to a closed pull request's branch can make it impossible to reopen",
            next_command=task_command("rescue", "--pr", entry.key),
        )
    if pr.head_repository != context.repository.slug:
        raise Refused(
            f"{entry.label} comes from {pr.head_repository or 'a deleted repository'}",
            why=f"only branches of {context.repository.slug} itself can be pushed",
            next_command=f"gh pr checkout {entry.pr}",
        )
    if pr.head != entry.branch:
        raise UsageError(
            f"stack.toml has {entry.branch} for {entry.label}, GitHub has {pr.head}",
            next_command="${EDITOR:-vi} stack.toml",
        )
    return pr


def resolve_fork_point(context: Context) -> Oid | None:
    """Return the commit that `--fork-point` gives for the entry; None if it gives none.

    `COMMIT` is valid for a task of one entry; `PR=COMMIT`, separated by commas, for any task.

    Raises:
        UsageError: it names a missing commit, or no entry.
    """
    for answer in filter(None, context.options.fork_point.split(",")):
        name, equals, commit = answer.partition("=")
        if not equals:
            commit = answer
        elif context.stack.entry(entry_key(name)) != context.entry:
            continue
        if not equals and context.stacked:
            raise UsageError(
                f"--fork-point {commit}: of which entry?",
                why="this task moves several entries",
                next_command=task_command("restack", "--fork-point", f"{context.entry.key}={commit}"),
            )
        found = context.git.resolve(commit)
        if found is None:
            raise UsageError(f"--fork-point {commit!r} is no commit here", next_command="git log --oneline")
        return oid(found)
    return None
