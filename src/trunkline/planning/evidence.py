"""Gather the evidence for a fork point: parents, their heads, and trunk's earlier tips."""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

from trunkline.context.scope import Scope
from trunkline.context.view import View
from trunkline.domain.commits import Commit
from trunkline.domain.errors import Refused, TrunklineError
from trunkline.domain.names import BranchName, Oid, branch_name, branch_ref, short
from trunkline.domain.snapshot import PrState, PullRequest
from trunkline.domain.stack import Entry, Stack
from trunkline.git import history, refs, replay
from trunkline.git.git import Git
from trunkline.planning import journal_queries, parent_heads
from trunkline.planning.fork_point_evidence import Evidence, Parent
from trunkline.planning.heads import entry_tip
from trunkline.planning.merged import merged_below
from trunkline.planning.parent_heads import Branch, Heads
from trunkline.planning.parents import base_of
from trunkline.planning.update_merge import is_clean_merge


@dataclass(frozen=True)
class _GitAncestry:
    """The `Ancestry` of a repository's commits."""

    git: Git

    def present(self, names: Iterable[Oid]) -> Sequence[Oid]:
        return history.present(self.git, names)

    def is_ancestor(self, ancestor: Oid, descendant: Oid) -> bool:
        return history.is_ancestor(self.git, ancestor, descendant)

    def reachable(self, tips: Iterable[Oid], excluding: Iterable[Oid]) -> Sequence[Commit]:
        return history.reachable(self.git, tips, excluding)

    def with_patch_ids(self, commits: Sequence[Commit]) -> tuple[Commit, ...]:
        return history.with_patch_ids(self.git, commits)


def gather(view: View, child: Oid) -> Evidence:
    """Gather the evidence for `fork_point.decide` on an entry's head.

    Raises:
        Refused: an entry below is not merged although it must be, the branch shares no history with
            trunk, or another entry's branch has the same head.
    """
    git, trunk = view.git, view.world.trunk
    base = history.merge_base(git, trunk, child)
    if base is None:
        raise Refused(f"{view.entry.branch} shares no history with {view.tracking}")
    chain = history.with_patch_ids(git, history.reachable(git, [child], [trunk]))
    onto = _onto(view)
    branch = Branch(child, trunk, base, frozenset(commit.oid for commit in chain))
    parents = tuple(_parents(view, branch))
    return Evidence(
        child=child,
        merge_base=base,
        chain=chain,
        parents=parents,
        clean_merges=frozenset(commit.oid for commit in chain if is_clean_merge(git, commit)),
        absorbed=lambda commits: absorbed(git, commits, onto),
        superseded=lambda commits, squashes: superseded(git, commits, (onto, *squashes)),
        similar=lambda one, other: similar(git, one, other),
        earlier=lambda parent: _earlier(view, branch, parents, parent),
        left_out=lambda parent: _left_out(view, parent),
        confirmed=lambda: journal_queries.confirmed(journal_queries.all_replays(view)),
    )


def _onto(view: View) -> Oid:
    """Return the commit that the entry will sit on; while no plan is made, the head that the base will have."""
    base = base_of(view)
    if base.entry is None or view.decisions.planned_tip(base.entry.key) is not None:
        return base.oid
    try:
        return entry_tip(view.of(base.entry)).oid  # the local branch may be behind
    except TrunklineError:  # diverged: reported when that entry is planned
        return base.oid


def _left_out(view: View, parent: Parent) -> frozenset[Oid]:
    """Return the commits that runs left out of a parent."""
    entry = _entry_of(view, parent)
    return journal_queries.left_out(journal_queries.all_replays(view.of(entry))) if entry is not None else frozenset()


def _entry_of(view: View, parent: Parent) -> Entry | None:
    """Return the entry that a parent stands for; None: trunk, or a branch without an entry."""
    return next((entry for entry in view.stack.entries if entry.label == parent.name), None)


def _earlier(view: View, branch: Branch, parents: Sequence[Parent], parent: Parent) -> tuple[Commit, ...]:
    """Return commits that are the entry's own for certain, whatever they are similar to.

    They are those that its former heads had on a head of the parent, and the commits of our replays
    onto a trunk with the merged parent, which does not change any more.
    """
    git, entry = view.git, _entry_of(view, parent)
    below = view.world.snapshot.pr(entry.key) if entry is not None else None
    if below is None:
        return ()
    forced = bool(below.force_pushes)
    found = parent_heads.own_before(
        _GitAncestry(git), branch, parents, parent, _former_heads(view), force_pushed=forced
    )
    merged = journal_queries.made_onto(view, below.merge_commit) if below.merge_commit is not None else ()
    return (*found, *history.with_patch_ids(git, history.read_commits(git, history.present(git, merged))))


def _former_heads(view: View) -> tuple[Oid, ...]:
    pr = view.world.snapshot.pr(view.entry.key)
    return (*view.earlier.backups_of(view.entry.branch), *(pr.historical_heads if pr else ()))


def _parents(view: View, branch: Branch) -> Iterator[Parent]:
    """Yield the parents, nearest first.

    They are the entries below, other entries that the branch contains, its base branches, and
    trunk. Reflogs are read only if the branch does not sit on the nearest parent's current head: that
    parent may have been amended here before it was pushed.
    """
    ancestry = _GitAncestry(view.git)
    around = parent_heads.candidates(view.stack, view.entry, view.world.snapshot.pr)
    if not view.stacked:
        for entry in around.under:
            merged_below(view, entry)
    found = [_parent(view, _heads_of(view, entry), branch) for entry in around.below]
    for entry in around.beside:
        heads = _heads_of(view, entry)
        if entry != around.target and branch.names.isdisjoint((*heads.current, *heads.older)):
            continue
        whole = _parent(view, heads, branch)
        parent = whole if entry == around.target else parent_heads.contained(whole, branch)
        if parent is not None:
            # What another head of this branch holds was this entry's: the moved one may sit on that head by now.
            mine = parent_heads.held_elsewhere(ancestry, _former_heads(view), branch)
            found.append(parent_heads.without(parent, mine))
    found += _of_base_branches(view, branch)
    if around.below and not parent_heads.sits_on(ancestry, branch, found[0]):
        contained = any(head.holds for parent in found for head in parent.heads)
        found = [_with_reflog(view, parent, branch, replaced_only=contained) for parent in found]
    yield from found
    former = view.earlier.of_ref(refs.tracking_ref(view.stack.remote, view.stack.trunk))
    yield parent_heads.trunk_parent(ancestry, str(view.stack.trunk), former, branch)


def _heads_of(view: View, entry: Entry) -> Heads:
    backups, trunk = view.earlier.backups_of(entry.branch), view.world.trunk
    pr = view.known(entry.pr) if entry.number is not None else None
    if pr is not None and pr.state is PrState.MERGED:
        return parent_heads.of_merged(pr, backups, _merged_base(view, pr))
    under = view.of(entry)
    seen = [tip for tip in (under.local.local, under.local.remote) if tip is not None]
    planned: Oid | None
    try:
        planned = entry_tip(under).oid
    except TrunklineError:  # diverged: reported when this entry itself is planned
        planned = None
    return parent_heads.of_unmerged(entry.label, pr, planned, seen, backups, trunk)


def _heads_on_github(view: View, pr: PullRequest) -> Heads:
    base = _merged_base(view, pr) if pr.state is PrState.MERGED else view.world.trunk
    return parent_heads.of_pull(pr, base)


def _merged_base(view: View, pr: PullRequest) -> Oid:
    """Return the base of a merged pull request's own commits right before the merge."""
    git, merge = view.git, pr.merge_commit
    if pr.base_oid is not None and history.is_ancestor(git, pr.base_oid, view.world.trunk):
        return pr.base_oid
    if merge is not None and history.has_object(git, merge):
        return history.read_commits(git, [merge])[0].parents[0]
    return view.world.trunk


def _of_base_branches(view: View, branch: Branch) -> Iterator[Parent]:
    """Yield the branches that the pull request targets or targeted, if they belong to no entry.

    An entry that was merged may have been taken out of stack.toml. The branch then targets trunk. GitHub
    is queried for its pull requests: only GitHub has the heads that force-pushes replaced, and all
    heads if the clone is new or the merged branch deleted. A branch that a replay of ours made contains
    none of them.
    """
    pr = view.world.snapshot.pr(view.entry.key)
    for name in bases_outside(view.stack, pr):
        names = branch_ref(name), refs.tracking_ref(view.stack.remote, name)
        tip_of = refs.read_refs(view.git, *names)
        tips = [tip_of[ref] for ref in names if ref in tip_of]
        older = [*view.earlier.backups_of(name), *view.earlier.of_ref(names[1])]
        if journal_queries.base_of(view, branch.child) is None:
            yield from (_parent(view, _heads_on_github(view, each), branch) for each in view.pulls_of(name))
        targeted = pr is None or name == pr.base
        heads = parent_heads.of_base_branch(str(name), tips, older, branch, targeted=targeted)
        if heads is not None:
            yield _parent(view, heads, branch)


def bases_outside(stack: Stack, pr: PullRequest | None) -> tuple[BranchName, ...]:
    """Return the branches that a pull request targets or targeted, and that belong to no entry."""
    known = {stack.trunk, *(entry.branch for entry in stack.entries)}
    named = (pr.base, *reversed(pr.earlier_bases)) if pr is not None else ()
    return tuple(branch_name(name) for name in dict.fromkeys(named) if name not in known)


def _parent(view: View, heads: Heads, branch: Branch) -> Parent:
    if branch.child in heads.current and heads.name != view.entry.label:
        raise _same_head(view, heads.name, branch.child)
    return parent_heads.parent_of(_GitAncestry(view.git), heads, branch)


def _same_head(scope: Scope, name: str, tip: Oid) -> Refused:
    return Refused(
        f"{name} and {scope.entry.label} have the same head, {short(tip)}",
        why=f"{name}'s branch holds the commits of {scope.entry.label} too, so nothing tells them apart",
        next_command=f"git log --oneline {shlex.quote(scope.tracking)}..{short(tip)}",
    )


def _with_reflog(view: View, parent: Parent, branch: Branch, *, replaced_only: bool) -> Parent:
    """Add the heads in the reflog of an entry's local branch; return a parent without an entry unchanged."""
    entry = _entry_of(view, parent)
    if entry is None:
        return parent
    tips = view.earlier.of_ref(branch_ref(entry.branch))
    return parent_heads.with_reflog(_GitAncestry(view.git), parent, tips, branch, replaced_only=replaced_only)


def absorbed(git: Git, commits: Sequence[Commit], onto: Oid) -> int:
    """Return the number of leading commits that, merged into a base as one change, change nothing."""
    for count in range(len(commits), 0, -1):
        first, last = commits[0], commits[count - 1]
        if not first.parents:
            return 0
        merge = replay.three_way(git, base=first.parents[0], ours=onto, theirs=last.oid)
        if not merge.conflicts and merge.tree == git.tree(onto):
            return count
    return 0


def superseded(git: Git, commits: Sequence[Commit], ontos: Sequence[Oid]) -> bool:
    """Return whether commits change files, and nothing when merged as one change into one of several commits.

    An empty commit proves nothing on top; below another one it belongs to the same branch.
    """
    if not commits[-1].patch_id or git.tree(commits[0].parents[0]) == commits[-1].tree:
        return False
    base, tip = commits[0].parents[0], commits[-1].oid
    merges = ((onto, replay.three_way(git, base=base, ours=onto, theirs=tip)) for onto in ontos)
    return any(not merge.conflicts and merge.tree == git.tree(onto) for onto, merge in merges)


_PAIR = re.compile(r"^\s*\d+:\s+([0-9a-f]{7,64})\s+[=!]\s+\d+:\s+([0-9a-f]{7,64})\b")


def similar(git: Git, one: Sequence[Commit], other: Sequence[Commit]) -> Mapping[Oid, Oid]:
    """Pair commits by their diffs, with `git range-diff`.

    Its output has abbreviated ids only, so they are matched as prefixes.
    """
    spans = [_span(commits) for commits in (one, other)]
    if not all(spans):
        return {}
    done = git.query("range-diff", "--no-color", "--no-patch", "--no-renames", *spans)
    pairs = (found for line in done.text.splitlines() if (found := _PAIR.match(line)))
    named = ((_named(one, found[1]), _named(other, found[2])) for found in pairs)
    return {mine: theirs for mine, theirs in named if mine is not None and theirs is not None}


def _named(commits: Sequence[Commit], prefix: str) -> Oid | None:
    found = [commit.oid for commit in commits if commit.oid.startswith(prefix)]
    return found[0] if len(found) == 1 else None


def _span(commits: Iterable[Commit]) -> str:
    listed = tuple(commits)
    return f"{listed[0].parents[0]}..{listed[-1].oid}" if listed and listed[0].parents else ""
