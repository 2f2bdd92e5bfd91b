"""Tasks for stopped and finished runs: continue, skip, abort, undo, log."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from invoke.collection import Collection

from trunkline import commands
from trunkline import context as contexts
from trunkline.domain.checklist import next_commands
from trunkline.domain.command import Command, accept_unavailable, name_stack, task_command
from trunkline.domain.errors import CheckFailed
from trunkline.domain.step import StepName, StepStatus
from trunkline.tasks.definition import landing_task
from trunkline.tasks.opening import checkout
from trunkline.tasks.session import TaskSession

if TYPE_CHECKING:
    from trunkline.context.run import Context
    from trunkline.context.scope import Scope
    from trunkline.engine import RunResult
    from trunkline.state.journal import Run


def conclude(session: TaskSession, scope: Scope, result: RunResult) -> None:
    """Report how a run ended, and the command for the entry above after a landing.

    Raises:
        TrunklineError: the error that stopped the run.
        CheckFailed: the checklist has open lines.
    """
    session.finish_run(result)
    checklist = result.outcomes.get((StepName.CHECKLIST, None))
    if checklist is not None and checklist.mark is StepStatus.FAILED:
        commands = next_commands(scope.entry.key, checklist.data["lines"])
        raise CheckFailed("the checklist has open lines", next_command=commands)
    following = result.outcomes.get((StepName.NEXT, None))
    if following is not None:
        command: Command | None = following.data.get("command")
        condition = following.data.get("condition", "")
        session.terminal.next(Command(command.argv, condition) if command is not None else task_command("status"))


@landing_task("continue", mutates=True)
def continue_(session: TaskSession, include: str = "") -> None:
    """Continue the run that stopped: after a conflict, a failed gate, a kill."""
    _take_up(session, skip=False, include=include)


@landing_task("skip", mutates=True)
def skip(session: TaskSession) -> None:
    """Skip the commit at which the run paused, and continue; outcome and note list it."""
    _take_up(session, skip=True)


def _leave_conflict(session: TaskSession) -> None:
    """Leave the work tree of the run's conflict, which the run removes, for the checkout."""
    git = checkout()
    beside = contexts.open_run.checkout_beside_conflict(git)
    if beside is not None:
        session.terminal.line(f"working in {beside}, because {git.cwd} is removed at the end")
        os.chdir(beside)


def _take_up(session: TaskSession, *, skip: bool, include: str = "") -> None:
    _leave_conflict(session)
    taken_back = commands.abort.find_begun(session.terminal)
    if taken_back is not None:  # a killed abort is completed, never reversed
        _abort(session, *taken_back, local=False)
        return
    found = commands.resume.find(session.terminal)
    if found is None:
        session.terminal.line(f"nothing to {'skip' if skip else 'continue'}: no run is open")
        return
    context, run = found
    name_stack(context.stack.name)
    accept_unavailable(context.options.accept_unavailable)
    taken = contexts.open_run.name_of(run) if len(run.moves) > 1 else context.entry.full_label
    session.terminal.headline(f"{taken} -> {context.stack.trunk}, run {run.id}")
    if session.dry_run:
        session.plan(commands.resume.plan(context, run, skip=skip))
    else:
        conclude(session, context, commands.resume.resume(context, run, skip=skip, include=include))
        if not session.terminal.commands_next:
            session.terminal.next(task_command("status"))


@landing_task("abort", mutates=True)
def abort(session: TaskSession, local: bool = False) -> None:
    """End the stopped run and restore the state before it; the rest is listed and kept."""
    _leave_conflict(session)
    found = commands.abort.find(session.terminal)
    if found is None:
        session.terminal.line("nothing to abort: no run is open")
        return
    _abort(session, *found, local=local)


def _abort(session: TaskSession, context: Context, run: Run, *, local: bool) -> None:
    name_stack(context.stack.name)
    if session.dry_run:
        session.plan(commands.abort.plan(context, run))
    else:
        session.outcome(commands.abort.abort(context, run, local=local))


@landing_task("undo", mutates=True)
def undo(session: TaskSession, run: str = "") -> None:
    """Revert a finished run: branch, remote, draft state, base, note; undo again to redo it."""
    found = commands.undo.find(session.terminal, run=run)
    if found is None or not found.changes:
        session.terminal.line("nothing to undo: no finished run changed anything")
        return
    name_stack(found.context.stack.name)
    session.terminal.headline(f"{contexts.open_run.name_of(found.run)}: back to before run {found.run.id}")
    session.account["undoes"] = found.run.id
    if session.dry_run:
        session.plan(commands.undo.forecast(found))
    else:
        session.finish_run(commands.undo.run(found))
        session.terminal.next(task_command("status"))


@landing_task("log", mutates=False)
def log(session: TaskSession) -> None:
    """List the runs of this repository, newest first, with the result of each step."""
    runs = commands.log.runs()
    session.account["runs"] = [commands.log.as_data(run) for run in runs]
    if not runs:
        session.terminal.line("no run yet")
    for run in runs:
        named = contexts.open_run.name_of(run) if run.started else ""
        session.terminal.line((run.id, "bold"), f"  {named}: {run.state}")
        for row in commands.log.rows(run):
            session.terminal.line(f"   {row}")


def add_to(namespace: Collection) -> None:
    """Add these tasks to the collection."""
    for each in (continue_, skip, abort, undo, log):
        namespace.add_task(each)
