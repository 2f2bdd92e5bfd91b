"""Gather the evidence for a fork point: parents, their heads, and trunk's earlier tips."""

from __future__ import annotations

import itertools
import re
import shlex
from collections.abc import Iterable, Iterator, Mapping, Sequence

import msgspec
from msgspec.structs import replace

from trunkline.context.scope import Scope
from trunkline.context.view import View
from trunkline.domain.commits import Commit
from trunkline.domain.errors import Refused, TrunklineError
from trunkline.domain.names import BranchName, Oid, branch_name, branch_ref, short
from trunkline.domain.snapshot import PrState, PullRequest
from trunkline.domain.stack import Entry, Stack
from trunkline.git import history, refs, replay
from trunkline.git.git import Git
from trunkline.planning import journal_queries
from trunkline.planning.fork_point_evidence import Evidence, KnownHead, Parent
from trunkline.planning.heads import entry_tip
from trunkline.planning.merged import is_part_of, merged_below
from trunkline.planning.parents import base_of
from trunkline.planning.update_merge import is_clean_merge


class _Branch(msgspec.Struct, frozen=True):
    """The branch whose commits are classified.

    Attributes:
        child: its head.
        base: its merge base with trunk.
        names: its commits that are not in trunk.
    """

    child: Oid
    base: Oid
    names: frozenset[Oid]


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
    branch = _Branch(child, base, frozenset(commit.oid for commit in chain))
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
        confirmed=lambda: journal_queries.confirmed(view),
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
    return journal_queries.left_out(view.of(entry)) if entry is not None else frozenset()


def _entry_of(view: View, parent: Parent) -> Entry | None:
    """Return the entry that a parent stands for; None: trunk, or a branch without an entry."""
    return next((entry for entry in view.stack.entries if entry.label == parent.name), None)


def _earlier(view: View, branch: _Branch, parents: Sequence[Parent], parent: Parent) -> tuple[Commit, ...]:
    """Return commits that are the entry's own for certain, whatever they are similar to.

    They are the own commits of the branch's earlier heads that contain a head of the parent, where
    object ids alone decided; if the parent was force-pushed, a head as it is now or was merged. And
    they are the commits of our replays onto a trunk with the merged parent, which does not change
    any more.
    """
    git, pr = view.git, view.world.snapshot.pr(view.entry.key)
    entry = _entry_of(view, parent)
    below = view.world.snapshot.pr(entry.key) if entry is not None else None
    if below is None:
        return ()
    heads = [*view.earlier.backups_of(view.entry.branch), *(pr.historical_heads if pr else ())]
    present = [head for head in history.present(git, heads) if head != branch.child]
    sure = [head.oid for head in parent.heads if head.current or not below.force_pushes]
    containing = [head for head in present if any(history.is_ancestor(git, name, head) for name in sure)]
    known = [head.oid for each in parents for head in each.heads]
    found = history.with_patch_ids(git, history.reachable(git, containing, [view.world.trunk, *known]))
    merged = journal_queries.made_onto(view, below.merge_commit) if below.merge_commit is not None else ()
    return (*found, *history.with_patch_ids(git, history.read_commits(git, history.present(git, merged))))


def _parents(view: View, branch: _Branch) -> Iterator[Parent]:
    """Yield the parents, nearest first.

    They are the entries below, other entries that the branch contains, its base branches, and
    trunk.
    """
    under = tuple(each for each in reversed(view.stack.below(view.entry)) if not is_part_of(view, each))
    # Entries that changed places in stack.toml alone: the branches still sit on each other as before.
    below = tuple(each for each in under if not _sits_on(view, each, view.entry))
    if not view.stacked:
        for entry in under:
            merged_below(view, entry)
    beside = [entry for entry in view.stack.entries if entry not in below and entry != view.entry]
    found = [_parent(view, _heads_of(view, entry), branch) for entry in below]
    for entry in beside:
        whole = _sits_on(view, view.entry, entry) and not _sits_on(view, entry, view.entry)
        parent = _parent(view, _heads_of(view, entry), branch) if whole else _contained(view, entry, branch)
        if parent is not None:
            # What another head of this branch holds was this entry's: the moved one may sit on that head by now.
            mine = _held_elsewhere(view, branch)
            found.append(replace(parent, commits=tuple(each for each in parent.commits if each.oid not in mine)))
    found += _of_base_branches(view, branch)
    if below and not any(head.current and _contains(view.git, branch, head.oid) for head in found[0].heads):
        contained = any(head.holds for parent in found for head in parent.heads)
        found = [_with_reflog(view, parent, branch, replaced_only=contained) for parent in found]
    yield from found
    yield _trunk(view, branch)


def _sits_on(view: View, entry: Entry, other: Entry) -> bool:
    """Return whether an open pull request targets the branch of another entry."""
    pr = view.world.snapshot.pr(entry.key)
    return pr is not None and pr.state is PrState.OPEN and pr.base == other.branch


def _contained(view: View, entry: Entry, branch: _Branch) -> Parent | None:
    """Return an entry that was moved: contained in the branch, but not below in stack.toml.

    Only contained heads count: the branch of an entry above holds the commits of those below too. An entry
    that was merged into another branch than trunk lands with that branch, which owns its commits.
    """
    pr = view.world.snapshot.pr(entry.key)
    if pr is not None and pr.state is PrState.MERGED and pr.base != view.stack.trunk:
        return None
    found = _heads_of(view, entry)
    if branch.names.isdisjoint((*found.current, *found.older)):
        return None
    parent = _parent(view, found, branch)
    heads = tuple(head for head in parent.heads if head.oid in branch.names)
    return replace(parent, heads=heads) if heads else None


def _held_elsewhere(view: View, branch: _Branch) -> frozenset[Oid]:
    """Return the commits that other known heads of the entry hold, and this one does not."""
    pr = view.world.snapshot.pr(view.entry.key)
    heads = [*view.earlier.backups_of(view.entry.branch), *(pr.historical_heads if pr else ())]
    reached = history.reachable(view.git, history.present(view.git, heads), [view.world.trunk])
    return frozenset(commit.oid for commit in reached) - branch.names


class _Heads(msgspec.Struct, frozen=True):
    """The heads of a parent.

    Attributes:
        name: see `Parent`.
        current: its heads now, or when it was merged; any of them may be missing here.
        older: its other heads.
        base: the merge base of its own commits.
        rewritten: see `Parent`.
    """

    name: str
    current: Sequence[Oid]
    older: Sequence[Oid]
    base: Oid
    rewritten: bool


def _heads_of(view: View, entry: Entry) -> _Heads:
    backups, trunk = view.earlier.backups_of(entry.branch), view.world.trunk
    if entry.number is None:  # its branch may have been amended or rebased since: never force-pushed, but rewritten
        current, more = _open_heads(view, entry, None)
        return _Heads(entry.label, current, [*backups, *more], trunk, rewritten=True)
    pr = view.known(entry.pr)
    found = _heads_on_github(view, pr)
    if pr.state is PrState.MERGED:
        return replace(found, older=[*backups, *found.older])
    current, more = _open_heads(view, entry, pr)
    return replace(found, current=current, older=[*backups, *found.older, *more])


def _heads_on_github(view: View, pr: PullRequest) -> _Heads:
    base = _merged_base(view, pr) if pr.state is PrState.MERGED else view.world.trunk
    return _Heads(f"#{pr.number}", [pr.head_oid], pr.historical_heads, base, bool(pr.force_pushes))


def _open_heads(view: View, entry: Entry, pr: PullRequest | None) -> tuple[list[Oid], list[Oid]]:
    """Return the planned head of an open entry, and its other heads: local, remote, on GitHub."""
    under = view.of(entry)
    local = under.local
    seen = (local.local, local.remote, pr.head_oid if pr is not None else None)
    known = [tip for tip in seen if tip is not None]
    try:
        planned = [entry_tip(under).oid]
    except TrunklineError:  # diverged: reported when this entry itself is planned
        planned = known
    return planned, known


def _merged_base(view: View, pr: PullRequest) -> Oid:
    """Return the base of a merged pull request's own commits right before the merge."""
    git, merge = view.git, pr.merge_commit
    if pr.base_oid is not None and history.is_ancestor(git, pr.base_oid, view.world.trunk):
        return pr.base_oid
    if merge is not None and history.has_object(git, merge):
        return history.read_commits(git, [merge])[0].parents[0]
    return view.world.trunk


def _of_base_branches(view: View, branch: _Branch) -> Iterator[Parent]:
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
            yield from (_parent(view, _heads_on_github(view, each), branch) for each in view.world.pulls_of(name))
        if pr is not None and name != pr.base:  # it counts only as far as the branch sits on it
            below = branch.names - {branch.child}
            tips, older = [tip for tip in tips if tip in below], [tip for tip in older if tip in below]
        if tips or older:
            yield _parent(view, _Heads(str(name), tips, older, view.world.trunk, rewritten=True), branch)


def bases_outside(stack: Stack, pr: PullRequest | None) -> tuple[BranchName, ...]:
    """Return the branches that a pull request targets or targeted, and that belong to no entry."""
    known = {stack.trunk, *(entry.branch for entry in stack.entries)}
    named = (pr.base, *reversed(pr.earlier_bases)) if pr is not None else ()
    return tuple(branch_name(name) for name in dict.fromkeys(named) if name not in known)


def _parent(view: View, of: _Heads, branch: _Branch) -> Parent:
    git, child = view.git, branch.child
    present = history.present(git, (*of.current, *of.older))
    for head in present:
        if head == child and head in of.current and of.name != view.entry.label:
            raise _same_head(view, of.name, child)
    # A head that contains the child belongs to an entry that swapped places with it: not a
    # parent's.
    beside = [head for head in present if head == child or not history.is_ancestor(git, child, head)]
    known = tuple(KnownHead(head, head in of.current, _held(view, head, branch)) for head in beside if head != child)
    tips = [head for head in of.current if head in present]
    # Commits below the merge base with trunk are matched by object id, never as similar commits.
    excluded = [of.base, branch.base, *([child] if any(history.is_ancestor(git, child, tip) for tip in tips) else [])]
    commits = history.with_patch_ids(git, history.reachable(git, tips, excluded))
    older = [head for head in beside if head not in of.current] if of.rewritten and commits else []
    merged = [head for head in older if history.is_ancestor(git, head, branch.base)]
    landed = history.with_patch_ids(git, history.reachable(git, merged, [of.base]))
    return Parent(of.name, known, commits, of.rewritten, landed=landed)


def _held(view: View, head: Oid, branch: _Branch) -> frozenset[Oid]:
    reached = history.reachable(view.git, [head], [view.world.trunk])
    return frozenset(commit.oid for commit in reached) & branch.names


def _same_head(scope: Scope, name: str, tip: Oid) -> Refused:
    return Refused(
        f"{name} and {scope.entry.label} have the same head, {short(tip)}",
        why=f"{name}'s branch holds the commits of {scope.entry.label} too, so nothing tells them apart",
        next_command=f"git log --oneline {shlex.quote(scope.tracking)}..{short(tip)}",
    )


def _contains(git: Git, branch: _Branch, head: Oid) -> bool:
    return head in branch.names or history.is_ancestor(git, head, branch.base)


def _with_reflog(view: View, parent: Parent, branch: _Branch, *, replaced_only: bool) -> Parent:
    """Add the heads in the reflog of the parent's local branch.

    The reflog is read only if the branch does not sit on the nearest parent's current head: that
    parent may have been amended here before it was pushed. A reflog also holds commits that were
    made on the wrong branch and taken back. So if the branch contains another head, a tip that was
    reset away proves something only together with a commit that replaced it (`git reset --soft`,
    then `git commit`).

    Args:
        view: the entry.
        parent: the parent; one that is no entry of the stack is returned unchanged.
        branch: the branch.
        replaced_only: tips that the parent was only reset away from prove nothing by themselves.
    """
    entry = _entry_of(view, parent)
    if entry is None:
        return parent
    git, child = view.git, branch.child
    tips = view.earlier.of_ref(branch_ref(entry.branch))
    absent = history.missing(git, tips)
    replaced = {old for new, old in itertools.pairwise(tips) if not history.is_ancestor(git, new, old)}
    known = {child, *(head.oid for head in parent.heads)}
    heads = [
        KnownHead(tip, False, _held(view, tip, branch), moved_back=replaced_only and tip not in replaced)
        for tip in tips
        if tip not in absent | known and not history.is_ancestor(git, child, tip)
    ]
    older = tuple(head for head in heads if not head.moved_back or not history.is_ancestor(git, tips[0], head.oid))
    current = [head.oid for head in parent.heads if head.current]
    held = [head.oid for head in heads if head.holds]
    grown = held and all(any(history.is_ancestor(git, tip, head) for head in current) for tip in held)
    rewritten = parent.rewritten or (not grown and (bool(held) or not replaced_only))
    return replace(parent, heads=(*parent.heads, *older), rewritten=rewritten)


def _trunk(view: View, branch: _Branch) -> Parent:
    """Return trunk as a parent whose heads are the former tips that were force-pushed away."""
    git, trunk = view.git, view.world.trunk
    ref = refs.tracking_ref(view.stack.remote, view.stack.trunk)
    tips = view.earlier.of_ref(ref)
    present = history.present(git, tips)
    removed = frozenset(commit.oid for commit in history.reachable(git, present, [trunk]))
    heads = (
        KnownHead(tip, False, removed & branch.names) for tip in present if removed & branch.names and tip in removed
    )
    return Parent(str(view.stack.trunk), tuple(heads), trunk=True)


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
