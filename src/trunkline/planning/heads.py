"""Read a stack's commits, choose an entry's head, and find commits that a push would discard."""

from __future__ import annotations

import shlex
from collections.abc import Sequence

import msgspec

from trunkline.context.scope import Scope
from trunkline.context.view import View
from trunkline.domain.commits import Commit, counted
from trunkline.domain.errors import Refused
from trunkline.domain.names import BranchName, Oid, branch_ref, short
from trunkline.git import history, replay
from trunkline.planning import branch_versions, journal_queries, misplaced_commits, pushed_commits
from trunkline.planning.branch_versions import Versions


class Tip(msgspec.Struct, frozen=True):
    """The planned head of an entry, and why the local or the remote branch was chosen."""

    oid: Oid
    reason: str = ""


def load(view: View) -> None:
    """Prefetch the commits of the stack, so that later queries need no git process.

    For a whole stack, also prefetch trees and patch ids: every entry is compared with every other.
    For a single entry they are read on demand. Trunk's commits are read only where an entry below
    was merged.
    """
    git, trunk = view.git, view.world.trunk
    tips: list[Oid | None] = [trunk]
    for entry in view.stack.entries if view.stacked else (view.entry,):
        local = view.of(entry).local
        tips += [local.local, local.remote]
    for entry in view.stack.entries if view.stacked else view.stack.below(view.entry):
        pr = view.world.snapshot.pr(entry.key)
        tips += [pr.head_oid, pr.merge_commit] if pr else []
    known = [tip for tip in tips if tip is not None]
    history.load(git, known)
    misplaced_commits.refuse(view)  # compares every head with every other: in memory from here on
    if view.stacked and git.graphs:
        open_ = history.with_patch_ids(git, history.reachable(git, known, [trunk]))
        replay.load(git, open_, git.tree(trunk))


def deleted(view: View) -> Refused:
    """Return the refusal for an open pull request whose branch was deleted on the remote."""
    remote, head = view.stack.remote, view.pull_request().head_oid
    return Refused(
        f"{view.entry.label}: branch {view.entry.branch} no longer exists on {remote}",
        why="somebody deleted it, perhaps on purpose; only a command creates it again",
        next_command=f"git push {shlex.quote(remote)} {head}:{shlex.quote(branch_ref(view.entry.branch))}",
    )


def entry_tip(view: View) -> Tip:
    """Choose the entry's head: the side, local or remote, that contains the other.

    A remote tip found in our backups was rebased by an earlier run: the local branch replaces it.

    Raises:
        Refused: both sides hold commits that the other lacks, and the local ones are not all
            pushed; or others removed commits that unpushed ones sit on. The error lists them.
    """
    git, local = view.git, view.local
    ours, theirs = local.local, local.remote
    if ours is None or theirs is None or ours == theirs:
        tip = ours or theirs
        if tip is None:
            raise view.no_branch()
        return Tip(tip)
    if history.is_ancestor(git, theirs, ours):
        return _ahead(view, ours, theirs)
    if lacking := missing_here(view):
        return Tip(theirs, f"your local branch was {counted(len(lacking))} behind {view.stack.remote}")
    if pushed_commits.is_included(view, ours, theirs):
        return Tip(theirs, f"with what was pushed to {view.stack.remote} since the run began")
    foreign = foreign_commits(view, theirs, ours)
    if foreign:
        world = view.world
        found = branch_versions.compare(
            git, view.stack, view.entry, world.snapshot.pr,
            ours=ours, theirs=theirs, trunk=[world.trunk], earlier=view.earlier,
        )  # fmt: skip
        if found.diverged:
            raise diverged(view, foreign, _on_top(view, found, theirs))
        return Tip(theirs, _taken_over(view, found, ours, theirs))
    return Tip(ours)


def missing_here(view: View) -> tuple[Commit, ...]:
    """Return the commits that the entry's local branch is behind the remote one; see `lacking`."""
    ours, theirs = view.local.local, view.local.remote
    return () if ours is None or theirs is None else lacking(view, ours, theirs)


def lacking(scope: Scope, ours: Oid, theirs: Oid) -> tuple[Commit, ...]:
    """Return the commits that a local branch is behind the remote one; () if it is not.

    A branch that was moved back by hand is behind, too: nothing tells whether the commits are
    unwanted, or a colleague's. One that a run shortened is not.

    Args:
        scope: the entry.
        ours: the local branch.
        theirs: the remote branch.
    """
    if ours == theirs or not history.is_ancestor(scope.git, ours, theirs):
        return ()
    if journal_queries.is_shortened(scope, ours, theirs):
        return ()
    return tuple(history.reachable(scope.git, [theirs], [ours]))


def _ahead(view: View, ours: Oid, theirs: Oid) -> Tip:
    """Return the local tip, which contains the remote one; or the remote one if others removed what it lacks.

    Raises:
        Refused: the local branch has commits that were never pushed, or the user put it back; pushing it
            would bring the removed ones back.
    """
    branch, remote = view.entry.branch, view.stack.remote
    ahead = history.reachable(view.git, [ours], [theirs])
    pr = view.world.snapshot.pr(view.entry.key)
    once = branch_versions.once_pushed(view.earlier, remote, view.entry, pr)
    found = branch_versions.removed(view.git, view.entry, once, ours=ours, theirs=theirs)
    removed = found.commits
    if not removed:
        return Tip(ours, f"{counted(len(ahead))} not pushed yet")
    if found.is_settled:
        return Tip(
            theirs,
            f"others removed {counted(len(removed))} from {remote}/{branch}, and you have nothing unpushed: its"
            f" version is taken; only your local branch had: {_listed(removed)}",
        )
    them = "it" if len(removed) == 1 else "them"
    commands = [f"git push {shlex.quote(remote)} {shlex.quote(branch)}   # brings {them} back"]
    if len(removed) == len(ahead):
        commands.append(_as_it_is(branch, theirs))
    else:
        onto = f"git rebase --empty=keep --onto {theirs} {removed[-1].oid} {shlex.quote(branch)}"
        commands.append(f"{onto}   # leaves {them} out, and keeps yours")
    raise Refused(
        f"{view.entry.full_label}: others removed {counted(len(removed))} from {remote}/{branch}",
        why=f"a push of your local branch would bring back: {_listed(removed)}",
        next_command=view.after_rebase(*commands),
    )


def _as_it_is(branch: BranchName, theirs: Oid) -> str:
    return f"git switch -C {shlex.quote(branch)} {theirs}   # takes it as it is"


def _taken_over(view: View, found: Versions, ours: Oid, theirs: Oid) -> str:
    """Return the effect of taking the remote's version of a branch.

    Commits that only one side has are named, and so are signatures that the remote's lacks: GitHub
    rebases without them.
    """
    trunk, remote = view.world.trunk, view.stack.remote
    signed = [commit for commit in history.reachable(view.git, [ours], [theirs, trunk]) if commit.signed]
    lost = len(signed) - sum(each.signed for each in history.reachable(view.git, [theirs], [ours, trunk]))
    text = f"{remote} holds the same commits with other ids: its version is taken"
    if found.changed:
        text = f"others rewrote the branch on {remote}, and changed {_listed(found.changed)}: its version is taken"
    if found.local_only:
        text = f"others rewrote the branch on {remote}, and you have nothing unpushed: its version is taken"
    text += f"; {counted(lost)} signed here {'is' if lost == 1 else 'are'} unsigned there" if lost > 0 else ""
    if found.remote_only:
        text += f", with {counted(len(found.remote_only))} more: {_listed(found.remote_only)}"
    if found.local_only:
        text += f"; only your local branch had: {_listed(found.local_only)}"
    return text


def _listed(commits: Sequence[Commit]) -> str:
    return "; ".join(f'{short(each.oid)} "{each.subject}" by {each.author_name}' for each in commits)


def _on_top(view: View, found: Versions, theirs: Oid) -> tuple[str, ...]:
    """Return the commands that combine a local branch with a remote branch that others rewrote."""
    branch = view.entry.branch
    if found.parent is None:
        return ()
    adds = f"puts {counted(len(found.local_only))} of yours on top of it"
    # A commit that only the user reworded becomes empty on top of the other version: git would drop it.
    commands = [f"git rebase --empty=keep --onto {theirs} {found.parent} {shlex.quote(branch)}   # {adds}"]
    if found.pushed:
        commands.append(_as_it_is(branch, theirs))
    if found.other_versions:  # without a reflog, nothing tells whether yours was made from what the remote has
        ref = branch_ref(branch)
        push = shlex.join(("git", "push", f"--force-with-lease={ref}:{theirs}", view.stack.remote, f"{branch}:{ref}"))
        commands.append(f"{push}   # replaces it by your version")
    return view.after_rebase(*commands)


def foreign_commits(view: View, remote: Oid, ours: Oid) -> tuple[Commit, ...]:
    """Return the commits of the remote branch that a push of ours would discard.

    Commits in trunk, in backups and in the local branch's reflog do not count. The reflog rule is
    that of `git push --force-if-includes` (git-push(1)).
    """
    branch, earlier = view.entry.branch, view.earlier
    kept = [view.world.trunk, *earlier.backups_of(branch), *earlier.of_ref(branch_ref(branch))]
    return history.commits_beyond(view.git, remote, [ours, *kept])


def diverged(scope: Scope, foreign: tuple[Commit, ...], commands: tuple[str, ...] = ()) -> Refused:
    """Return the error for commits on the remote branch that the local branch does not hold.

    Args:
        scope: the entry.
        foreign: the commits.
        commands: the commands that combine both sides; (): one that shows them.
    """
    branch, remote = scope.entry.branch, scope.stack.remote
    listed = "\n".join(f'{short(c.oid)} {c.author_name}: "{c.subject}"' for c in foreign)
    sides = shlex.quote(f"{branch}...{remote}/{branch}")
    return Refused(
        f"{remote}/{branch} holds {counted(len(foreign))} that we did not plan for",
        why=f"a push would discard them:\n{listed}",
        next_command=commands or f"git fetch {shlex.quote(remote)} && git log --oneline --left-right {sides}",
    )
