"""rebase: the whole landing of one entry, or any of its steps alone."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Collection, Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from trunkline.adapters import journal, lease
from trunkline.domain.errors import Paused
from trunkline.domain.names import PrNumber, pr_number
from trunkline.domain.stack import Entry
from trunkline.domain.step import REBASE_STEPS, Outcome, Plan, Step, StepKey, StepName
from trunkline.engine import Acting, Performed, Performer, perform
from trunkline.workflows import branch, evidence
from trunkline.workflows.context import Context, Listener, Options
from trunkline.workflows.opening import open_context
from trunkline.workflows.steps import (
    checklist,
    checks,
    fetch,
    fmt,
    gates,
    next_entry,
    note,
    onto,
    push,
    ready,
    switch,
    verify,
)


@dataclass(frozen=True)
class _Way:
    """How a step is planned and done."""

    plan: Callable[[Context], Step]
    perform: Callable[[Context, Acting], Outcome]


_ALONE = {
    StepName.VERIFY_MERGED: _Way(verify.plan, verify.perform),
    StepName.SWITCH: _Way(switch.plan, switch.perform),
    StepName.FETCH: _Way(fetch.plan, fetch.perform),
    StepName.ONTO: _Way(onto.plan, onto.perform),
    StepName.FMT: _Way(fmt.plan, fmt.perform),
    StepName.GATES: _Way(gates.plan, gates.perform),
    StepName.CHECKS: _Way(checks.plan, checks.perform),
    StepName.PUSH: _Way(push.plan, push.perform),
    StepName.READY: _Way(ready.plan, ready.perform),
    StepName.NOTE: _Way(note.plan, note.perform),
    StepName.CHECKLIST: _Way(checklist.plan, checklist.perform),
    StepName.NEXT: _Way(next_entry.plan, next_entry.perform),
}
_WITHIN = {**_ALONE, StepName.SWITCH: _Way(switch.plan_within_rebase, switch.perform_within_rebase)}
WHOLE = "rebase"


def steps_of(task: str, entry: Entry) -> tuple[StepName, ...]:
    """Return the steps of a task for an entry: all that it needs for `rebase`, else the one of that name."""
    return needed(REBASE_STEPS, entry) if task == WHOLE else (StepName(task),)


def needed(steps: Collection[StepName], entry: Entry) -> tuple[StepName, ...]:
    """Return those of a landing's steps that an entry needs: one without checks has none to evaluate."""
    return tuple(step for step in steps if step is not StepName.CHECKS or entry.checks)


def plan(context: Context, task: str) -> Plan:
    """Decide what a task will do, from one look at the world; nothing moves.

    Raises:
        TrunklineError: it could not be done; the same refusals as when it is.
    """
    names = steps_of(task, context.entry)
    if StepName.VERIFY_MERGED in names:
        verify.perform(context)
    if StepName.ONTO in names:
        evidence.load(context)
    steps = []
    for name in names:
        foresee = name is StepName.ONTO and name not in context.options.skip
        steps.append(onto.forecast(context) if foresee else _ways(task)[name].plan(context))
    return Plan(task, context.entry.pr, tuple(steps), _skipped(context, names))


def plan_step(context: Context, name: StepName) -> Step:
    """Plan one step as part of a landing."""
    return _WITHIN[name].plan(context)


def run(context: Context, task: str) -> Performed:
    """Do a task: hold the lease, open a journal, perform the steps.

    Raises:
        Paused: an earlier run of this entry waits for a person.
        Refused: another run holds the repository.
    """
    intended = plan(context, task)
    return carry_out(context, intended, performers(context, task), label=str(context.entry.pr))


def carry_out(
    context: Context,
    intended: Plan,
    ways: Mapping[StepKey, Performer],
    *,
    label: str,
    around: Callable[[lease.Lease], AbstractContextManager[None]] | None = None,
) -> Performed:
    """Hold the lease, open a journal, perform a plan's steps; of one entry or of the whole stack.

    Args:
        context: where.
        intended: the plan.
        ways: how its steps are done.
        label: what the run's id ends with.
        around: entered before the first step, left after the last.

    Raises:
        Paused: an earlier run waits for a person.
        Refused: another run holds the repository.
    """
    context.seen.planned.clear()  # from here on it is what happens
    bottom = context.of(context.stack.entry(intended.pr))
    with lease.hold(context.state, run=journal.new_run_id(label)) as held:
        if any(step.name is StepName.ONTO for step in intended.steps):
            refuse_while_paused(context)
        settle_last(bottom, held)
        log = journal.create(held)
        log.append(held, "run", **started(bottom, intended))
        with around(held) if around else contextlib.nullcontext():
            return perform(intended, ways, lease=held, journal=log, tell=context.tell)


def settle_last(context: Context, held: lease.Lease) -> None:
    """Bring back a checkout that the newest run left half moved when it was killed (`branch.settle`)."""
    newest = journal.newest(context.state)
    if newest is not None and newest.state in {"interrupted", "aborting"} and branch.settle(context, held, newest):
        context.tell.progress(f"brought your checkout back to where run {newest.id} had found it")


def performers(context: Context, task: str, *, pr: PrNumber | None = None) -> dict[StepKey, Performer]:
    """Return how each step is done in this context; with `pr`, as steps of that entry in a plan of several."""

    def bound(way: _Way) -> Performer:
        return lambda acting: way.perform(context, acting)

    return {(name, pr): bound(way) for name, way in _ways(task).items()}


def options_of(started: Any) -> Options:
    """Return the options that a run was started with, from its journal."""
    return Options(
        skip=frozenset(StepName(name) for name in started["skip"]),
        accept_unavailable=frozenset(started["accept_unavailable"]),
        accept_flaky=frozenset(started.get("accept_flaky", ())),
        fork_point=str(started["fork_point"]),
        fresh=bool(started["fresh"]),
        require=str(started.get("require", "")),
        method=str(started.get("method", "")),
        watch=bool(started.get("watch", False)),
        drop_emptied=bool(started.get("drop_emptied", False)),
    )


def context_of(run: journal.Run, *, tell: Listener, cwd: Path | None = None) -> Context:
    """Return the context that a run was started in."""
    begun = run.started
    context = open_context(str(begun["pr"]), stack=str(begun["stack"]), options=options_of(begun), tell=tell, cwd=cwd)
    return context.over_the_stack() if begun.get("stacked") else context


def started(context: Context, intended: Plan) -> dict[str, Any]:
    """Return a run's first record: enough to take it up again."""
    options = context.options
    return {
        "task": intended.task,
        "pr": intended.pr,
        "branch": context.entry.branch,
        "stack": context.stack.name,
        "stacked": context.stacked,
        "skip": sorted(step.value for step in options.skip),
        "accept_unavailable": sorted(options.accept_unavailable),
        "accept_flaky": sorted(options.accept_flaky),
        "fork_point": options.fork_point,
        "fresh": options.fresh,
        "require": options.require,
        "method": options.method,
        "watch": options.watch,
        "drop_emptied": options.drop_emptied,
        "steps": [step_data(step) for step in intended.steps],
    }


def step_data(step: Step) -> dict[str, Any]:
    """Return a step as a run's first record has it."""
    return {"name": step.name.value, "does": step.does, "commands": list(step.commands), **step.about}


def step_of(data: Any) -> Step:
    """Return the step that `step_data` wrote."""
    pr = data.get("pr")
    commands = tuple(str(command) for command in data["commands"])
    return Step(StepName(data["name"]), str(data["does"]), commands, pr=None if pr is None else pr_number(str(pr)))


def _ways(task: str) -> dict[StepName, _Way]:
    return _WITHIN if task == WHOLE else _ALONE


def _skipped(context: Context, names: Collection[StepName]) -> tuple[StepName, ...]:
    return tuple(name for name in names if name in context.options.skip and len(names) > 1)


def refuse_while_paused(context: Context) -> None:
    """Refuse to begin what an earlier run has begun and waits for a person with.

    Raises:
        Paused: one does; of this entry, or of the whole stack.
    """
    for earlier in journal.runs(context.state):
        same = earlier.started.get("branch") == context.entry.branch
        if not (same or context.stacked or earlier.started.get("stacked")):
            continue
        paused = earlier.pause
        if paused:
            raise Paused(
                f"run {earlier.id} of #{paused.data['pr']} waits for you",
                why=f"a conflict in {', '.join(paused.data['files'])}\nresolve it in {paused.data['worktree']}",
                next_command=("invoke continue", "invoke abort"),
            )
        if same or earlier.started.get("stacked"):
            break
