"""rebase: the whole landing of one entry, or any of its steps alone."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Collection, Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from trunkline.adapters import journal, lease
from trunkline.adapters.git import Git
from trunkline.adapters.github import Repository
from trunkline.domain.command import task_command
from trunkline.domain.names import PrNumber, branch_name, pr_number
from trunkline.domain.snapshot import PrState
from trunkline.domain.stack import Entry, Stack
from trunkline.domain.step import REBASE_STEPS, Mark, Outcome, Plan, Step, StepKey, StepName
from trunkline.engine import Acting, Performed, Performer, perform
from trunkline.workflows import appeared, branch, evidence, misplaced, openrun
from trunkline.workflows.context import Context, Listener, Options
from trunkline.workflows.opening import open_context, top_of
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


def _push_within_rebase(context: Context, acting: Acting) -> Outcome:
    """Push, once the note that follows is known to be writable: a template that fails must fail before."""
    note.refuse_unusable(context)
    return push.perform(context, acting)


_WITHIN = {
    **_ALONE,
    StepName.SWITCH: _Way(switch.plan_within_rebase, switch.perform_within_rebase),
    StepName.PUSH: _Way(push.plan, _push_within_rebase),
}
WHOLE = "rebase"
_NEEDS_ITS_OWN = frozenset({StepName.VERIFY_MERGED, StepName.ONTO, StepName.PUSH, StepName.READY})
"""Steps that come to nothing good where a branch holds the commits of entries above."""


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
    if _NEEDS_ITS_OWN & set(names):
        misplaced.refuse(context)
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


def forecast(context: Context, task: str) -> Plan:
    """Return the plan that `run` would carry out.

    Raises:
        Paused: an earlier run of this entry waits for a person.
        TrunklineError: see `plan`.
    """
    refuse_while_paused(context, steps_of(task, context.entry))
    return plan(context, task)


def run(context: Context, task: str) -> Performed:
    """Do a task: hold the lease, open a journal, perform the steps.

    Raises:
        Paused: an earlier run of this entry waits for a person.
        Refused: another run holds the repository.
    """
    intended = forecast(context, task)
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
        Paused: a paused run needs these branches as they are.
        Refused: another run holds the repository.
        UsageError, Declined: the plan publishes, and that was not approved; nothing was done.
    """
    context.tell.require_approval(*intended.publishes)
    context.seen.planned.clear()  # from here on it is what happens
    bottom = context.of(context.stack.entry(intended.pr))
    with lease.hold(context.state, run=journal.new_run_id(label)) as held:
        openrun.refuse_while_paused(context.state, moves_of(bottom, intended))
        settle_last(bottom, held)
        log = journal.create(held)
        begun = started(bottom, intended)
        log.append(held, "run", **begun)
        appeared.remember(bottom, begun["heads"])
        with around(held) if around else contextlib.nullcontext():
            performed = perform(intended, ways, lease=held, journal=log, tell=context.tell)
    return explained(log.path, performed, intended)


def explained(path: Path, performed: Performed, plan: Plan) -> Performed:
    """Return how a run ended; of one of several entries that stopped, with what it has done of the others so far."""
    error = performed.error
    if error is None or all(step.pr is None for step in plan.steps):
        return performed
    so_far = openrun.progress(journal.read(path))
    if so_far:
        error.why = f"{error.why}\n{so_far}".lstrip()
        error.next_commands = tuple(dict.fromkeys((*error.next_commands, task_command("abort"))))
    return performed


def unless_merged(context: Context, name: StepName, way: Performer) -> Performer:
    """Return a step that does nothing for an entry that somebody has merged meanwhile."""

    def performer(acting: Acting) -> Outcome:
        pr = context.world().snapshot.pr(context.entry.pr)
        if name is StepName.MERGE or pr is None or pr.state is not PrState.MERGED:
            return way(acting)
        return Outcome(name.value, f"#{pr.number} is merged already, by somebody else", Mark.NOTHING)

    return performer


def settle_last(context: Context, held: lease.Lease) -> None:
    """Bring back a checkout that a run left half moved when it was killed (`branch.settle`)."""
    for run in openrun.stopped_runs(context.state):
        if branch.settle(context, held, run):
            context.tell.progress(f"brought your checkout back to where run {run.id} had found it")


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
        baseline=bool(started.get("baseline", False)),
        fork_point=str(started["fork_point"]),
        fresh=bool(started["fresh"]),
        clean=bool(started.get("clean", False)),
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
        "moves": moves_of(context, intended),
        "stack": context.stack.name,
        "stacked": context.stacked,
        **_place(context),
        "heads": appeared.heads(context),
        "skip": sorted(step.value for step in options.skip),
        "accept_unavailable": sorted(options.accept_unavailable),
        "accept_flaky": sorted(options.accept_flaky),
        "baseline": options.baseline,
        "fork_point": options.fork_point,
        "fresh": options.fresh,
        "clean": options.clean,
        "require": options.require,
        "method": options.method,
        "watch": options.watch,
        "drop_emptied": options.drop_emptied,
        "steps": [step_data(step) for step in intended.steps],
    }


def moves_of(context: Context, intended: Plan) -> list[str]:
    """Return the branches that a plan sets out to move: of its entries, or of the whole stack where it tidies up."""
    numbers = {step.pr for step in intended.steps if step.pr is not None}
    all_ = any(step.name is StepName.TIDY for step in intended.steps)
    branches = [entry.branch for entry in context.stack.entries if all_ or entry.pr in numbers]
    return openrun.moved_by(intended, context.entry.branch, branches)


def _place(context: Context) -> dict[str, Any]:
    """Return where a run works, so that it can be taken back whatever has become of stack.toml and of the remote."""
    stack, repository = context.stack, context.repository
    return {
        "trunk": stack.trunk,
        "remote": stack.remote,
        "entries": [{"pr": entry.pr, "branch": entry.branch} for entry in stack.entries],
        "repository": [repository.host, repository.owner, repository.name],
    }


def recorded_context(run: journal.Run, *, tell: Listener, cwd: Path | None = None) -> Context:
    """Return the context that a run was started in from its journal alone; stack.toml is not read.

    That is enough to put back what the run changed, and for nothing else: it knows no gates and no settings.
    """
    begun = run.started
    if "entries" not in begun:  # a run that an older version began
        return context_of(run, tell=tell, cwd=cwd)
    entries = tuple(Entry(pr_number(str(each["pr"])), branch_name(each["branch"])) for each in begun["entries"])
    stack = Stack(branch_name(begun["trunk"]), str(begun["remote"]), entries, str(begun["stack"]))
    git, entry = top_of(Git(cwd or Path.cwd())), stack.entry(pr_number(str(begun["pr"])))
    context = Context(git.telling(tell.command), stack, entry, Repository(*begun["repository"]), Options(), tell)
    return context.over_the_stack() if begun.get("stacked") else context


def step_data(step: Step) -> dict[str, Any]:
    """Return a step as a run's first record has it."""
    return {
        "name": step.name.value,
        "does": step.does,
        "commands": list(step.commands),
        "publishes": list(step.publishes),
        **step.about,
    }


def step_of(data: Any) -> Step:
    """Return the step that `step_data` wrote."""
    pr = data.get("pr")
    commands = tuple(str(command) for command in data["commands"])
    publishes = tuple(str(line) for line in data.get("publishes", ()))
    return Step(
        StepName(data["name"]), str(data["does"]), commands, pr=None if pr is None else pr_number(str(pr)),
        publishes=publishes,
    )  # fmt: skip


def _ways(task: str) -> dict[StepName, _Way]:
    return _WITHIN if task == WHOLE else _ALONE


def _skipped(context: Context, names: Collection[StepName]) -> tuple[StepName, ...]:
    return tuple(name for name in names if name in context.options.skip and len(names) > 1)


def refuse_while_paused(context: Context, steps: Collection[StepName]) -> None:
    """See, before anything is decided, that no paused run needs the branches that these steps would move.

    Raises:
        Paused: one does; of this entry, or of one of the whole stack.
    """
    if openrun.moves_branches(steps):
        entries = context.stack.entries if context.stacked else (context.entry,)
        openrun.refuse_while_paused(context.state, [entry.branch for entry in entries])
