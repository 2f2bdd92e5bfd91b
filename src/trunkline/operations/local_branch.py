"""Move an entry's local branch, and its checkout if that is clean."""

from __future__ import annotations

import contextlib
import shlex
from pathlib import Path

from trunkline.context import open_run
from trunkline.context.observation import local_state
from trunkline.context.project import Project
from trunkline.context.run import Context
from trunkline.context.scope import Scope
from trunkline.domain import records
from trunkline.domain.commits import counted
from trunkline.domain.errors import ExternalError, Refused, TrunklineError
from trunkline.domain.names import Oid, branch_name, branch_ref, short
from trunkline.domain.snapshot import LocalState
from trunkline.domain.stack import Entry
from trunkline.domain.words import listed_briefly
from trunkline.engine import StepContext
from trunkline.git import checkout, history, local_refs, obstacles, refs
from trunkline.git.arguments import typed
from trunkline.git.git import Git
from trunkline.state.journal import Run
from trunkline.state.lock import RepositoryLock


def refuse_unmovable(local: LocalState, *, keeps_files: bool = False) -> None:
    """Refuse to move a branch whose checkout the user is working in.

    Uncommitted changes and other work trees would otherwise show a branch that moved beneath them.

    Args:
        local: the branch.
        keeps_files: the branch moves under its checkout, so uncommitted changes stay what they are.
    """
    refuse_elsewhere(local)
    if local.rebasing:
        command = f"git -C {shlex.quote(local.rebasing)} rebase"
        raise Refused(
            f"{local.branch} is being rebased by you",
            why=f"git rebase is in progress in {local.rebasing}, and could not end if the branch moved; nothing"
            " was changed",
            next_command=(f"{command} --continue", f"{command} --abort"),
        )
    if local.unfinished:
        begun = f"git {local.unfinished}"
        is_empty = local.unfinished in {"cherry-pick", "revert"} and not local.changes
        raise Refused(
            f"{local.branch} is checked out, and {begun} is in progress there",
            why="it would end on another commit if the branch moved; nothing was changed",
            next_command=(f"{begun} --skip" if is_empty else f"{begun} --continue", f"{begun} --abort"),
        )
    if local.checked_out and local.changes and not keeps_files:
        raise dirty(local, "they would be mixed with the rebased branch")


def dirty(local: LocalState, why: str) -> Refused:
    """Return the error for uncommitted changes."""
    listed = ", ".join(local.changes[:5]) + (" ..." if len(local.changes) > 5 else "")  # noqa: PLR2004 -- one line of file names
    return Refused(
        "your checkout has uncommitted changes",
        why=f"{listed}: {why}; nothing was changed",
        next_command=("git commit --all", "git stash"),
    )


def refuse_elsewhere(local: LocalState) -> None:
    """Refuse to move a branch that is checked out in another work tree."""
    if local.elsewhere and not Path(local.elsewhere).exists():
        raise Refused(
            f"{local.branch} is checked out in a work tree whose directory is gone",
            why=f"{local.elsewhere}: git keeps the branch for it until it is removed; nothing was changed",
            next_command=f"git worktree remove --force --force {shlex.quote(local.elsewhere)}",
        )
    if local.elsewhere:
        raise Refused(
            f"{local.branch} is checked out in another work tree",
            why=local.elsewhere,
            next_command=f"git -C {shlex.quote(local.elsewhere)} switch --detach",
        )


def to_its_checkout(local: LocalState) -> str:
    """Return the command that leads to the branch's checkout, here or in another work tree.

    Raises:
        Refused: the directory of that work tree does not exist.
    """
    if local.elsewhere and Path(local.elsewhere).exists():
        return f"cd {shlex.quote(local.elsewhere)}"
    refuse_elsewhere(local)
    return f"git switch {shlex.quote(local.branch)}"


def check_move(scope: Scope, local: LocalState, new: Oid, *, keeps_files: bool = False) -> None:
    """Raise the errors of `move` before anything changes.

    A checkout that a killed run left half moved is accepted, because it is restored first.

    Args:
        scope: the entry.
        local: its branch as observed.
        new: the tip that the branch will have.
        keeps_files: see `move`.

    Raises:
        Refused: the branch is checked out elsewhere, its checkout is not clean, or a file is in the
            way.
    """
    try:
        refuse_unmovable(local, keeps_files=keeps_files)
        if local.checked_out and local.local is not None and not keeps_files:
            obstacles.refuse(scope.git, local.local, new, what=_what(scope.entry))
    except Refused:
        if not is_half_moved(scope.project):
            raise


def is_half_moved(project: Project) -> bool:
    """Return whether a killed run left the checkout in the middle of a move.

    It is restored before anything else (`settle`), so it is no reason to refuse.
    """
    halves = (_half_moved(project, run) for run in open_run.stopped_runs(project.state))
    return any(half and checkout.is_half_moved(project.git, old=half[0], new=half[1]) for half in halves)


def switch(scope: Scope, step_context: StepContext, *, old: Oid | None, new: Oid | None) -> None:
    """Check out the entry's branch; if git fails, undo its partial changes.

    Args:
        scope: the entry.
        step_context: the step's arguments.
        old: the commit that is checked out; None for none.
        new: the branch's tip.

    Raises:
        ExternalError, UsageError: git failed.
    """
    git = scope.git
    step_context.log(records.CheckoutSwitched(*step_context.about(scope.entry), old=old, new=new))
    try:
        git.mutate(step_context.lock, *_switch(scope.entry), shown=True)
    except TrunklineError:
        if old and new and git.resolve("HEAD") == old:
            with contextlib.suppress(TrunklineError):  # best effort (the disk may be full): the next run tries again
                checkout.put_back(git, step_context.lock, old=old, new=new)
        raise


def switch_command(entry: Entry) -> str:
    """Return the command of `switch` as a person would type it."""
    return typed(_switch(entry))


def _switch(entry: Entry) -> tuple[str, ...]:
    return "switch", "--quiet", "--no-guess", "--no-overwrite-ignore", entry.branch


def left_behind(git: Git) -> tuple[str, ...]:
    """Return a line about the commits of a detached HEAD that no ref holds, with the command that keeps them."""
    head = git.resolve("HEAD")
    if head is None or refs.current_branch(git):
        return ()
    commits = history.on_no_ref(git, head)
    if not commits:
        return ()
    names = listed_briefly([f'{short(each.oid)} "{each.subject}"' for each in commits])
    keep = f"git branch left-at-{short(head)} {short(head)}"
    are = "is" if len(commits) == 1 else "are"
    return (f"warning: {counted(len(commits))} of your detached HEAD {are} on no branch: {names}; to keep: {keep}",)


def _what(entry: Entry) -> str:
    return f"your checkout cannot move along with {entry.branch} of {entry.label}"


def move(
    context: Context, step_context: StepContext, *, new: Oid, old: Oid | None, why: str, keeps_files: bool = False
) -> None:
    """Move the entry's branch from `old` to `new` with compare-and-swap, after a backup.

    Args:
        context: the entry's context.
        step_context: the step's arguments.
        new: the new tip.
        old: the tip that the branch must still have; None: it must not exist.
        why: the reflog message.
        keeps_files: if the branch is checked out, files and index stay as they are, as with
            `git commit --amend` and `git reset --soft`.

    Raises:
        Refused: it no longer holds `old`, or its checkout is no longer clean.
    """
    if new == old:
        return
    git, branch = context.git, context.entry.branch
    # Observe again: the user may have edited files or switched branches in the meantime.
    local = context.observer.local_now(branch)
    refuse_unmovable(local, keeps_files=keeps_files)
    along = local.checked_out and old is not None and not keeps_files
    if along and old is not None:
        obstacles.refuse(git, old, new, what=_what(context.entry))
    if old is not None:
        local_refs.back_up(git, step_context.lock, branch, old)
    about = step_context.about(context.entry)
    stays = keeps_files and local.checked_out
    step_context.log_intent(
        records.BranchMoved(*about, old=old, new=new, checked_out=local.checked_out and not stays, keeps_files=stays)
    )
    try:
        if along and old is not None:
            checkout.move(git, step_context.lock, old=old, new=new, what=_what(context.entry))
        local_refs.move_ref(git, step_context.lock, branch_ref(branch), new=new, old=old, why=why)
    except (Refused, ExternalError):
        if refs.read_ref(git, branch_ref(branch)) == new:
            raise  # git was killed, or ran into the time limit, after it had moved the ref: the move took effect
        if along and old is not None:
            checkout.put_back(git, step_context.lock, old=old, new=new)
        if not along or old is None or not checkout.is_half_moved(git, old=old, new=new):
            step_context.log(records.MoveWithdrawn(*about, new=new))
        raise


def move_command(local: LocalState, *, new: Oid, old: Oid | None, keeps_files: bool = False) -> str:
    """Return the command of `move` as a person would type it.

    `git update-ref` alone leaves the files of a checkout behind: git then shows the reversal of the move as staged.

    Args:
        local: the branch as observed.
        new: the new tip.
        old: the tip that the branch must still have; None: it must not exist.
        keeps_files: see `move`.
    """
    if local.checked_out and old is not None and not keeps_files:
        # It switches, too: a command before it (`git rebase`) may have left the branch.
        return typed(("switch", "-C", local.branch, new))
    return local_refs.move_command(branch_ref(local.branch), new=new, old=old)


def refuse_missing(context: Context) -> None:
    """Check that the entry's branch exists; the remote is read only if it does not exist here.

    Raises:
        Refused: it exists neither here nor on the remote.
    """
    is_here = refs.read_ref(context.git, branch_ref(context.entry.branch)) is not None
    if not is_here and context.view().local.remote is None:
        raise context.no_branch()


def commit_to_verify(context: Context, step_context: StepContext) -> Oid:
    """Return the commit that gates and checks run on; without a local branch, the remote branch's tip.

    Raises:
        Refused: the branch exists neither here nor on the remote.
    """
    ref = branch_ref(context.entry.branch)
    if refs.read_ref(context.git, ref) is not None:
        return context.verified_commit()
    tip = context.view().local.remote
    if tip is None:
        raise context.no_branch()
    fetch_tip(context, step_context, tip)
    remote = f"{context.stack.remote}/{context.entry.branch}"
    context.reporter.progress(f"no local branch {context.entry.branch}: verifying {short(tip)} of {remote}")
    return tip


def fetch_tip(scope: Scope, step_context: StepContext, tip: Oid) -> None:
    """Fetch the entry's remote branch, unless its tracking branch has this tip."""
    remote, branch = scope.stack.remote, scope.entry.branch
    tracking = refs.tracking_ref(remote, branch)
    if refs.read_ref(scope.git, tracking) != tip:
        refs.fetch(scope.git, step_context.lock, remote, {branch_ref(branch): tracking})


def settle(project: Project, lock: RepositoryLock, run: Run) -> bool:
    """Restore a checkout that a killed run had begun to move; return whether there was one.

    If it contains changes of the user, nothing is touched and the following check reports them
    (`checkout.put_back`).
    """
    half = _half_moved(project, run)
    if half is None:
        return False
    return checkout.put_back(project.git, lock, old=half[0], new=half[1])


def _half_moved(project: Project, run: Run) -> tuple[Oid, Oid] | None:
    """Return the two commits of a checkout that a run began to move; None if it did not."""
    move = run.moving_checkout
    if move is None or move.old is None or move.new is None:
        return None
    git, old, new = project.git, move.old, move.new
    if isinstance(move, records.CheckoutSwitched):
        is_there = git.resolve("HEAD") == old
    else:
        local = local_state(git, branch_name(move.branch))
        is_there = local.checked_out and local.local == old
    return (old, new) if is_there and not history.missing(git, [new]) else None
