"""Command `sync`: bring the stack up to date with what others did since, and delete branches that have landed."""

from __future__ import annotations

from msgspec.structs import replace

from trunkline.commands import init, init_update, restack, runner
from trunkline.context.run import Context
from trunkline.context.view import View
from trunkline.domain.decisions import Forecast
from trunkline.domain.step import Plan, StepName
from trunkline.engine import RunResult
from trunkline.steps import cleanup, fetch

TASK = restack.SYNC


def forecast(context: Context) -> Forecast:
    """Return the plan that `run` would execute: a restack, then the deletion of merged local branches.

    If the whole stack has landed, trunk is fetched and the merged branches are deleted.

    Raises:
        Paused: an earlier run is paused, or the user must answer a question.
        Refused: a replay or a move would fail.
    """
    runner.refuse_while_paused(context, (StepName.REPLAY, StepName.CLEANUP))
    view = context.view()
    deletion = cleanup.plan_locally(view)
    if view.open_entries():
        found = restack.plan(context)
    else:
        found = Forecast(Plan(TASK, view.stack.entries[0].key, (fetch.plan(view),)), view.decisions)
    first, *others = found.plan.steps
    steps = (fetch.plan_with_trunk(first, view), *others, *([deletion] if deletion is not None else ()))
    skipped = tuple(dict.fromkeys(step.name for step in steps if step.name in view.options.skip))
    return replace(found, plan=replace(found.plan, task=TASK, steps=steps, skipped=skipped))


def run(context: Context) -> RunResult:
    """Run a plan of `forecast`.

    Raises:
        Paused: an earlier run is paused.
        Refused: another run holds the lock.
    """
    return restack.carry_out(context, forecast(context))


def next_stack(view: View, *, change: bool) -> init_update.Checked | None:
    """Return a landed stack with its successor; None if stack.toml stays as it is.

    Args:
        view: the landed stack.
        change: also write them into stack.toml.

    Raises:
        Refused: stack.toml is tracked on a branch where it must not be changed.
        ExternalError: the request to GitHub failed.
    """
    if view.open_entries():
        return None
    stack = view.stack
    discovered = init.observe(view.reporter, remote=stack.remote, trunk=stack.trunk, cwd=view.git.cwd)
    own = (each for each in init_update.check(discovered) if each.stack.name == stack.name)
    landed = [each for each in own if each.landed and each.differences]
    if landed and change:
        init_update.update(discovered, landed)
    return landed[0] if landed else None
