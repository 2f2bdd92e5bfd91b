"""Moves the entry's local branch; a clean checkout of it moves along, nothing else of the user's does."""

from __future__ import annotations

from trunkline.adapters import refs
from trunkline.domain.errors import Refused, UsageError
from trunkline.domain.names import Oid, branch_ref
from trunkline.engine import Acting
from trunkline.workflows.context import Context
from trunkline.workflows.look import local_state
from trunkline.workflows.steps.switch import refuse_unmovable


def move(context: Context, acting: Acting, *, new: Oid, old: Oid | None, why: str) -> None:
    """Move the entry's branch from `old` to `new`, backup first, under compare-and-swap.

    Raises:
        Refused: it no longer holds `old`, or its checkout is no longer clean.
    """
    if new == old:
        return
    git, branch = context.git, context.entry.branch
    # Look again: the user may have edited or switched since (promises, fault 31).
    local = local_state(git, branch, None)
    refuse_unmovable(local)
    if old is not None:
        refs.back_up(git, acting.lease, branch, old)
    acting.intend(ref=branch_ref(branch), old=old, new=new, checkout=local.checked_out)
    if local.checked_out and old is not None:
        _move_checkout(context, acting, new=new, old=old)
    try:
        refs.move_ref(git, acting.lease, branch_ref(branch), new=new, old=old, why=why)
    except Refused:
        if local.checked_out and old is not None:
            _move_checkout(context, acting, new=old, old=new)
        raise
    context.forget_local()


def _move_checkout(context: Context, acting: Acting, *, new: Oid, old: Oid) -> None:
    """Bring the user's clean checkout from one commit to another; untracked files are never overwritten."""
    try:
        context.git.mutate(acting.lease, "read-tree", "-m", "-u", "--end-of-options", old, new)
    except UsageError as error:
        raise Refused(
            "your checkout cannot move along with the branch",
            why="a file of yours is in the way; nothing was changed",
            command=error.command,
            stderr=error.stderr,
            next_command="git status",
        ) from error
