"""What an entry sits on: trunk, or the nearest open entry below; and whose commits are not its own."""

from __future__ import annotations

from dataclasses import dataclass

from trunkline.adapters import history, refs
from trunkline.domain.errors import Refused
from trunkline.domain.names import BranchName, Oid, branch_name, branch_ref
from trunkline.domain.snapshot import PrState, PullRequest
from trunkline.domain.stack import Entry
from trunkline.workflows.context import Context
from trunkline.workflows.steps.verify import merged_below


@dataclass(frozen=True)
class Base:
    """Where an entry belongs.

    Attributes:
        name: as people write it: `origin/main`, `feat/one`.
        branch: what the pull request targets.
        oid: its tip: what the entry's own commits follow.
        entry: the open entry below; None: it is trunk.
    """

    name: str
    branch: BranchName
    oid: Oid
    entry: Entry | None = None


@dataclass(frozen=True)
class Parent:
    """A branch whose commits an entry may contain without owning them.

    Attributes:
        name: as people write it: `#518`, or a branch that no entry has.
        tips: its heads as they are now: here, on the remote, on GitHub; each is in the repository.
        history: the heads that its pull request was force-pushed from and to, newest first.
        upon: commits that it does not own either.
        merge: the commit that it was merged as, into trunk; None: it is open.
        branch: its branch, where it is an open entry.
        grown: its head on GitHub, where that was never force-pushed; None: it was, or there is no pull request.
    """

    name: str
    tips: tuple[Oid, ...]
    history: tuple[Oid, ...]
    upon: tuple[Oid, ...]
    merge: Oid | None = None
    branch: BranchName | None = None
    grown: Oid | None = None


def open_below(context: Context) -> Entry | None:
    """Return the nearest entry below that is not merged, where entries below may be open; None: it sits on trunk.

    Raises:
        Refused: one below was closed without being merged.
        UsageError: GitHub has no such pull request.
    """
    if not context.stacked:
        return None
    for entry in reversed(context.stack.below(context.entry)):
        pr = context.known(entry.pr)
        if pr.state is PrState.CLOSED:
            raise Refused(
                f"#{entry.pr} below was closed without being merged",
                why=f"so it is not known what #{context.entry.pr} is to sit on: {pr.url}",
                next_command=(f"invoke rescue --pr {entry.pr}", "${EDITOR:-vi} stack.toml   # or take the entry out"),
            )
        if pr.state is PrState.OPEN:
            return entry
    return None


def base_of(context: Context) -> Base:
    """Return what the entry belongs on, as it is now or, while a plan is made, as it will be by then."""
    below = open_below(context)
    world = context.world()
    if below is None:
        return Base(context.tracking, context.stack.trunk, world.trunk)
    planned = context.seen.planned.get(below.pr)
    if planned is not None:
        return Base(below.branch, below.branch, planned, below)
    under = context.of(below)
    local = under.world().local
    tip = local.local or local.remote
    if tip is None:
        raise under.no_branch()
    return Base(below.branch, below.branch, tip, below)


def parents_of(context: Context, child: Oid) -> tuple[Parent, ...]:
    """Return whose commits the entry may hold, nearest first.

    Those below in stack.toml; where entries below may be open, also every other entry that the branch contains (the
    stack was reordered), and the branch that its pull request targets where that is no entry any more (one was
    taken out).

    Raises:
        Refused: an entry below is not merged, where it must be.
    """
    below = tuple(reversed(context.stack.below(context.entry)))
    if not context.stacked:
        return tuple(_merged(context, merged_below(context, entry)[0]) for entry in below)
    found = [_parent(context, entry) for entry in below]
    others = [entry for entry in context.stack.entries if entry not in below and entry != context.entry]
    beside = [_parent(context, entry) for entry in others]
    return (*found, *(parent for parent in beside if _contained(context, parent, child)), *_dropped(context))


def _parent(context: Context, entry: Entry) -> Parent:
    pr = context.known(entry.pr)
    if pr.state is PrState.MERGED:
        if pr.base == context.stack.trunk:
            return _merged(context, merged_below(context, entry)[0])
        return _merged(context, pr)  # merged into another entry, out of order
    local = context.of(entry).world().local
    tips = tuple(
        dict.fromkeys(
            tip for tip in (local.local, local.remote, pr.head_oid) if tip and history.has_object(context.git, tip)
        )
    )
    upon, grown = (context.world().trunk,), _grown(pr)
    return Parent(f"#{pr.number}", tips, _history(context, pr), upon, branch=entry.branch, grown=grown)


def _merged(context: Context, pr: PullRequest) -> Parent:
    """Return a merged pull request as a parent: what it held over trunk as it was just before."""
    merge = pr.merge_commit
    known = merge is not None and history.has_object(context.git, merge)
    before = history.read_commits(context.git, [merge])[0].parents[0] if merge and known else None
    tips = (pr.head_oid,) if history.has_object(context.git, pr.head_oid) else ()
    upon = (before,) if before else ()
    return Parent(f"#{pr.number}", tips, _history(context, pr), upon, pr.merge_commit, grown=_grown(pr))


def _grown(pr: PullRequest) -> Oid | None:
    """Return the head of a pull request that was never force-pushed (HeadRefForcePushedEvent): it only grew."""
    return None if pr.force_pushes else pr.head_oid


def _history(context: Context, pr: PullRequest) -> tuple[Oid, ...]:
    return tuple(head for head in pr.historical_heads if history.has_object(context.git, head))


def _contained(context: Context, parent: Parent, child: Oid) -> bool:
    return any(tip != child and history.is_ancestor(context.git, tip, child) for tip in parent.tips)


def _dropped(context: Context) -> tuple[Parent, ...]:
    pr = context.world().snapshot.pr(context.entry.pr)
    known = {context.stack.trunk, *(entry.branch for entry in context.stack.entries)}
    if pr is None or pr.base in known:
        return ()
    branch = branch_name(pr.base)
    names = branch_ref(branch), refs.tracking_ref(context.stack.remote, branch)
    held = refs.read_refs(context.git, *names)
    tips = tuple(dict.fromkeys(held[name] for name in names if name in held))
    return (Parent(str(branch), tips, (), (context.world().trunk,)),) if tips else ()
