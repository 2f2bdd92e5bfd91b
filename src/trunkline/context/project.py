"""Where a task stands: the checkout, the stack, the entry, the options; and the world as last looked at."""

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
from trunkline.domain.names import BranchName, Oid, PrNumber, branch_ref, oid, pr_number
from trunkline.domain.snapshot import LocalState, PrState, PullRequest, Snapshot
from trunkline.domain.stack import Entry, Stack
from trunkline.domain.step import StepName
from trunkline.engine import ProgressReporter
from trunkline.git import refs
from trunkline.git.git import Git
from trunkline.github.client import GitHub, Repository

if TYPE_CHECKING:
    from trunkline.gates.proof import Surroundings


class Reporter(ProgressReporter, Protocol):
    """Who is told as it happens; commands and progress too."""

    def command(self, command_line: str) -> None:
        """A mutation is given, as a person would type it."""

    def progress(self, text: str) -> None:
        """A line of progress within a step."""

    def ask(self, question: str, /) -> bool:
        """Ask a person, where one can answer and was not told to be left alone; elsewhere the answer is no."""

    def ask_person(self, question: str, /) -> bool:
        """Ask a person, where one can answer, `--yes` or not; elsewhere the answer is no."""

    def require_approval(self, *publishes: str) -> None:
        """See that publishing was approved, by `--yes` or by a person; called before anything is published.

        Args:
            publishes: what others will see, one line each.

        Raises:
            UsageError: nobody can be asked, and `--yes` was not given.
            Declined: the answer was no.
        """

    def running(self, gates: Mapping[str, float], lines: Mapping[str, str]) -> None:
        """These gates run, each since a time of the monotonic clock; this is what is known of some."""

    def gates_ended(self, seconds: float) -> None:
        """All gates that were asked for have a verdict, after so many seconds."""


@dataclass(frozen=True)
class Options:
    """What was asked for beside the entry.

    Attributes:
        skip: steps left out by name.
        accept_unavailable: gates that may be impossible here.
        fork_point: what `--fork-point` says; "": nothing.
        fresh: receipts do not count, and the repository's own packages are compiled anew.
        clean: nothing that was compiled before is used.
        require: what a merge requires, checks or gates; "": as stack.toml says.
        method: how to merge; "": as stack.toml says.
        watch: wait for hours, for reviewers too.
        drop_emptied: commits that change nothing any more are left out.
        baseline: gates that fail are run on the base, too.
        accept_flaky: gates that count although receipts of the same question say both passed and failed.
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
"""Seconds that a look at the local branches of a stack is as good as a new one."""


@dataclass
class WorldCache:
    """The world as last looked at, shared by all contexts of one task; None, or absent: to be looked at.

    Attributes:
        snapshot: GitHub's pull requests.
        remote: the remote's refs.
        local: the local branches.
        looked: when that was, by the monotonic clock.
        planned: while a plan is made: the tips that entries will have by then.
        foreseen: what a plan came to, by entry; taken only where the world is still the same.
        surroundings: the toolchains and cargo's configuration on this machine.
        began: where the branches were when the run began (`appeared.InitialTips`); empty while a plan is made.
        accepted: gates that a person, asked while the task ran, accepted as unavailable.
        stack_source: which stack.toml was read, where that is not the one at the top of the work tree.
        merges: how each entry is merged, as a landing last decided it (`as_is.choose`).
        rules: what the repository demands of a merge into trunk.
    """

    snapshot: Snapshot | None = None
    remote: Mapping[str, Oid] | None = None
    local: dict[BranchName, LocalState] = field(default_factory=dict)
    looked: float = float("-inf")
    planned: dict[PrNumber, Oid] = field(default_factory=dict)
    foreseen: dict[PrNumber, object] = field(default_factory=dict)
    surroundings: Surroundings | None = None
    began: dict[PrNumber, object] = field(default_factory=dict)
    accepted: set[str] = field(default_factory=set)
    stack_source: str = ""
    merges: dict[PrNumber, MergeChoice] = field(default_factory=dict)
    rules: MergeRules | None = None


@dataclass(frozen=True)
class Context:
    """One task's place to stand.

    Attributes:
        git: the user's checkout.
        stack: the stack.
        entry: the entry asked for.
        repository: where its pull requests are.
        options: what was asked for beside the entry.
        reporter: who is told.
        stacked: entries below may be open: the entry sits on the nearest of them; else all below must be merged.
        cache: the world as last looked at.
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
        """Return the same place for another entry of the stack."""
        return replace(self, entry=entry)

    def over_the_stack(self) -> Context:
        """Return the same place for tasks of the whole stack."""
        return replace(self, stacked=True, cache=WorldCache())

    @property
    def github(self) -> GitHub:
        """The stack's repository on GitHub."""
        return GitHub(self.repository, self.git.cwd, self.reporter.progress)

    @property
    def state(self) -> Path:
        """Where the journals and the lease of this repository are."""
        return self.git.state_dir()

    @property
    def tracking(self) -> str:
        """Trunk as people write it: `origin/main`."""
        return f"{self.stack.remote}/{self.stack.trunk}"

    def world(self) -> World:
        """Return the world, each part looked at once until something changes it (`invalidate`)."""
        if self.cache.snapshot is None:
            # GitHub answers while git looks: each waits for another server.
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
        return self.github.reading_stack([each.pr for each in self.stack.entries], merging=merging, trunk=trunk)

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
        """Nothing that was seen is still true."""
        self.invalidate_remote()
        self.invalidate_local()
        self.cache.surroundings = None

    def surroundings(self) -> Surroundings:
        """Return the toolchains and cargo's configuration on this machine, looked at once until `invalidate`."""
        # Imported here: most tasks count no receipts, and `--list` runs none.
        from trunkline.gates.proof import Surroundings  # noqa: PLC0415

        if self.cache.surroundings is None:
            self.cache.surroundings = Surroundings(self.git, self.stack.gates.sandbox)
        return self.cache.surroundings

    def invalidate_remote(self) -> None:
        """What GitHub and the remote said is no longer true."""
        self.cache.snapshot = self.cache.remote = None

    def invalidate_github(self) -> None:
        """What GitHub said of the pull requests is no longer true."""
        self.cache.snapshot = None

    def record_pull_request(self, pr: PullRequest) -> None:
        """Take a pull request as GitHub has just answered with it."""
        if self.cache.snapshot is not None:
            known = self.cache.snapshot.pull_requests
            self.cache.snapshot = replace(self.cache.snapshot, pull_requests={**known, pr.number: pr})

    def invalidate_local(self) -> None:
        """What was seen of the local branches is no longer true."""
        self.cache.local.clear()

    def refresh_local(self) -> LocalState:
        """Look again at the entry's local branch, right before it moves (promises, fault 31).

        Of a whole stack, one look at all branches holds for a moment: each costs 5 ms, and 20 entries move in 100.
        The ref itself is protected by the value that its move names, whatever was seen.
        """
        if not self.stacked or time.monotonic() - self.cache.looked > _LOOK_HOLDS:
            self.invalidate_local()
        return self._look()[1]

    def record_local_tip(self, tip: Oid) -> None:
        """Take it that the entry's local branch is at a commit now, as a move of ours has just shown.

        Of a whole stack, each entry would else look at all branches again for each that moved.
        """
        held = self.cache.local.get(self.entry.branch)
        if self.stacked and held is not None:
            self.cache.local[self.entry.branch] = replace(held, local=tip)
        else:
            self.invalidate_local()

    def local_tip(self) -> Oid:
        """Return the local branch's tip, as last looked at.

        Raises:
            UsageError: there is no local branch yet.
        """
        ref = branch_ref(self.entry.branch)
        held = self.cache.local.get(self.entry.branch)
        tip = held.local if held else refs.read_refs(self.git, ref).get(ref)
        if tip is None:
            raise UsageError(
                f"there is no local branch {self.entry.branch}",
                next_command=task_command("switch", "--pr", self.entry.pr),
            )
        return tip

    def verified_commit(self) -> Oid:
        """Return the commit that gates and checks run on.

        Of an entry that is merged as it is: a commit with the tree that the merge gives, else the local branch's tip.

        Raises:
            UsageError: there is no local branch yet.
        """
        tip, choice = self.local_tip(), self.cache.merges.get(self.entry.pr)
        as_is = choice is not None and not choice.reason and choice.head == tip
        return choice.result if choice is not None and as_is else tip

    def known(self, number: PrNumber) -> PullRequest:
        """Return a pull request that stack.toml lists, whatever its state.

        Raises:
            UsageError: GitHub has none of that number.
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
        pulls = (self.world().snapshot.pr(entry.pr) for entry in self.stack.entries)
        return tuple(pr for pr in pulls if pr is not None and pr.state is PrState.OPEN)

    def no_branch(self) -> Refused:
        """Return the refusal to work on a branch that nobody has."""
        return Refused(
            f"there is no branch {self.entry.branch}, neither here nor on {self.stack.remote}",
            next_command=f"gh pr view {self.entry.pr}",
        )

    def pull_request(self) -> PullRequest:
        """Return the entry's pull request.

        Raises:
            Refused: it is closed, or its head lives in another repository.
            UsageError: GitHub has none of that number, or its branch is not the one in stack.toml.
        """
        return _open(self, self.entry)


def _with_remote(state: LocalState, remote: Mapping[str, Oid]) -> LocalState:
    return replace(state, remote=remote.get(branch_ref(state.branch)))


def _open(context: Context, entry: Entry) -> PullRequest:
    pr = context.known(entry.pr)
    if pr.state is PrState.MERGED:
        above = context.stack.above(entry)
        raise Refused(
            f"#{entry.pr} is merged already",
            why=f"{f'on {pr.merged_at[:10]}' if pr.merged_at else 'it was closed, and trunk has its changes'}; "
            "there is nothing left to do for it",
            next_command=task_command("rebase", "--pr", above.pr) if above else "git fetch --prune",
        )
    if pr.state is PrState.CLOSED:
        raise Refused(
            f"#{entry.pr} is closed",
            why="a push to a closed pull request's branch can make it impossible to reopen",
            next_command=task_command("rescue", "--pr", entry.pr),
        )
    if pr.head_repository != context.repository.slug:
        raise Refused(
            f"#{entry.pr} comes from {pr.head_repository or 'a deleted repository'}",
            why=f"only branches of {context.repository.slug} itself can be pushed",
            next_command=f"gh pr checkout {entry.pr}",
        )
    if pr.head != entry.branch:
        raise UsageError(
            f"stack.toml has {entry.branch} for #{entry.pr}, GitHub has {pr.head}",
            next_command="${EDITOR:-vi} stack.toml",
        )
    return pr


def resolve_fork_point(context: Context) -> Oid | None:
    """Return the commit that `--fork-point` gives for the entry; None: it gives none.

    `COMMIT` is for a task of one entry, `PR=COMMIT`, several separated by commas, for any.

    Raises:
        UsageError: it names no commit here, or no entry.
    """
    for answer in filter(None, context.options.fork_point.split(",")):
        number, equals, commit = answer.partition("=")
        if not number.lstrip("#").isdecimal():
            number, equals, commit = "", "", answer
        if equals and context.stack.entry(pr_number(number.lstrip("#"))) != context.entry:
            continue
        if not equals and context.stacked:
            raise UsageError(
                f"--fork-point {commit}: of which entry?",
                why="this task moves several entries",
                next_command=task_command("restack", "--fork-point", f"{context.entry.pr}={commit}"),
            )
        found = context.git.resolve(commit)
        if found is None:
            raise UsageError(f"--fork-point {commit!r} is no commit here", next_command="git log --oneline")
        return oid(found)
    return None
