"""Gathers what `domain.forkpoint` decides from: the chain, the parents' heads, the journal's word."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from trunkline.adapters import history, refs, replay
from trunkline.adapters.git import Git
from trunkline.domain.commits import Commit, CommitSet
from trunkline.domain.errors import Refused
from trunkline.domain.forkpoint import Evidence, ParentHead
from trunkline.domain.names import Oid, short
from trunkline.workflows import recorded
from trunkline.workflows.base import Parent, parents_of
from trunkline.workflows.context import Context


@dataclass(frozen=True)
class Tip:
    """The entry's head as planned, and how it was chosen between the local branch and the remote's."""

    oid: Oid
    about: str = ""


def load(context: Context) -> None:
    """Read the commits in question at once: every question to come is answered from memory.

    Of a whole stack, where every entry's evidence asks about every other's, their trees and patch ids too; of one
    entry as far as they are asked for. What trunk has is compared only where something below was merged.
    """
    git, trunk = context.git, context.world().trunk
    tips: list[Oid | None] = [trunk]
    for entry in context.stack.entries if context.stacked else (context.entry,):
        local = context.of(entry).world().local
        tips += [local.local, local.remote]
    for entry in context.stack.entries if context.stacked else context.stack.below(context.entry):
        pr = context.world().snapshot.pr(entry.pr)
        tips += [pr.head_oid, pr.merge_commit] if pr else []
    known = [tip for tip in tips if tip is not None]
    history.load(git, known)
    if context.stacked and git.graphs:
        open_ = history.with_patch_ids(git, history.reachable(git, known, [trunk]))
        replay.load(git, open_, git.tree(trunk))


def entry_tip(context: Context) -> Tip:
    """Choose the entry's head: the side that holds the other's commits.

    A remote tip that is one of our backups is what we rebased before: the local branch replaces it.

    Raises:
        Refused: both sides hold commits that the other lacks; they are named.
    """
    git, local = context.git, context.world().local
    ours, theirs = local.local, local.remote
    if ours is None or theirs is None or ours == theirs:
        tip = ours or theirs
        if tip is None:
            raise context.no_branch()
        return Tip(tip)
    if history.is_ancestor(git, theirs, ours):
        return Tip(ours, f"{len(history.reachable(git, [ours], [theirs]))} commits not pushed yet")
    if history.is_ancestor(git, ours, theirs):
        count = len(history.reachable(git, [theirs], [ours]))
        return Tip(theirs, f"your local branch was {count} commits behind {context.stack.remote}")
    foreign = foreign_commits(context, theirs, ours)
    if foreign:
        raise diverged(context, foreign)
    return Tip(ours)


def foreign_commits(context: Context, remote: Oid, ours: Oid) -> tuple[Commit, ...]:
    """Return the commits of the remote branch that a push of ours would discard unseen.

    Not foreign: what we rebased (backups), and what the local branch pointed at before it was amended or reset, by
    its reflog: the rule of `git push --force-if-includes` (git-push(1)).
    """
    git, branch = context.git, context.entry.branch
    return refs.foreign_commits(git, remote, [ours, *refs.backups_of(git, branch), *history.reflog(git, branch)])


def diverged(context: Context, foreign: tuple[Commit, ...]) -> Refused:
    """Return the refusal over commits on the remote branch that the local branch does not hold."""
    branch, remote = context.entry.branch, context.stack.remote
    listed = "\n".join(f'{short(c.oid)} {c.author_name}: "{c.subject}"' for c in foreign)
    return Refused(
        f"{remote}/{branch} holds {len(foreign)} commits that we did not plan for",
        why=f"a push would discard them:\n{listed}",
        next_command=f"git fetch {remote} && git log --oneline --left-right {branch}...{remote}/{branch}",
    )


def gather(context: Context, child: Oid) -> Evidence:
    """Gather the evidence for the fork point of `child` over the fetched trunk.

    Raises:
        Refused: an entry below is not merged where it must be, or the branch shares no history with trunk.
    """
    git, trunk = context.git, context.world().trunk
    base = history.merge_base(git, trunk, child)
    if base is None:
        raise Refused(f"{context.entry.branch} shares no history with {context.tracking}")
    parents = parents_of(context, child)
    current = [
        ParentHead(parent.name, tip, current=True, met=_met(git, parent, tip, child))
        for parent in parents
        for tip in parent.tips
    ]
    older = [ParentHead(parent.name, head, current=False) for parent in parents for head in parent.history]
    if any(parent.branch for parent in parents) and not _any_below(git, (*current, *older), child):
        older += [head for parent in parents for head in _remembered(context, parent)]
    merged = CommitSet.of(_commits_of(git, current, parents, child))
    return Evidence(
        trunk=trunk,
        child=child,
        merge_base=base,
        chain=history.chain(git, base, child, patch_ids=True),
        heads=(*current, *older),
        heads_in_trunk=frozenset(head.oid for head in current if history.is_ancestor(git, head.oid, trunk)),
        merged=merged,
        known=CommitSet.of(_commits_of(git, (*current, *older), parents, child)) if older else merged,
        recorded=recorded.base_of(context, child),
        base_holds_parents=all(
            parent.merge is not None and history.is_ancestor(git, parent.merge, base) for parent in parents
        ),
    )


def _met(git: Git, parent: Parent, tip: Oid, child: Oid) -> Oid | None:
    """Return where a parent that only grew and its child parted; None: it was rewritten, or contains the child."""
    if tip != parent.grown or history.is_ancestor(git, tip, child):
        return None
    met = history.merge_base(git, tip, child)
    return None if met == child else met


def _any_below(git: Git, heads: Sequence[ParentHead], child: Oid) -> bool:
    return any(head.oid != child and history.is_ancestor(git, head.oid, child) for head in heads)


def _remembered(context: Context, parent: Parent) -> list[ParentHead]:
    """Return old tips of an open parent that only this repository remembers: our backups, the branch's reflog.

    Asked only where no head that others know is contained: a reflog also holds what was begun on the wrong branch.
    """
    if parent.branch is None:
        return []
    git = context.git
    tips = dict.fromkeys((*refs.backups_of(git, parent.branch), *history.reflog(git, parent.branch)))
    return [ParentHead(parent.name, tip, current=False) for tip in tips if history.has_object(git, tip)]


def _commits_of(git: Git, heads: Sequence[ParentHead], parents: Sequence[Parent], child: Oid) -> tuple[Commit, ...]:
    """Return what heads held of their parents' own, with patch ids: over trunk, as it was just before a merge.

    One that contains the child (the two changed places) holds the child's commits too: they are not its own. Heads
    that sit upon the same are asked about at once: of a tall stack each holds all that the next one holds.
    """
    named = {parent.name: parent for parent in parents}
    upon: dict[tuple[Oid, ...], list[Oid]] = {}
    for head in heads:
        parent = named[head.name]
        changed_places = parent.merge is None and history.is_ancestor(git, child, head.oid)
        upon.setdefault((*parent.upon, child) if changed_places else parent.upon, []).append(head.oid)
    held = [commit for below, tips in upon.items() for commit in history.reachable(git, tips, below)]
    return history.with_patch_ids(git, held)
