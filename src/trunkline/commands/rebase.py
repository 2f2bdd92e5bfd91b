"""Command `rebase`: the complete landing of one entry, or a single step of it."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from contextlib import AbstractContextManager
from functools import partial
from pathlib import Path

import msgspec

from trunkline.context import open_run
from trunkline.context.loading import open_context, top_of
from trunkline.context.observer import Part
from trunkline.context.project import Project, Reporter
from trunkline.context.run import Context, open_run_context
from trunkline.context.scope import Scope
from trunkline.context.view import View
from trunkline.domain.added import AddedEntry
from trunkline.domain.command import task_command
from trunkline.domain.decisions import Forecast
from trunkline.domain.errors import Refused, TransientError
from trunkline.domain.names import BranchName, EntryKey, branch_name
from trunkline.domain.options import Options
from trunkline.domain.records import Place, PlacedEntry, PlannedStep, RunStarted
from trunkline.domain.repository import Repository
from trunkline.domain.rewrite import Rewrite, Staged
from trunkline.domain.snapshot import PrState
from trunkline.domain.stack import Entry, Stack
from trunkline.domain.step import REBASE_STEPS, Outcome, Plan, Step, StepKey, StepName, StepStatus
from trunkline.engine import RunResult, StepContext, StepFunction, run_plan
from trunkline.git.git import Git
from trunkline.operations import local_branch
from trunkline.planning import heads, misplaced_commits, pushed_commits
from trunkline.state import journal, lock
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
    StepName.FETCH: fetch.plan,
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
    StepName.REPLAY: replay.plan,
    StepName.PUSH: push.plan,
    StepName.READY: ready.plan,
    StepName.NOTE: note.plan_without_gates,
}
_RUNNERS: dict[StepName, Callable[[Context, StepContext], Outcome]] = {
    StepName.VERIFY_MERGED: verify_merged.run,
    StepName.SWITCH: switch.run,
    StepName.FETCH: fetch.run,
    StepName.REPLAY: replay.run,
    StepName.FMT: fmt.run,
    StepName.GATES: gates.run,
    StepName.CHECKS: checks.run,
    StepName.PUSH: push.run,
    StepName.READY: ready.run,
    StepName.NOTE: note.run,
    StepName.CHECKLIST: checklist.run,
    StepName.NEXT: next_entry.run,
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
    if set(names) <= _PLANNERS_OFFLINE.keys():
        offline = tuple(_PLANNERS_OFFLINE[name](context) for name in names)
        return Forecast(Plan(task, context.entry.pr, offline, _skipped(context.options, names)))
    view = context.view()
    if _NEEDS_PULL_REQUEST & set(names) and context.entry.number is None:
        raise context.entry.no_pull_request()
    if _NEEDS_ITS_OWN & set(names):
        misplaced_commits.refuse(view)
    if StepName.VERIFY_MERGED in names:
        verify_merged.run(context)
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
    refuse_while_paused(context, steps_of(task, context.entry))
    return plan(context, task)


def run(context: Context, task: str) -> RunResult:
    """Run a task: take the lock, open a journal, run the steps.

    Raises:
        Paused: an earlier run of this entry is paused.
        Refused: another run holds the lock.
    """
    intended = forecast(context, task)
    return carry_out(context, intended, step_functions(context, task), label=str(context.entry.key))


class Inputs(msgspec.Struct, frozen=True):
    """The inputs of a run beside its plan, recorded for resuming it.

    Attributes:
        rewrites: the commits that the plan's `rewrite` steps move branches to.
        staged: the staged changes that are part of them.
        declared: the entries that stack.toml shall have; empty: it stays.
        added: the new entry that the plan adds.
    """

    rewrites: tuple[Rewrite, ...] = ()
    staged: Staged | None = None
    declared: Sequence[Entry] = ()
    added: AddedEntry | None = None


_NO_INPUTS = Inputs()


def carry_out(
    context: Context,
    forecast: Forecast,
    handlers: Mapping[StepKey, StepFunction],
    *,
    label: str,
    around: Callable[[lock.RepositoryLock], AbstractContextManager[None]] | None = None,
    inputs: Inputs = _NO_INPUTS,
) -> RunResult:
    """Take the lock, open a journal, and run the steps of a plan.

    Args:
        context: the context of the entry, or of the stack.
        forecast: the plan, with its decisions.
        handlers: the functions of its steps.
        label: the suffix of the run's id.
        around: a context manager around all steps.
        inputs: what the run is given beside the plan.

    Raises:
        Paused: a paused run needs these branches as they are.
        Refused: another run holds the lock.
        UsageError, Declined: publishing was not approved; nothing was changed.
    """
    intended = forecast.plan
    context.reporter.require_approval(*intended.publishes)
    bottom = context.of(context.stack.entry(intended.pr))
    with lock.hold(context.state, run=journal.new_run_id(label, context.state)) as held:
        open_run.refuse_while_paused(context.state, moves_of(bottom, intended))
        settle_last(bottom, held)
        log = journal.create(held)
        begun: RunStarted = msgspec.structs.replace(
            started(bottom, intended),
            rewrites=inputs.rewrites,
            staged=inputs.staged,
            declared=placed(inputs.declared),
            added=inputs.added,
        )
        log.append(held, begun)
        tips = pushed_commits.initial_tips(context.stack, begun.heads)
        context.run.begin(forecast.decisions, tips)
        with around(held) if around else contextlib.nullcontext():
            performed = run_plan(intended, handlers, lock=held, journal=log, reporter=context.reporter)
    return explained(log.path, performed, intended)


def explained(path: Path, performed: RunResult, plan: Plan) -> RunResult:
    """Return a run's result; if one of several entries stopped it, with the state of the others."""
    error = performed.error
    if isinstance(error, TransientError):
        error.next_commands = tuple(dict.fromkeys((task_command("continue"), *error.next_commands)))
    if error is None or all(step.pr is None for step in plan.steps):
        return performed
    so_far = open_run.progress(journal.read(path))
    if so_far:
        error.why = f"{error.why}\n{so_far}".lstrip()
        error.next_commands = tuple(dict.fromkeys((*error.next_commands, task_command("abort"))))
    return performed


def unless_merged(context: Context, name: StepName, function: StepFunction) -> StepFunction:
    """Wrap a step so that it does nothing if the entry was merged in the meantime.

    After a refusal the pull request is observed again: others may have merged or closed it while
    the step ran.

    Raises:
        Refused: the step was refused; the pull request was closed.
    """

    def by_others() -> Outcome | None:
        pr = context.world().snapshot.pr(context.entry.key)
        if name is StepName.MERGE or pr is None or pr.state is not PrState.MERGED:
            return None
        return Outcome(name.value, f"#{pr.number} is merged already, by somebody else", StepStatus.NOTHING)

    def step_function(step_context: StepContext) -> Outcome:
        if (merged := by_others()) is not None:
            return merged
        try:
            return function(step_context)
        except Refused:
            context.observer.changed()
            if (merged := by_others()) is not None:
                return merged
            pr = context.world().snapshot.pr(context.entry.key)
            if pr is not None and pr.state is PrState.CLOSED:
                context.view().pull_request()  # raises the error for a closed pull request
            raise

    return step_function


def settle_last(context: Context, held: lock.RepositoryLock) -> None:
    """Restore a checkout that a killed run left half moved (`local_branch.settle`)."""
    for run in open_run.stopped_runs(context.state):
        if local_branch.settle(context.project, held, run):
            context.observer.changed(Part.LOCAL)
            context.reporter.progress(f"brought your checkout back to where run {run.id} had found it")


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


def entries_of(placed_entries: Iterable[PlacedEntry]) -> tuple[Entry, ...]:
    """Return the entries of journal values."""
    return tuple(Entry(each.number, branch_name(each.branch)) for each in placed_entries)


def placed(entries: Iterable[Entry]) -> tuple[PlacedEntry, ...]:
    """Return entries as journal values."""
    return tuple(PlacedEntry(entry.key, entry.branch) for entry in entries)


def started(context: Context, intended: Plan) -> RunStarted:
    """Return a run's first record, which holds everything that resuming and reverting need.

    A run can be reverted whatever happened to stack.toml and the remote.
    """
    stack, repository = context.stack, context.repository
    return RunStarted(
        task=intended.task,
        pr=intended.pr,
        branch=context.entry.branch,
        moves=tuple(moves_of(context, intended)),
        stack=stack.name,
        stacked=context.stacked,
        trunk=stack.trunk,
        remote=stack.remote,
        entries=placed(stack.entries),
        repository=Place(repository.host, repository.owner, repository.name),
        heads=pushed_commits.heads(context.view()),
        options=context.options,
        steps=tuple(_recorded(step) for step in intended.steps),
    )


def moves_of(scope: Scope, intended: Plan) -> list[BranchName]:
    """Return the branches that a plan will move.

    They are those of its entries, or of the whole stack if merged branches are deleted.
    """
    if intended.branches:
        return sorted(intended.branches)
    numbers = {step.pr for step in intended.steps if step.pr is not None}
    all_ = any(step.name is StepName.CLEANUP for step in intended.steps)
    branches = [entry.branch for entry in scope.stack.entries if all_ or entry.key in numbers]
    return open_run.moved_by(intended, scope.entry.branch, branches)


def recorded_context(run: journal.Run, *, reporter: Reporter, cwd: Path | None = None) -> Context:
    """Return the context of a run from its journal alone, without stack.toml.

    It suffices to restore what the run changed, but it has no gates and no settings.
    """
    begun, place = run.begun, run.begun.repository
    entries = entries_of(begun.entries)
    stack = Stack(branch_name(begun.trunk), begun.remote, entries, begun.stack)
    git, entry = top_of(Git(cwd or Path.cwd())), stack.entry(begun.pr)
    repository = Repository(place.host, place.owner, place.name)
    project = Project(git.with_echo(reporter.command), stack, repository, Options(), reporter)
    return open_run_context(project, entry, stacked=begun.stacked)


def _recorded(step: Step) -> PlannedStep:
    return PlannedStep(
        name=step.name, description=step.description, commands=step.commands, publishes=step.publishes, pr=step.pr
    )


def step_of(recorded: PlannedStep) -> Step:
    """Return the step of a plan that a run's first record has."""
    return Step(recorded.name, recorded.description, recorded.commands, pr=recorded.pr, publishes=recorded.publishes)


def _skipped(options: Options, names: Collection[StepName]) -> tuple[StepName, ...]:
    return tuple(name for name in names if name in options.skip and len(names) > 1)


def refuse_while_paused(scope: Scope, steps: Collection[StepName]) -> None:
    """Check, before planning, that no paused run needs the branches that these steps would move.

    Raises:
        Paused: a paused run needs one.
    """
    if open_run.moves_branches(steps):
        entries = scope.stack.entries if scope.stacked else (scope.entry,)
        open_run.refuse_while_paused(scope.state, [entry.branch for entry in entries])
