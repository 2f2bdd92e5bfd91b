"""Moves the entry's local branch; a clean checkout of it moves along, nothing else of the user's does."""

from __future__ import annotations

import contextlib

from trunkline.context import open_run
from trunkline.context.observation import local_state
from trunkline.context.project import Context
from trunkline.domain.errors import Refused, TrunklineError
from trunkline.domain.names import Oid, branch_name, branch_ref, oid
from trunkline.domain.snapshot import LocalState
from trunkline.engine import StepContext
from trunkline.git import checkout, history, obstacles, refs
from trunkline.state.journal import Run
from trunkline.state.lock import RepositoryLock


def refuse_unmovable(local: LocalState) -> None:
    """Refuse to move a branch under somebody's feet (promises, fault 33)."""
    refuse_elsewhere(local)
    if local.checked_out and local.changes:
        raise dirty(local, "they would be mixed with the rebased branch")


def dirty(local: LocalState, why: str) -> Refused:
    """Return the refusal over uncommitted changes."""
    listed = ", ".join(local.changes[:5]) + (" ..." if len(local.changes) > 5 else "")  # noqa: PLR2004 -- a line
    return Refused(
        "your checkout has uncommitted changes",
        why=f"{listed}: {why}; nothing was changed",
        next_command=("git commit", "git stash"),
    )


def refuse_elsewhere(local: LocalState) -> None:
    """Refuse to move a branch that another work tree has checked out."""
    if local.elsewhere:
        raise Refused(
            f"{local.branch} is checked out in another work tree",
            why=local.elsewhere,
            next_command=f"git -C {local.elsewhere} switch --detach",
        )


def foresee_move(context: Context, new: Oid) -> None:
    """Refuse what `move` would refuse, before anything moves.

    A checkout that a killed run left half moved is no reason: it is brought back before anything else is done.

    Raises:
        Refused: the branch is checked out elsewhere, or its checkout is not clean, or holds something in the way.
    """
    local = context.world().local
    try:
        refuse_unmovable(local)
        if local.checked_out and local.local is not None:
            obstacles.refuse(context.git, local.local, new, what=_what(context))
    except Refused:
        if not is_half_moved(context):
            raise


def is_half_moved(context: Context) -> bool:
    """Return whether a killed run left the checkout half moved, with its branch or to another.

    It is brought back before anything else is done (`settle`), so it is no reason to refuse.
    """
    halves = (_half_moved(context, run) for run in open_run.stopped_runs(context.state))
    return any(half and checkout.is_half_moved(context.git, old=half[0], new=half[1]) for half in halves)


def switch(context: Context, step_context: StepContext, *, old: Oid | None, new: Oid | None) -> None:
    """Let the checkout be one of the entry's branch; what a git that dies had written is taken back.

    Args:
        context: whose entry it is.
        step_context: proof.
        old: what is checked out; None: nothing yet.
        new: the branch's tip.

    Raises:
        OutsideFailed, UsageError: git failed.
    """
    git, arguments = context.git, ("switch", "--no-guess", "--no-overwrite-ignore", context.entry.branch)
    step_context.note("switching", context.entry, old=old, new=new, checkout=True)
    try:
        git.mutate(step_context.lock, *arguments, "--quiet", display="git " + " ".join(arguments))
    except TrunklineError:
        if old and new and git.resolve("HEAD") == old:
            with contextlib.suppress(TrunklineError):  # as for want of space: the next run tries again
                checkout.put_back(git, step_context.lock, old=old, new=new)
        raise
    context.invalidate_local()


def _what(context: Context) -> str:
    return f"your checkout cannot move along with {context.entry.branch} of #{context.entry.pr}"


def move(context: Context, step_context: StepContext, *, new: Oid, old: Oid | None, why: str) -> None:
    """Move the entry's branch from `old` to `new`, backup first, under compare-and-swap.

    Raises:
        Refused: it no longer holds `old`, or its checkout is no longer clean.
    """
    if new == old:
        return
    git, branch = context.git, context.entry.branch
    # Look again: the user may have edited or switched since (promises, fault 31).
    local = context.refresh_local()
    refuse_unmovable(local)
    along = local.checked_out and old is not None
    if along and old is not None:
        obstacles.refuse(git, old, new, what=_what(context))
    if old is not None:
        refs.back_up(git, step_context.lock, branch, old)
    step_context.log_intent(context.entry, ref=branch_ref(branch), old=old, new=new, checkout=local.checked_out)
    try:
        if along and old is not None:
            checkout.move(git, step_context.lock, old=old, new=new, what=_what(context))
        refs.move_ref(git, step_context.lock, branch_ref(branch), new=new, old=old, why=why)
    except Refused:
        if along and old is not None:
            checkout.put_back(git, step_context.lock, old=old, new=new)
        if not along or old is None or not checkout.is_half_moved(git, old=old, new=new):
            step_context.withdraw(context.entry, ref=branch_ref(branch), new=new)
        raise
    context.record_local_tip(new)


def settle(context: Context, lock: RepositoryLock, run: Run) -> bool:
    """Bring back a checkout that a killed run had begun to move, and return whether there was one.

    See `checkout.put_back`: where anything of the user's is among it, nothing is touched, and the refusal that
    follows names it.
    """
    half = _half_moved(context, run)
    if half is None:
        return False
    brought = checkout.put_back(context.git, lock, old=half[0], new=half[1])
    if brought:
        context.invalidate_local()
    return brought


def _half_moved(context: Context, run: Run) -> tuple[Oid, Oid] | None:
    """Return the two commits between which a run may have left the checkout; None: it did not move it."""
    intent = run.moving_checkout
    if intent is None or not intent.data["old"]:
        return None
    git, old, new = context.git, oid(str(intent.data["old"])), oid(str(intent.data["new"]))
    if intent.kind == "switching":
        is_there = git.resolve("HEAD") == old
    else:
        local = local_state(git, branch_name(str(intent.data["branch"])))
        is_there = local.checked_out and local.local == old
    return (old, new) if is_there and not history.missing(git, [new]) else None
