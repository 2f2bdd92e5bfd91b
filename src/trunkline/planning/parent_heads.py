"""Turn the known heads of a parent into evidence: pure functions of heads and of the ancestry of commits.

`evidence.py` collects the heads from GitHub, refs, reflogs and backups.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Collection, Iterable, Sequence
from typing import Protocol

import msgspec
from msgspec.structs import replace

from trunkline.domain.commits import Commit
from trunkline.domain.names import EntryKey, Oid
from trunkline.domain.snapshot import PrState, PullRequest
from trunkline.domain.stack import Entry, Stack
from trunkline.planning.fork_point_evidence import KnownHead, Parent
from trunkline.planning.merged import lands_with


class Ancestry(Protocol):
    """Queries to the commits of a repository."""

    def present(self, names: Iterable[Oid]) -> Sequence[Oid]:
        """Return, in their order, the distinct commits that exist with everything that they reach."""

    def is_ancestor(self, ancestor: Oid, descendant: Oid) -> bool:
        """Return whether `descendant` contains `ancestor` (or is it); False if either is missing."""

    def reachable(self, tips: Iterable[Oid], excluding: Iterable[Oid]) -> Sequence[Commit]:
        """Return the commits reachable from `tips` and from none of `excluding`, oldest first."""

    def with_patch_ids(self, commits: Sequence[Commit]) -> tuple[Commit, ...]:
        """Return the commits with their patch ids."""


class Branch(msgspec.Struct, frozen=True):
    """The branch whose commits are classified.

    Attributes:
        child: its head.
        trunk: trunk's tip.
        base: the merge base of the two.
        names: its commits that are not in trunk.
    """

    child: Oid
    trunk: Oid
    base: Oid
    names: frozenset[Oid]


class Heads(msgspec.Struct, frozen=True):
    """The heads of a parent; any of them may be missing in this repository.

    Attributes:
        name: see `Parent`.
        current: its heads now, or when it was merged.
        older: its other heads.
        base: the merge base of its own commits.
        rewritten: see `Parent`.
    """

    name: str
    current: Sequence[Oid]
    older: Sequence[Oid]
    base: Oid
    rewritten: bool


class Candidates(msgspec.Struct, frozen=True):
    """The entries that may be parents of one.

    Attributes:
        under: the entries below it in stack.toml, nearest first, without those that land with it.
        below: those of `under` that do not sit on the entry by now.
        beside: other entries, in the order of the stack: parents as far as the branch contains them.
        target: the one of `beside` that the entry's pull request targets: a parent with all its heads.
    """

    under: tuple[Entry, ...]
    below: tuple[Entry, ...]
    beside: tuple[Entry, ...]
    target: Entry | None


def candidates(stack: Stack, entry: Entry, pull: Callable[[EntryKey], PullRequest | None]) -> Candidates:
    """Return the entries that may be parents of one.

    An entry that was merged into another branch than trunk lands with that branch, which owns its commits.

    Args:
        stack: the stack.
        entry: the entry.
        pull: returns the pull request of an entry as GitHub shows it.
    """

    def lands_elsewhere(each: Entry) -> bool:
        pr = pull(each.key)
        return pr is not None and pr.state is PrState.MERGED and pr.base != stack.trunk

    under = tuple(each for each in reversed(stack.below(entry)) if not lands_with(pull(each.key), entry))
    # Entries that changed places in stack.toml alone: the branches still sit on each other as before.
    below = tuple(each for each in under if not _sits_on(pull(each.key), entry))
    others = [each for each in stack.entries if each not in below and each != entry]
    on = (each for each in others if _sits_on(pull(entry.key), each) and not _sits_on(pull(each.key), entry))
    target = next(on, None)
    beside = tuple(each for each in others if each == target or not lands_elsewhere(each))
    return Candidates(under, below, beside, target)


def _sits_on(pr: PullRequest | None, other: Entry) -> bool:
    """Return whether an open pull request targets the branch of another entry."""
    return pr is not None and pr.state is PrState.OPEN and pr.base == other.branch


def of_pull(pr: PullRequest, base: Oid) -> Heads:
    """Return the heads of a pull request on GitHub.

    Args:
        pr: the pull request.
        base: the merge base of its own commits.
    """
    return Heads(f"#{pr.number}", [pr.head_oid], pr.historical_heads, base, bool(pr.force_pushes))


def of_merged(pr: PullRequest, backups: Sequence[Oid], base: Oid) -> Heads:
    """Return the heads of an entry whose pull request was merged: what its branch holds now proves nothing.

    Args:
        pr: the pull request.
        backups: former tips of the branch that backup refs hold.
        base: see `of_pull`.
    """
    found = of_pull(pr, base)
    return replace(found, older=(*backups, *found.older))


def of_unmerged(
    label: str, pr: PullRequest | None, planned: Oid | None, seen: Sequence[Oid], backups: Sequence[Oid], trunk: Oid
) -> Heads:
    """Return the heads of an entry that is not merged.

    Without a pull request, nothing tells whether its branch was rewritten: it counts as rewritten.

    Args:
        label: the entry's name.
        pr: its pull request; None: it has none yet.
        planned: its head as planned; None: its branch diverged, so each of its tips may be the head.
        seen: the tips of its branch, local and on the remote.
        backups: former tips of the branch that backup refs hold.
        trunk: trunk's tip.
    """
    tips = (*seen, pr.head_oid) if pr is not None else tuple(seen)
    current = tips if planned is None else (planned,)
    if pr is None:
        return Heads(label, current, (*backups, *tips), trunk, rewritten=True)
    found = of_pull(pr, trunk)
    return replace(found, current=current, older=(*backups, *found.older, *tips))


def of_base_branch(
    name: str, tips: Sequence[Oid], older: Sequence[Oid], branch: Branch, *, targeted: bool
) -> Heads | None:
    """Return the heads of a branch that belongs to no entry; None: none of them counts.

    Args:
        name: its name.
        tips: its tips, local and on the remote.
        older: its former tips.
        branch: the branch of the pull request that targets it, or targeted it before.
        targeted: it is targeted now; else a head counts only if the branch sits on it.
    """
    if not targeted:
        below = branch.names - {branch.child}
        tips, older = [tip for tip in tips if tip in below], [tip for tip in older if tip in below]
    return Heads(name, tips, older, branch.trunk, rewritten=True) if tips or older else None


def parent_of(ancestry: Ancestry, heads: Heads, branch: Branch) -> Parent:
    """Return a parent with those of its heads that exist here.

    A head that contains the child belongs to an entry that swapped places with it: not a parent's.
    """
    child = branch.child
    present = ancestry.present((*heads.current, *heads.older))
    beside = [head for head in present if head == child or not ancestry.is_ancestor(child, head)]
    known = tuple(
        KnownHead(head, head in heads.current, held(ancestry, head, branch)) for head in beside if head != child
    )
    tips = [head for head in heads.current if head in present]
    above = [child] if any(ancestry.is_ancestor(child, tip) for tip in tips) else []
    # Commits below the merge base with trunk are matched by object id, never as similar commits.
    commits = ancestry.with_patch_ids(ancestry.reachable(tips, [heads.base, branch.base, *above]))
    older = [head for head in beside if head not in heads.current] if heads.rewritten and commits else []
    merged = [head for head in older if ancestry.is_ancestor(head, branch.base)]
    landed = ancestry.with_patch_ids(ancestry.reachable(merged, [heads.base]))
    return Parent(heads.name, known, commits, heads.rewritten, landed=landed)


def held(ancestry: Ancestry, head: Oid, branch: Branch) -> frozenset[Oid]:
    """Return the commits of a branch that a head holds."""
    return frozenset(commit.oid for commit in ancestry.reachable([head], [branch.trunk])) & branch.names


def contained(parent: Parent, branch: Branch) -> Parent | None:
    """Return a parent with only the heads that a branch contains; None: it contains none.

    For an entry that is not below: the branch of an entry above holds the commits of those below too.
    """
    heads = tuple(head for head in parent.heads if head.oid in branch.names)
    return replace(parent, heads=heads) if heads else None


def without(parent: Parent, names: Collection[Oid]) -> Parent:
    """Return a parent without some of its commits."""
    return replace(parent, commits=tuple(each for each in parent.commits if each.oid not in names))


def held_elsewhere(ancestry: Ancestry, former: Iterable[Oid], branch: Branch) -> frozenset[Oid]:
    """Return the commits that former heads of a branch hold, and the branch does not.

    Args:
        ancestry: the commits.
        former: its former heads; any of them may be missing.
        branch: the branch.
    """
    reached = ancestry.reachable(ancestry.present(former), [branch.trunk])
    return frozenset(commit.oid for commit in reached) - branch.names


def sits_on(ancestry: Ancestry, branch: Branch, parent: Parent) -> bool:
    """Return whether a branch contains a current head of a parent."""
    return any(
        head.current and (head.oid in branch.names or ancestry.is_ancestor(head.oid, branch.base))
        for head in parent.heads
    )


def with_reflog(
    ancestry: Ancestry, parent: Parent, tips: Sequence[Oid], branch: Branch, *, replaced_only: bool
) -> Parent:
    """Add the heads in the reflog of a parent's local branch.

    A reflog also holds commits that were made on the wrong branch and taken back. So if the branch
    contains another head, a tip that was reset away proves something only together with a commit that
    replaced it (`git reset --soft`, then `git commit`).

    Args:
        ancestry: the commits.
        parent: the parent.
        tips: the distinct values in the reflog, newest first; any of them may be missing.
        branch: the branch.
        replaced_only: tips that the parent was only reset away from prove nothing by themselves.
    """
    child = branch.child
    present = frozenset(ancestry.present(tips))
    replaced = {old for new, old in itertools.pairwise(tips) if not ancestry.is_ancestor(new, old)}
    known = {child, *(head.oid for head in parent.heads)}
    heads = [
        KnownHead(tip, False, held(ancestry, tip, branch), moved_back=replaced_only and tip not in replaced)
        for tip in tips
        if tip in present - known and not ancestry.is_ancestor(child, tip)
    ]
    older = tuple(head for head in heads if not head.moved_back or not ancestry.is_ancestor(tips[0], head.oid))
    current = [head.oid for head in parent.heads if head.current]
    holding = [head.oid for head in heads if head.holds]
    grown = holding and all(any(ancestry.is_ancestor(tip, head) for head in current) for tip in holding)
    rewritten = parent.rewritten or (not grown and (bool(holding) or not replaced_only))
    return replace(parent, heads=(*parent.heads, *older), rewritten=rewritten)


def trunk_parent(ancestry: Ancestry, name: str, tips: Iterable[Oid], branch: Branch) -> Parent:
    """Return trunk as a parent whose heads are the former tips that were force-pushed away.

    Args:
        ancestry: the commits.
        name: trunk's name.
        tips: its former tips; any of them may be missing.
        branch: the branch.
    """
    present = ancestry.present(tips)
    removed = frozenset(commit.oid for commit in ancestry.reachable(present, [branch.trunk]))
    holds = removed & branch.names
    heads = tuple(KnownHead(tip, False, holds) for tip in present if holds and tip in removed)
    return Parent(name, heads, trunk=True)


def own_before(
    ancestry: Ancestry,
    branch: Branch,
    parents: Iterable[Parent],
    parent: Parent,
    former: Iterable[Oid],
    *,
    force_pushed: bool,
) -> tuple[Commit, ...]:
    """Return the own commits of a branch's former heads that contain a head of a parent.

    There object ids alone decided, so they are the branch's own for certain. If the parent was
    force-pushed, only a head as it is now, or was merged, counts.

    Args:
        ancestry: the commits.
        branch: the branch.
        parents: all its parents.
        parent: the parent in question.
        former: the branch's former heads; any of them may be missing.
        force_pushed: the parent was force-pushed.
    """
    sure = [head.oid for head in parent.heads if head.current or not force_pushed]
    present = [head for head in ancestry.present(former) if head != branch.child]
    containing = [head for head in present if any(ancestry.is_ancestor(name, head) for name in sure)]
    known = [head.oid for each in parents for head in each.heads]
    return ancestry.with_patch_ids(ancestry.reachable(containing, [branch.trunk, *known]))
