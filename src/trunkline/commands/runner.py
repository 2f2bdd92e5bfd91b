"""Run the plan of a command: take the lock, open a journal, run the steps, and explain how the run ended."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from contextlib import AbstractContextManager
from pathlib import Path

import msgspec

from trunkline.context import open_run
from trunkline.context.loading import checkout
from trunkline.context.project import Project, Reporter
from trunkline.context.run import Context, open_run_context
from trunkline.context.scope import Scope
from trunkline.domain.added import AddedEntry
from trunkline.domain.command import Command, task_command
from trunkline.domain.decisions import Forecast
from trunkline.domain.errors import ExternalError, Refused, TransientError
from trunkline.domain.names import BranchName, branch_name
from trunkline.domain.options import Options
from trunkline.domain.records import Place, PlacedEntry, PlannedStep, RunStarted
from trunkline.domain.repository import Repository
from trunkline.domain.rewrite import Rewrite, Staged
from trunkline.domain.snapshot import PrState
from trunkline.domain.stack import Entry, Stack
from trunkline.domain.step import Outcome, Plan, Step, StepKey, StepName, StepStatus
from trunkline.engine import RunResult, StepContext, StepFunction, run_plan
from trunkline.operations import local_branch
from trunkline.planning import pushed_commits
from trunkline.state import journal, lock
from trunkline.state.change_log import Part


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
        settle_last(bottom.project, held)
        log = journal.create(held)
        begun: RunStarted = msgspec.structs.replace(
            started(bottom, intended),
            rewrites=inputs.rewrites,
            staged=inputs.staged,
            declared=placed(inputs.declared),
            added=inputs.added,
        )
        log.append(held, begun)
        tips = pushed_commits.initial_tips(context.stack, begun)
        context.run.begin(forecast.decisions, tips)
        with around(held) if around else contextlib.nullcontext():
            result = run_plan(intended, handlers, lock=held, journal=log, reporter=context.reporter)
    return explained(log.path, result, intended)


def explained(path: Path, result: RunResult, plan: Plan) -> RunResult:
    """Return a run's result; if one of several entries stopped it, with the state of the others."""
    error = result.error
    if isinstance(error, TransientError):
        error.next_commands = tuple(dict.fromkeys((task_command("continue"), *error.next_commands)))
    elif isinstance(error, ExternalError) and not any(isinstance(each, Command) for each in error.next_commands):
        error.next_commands = (*error.next_commands, task_command("continue"))
    if error is None or all(step.pr is None for step in plan.steps):
        return result
    so_far = open_run.progress(journal.read(path))
    if so_far:
        lines = error.why.splitlines()
        introduces = error.why.endswith(":")  # its last line introduces the next commands
        lines.insert(len(lines) - 1 if introduces else len(lines), so_far)
        error.why = "\n".join(lines)
        onwards = error.next_commands or (task_command("continue"),)
        error.next_commands = tuple(dict.fromkeys((*onwards, task_command("abort"))))
    return result


def unless_merged(context: Context, name: StepName, function: StepFunction) -> StepFunction:
    """Wrap a step so that it does nothing if the entry was merged in the meantime.

    After a refusal the pull request is observed again: others may have merged or closed it while
    the step ran.

    Raises:
        Refused: the step was refused; the pull request was closed.
    """

    def by_others(fresh: Part = Part.NOTHING) -> Outcome | None:
        pr = context.world(fresh).snapshot.pr(context.entry.key)
        if name is StepName.MERGE or pr is None or pr.state is not PrState.MERGED:
            return None
        return Outcome(name.value, f"#{pr.number} is merged already, by somebody else", StepStatus.NOTHING)

    def step_function(step_context: StepContext) -> Outcome:
        if (merged := by_others()) is not None:
            return merged
        try:
            return function(step_context)
        except Refused:
            if (merged := by_others(Part.ALL)) is not None:
                return merged
            pr = context.world().snapshot.pr(context.entry.key)
            if pr is not None and pr.state is PrState.CLOSED:
                context.view().pull_request()  # raises the error for a closed pull request
            raise

    return step_function


def settle_last(project: Project, held: lock.RepositoryLock) -> None:
    """Restore a checkout that a killed run left half moved (`local_branch.settle`)."""
    for run in open_run.stopped_runs(project.state):
        if local_branch.settle(project, held, run):
            project.reporter.progress(f"brought your checkout back to where run {run.id} had found it")


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
    git, entry = checkout(cwd), stack.entry(begun.pr)
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


def refuse_while_paused(scope: Scope, steps: Collection[StepName]) -> None:
    """Check, before planning, that no paused run needs the branches that these steps would move.

    Raises:
        Paused: a paused run needs one.
    """
    if open_run.moves_branches(steps):
        entries = scope.stack.entries if scope.stacked else (scope.entry,)
        open_run.refuse_while_paused(scope.state, [entry.branch for entry in entries])
