"""Read a stack's commits, choose an entry's head, and find commits that a push would discard."""

from __future__ import annotations

from dataclasses import dataclass

from trunkline.context.project import Context
from trunkline.domain.commits import Commit, counted
from trunkline.domain.errors import Refused
from trunkline.domain.names import Oid, short
from trunkline.git import history, refs, replay
from trunkline.planning import branch_versions, misplaced_commits, pushed_commits
from trunkline.planning.branch_versions import Versions


@dataclass(frozen=True)
class Tip:
    """The planned head of an entry, and why the local or the remote branch was chosen."""

    oid: Oid
    reason: str = ""


def load(context: Context) -> None:
    """Prefetch the commits of the stack, so that later queries need no git process.

    For a whole stack, also prefetch trees and patch ids: every entry is compared with every other.
    For a single entry they are read on demand. Trunk's commits are read only where an entry below
    was merged.
    """
    misplaced_commits.refuse(context)
    git, trunk = context.git, context.world().trunk
    tips: list[Oid | None] = [trunk]
    for entry in context.stack.entries if context.stacked else (context.entry,):
        local = context.of(entry).world().local
        tips += [local.local, local.remote]
    for entry in context.stack.entries if context.stacked else context.stack.below(context.entry):
        pr = context.world().snapshot.pr(entry.key)
        tips += [pr.head_oid, pr.merge_commit] if pr else []
    known = [tip for tip in tips if tip is not None]
    history.load(git, known)
    if context.stacked and git.graphs:
        open_ = history.with_patch_ids(git, history.reachable(git, known, [trunk]))
        replay.load(git, open_, git.tree(trunk))


def entry_tip(context: Context) -> Tip:
    """Choose the entry's head: the side, local or remote, that contains the other.

    A remote tip found in our backups was rebased by an earlier run: the local branch replaces it.

    Raises:
        Refused: both sides hold commits that the other lacks; the error lists them.
    """
    git, local = context.git, context.world().local
    ours, theirs = local.local, local.remote
    if ours is None or theirs is None or ours == theirs:
        tip = ours or theirs
        if tip is None:
            raise context.no_branch()
        return Tip(tip)
    if history.is_ancestor(git, theirs, ours):
        return Tip(ours, f"{counted(len(history.reachable(git, [ours], [theirs])))} not pushed yet")
    if history.is_ancestor(git, ours, theirs):
        count = len(history.reachable(git, [theirs], [ours]))
        return Tip(theirs, f"your local branch was {counted(count)} behind {context.stack.remote}")
    if pushed_commits.is_included(context, ours, theirs):
        return Tip(theirs, f"with what was pushed to {context.stack.remote} since the run began")
    foreign = foreign_commits(context, theirs, ours)
    if foreign:
        world = context.world()
        found = branch_versions.compare(
            git, context.stack, context.entry, world.snapshot.pr,
            ours=ours, theirs=theirs, trunk=[world.trunk],
        )  # fmt: skip
        if found.local_only:
            raise diverged(context, foreign, _on_top(context, found, theirs))
        return Tip(theirs, _taken_over(context, found, ours, theirs))
    return Tip(ours)


def _taken_over(context: Context, found: Versions, ours: Oid, theirs: Oid) -> str:
    """Return what taking the remote's version of a branch brings.

    Commits that only it has are named, and so are signatures that it lacks: GitHub rebases without
    them.
    """
    trunk = context.world().trunk
    signed = [commit for commit in history.reachable(context.git, [ours], [theirs, trunk]) if commit.signed]
    lost = len(signed) - sum(each.signed for each in history.reachable(context.git, [theirs], [ours, trunk]))
    text = f"{context.stack.remote} holds the same commits with other ids: its version is taken"
    text += f"; {counted(lost)} signed here {'is' if lost == 1 else 'are'} unsigned there" if lost > 0 else ""
    if not found.remote_only:
        return text
    more = "; ".join(f'{short(each.oid)} "{each.subject}" by {each.author_name}' for each in found.remote_only)
    return f"{text}, with {counted(len(found.remote_only))} more: {more}"


def _on_top(context: Context, found: Versions, theirs: Oid) -> tuple[str, ...]:
    """Return the commands that combine a local branch with a remote branch that others rewrote."""
    branch = context.entry.branch
    if found.parent is None:
        return ()
    adds = f"puts {counted(len(found.local_only))} of yours on top of it"
    commands = (f"git rebase --onto {theirs} {found.parent} {branch}   # {adds}",)
    return (*commands, f"git switch -C {branch} {theirs}   # takes it as it is") if found.pushed else commands


def foreign_commits(context: Context, remote: Oid, ours: Oid) -> tuple[Commit, ...]:
    """Return the commits of the remote branch that a push of ours would discard.

    Commits in trunk, in backups and in the local branch's reflog do not count. The reflog rule is
    that of `git push --force-if-includes` (git-push(1)).
    """
    git, branch = context.git, context.entry.branch
    kept = [context.world().trunk, *refs.backups_of(git, branch), *history.reflog(git, branch)]
    return refs.foreign_commits(git, remote, [ours, *kept])


def diverged(context: Context, foreign: tuple[Commit, ...], commands: tuple[str, ...] = ()) -> Refused:
    """Return the error for commits on the remote branch that the local branch does not hold.

    Args:
        context: the entry's context.
        foreign: the commits.
        commands: the commands that combine both sides; (): one that shows them.
    """
    branch, remote = context.entry.branch, context.stack.remote
    listed = "\n".join(f'{short(c.oid)} {c.author_name}: "{c.subject}"' for c in foreign)
    return Refused(
        f"{remote}/{branch} holds {counted(len(foreign))} that we did not plan for",
        why=f"a push would discard them:\n{listed}",
        next_command=commands or f"git fetch {remote} && git log --oneline --left-right {branch}...{remote}/{branch}",
    )
