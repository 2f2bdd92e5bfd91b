"""Step `switch`: create the entry's local branch; as a task of its own, also check it out."""

from __future__ import annotations

from msgspec import structs

from trunkline.context.run import Context
from trunkline.context.view import View
from trunkline.domain import records
from trunkline.domain.command import task_command
from trunkline.domain.errors import Refused
from trunkline.domain.names import branch_ref
from trunkline.domain.snapshot import LocalState
from trunkline.domain.step import Outcome, Step, StepName, StepStatus
from trunkline.engine import StepContext
from trunkline.git import local_refs, obstacles, refs
from trunkline.operations import inclusion, local_branch, stashed
from trunkline.operations.local_branch import dirty, refuse_elsewhere, refuse_unmovable


def plan(view: View) -> Step:
    """Plan the step as a task of its own.

    Raises:
        Refused: the switch would fail.
    """
    _refuse_switch(view)
    command = local_branch.switch_command(view.entry)
    return Step(StepName.SWITCH, f"check out {view.entry.branch}", (command,), mutates=True)


def plan_in_rebase(view: View) -> Step:
    """Plan the step as part of a rebase, which does not use the user's checkout."""
    branch = view.entry.branch
    if view.local.local is not None:
        return Step(StepName.SWITCH, f"check that {branch} can be moved; it exists locally", mutates=True)
    if view.local.remote is None:
        raise view.no_branch()
    return Step(StepName.SWITCH, f"create the local branch {branch}", _creation(view), mutates=True)


def creating(view: View, step: Step) -> Step:
    """Return a planned replay with the creation of its local branch, if there is none (`ensure_branch`)."""
    if view.local.local is not None:
        return step
    description = f"create the local branch {view.entry.branch}; {step.description}"
    return structs.replace(step, description=description, commands=(*_creation(view), *step.commands))


def _creation(view: View) -> tuple[str, ...]:
    branch, tip = view.entry.branch, view.local.remote
    if tip is None:
        raise view.no_branch()
    return (
        local_refs.move_command(branch_ref(branch), new=tip, old=None),
        local_refs.upstream_command(view.stack.remote, branch),
    )


def run(context: Context, step_context: StepContext) -> Outcome:
    """Check out the entry's branch; never with uncommitted changes.

    With `--stash` they are stashed, and come back when their branch is checked out again.

    Raises:
        Refused: the checkout has uncommitted changes, or another work tree has the branch.
    """
    view, branch = context.view(), context.entry.branch
    if view.local.checked_out:
        mark, messages = stashed.bring_back(context.git, step_context, branch)
        return Outcome("on branch", str(branch), mark if messages else StepStatus.NOTHING, messages)
    _refuse_switch(view)
    left = refs.current_branch(context.git)
    behind = () if left else local_branch.left_behind(context.git)
    put_away = bool(view.local.changes)
    if put_away:
        stashed.put_away(context.git, step_context, left)
    head, tip = context.git.resolve("HEAD"), ensure_branch(context, step_context).local
    local_branch.switch(context, step_context, old=head, new=tip)
    mark, messages = stashed.bring_back(context.git, step_context, branch)
    stays = (f"your changes on {left or 'a detached HEAD'} are stashed",) if put_away else ()
    return Outcome("switched", f"to {branch}", StepStatus.WARNED if behind else mark, (*behind, *stays, *messages))


def _refuse_switch(view: View) -> None:
    """Refuse a switch that would carry edits along or overwrite files of the user."""
    local = view.local
    if local.checked_out:
        return
    refuse_elsewhere(local)
    head, tip = view.git.resolve("HEAD"), local.local or local.remote
    if tip is None:
        raise view.no_branch()
    try:
        if local.changes and not view.options.stash:
            refused = dirty(local, "switching would carry them to another branch")
            again = task_command(
                "switch", "--pr", view.entry.key, "--stash", comment="they come back with their branch"
            )
            refused.next_commands = (again, *refused.next_commands)
            raise refused
        if head is not None and tip is not None:
            what = f"your checkout cannot switch to {view.entry.branch} of {view.entry.label}"
            obstacles.refuse(view.git, head, tip, what=what)
    except Refused:
        if not local_branch.is_half_moved(view.project):
            raise


def run_in_rebase(context: Context, step_context: StepContext) -> Outcome:
    """Check that the local branch exists and can be moved; keep the checkout as it is.

    Raises:
        Refused: the branch is checked out with uncommitted changes, here or in another work tree.
    """
    local = ensure_branch(context, step_context)
    refuse_unmovable(local)
    stays = (
        f"{context.entry.branch} is checked out and clean; the checkout moves with it"
        if local.checked_out
        else (f"{context.entry.branch} exists locally; your checkout is unchanged")
    )
    return Outcome("branch", stays, StepStatus.NOTHING)


def ensure_branch(context: Context, step_context: StepContext) -> LocalState:
    """Return the local branch; create it from the remote branch if it does not exist.

    Raises:
        Refused: the remote branch does not exist either.
    """
    local = context.view().local
    if local.local is not None:
        return local
    if local.remote is None:
        raise context.no_branch()
    inclusion.settle(context, step_context)
    remote, ref = context.stack.remote, branch_ref(local.branch)
    step_context.log_intent(records.BranchMoved(*step_context.about(context.entry), old=None, new=local.remote))
    local_branch.fetch_tip(context, step_context, local.remote)
    local_refs.move_ref(context.git, step_context.lock, ref, new=local.remote, old=None, why=f"from {remote}")
    context.git.report_command(local_refs.move_command(ref, new=local.remote, old=None))
    local_refs.set_upstream(context.git, step_context.lock, remote, local.branch)
    return context.view().local
