"""The stack as `status` shows it: branches, bases, own commits, gates and checks of each entry."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

import msgspec

from trunkline.context.earlier_tips import EarlierTips
from trunkline.context.observation import World
from trunkline.context.project import Project
from trunkline.context.scope import Scope
from trunkline.context.view import View, no_pulls
from trunkline.domain.commits import Commit, counted
from trunkline.domain.decisions import Decisions
from trunkline.domain.errors import TrunklineError
from trunkline.domain.names import BranchName, EntryKey, Oid, branch_ref, short
from trunkline.domain.snapshot import LocalState, PrState, PullRequest, Snapshot
from trunkline.domain.stack import Entry
from trunkline.domain.status import UpstreamRelation
from trunkline.gates.catalogue import gate_names
from trunkline.gates.check_receipts import Subject
from trunkline.gates.proof import Surroundings
from trunkline.git import history, local_refs, refs
from trunkline.git.git import Git
from trunkline.planning import branch_versions, fork_point, heads, journal_queries
from trunkline.planning.evidence import bases_outside, gather
from trunkline.planning.own_base import subject_of
from trunkline.planning.verification import NamedOutcomes, checks_at, gates_for


class Branch(msgspec.Struct, frozen=True):
    """The local and the remote side of an entry's branch.

    Attributes:
        ours: the local branch's tip.
        theirs: GitHub's head or, offline, the tracking ref.
        side: the relation of the two.
    """

    ours: Oid | None
    theirs: Oid | None
    side: UpstreamRelation

    @property
    def head(self) -> Oid | None:
        """The head that a landing would use: the side that contains the other."""
        return (
            self.theirs
            if self.side in {UpstreamRelation.BEHIND, UpstreamRelation.SHORTENED, UpstreamRelation.ONLY_THERE}
            else self.ours
        )


class ObservedStack(msgspec.Struct, frozen=True):
    """The observed state of the whole stack.

    Attributes:
        project: the project.
        machine: the toolchains and cargo's configuration on this machine.
        trunk: its tip on the remote, if known.
        fetched: its tip at the last fetch.
        pulls: the pull request of each entry.
        branches: the branch of each entry.
        here: the refs of the stack (`refs_of`).
        earlier: former tips of branches.
        repository: its `owner/name` as GitHub has it now.
        pulls_of: return the pull requests that a branch without an entry had; None: GitHub is not queried.
    """

    project: Project
    machine: Surroundings
    trunk: Oid | None
    fetched: Oid | None
    pulls: Mapping[EntryKey, PullRequest | None]
    branches: Mapping[EntryKey, Branch]
    here: Mapping[str, Oid]
    earlier: EarlierTips
    repository: str
    pulls_of: Callable[[BranchName], Sequence[PullRequest]] | None = None

    def off_base(self, entry: Entry) -> tuple[str, ...]:
        """Return why an entry is not on its base: trunk, or the nearest unmerged entry below."""
        git, pr, head = self.project.git, self.pulls[entry.key], self.branches[entry.key].head
        below = next((each for each in reversed(self.project.stack.below(entry)) if not self._merged(each)), None)
        base = self.branches[below.key].head if below else self.trunk
        named = self.pulls[below.key] if below else None
        name = (named.head if named else below.branch) if below else self.project.stack.trunk
        elsewhere = pr is not None and pr.base != name
        why = (f"its pull request targets {pr.base}, and it belongs on {name}",) if pr and elsewhere else ()
        if head is None or base is None or history.is_ancestor(git, base, head):
            return why
        if history.missing(git, [base]):
            return (*why, f"{name} moved on to {short(base)}")
        lacks = len(history.reachable(git, [base], [head]))
        return (*why, f"{counted(lacks)} of {name} not in it")

    def on_trunk(self, entry: Entry) -> bool:
        """Return whether an entry belongs on trunk, and its pull request targets trunk."""
        lowest = all(self._merged(each) for each in self.project.stack.below(entry))
        pr = self.pulls[entry.key]
        return lowest and pr is not None and pr.base == self.project.stack.trunk

    def behind(self, entry: Entry) -> str:
        """Return the number of commits that the local branch lacks and why, in a sentence; "" if it lacks none."""
        branch = self.branches[entry.key]
        if branch.side is not UpstreamRelation.BEHIND or branch.ours is None or branch.theirs is None:
            return ""
        commits = heads.lacking(Scope(self.project, entry, stacked=True), branch.ours, branch.theirs)
        if not commits:
            return ""  # others rewrote it
        moved = branch.theirs in self.earlier.of_ref(branch_ref(entry.branch))
        why = ": it was moved back by hand, and a restack moves it forward again" if moved else ""
        return f"your branch is {counted(len(commits))} behind the remote's{why}"

    def own(self, entry: Entry) -> int | None:
        """Return the number of own commits; None if it is unknown or the user must decide.

        If nothing below was force-pushed and there is no merge, object ids of known heads decide,
        without a git process. Otherwise the decision is made as for a replay.
        """
        git, head = self.project.git, self.branches[entry.key].head
        if head is None or self._merged(entry) or history.missing(git, [head]):
            return None
        # Trunk may have moved without being fetched: then its last fetched tip bounds the count.
        trunks = [tip for tip in (self.trunk, self.fetched) if tip is not None and not history.missing(git, [tip])]
        if not trunks:
            return None
        below = self.project.stack.below(entry)
        tips = [tip for each in below for tip in (self.branches[each.key].ours, self.branches[each.key].theirs)]
        heads = [old for each in below if (pr := self.pulls[each.key]) for old in (pr.head_oid, *pr.historical_heads)]
        known = [tip for tip in (*tips, *heads) if tip is not None]
        present = set(known) - history.missing(git, known)
        # A head that contains the entry belongs to an entry that swapped places with it.
        bounds = {tip for tip in present if not history.is_ancestor(git, head, tip)}
        own = history.reachable(git, [head], [*trunks, *bounds])
        merges = any(len(commit.parents) > 1 for commit in own)
        pulls = [pr for each in below if (pr := self.pulls[each.key]) is not None]
        contained = not below or any(history.is_ancestor(git, tip, head) for tip in bounds)
        certain = not merges and contained and not any(pr.force_pushes for pr in pulls)
        certain = certain and not self._has_other_parents(entry, head)
        merged = [tip for tip in bounds if history.is_ancestor(git, tip, trunks[0])]
        reached = (*history.reachable(git, bounds, [head, *trunks]), *history.reachable(git, merged, [head]))
        certain = certain and not self._may_be_copies(own, reached=reached)
        if history.missing(git, [pr.head_oid for pr in pulls]):  # not fetched: the last fetched heads bound the count
            tracked = [self.here.get(refs.tracking_ref(self.project.stack.remote, each.branch)) for each in below]
            return len(history.reachable(git, [head], [*trunks, *bounds, *(tip for tip in tracked if tip)]))
        if certain:
            return len(own)
        off = [pr for pr in pulls if not history.is_ancestor(git, pr.head_oid, head)]
        if history.missing(git, [old for pr in off for old in pr.historical_heads]):
            return None  # a head that a force-push replaced was not fetched, and the branch may contain it
        return self._decided(entry, head, trunks[0], otherwise=len(own))

    def _has_other_parents(self, entry: Entry, head: Oid) -> bool:
        """Return whether a branch contains an entry that is not below, or has a base above or outside the stack."""
        git, stack = self.project.git, self.project.stack
        below = stack.below(entry)
        beside = [each for each in stack.entries if each != entry and each not in below]
        pr, pulls = self.pulls[entry.key], [self.pulls[each.key] for each in below]
        if (pr is not None and pr.base in {each.branch for each in beside}) or entry.branch in {
            each.base for each in pulls if each is not None
        }:
            return True
        heads = [self.branches[each.key].head for each in beside]
        tips = [tip for tip in heads if tip is not None and tip != head]
        contained = any(history.is_ancestor(git, tip, head) for tip in history.present(git, tips))
        return contained or bool(bases_outside(stack, self.pulls[entry.key]))

    def _may_be_copies(self, own: Sequence[Commit], *, reached: Sequence[Commit]) -> bool:
        """Return whether the first own commit may be a copy of one that an entry below got later."""
        return bool(own) and any(own[0].message == commit.message for commit in reached)

    def _decided(self, entry: Entry, head: Oid, trunk: Oid, *, otherwise: int) -> int | None:
        """Return the number of own commits in a replay; None if the user must decide."""
        unknown = list[BranchName]()

        def pulls_of(name: BranchName) -> Sequence[PullRequest]:
            found = self.pulls_of(name) if self.pulls_of is not None else ()
            if self.pulls_of is None or history.missing(self.project.git, [pr.head_oid for pr in found]):
                unknown.append(name)
            return found

        try:
            found = fork_point.decide(gather(self._view(entry, trunk, pulls_of), head))
        except TrunklineError:  # the task that needs the answer reports the error
            return otherwise
        return None if found.questions or unknown else len(found.own)

    def _view(self, entry: Entry, trunk: Oid, pulls_of: Callable[[BranchName], Sequence[PullRequest]]) -> View:
        """Return an entry as a task observes it."""
        stack = self.project.stack
        local = {
            each.branch: LocalState(each.branch, branch.ours, branch.theirs, checked_out=False)
            for each in stack.entries
            for branch in (self.branches[each.key],)
        }
        remote = {branch_ref(name): state.remote for name, state in local.items() if state.remote is not None}
        pulls = Snapshot({pr.number: pr for pr in self.pulls.values() if pr is not None})
        world = World(pulls, trunk, {**remote, branch_ref(stack.trunk): trunk}, local)
        tips = {each.key: tip for each in stack.entries if (tip := self.branches[each.key].head) is not None}
        decisions = Decisions(rewritten=tips)  # a restack takes over these heads, which may be the remote's
        return View(self.project, entry, True, world, self.machine, decisions, self.earlier, pulls_of)

    def gates(self, entry: Entry) -> NamedOutcomes:
        """Return every gate with its outcome on the entry's head."""
        project, head = self.project, self.branches[entry.key].head
        if head is None or self._merged(entry) or history.missing(project.git, [head]):
            return tuple((name, None) for name in gate_names(project.stack.gates))
        return gates_for(project, self.machine, head)

    def checks(self, entry: Entry) -> NamedOutcomes:
        """Return every check of the entry with its outcome on its head."""
        if not entry.checks:
            return ()
        subject = self.subject(entry)
        if subject is None:
            return tuple((check.name, None) for check in entry.checks)
        return checks_at(self.project, self.machine, subject, entry.checks)

    def subject(self, entry: Entry) -> Subject | None:
        """Return the head of an entry with the base of its own commits; None: merged, or commits were not fetched."""
        head, trunk = self.branches[entry.key].head, self.trunk
        if head is None or trunk is None or self._merged(entry) or history.missing(self.project.git, [head, trunk]):
            return None
        return subject_of(self._view(entry, trunk, self.pulls_of or no_pulls), head)

    def _merged(self, entry: Entry) -> bool:
        pr = self.pulls[entry.key]
        return pr is not None and pr.state is PrState.MERGED


def branch_of(
    project: Project, entry: Entry, pulls: Mapping[EntryKey, PullRequest | None], here: Mapping[str, Oid],
    earlier: EarlierTips,
) -> Branch:  # fmt: skip
    """Return both sides of an entry's branch, with their relation.

    Args:
        project: the project.
        entry: the entry.
        pulls: the pull request of each entry.
        here: the refs of the stack (`refs_of`).
        earlier: former tips of branches.
    """
    git, pr = project.git, pulls[entry.key]
    ours = here.get(branch_ref(entry.branch))
    theirs = pr.head_oid if pr else here.get(refs.tracking_ref(project.stack.remote, entry.branch))
    if theirs is None:
        side = UpstreamRelation.AHEAD if ours else UpstreamRelation.NOWHERE
    elif ours == theirs:
        side = UpstreamRelation.SAME
    elif history.missing(git, [theirs]):
        side = UpstreamRelation.NOT_FETCHED
    elif ours is None:
        side = UpstreamRelation.ONLY_THERE
    elif history.is_ancestor(git, theirs, ours):
        side = _ahead(project, entry, pr, earlier, ours=ours, theirs=theirs)
    elif history.is_ancestor(git, ours, theirs):
        shortened = journal_queries.is_shortened(Scope(project, entry, stacked=True), ours, theirs)
        side = UpstreamRelation.REWRITTEN if shortened else UpstreamRelation.BEHIND
    else:
        side = _apart(project, entry, pulls, here, earlier, ours=ours, theirs=theirs)
    return Branch(ours, theirs, side)


def _ahead(
    project: Project, entry: Entry, pr: PullRequest | None, earlier: EarlierTips, *, ours: Oid, theirs: Oid
) -> UpstreamRelation:
    """Return the relation of a local branch to the remote one that it contains (`entry_tip`)."""
    once = branch_versions.once_pushed(earlier, project.stack.remote, entry, pr)
    found = branch_versions.removed(project.git, entry, once, ours=ours, theirs=theirs)
    if not found.commits:
        return UpstreamRelation.AHEAD
    return UpstreamRelation.SHORTENED if found.is_settled else UpstreamRelation.REMOVED


def _apart(
    project: Project, entry: Entry, pulls: Mapping[EntryKey, PullRequest | None], here: Mapping[str, Oid],
    earlier: EarlierTips, *, ours: Oid, theirs: Oid,
) -> UpstreamRelation:  # fmt: skip
    """Return the relation of two diverged sides of a branch (`entry_tip`)."""
    if not _foreign(project.git, entry, ours, theirs, here):
        return UpstreamRelation.REWRITTEN
    stack = project.stack
    fetched = here.get(refs.tracking_ref(stack.remote, stack.trunk))
    trunk = [fetched] if fetched is not None else []
    found = branch_versions.compare(
        project.git, stack, entry, pulls.get, ours=ours, theirs=theirs, trunk=trunk, earlier=earlier
    )
    return UpstreamRelation.DIVERGED if found.diverged else UpstreamRelation.BEHIND


def _foreign(git: Git, entry: Entry, ours: Oid, theirs: Oid, here: Mapping[str, Oid]) -> bool:
    """Return whether the remote side holds commits that were never in this repository.

    The rule is that of `heads.foreign_commits`, without a process for each entry; the reflog is
    read only if the backups do not suffice.
    """
    kept = local_refs.backups_among(here, entry.branch)
    history.missing(git, kept)  # one process for all instead of one each
    return bool(history.commits_beyond(git, theirs, [ours, *kept])) and bool(
        history.commits_beyond(git, theirs, [ours, *kept, *history.reflog(git, entry.branch)])
    )
