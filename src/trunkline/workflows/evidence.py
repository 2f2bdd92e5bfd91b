"""Gathers what `domain.forkpoint` decides from: the chain, the parents' heads, the journal's word."""

from __future__ import annotations

from dataclasses import dataclass

from trunkline.adapters import history, refs
from trunkline.domain.commits import Commit, CommitSet
from trunkline.domain.errors import Refused
from trunkline.domain.forkpoint import Evidence, ParentHead
from trunkline.domain.names import Oid, short
from trunkline.domain.snapshot import PullRequest
from trunkline.workflows import recorded
from trunkline.workflows.context import Context
from trunkline.workflows.steps.verify import merged_below


@dataclass(frozen=True)
class Tip:
    """The entry's head as planned, and how it was chosen between the local branch and the remote's."""

    oid: Oid
    about: str = ""


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
            raise Refused(f"there is no branch {local.branch}, neither here nor on {context.stack.remote}")
        return Tip(tip)
    if history.is_ancestor(git, theirs, ours):
        return Tip(ours, f"{len(history.reachable(git, [ours], [theirs]))} commits not pushed yet")
    if history.is_ancestor(git, ours, theirs):
        count = len(history.reachable(git, [theirs], [ours]))
        return Tip(theirs, f"your local branch was {count} commits behind {context.stack.remote}")
    kept = refs.backups_of(git, local.branch)
    foreign = refs.foreign_commits(git, theirs, [ours, *kept])
    if foreign:
        raise diverged(context, foreign)
    return Tip(ours)


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
        Refused: an entry below is not merged, or the branch shares no history with trunk.
    """
    git, trunk = context.git, context.world().trunk
    base = history.merge_base(git, trunk, child)
    if base is None:
        raise Refused(f"{context.entry.branch} shares no history with {context.tracking}")
    chain = history.chain(git, base, child, patch_ids=True)
    parents = [merged_below(context, entry)[0] for entry in reversed(context.stack.below(context.entry))]
    current = [
        ParentHead(pr.number, pr.head_oid, current=True) for pr in parents if history.has_object(git, pr.head_oid)
    ]
    older = [
        ParentHead(pr.number, head, current=False)
        for pr in parents
        for head in pr.historical_heads
        if history.has_object(git, head)
    ]
    merged = [commit for head in current for commit in _commits_of(context, head, parents)]
    earlier = [commit for head in older for commit in _commits_of(context, head, parents)]
    return Evidence(
        trunk=trunk,
        child=child,
        merge_base=base,
        chain=chain,
        heads=(*current, *older),
        heads_in_trunk=frozenset(head.oid for head in current if history.is_ancestor(git, head.oid, trunk)),
        merged=CommitSet.of(history.with_patch_ids(git, merged)),
        known=CommitSet.of(history.with_patch_ids(git, [*merged, *earlier])),
        recorded=recorded.base_of(context, child),
        base_holds_parents=all(
            pr.merge_commit is not None and history.is_ancestor(git, pr.merge_commit, base) for pr in parents
        ),
    )


def _commits_of(context: Context, head: ParentHead, parents: list[PullRequest]) -> tuple[Commit, ...]:
    """Return what a head held over trunk as it was just before its pull request was merged."""
    merges = [pr.merge_commit for pr in parents if pr.number == head.pr and pr.merge_commit]
    before = [oid for merge in merges if (oid := context.git.resolve(f"{merge}^1")) is not None]
    return history.reachable(context.git, [head.oid], before)
