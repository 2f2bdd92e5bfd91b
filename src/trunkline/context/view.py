"""An entry as observed at one instant: the input of every decision, as an immutable value."""

from __future__ import annotations

import shlex
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace

from msgspec import structs

from trunkline.context.earlier_tips import EarlierTips
from trunkline.context.observation import World
from trunkline.context.scope import Scope
from trunkline.domain.command import task_command
from trunkline.domain.decisions import Decisions
from trunkline.domain.errors import Refused, UsageError
from trunkline.domain.merge_choice import MergeChoice
from trunkline.domain.names import BranchName, EntryKey, Oid, PrNumber
from trunkline.domain.replay_plan import ReplayPreview
from trunkline.domain.rewrite import Rewrite
from trunkline.domain.snapshot import LocalState, PrState, PullRequest, fork_of
from trunkline.domain.stack import Entry
from trunkline.domain.waivers import Waivers
from trunkline.gates.proof import Surroundings


def no_pulls(_branch: BranchName) -> Sequence[PullRequest]:
    """Return no pull requests: the default of `View.pulls_of` without GitHub."""
    return ()


@dataclass(frozen=True)
class View(Scope):
    """An entry, the observed world, and the decisions so far.

    Attributes:
        world: pull requests, remote refs and local branches.
        machine: the toolchains and cargo's configuration on this machine.
        decisions: the decisions so far.
        earlier: former tips of branches.
        pulls_of: returns the pull requests that a branch without an entry had, with a request to GitHub.
    """

    world: World
    machine: Surroundings
    decisions: Decisions
    earlier: EarlierTips
    pulls_of: Callable[[BranchName], Sequence[PullRequest]] = no_pulls

    @property
    def local(self) -> LocalState:
        """The entry's branch, local and on the remote."""
        return self.world.branches[self.entry.branch]

    def with_local(self, state: LocalState) -> View:
        """Return the view with another state of the entry's branch."""
        branches = {**self.world.branches, self.entry.branch: state}
        return replace(self, world=structs.replace(self.world, branches=branches))

    def after_rebase(self, *commands: str) -> tuple[str, ...]:
        """Return commands that move the entry's branch, or those that end its rebase in progress.

        git refuses to rebase a checkout with uncommitted changes; with --autostash they are there again afterwards.
        """
        if not self.local.rebasing:
            stashing = bool(self.local.checked_out and self.local.changes)
            return tuple(each.replace("git rebase ", "git rebase --autostash ", stashing) for each in commands)
        begun = f"git -C {shlex.quote(self.local.rebasing)} rebase"
        return f"{begun} --continue", f"{begun} --abort"

    def with_replay(self, preview: ReplayPreview) -> View:
        """Return the view after the entry's replay was planned."""
        return replace(self, decisions=self.decisions.with_replay(self.entry.key, preview))

    def with_rewrites(self, rewrites: Iterable[Rewrite]) -> View:
        """Return the view after the rewrite of some entries was planned."""
        return replace(self, decisions=self.decisions.with_rewrites(rewrites))

    def with_merge(self, choice: MergeChoice) -> View:
        """Return the view after the entry's merge was planned."""
        return replace(self, decisions=self.decisions.with_merge(self.entry.key, choice))

    def local_tip(self) -> Oid:
        """Return the local branch's tip.

        Raises:
            UsageError: there is no local branch yet.
        """
        if self.local.local is None:
            raise self.no_local_branch()
        return self.local.local

    def verified_commit(self) -> Oid:
        """Return the commit that gates and checks run on (`Decisions.merges`).

        Raises:
            UsageError: there is no local branch yet.
        """
        return verified_commit(self.decisions, self.entry.key, self.local_tip())

    @property
    def waivers(self) -> Waivers:
        """The verdicts that are waived by name."""
        return waivers(self, self.decisions)

    def known(self, number: PrNumber) -> PullRequest:
        """Return a pull request of stack.toml, in any state.

        Raises:
            UsageError: GitHub has no such pull request.
        """
        pr = self.world.snapshot.pr(number)
        if pr is None:
            raise UsageError(
                f"{self.repository.slug} has no pull request #{number}",
                why=f"stack.toml lists it; if {self.stack.remote} is a fork, set `remote` there to the other remote",
                next_command=(
                    f"gh pr list --repo {self.repository.argument} --state all",
                    "${EDITOR:-vi} stack.toml",
                ),
            )
        return pr

    def open_pulls(self) -> tuple[PullRequest, ...]:
        """Return the stack's open pull requests, bottom first."""
        pulls = (self.world.snapshot.pr(entry.key) for entry in self.stack.entries)
        return tuple(pr for pr in pulls if pr is not None and pr.state is PrState.OPEN)

    def open_entries(self) -> tuple[Entry, ...]:
        """Return the entries whose pull requests are open or not made yet, bottom first."""
        numbers = {pr.number for pr in self.open_pulls()}
        return tuple(entry for entry in self.stack.entries if entry.number is None or entry.number in numbers)

    def next_unmerged(self) -> Entry | None:
        """Return the lowest entry above that is not merged."""
        for entry in self.stack.entries[self.stack.entries.index(self.entry) + 1 :]:
            pr = self.world.snapshot.pr(entry.key)
            if pr is None or pr.state is not PrState.MERGED:
                return entry
        return None

    def pull_request(self) -> PullRequest:
        """Return the entry's pull request.

        Raises:
            Refused: it is closed, or its head is in another repository.
            UsageError: GitHub has no such pull request, or its branch is not the one in stack.toml.
        """
        return _open(self)


def verified_commit(decisions: Decisions, entry: EntryKey, tip: Oid) -> Oid:
    """Return the commit that gates and checks run on.

    For an entry that is merged without a rewrite it is a commit with the tree of the merge, else
    the local branch's tip.
    """
    choice = decisions.as_is(entry)
    return choice.result if choice is not None and choice.head == tip else tip


def waivers(scope: Scope, decisions: Decisions) -> Waivers:
    """Return the verdicts that options, stack.toml and the user's answers waive."""
    options, inherited = scope.options, scope.stack.gates.inherited == "allow"
    return Waivers(options.accept_unavailable | decisions.accepted, options.accept_flaky, inherited)


def already_merged(view: View) -> Refused | None:
    """Return the refusal of a task whose entry is merged; None: it is not."""
    pr = view.world.snapshot.pr(view.entry.key)
    if pr is None or pr.state is not PrState.MERGED:
        return None
    above = view.next_unmerged()
    return Refused(
        f"{view.entry.label} is merged already",
        why=f"{f'on {pr.merged_at[:10]}' if pr.merged_at else 'it was closed, and trunk has its changes'}; "
        "there is nothing left to do for it",
        next_command=task_command("rebase", "--pr", above.key) if above else task_command("status"),
    )


def _open(view: View) -> PullRequest:
    entry, pr = view.entry, view.known(view.entry.pr)
    if (merged := already_merged(view)) is not None:
        raise merged
    if pr.state is PrState.CLOSED:
        raise Refused(
            f"{entry.label} is closed",
            why="a push to a closed pull request's branch can make it impossible to reopen",
            next_command=task_command("rescue", "--pr", entry.key),
        )
    if why := fork_of(pr, view.world.snapshot.repository or view.repository.slug):
        raise Refused(
            f"{entry.label} comes from {pr.head_repository or 'a deleted repository'}",
            why=why,
            next_command=task_command("init", "--check"),
        )
    if pr.head != entry.branch:
        raise UsageError(
            f"stack.toml has {entry.branch} for {entry.label}, GitHub has {pr.head}",
            next_command="${EDITOR:-vi} stack.toml",
        )
    return pr
