"""Read the commits of a stack at once, choose an entry's head, and name commits that a push would discard."""

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
    """The entry's head as planned, and how it was chosen between the local branch and the remote's."""

    oid: Oid
    about: str = ""


def load(context: Context) -> None:
    """Read the commits in question at once: every question to come is answered from memory.

    Of a whole stack, where every entry's evidence asks about every other's, their trees and patch ids too; of one
    entry as far as they are asked for. What trunk has is compared only where something below was merged.
    """
    misplaced_commits.refuse(context)
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
            git, context.stack, context.entry, world.snapshot.pull_requests,
            ours=ours, theirs=theirs, trunk=[world.trunk],
        )  # fmt: skip
        if found.missing_tool:
            raise diverged(context, foreign, _on_top(context, found, theirs))
        return Tip(theirs, f"{context.stack.remote} holds the same commits, rebased by others")
    return Tip(ours)


def _on_top(context: Context, found: Versions, theirs: Oid) -> tuple[str, ...]:
    """Return the commands that bring a local branch and one that others rewrote together."""
    branch = context.entry.branch
    if found.above is None:
        return ()
    adds = f"puts {counted(len(found.missing_tool))} of yours on top of it"
    commands = (f"git rebase --onto {theirs} {found.above} {branch}   # {adds}",)
    return (*commands, f"git switch -C {branch} {theirs}   # takes it as it is") if found.pushed else commands


def foreign_commits(context: Context, remote: Oid, ours: Oid) -> tuple[Commit, ...]:
    """Return the commits of the remote branch that a push of ours would discard unseen.

    Not foreign: what trunk holds, what we rebased (backups), and what the local branch pointed at before it was
    amended or reset, by its reflog: the rule of `git push --force-if-includes` (git-push(1)).
    """
    git, branch = context.git, context.entry.branch
    kept = [context.world().trunk, *refs.backups_of(git, branch), *history.reflog(git, branch)]
    return refs.foreign_commits(git, remote, [ours, *kept])


def diverged(context: Context, foreign: tuple[Commit, ...], commands: tuple[str, ...] = ()) -> Refused:
    """Return the refusal over commits on the remote branch that the local branch does not hold.

    Args:
        context: whose branch it is.
        foreign: the commits.
        commands: what brings the two sides together; (): a command that shows them.
    """
    branch, remote = context.entry.branch, context.stack.remote
    listed = "\n".join(f'{short(c.oid)} {c.author_name}: "{c.subject}"' for c in foreign)
    return Refused(
        f"{remote}/{branch} holds {counted(len(foreign))} that we did not plan for",
        why=f"a push would discard them:\n{listed}",
        next_command=commands or f"git fetch {remote} && git log --oneline --left-right {branch}...{remote}/{branch}",
    )
