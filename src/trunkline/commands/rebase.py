"""Command `rebase`: the complete landing of one entry, or a single step of it."""

from __future__ import annotations

from collections.abc import Callable, Collection
from functools import partial
from pathlib import Path

from trunkline.commands import runner
from trunkline.context.loading import open_context
from trunkline.context.project import Reporter
from trunkline.context.run import Context, observing
from trunkline.context.scope import Scope
from trunkline.context.view import View, already_merged
from trunkline.domain.decisions import Forecast
from trunkline.domain.names import EntryKey
from trunkline.domain.options import Options
from trunkline.domain.stack import Entry
from trunkline.domain.step import REBASE_STEPS, Outcome, Plan, Step, StepKey, StepName, StepStatus
from trunkline.engine import RunResult, StepContext, StepFunction
from trunkline.operations import local_branch
from trunkline.planning import heads, misplaced_commits
from trunkline.state import journal
from trunkline.state.change_log import Part
from trunkline.steps import (
    checklist,
    checks,
    fetch,
    fmt,
    gates,
    next_entry,
    note,
    push,
    ready,
    replay,
    switch,
    verify_merged,
)

_PLANNERS_OFFLINE: dict[StepName, Callable[[Scope], Step]] = {
    StepName.FMT: fmt.plan,
    StepName.GATES: gates.plan,
    StepName.CHECKS: checks.plan,
    StepName.CHECKLIST: checklist.plan,
    StepName.NEXT: next_entry.plan,
}
"""Plan a step from stack.toml alone."""
_PLANNERS: dict[StepName, Callable[[View], Step]] = {
    **_PLANNERS_OFFLINE,
    StepName.VERIFY_MERGED: verify_merged.plan,
    StepName.SWITCH: switch.plan,
    StepName.FETCH: fetch.plan_in_run,
    StepName.REPLAY: replay.plan,
    StepName.PUSH: push.plan,
    StepName.READY: ready.plan,
    StepName.NOTE: note.plan_alone,
}
_RUNNERS: dict[StepName, Callable[[Context, StepContext], Outcome]] = {
    StepName.VERIFY_MERGED: observing(verify_merged.run),
    StepName.SWITCH: switch.run,
    StepName.FETCH: fetch.run,
    StepName.REPLAY: replay.run,
    StepName.FMT: fmt.run,
    StepName.GATES: gates.run,
    StepName.CHECKS: checks.run,
    StepName.PUSH: push.run,
    StepName.READY: ready.run,
    StepName.NOTE: note.run,
    StepName.CHECKLIST: observing(checklist.run, Part.ALL),
    StepName.NEXT: observing(next_entry.run),
}


def _push_within_rebase(context: Context, step_context: StepContext) -> Outcome:
    """Push, after checking that the note can be rendered.

    An invalid template must fail before anything is published.
    """
    note.refuse_unusable(context.view())
    return push.run(context, step_context)


_PLANNERS_IN_REBASE = {
    **_PLANNERS,
    StepName.SWITCH: switch.plan_in_rebase,
    StepName.PUSH: push.plan_in_rebase,
    StepName.READY: ready.plan_in_rebase,
    StepName.NOTE: note.plan,
}
_RUNNERS_IN_REBASE = {**_RUNNERS, StepName.SWITCH: switch.run_in_rebase, StepName.PUSH: _push_within_rebase}
WHOLE = "rebase"
_NEEDS_ITS_OWN = frozenset({StepName.VERIFY_MERGED, StepName.REPLAY, StepName.PUSH, StepName.READY})
"""Steps that are refused if the branch holds commits of entries above it."""

_NEEDS_BRANCH = frozenset({StepName.FMT, StepName.GATES, StepName.CHECKS})
_NEEDS_PULL_REQUEST = frozenset(
    {StepName.VERIFY_MERGED, StepName.PUSH, StepName.READY, StepName.NOTE, StepName.CHECKLIST}
)


def steps_of(task: str, entry: Entry) -> tuple[StepName, ...]:
    """Return the steps of a task: all necessary ones for `rebase`, else the step of that name."""
    return needed(REBASE_STEPS, entry) if task == WHOLE else (StepName(task),)


def needed(steps: Collection[StepName], entry: Entry) -> tuple[StepName, ...]:
    """Return the steps that an entry needs: without checks, the step `checks` is left out."""
    return tuple(step for step in steps if step is not StepName.CHECKS or entry.checks)


def plan(context: Context, task: str) -> Forecast:
    """Plan a task from one observation; nothing changes.

    Raises:
        TrunklineError: the task would fail with the same error.
    """
    names = steps_of(task, context.entry)
    if _NEEDS_PULL_REQUEST & set(names) and context.entry.number is None:
        raise context.entry.no_pull_request()
    if set(names) <= _PLANNERS_OFFLINE.keys():
        if _NEEDS_BRANCH & set(names):
            local_branch.refuse_missing(context)
        offline = tuple(_PLANNERS_OFFLINE[name](context) for name in names)
        return Forecast(Plan(task, context.entry.key, offline, _skipped(context.options, names)))
    view = context.view()
    if _NEEDS_ITS_OWN & set(names):
        misplaced_commits.refuse(view)
    if StepName.VERIFY_MERGED in names:
        verify_merged.run(view)
    if StepName.REPLAY in names:
        heads.load(view)
    steps, planners = list[Step](), _PLANNERS_IN_REBASE if task == WHOLE else _PLANNERS
    for name in names:
        if name is StepName.REPLAY and name not in view.options.skip:
            step, view = replay.forecast(view)
        else:
            step = planners[name](view)
        steps.append(step)
    return Forecast(Plan(task, view.entry.key, tuple(steps), _skipped(view.options, names)), view.decisions)


def plan_step(view: View, name: StepName) -> Step:
    """Plan one step as part of a landing."""
    return _PLANNERS_IN_REBASE[name](view)


def forecast(context: Context, task: str) -> Forecast:
    """Return the plan that `run` would execute.

    Raises:
        Paused: an earlier run of this entry is paused.
        TrunklineError: see `plan`.
    """
    runner.refuse_while_paused(context, steps_of(task, context.entry))
    return plan(context, task)


def nothing_to_do(context: Context) -> tuple[Outcome, tuple[str, ...]] | None:
    """Return the outcome of `rebase` for a merged entry, with the next commands; None: it is not merged.

    Raises:
        Paused: an earlier run of this entry is paused.
    """
    runner.refuse_while_paused(context, steps_of(WHOLE, context.entry))
    merged = already_merged(context.view())
    if merged is None:
        return None
    return Outcome("nothing to do", merged.what, StepStatus.NOTHING, (merged.why,)), merged.next_commands


def run(context: Context, task: str) -> RunResult:
    """Run a task: take the lock, open a journal, run the steps.

    Raises:
        Paused: an earlier run of this entry is paused.
        Refused: another run holds the lock.
    """
    intended = forecast(context, task)
    return runner.carry_out(context, intended, step_functions(context, task), label=str(context.entry.key))


def step_functions(context: Context, task: str, *, pr: EntryKey | None = None) -> dict[StepKey, StepFunction]:
    """Return the function of each step in this context.

    With `pr`, the steps belong to that entry in a plan for several entries.
    """
    runners = _RUNNERS_IN_REBASE if task == WHOLE else _RUNNERS
    return {(name, pr): partial(function, context) for name, function in runners.items()}


def context_of(run: journal.Run, *, reporter: Reporter, cwd: Path | None = None) -> Context:
    """Return the context in which a run was started."""
    begun = run.begun
    context = open_context(str(begun.pr), stack=begun.stack, options=begun.options, reporter=reporter, cwd=cwd)
    return context.over_the_stack() if begun.stacked else context


def _skipped(options: Options, names: Collection[StepName]) -> tuple[StepName, ...]:
    return tuple(name for name in names if name in options.skip and len(names) > 1)
