"""Run the commands that rewrite entries: one run, one journal, then a replay of what sits above."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator, Mapping, Sequence

import msgspec
from msgspec.structs import replace

from trunkline.commands import publish_modified, restack, runner
from trunkline.context.run import Context, observing
from trunkline.context.view import View
from trunkline.domain.decisions import Forecast
from trunkline.domain.names import EntryKey
from trunkline.domain.rewrite import Rewrite, Staged
from trunkline.domain.stack import Entry
from trunkline.domain.step import Outcome, Plan, StepKey, StepName
from trunkline.engine import RunResult, StepContext, StepFunction
from trunkline.git import local_refs
from trunkline.planning.questions import OwnCommitsUnknown
from trunkline.planning.replay_plan import refuse_unanswered
from trunkline.planning.rewrite_plan import OpenEntry
from trunkline.state import lock
from trunkline.steps import close, replay, rewrite, stack_file, switch

TASKS = frozenset({"amend", "absorb", "modify"})
"""The tasks with steps of this module."""


class Rewriting(msgspec.Struct, frozen=True):
    """A plan that rewrites entries.

    Attributes:
        forecast: the steps, with the decisions that they were planned from.
        rewrites: the commits that its `rewrite` steps move branches to.
        staged: the staged changes that are part of them.
        declared: the entries that stack.toml shall have; (): it stays.
    """

    forecast: Forecast
    rewrites: tuple[Rewrite, ...]
    staged: Staged | None = None
    declared: tuple[Entry, ...] = ()


def plan(
    view: View,
    task: str,
    rewrites: tuple[Rewrite, ...],
    above: tuple[OpenEntry, ...],
    *,
    descriptions: Mapping[EntryKey, str],
    staged: Staged | None = None,
) -> Rewriting:
    """Plan the moves of rewritten entries, and the replays of those above, computed in memory.

    Args:
        view: the stack.
        task: the task.
        rewrites: the rewritten entries, bottom first; at least one.
        above: the open entries above them.
        descriptions: one line for each entry that itself changes; the others only sit on one of these.
        staged: the staged changes that are part of the rewrite.

    Raises:
        Refused: a branch cannot be moved, or a replay differs from git's own merges.
        Paused: the user must decide which commits are an entry's own.
    """
    steps = []
    for each in rewrites:
        keeps_files = staged is not None and staged.branch == each.result.branch
        description = descriptions.get(each.pr, "move with the entry below")
        steps.append(rewrite.plan(view.of_pr(each.pr), each, description=description, keeps_files=keeps_files))
    view = view.with_rewrites(rewrites)
    entries = [each.entry for each in above]
    try:
        for entry in entries:
            before = view.of(entry)
            step, view = replay.forecast(before)
            steps.append(replace(switch.creating(before, step), pr=entry.key))
    except OwnCommitsUnknown:
        refuse_unanswered(view, entries, task=task)
        raise
    replay.check_predictions(view, entries)
    forecast = Forecast(Plan(task, rewrites[0].pr, tuple(steps)), view.decisions)
    return Rewriting(forecast, rewrites, staged)


def run(context: Context, rewriting: Rewriting) -> RunResult:
    """Carry out a plan: back up every branch, move the rewritten ones, replay those above.

    Raises:
        Paused: an earlier run is paused.
        Refused: another run holds the lock.
    """
    view, intended = context.view(), rewriting.forecast.plan
    entries = [view.stack.entry(step.pr) for step in intended.steps if step.pr]
    held = [(each.branch, view.of(each).local) for each in entries]
    # Without a local branch the remote one is rewritten: its commits are ours to replace in the push.
    tips = [(branch, tip) for branch, local in held if (tip := local.local or local.remote) is not None]

    @contextlib.contextmanager
    def around(repository_lock: lock.RepositoryLock) -> Iterator[None]:
        local_refs.back_up_all(context.git, repository_lock, tips)
        with local_refs.update_ref_session(context.git, repository_lock, why=intended.task):
            yield

    handlers = step_functions(context, intended, rewriting.rewrites, rewriting.staged, rewriting.declared)
    return runner.carry_out(
        context,
        rewriting.forecast,
        handlers,
        label=intended.task,
        around=around,
        inputs=runner.Inputs(rewriting.rewrites, rewriting.staged, rewriting.declared),
    )


def step_functions(
    context: Context,
    intended: Plan,
    rewrites: tuple[Rewrite, ...],
    staged: Staged | None,
    declared: Sequence[Entry] = (),
) -> dict[StepKey, StepFunction]:
    """Return the function of each step in the plan."""
    of_entry = {each.pr: each for each in rewrites}

    def moved(entry_context: Context, step_context: StepContext) -> Outcome:
        return rewrite.run(entry_context, step_context, of_entry[entry_context.entry.key], staged)

    first = context.of(context.stack.entry(intended.pr))
    functions: dict[StepName, Callable[[Context, StepContext], Outcome]] = {
        StepName.REWRITE: moved,
        StepName.REPLAY: restack.replay_entry,
        StepName.CLOSE: observing(close.run),
    }
    found = {
        step.key: restack.on_entry(context, functions[step.name], step)
        for step in intended.steps
        if step.name in functions
    }
    found[StepName.STACK_FILE, None] = lambda step_context: stack_file.run(first.view(), step_context, declared)
    return found | publish_modified.step_functions(first, intended)
