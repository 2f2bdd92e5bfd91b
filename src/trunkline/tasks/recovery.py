"""The tasks of a run that stopped, or is over: continue, skip, abort, undo, log."""

from __future__ import annotations

from typing import TYPE_CHECKING

from invoke.collection import Collection

from trunkline.domain.command import task_command
from trunkline.domain.errors import CheckFailed
from trunkline.domain.step import StepName
from trunkline.tasks.definition import landing_task
from trunkline.tasks.telling import Told
from trunkline.workflows.context import Context

if TYPE_CHECKING:
    from trunkline.adapters.journal import Run
    from trunkline.engine import Performed


def conclude(told: Told, context: Context, performed: Performed) -> None:
    """Report how a run ended, and the command for the entry above where one was landed.

    Raises:
        TrunklineError: what stopped the run.
        CheckFailed: the checklist has open lines.
    """
    told.performed(performed)
    if told.failed_outcomes(performed):
        raise CheckFailed(
            "the checklist has open lines", next_command=task_command("rebase", "--pr", context.entry.pr)
        )
    above = context.stack.above(context.entry)
    if (StepName.NEXT, None) in performed.outcomes and above is not None:
        told.terminal.next(
            task_command("rebase", "--pr", above.pr), about=f"#{above.pr} {above.title}".rstrip() + ": "
        )


@landing_task("continue", mutates=True)
def continue_(told: Told, include: str = "") -> None:
    """Go on with the run that stopped: after a conflict, a failed gate, a kill."""
    _take_up(told, skip=False, include=include)


@landing_task("skip", mutates=True)
def skip(told: Told) -> None:
    """Leave out the commit that the paused run stopped at, and go on; outcome and reviewer note list it."""
    _take_up(told, skip=True)


def _take_up(told: Told, *, skip: bool, include: str = "") -> None:
    from trunkline.workflows import abort as abort_workflow
    from trunkline.workflows import resume

    taken_back = abort_workflow.find_begun(told.terminal)
    if taken_back is not None:  # a killed abort is finished, never turned round
        _abort(told, *taken_back, local=False)
        return
    found = resume.find(told.terminal)
    if found is None:
        told.terminal.line(f"nothing to {'skip' if skip else 'continue'}: no run is open")
        return
    context, run = found
    told.terminal.headline(f"#{context.entry.pr} {context.entry.branch} -> {context.stack.trunk}, run {run.id}")
    if told.dry_run:
        told.plan(resume.plan(context, run))
    else:
        conclude(told, context, resume.resume(context, run, skip=skip, include=include))


@landing_task("abort", mutates=True)
def abort(told: Told, local: bool = False) -> None:
    """End the run that stopped, and go back to before it; what cannot be restored is named and kept."""
    from trunkline.workflows import abort as abort_workflow

    found = abort_workflow.find(told.terminal)
    if found is None:
        told.terminal.line("nothing to abort: no run is open")
        return
    _abort(told, *found, local=local)


def _abort(told: Told, context: Context, run: Run, *, local: bool) -> None:
    from trunkline.workflows import abort as abort_workflow

    if told.dry_run:
        told.plan(abort_workflow.plan(context, run))
    else:
        told.outcome(abort_workflow.abort(context, run, local=local))


@landing_task("undo", mutates=True)
def undo(told: Told, run: str = "") -> None:
    """Take a finished run back: branch, remote, draft state, base, note; undo again to redo it."""
    from trunkline.workflows import undo as undo_workflow

    found = undo_workflow.find(told.terminal, run=run)
    if found is None or not found.changes:
        told.terminal.line("nothing to undo: no finished run changed anything")
        return
    entry = found.context.entry
    told.terminal.headline(f"#{entry.pr} {entry.branch}: back to before run {found.run.id}")
    told.account["undoes"] = found.run.id
    if told.dry_run:
        told.plan(undo_workflow.forecast(found))
    else:
        told.performed(undo_workflow.run(found))


@landing_task("log", mutates=False)
def log(told: Told) -> None:
    """List the runs of this repository, newest first, with what each step did."""
    from trunkline.workflows import log as log_workflow

    runs = log_workflow.runs()
    told.account["runs"] = [log_workflow.as_data(run) for run in runs]
    for run in runs:
        told.terminal.line((run.id, "bold"), f"  {run.task} #{run.started.get('pr')}: {run.state}")
        for row in log_workflow.rows(run):
            told.terminal.line(f"   {row}")


def add_to(namespace: Collection) -> None:
    """Add these tasks to the collection."""
    for each in (continue_, skip, abort, undo, log):
        namespace.add_task(each)
