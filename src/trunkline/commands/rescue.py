"""Command `rescue`: reopen a pull request that was closed by hand or because its base branch was deleted."""

from __future__ import annotations

from trunkline.commands import runner
from trunkline.context.run import Context
from trunkline.domain.decisions import Forecast
from trunkline.domain.step import Plan, StepKey, StepName
from trunkline.engine import RunResult, StepFunction
from trunkline.steps import rescue

TASK = "rescue"


def forecast(context: Context) -> Plan:
    """Return the plan that `run` would execute.

    Raises:
        Paused: a paused run needs the branches as they are.
        Refused: the pull request is open or merged, it landed, or its base is unknown.
    """
    runner.refuse_while_paused(context, (StepName.RESCUE,))
    step = rescue.plan(context.view())
    return Plan(TASK, context.entry.key, (step,))


def run(context: Context) -> RunResult:
    """Reopen the pull request: take the lock, open a journal, run the step.

    Raises:
        Refused: another run holds the lock; or see `forecast`.
    """
    intended = forecast(context)
    return runner.carry_out(context, Forecast(intended), step_functions(context, intended), label=str(intended.pr))


def step_functions(context: Context, intended: Plan) -> dict[StepKey, StepFunction]:
    """Return the function of the plan's step."""
    entry_context = context.of(context.stack.entry(intended.pr))
    return {(StepName.RESCUE, None): lambda step_context: rescue.run(entry_context, step_context)}
