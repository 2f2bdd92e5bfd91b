"""Command `restack`: replay every open entry onto its base, and push what moved."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from functools import partial

from msgspec.structs import replace

from trunkline.commands import runner
from trunkline.context.run import Context, observing
from trunkline.context.view import View
from trunkline.domain.command import task_command
from trunkline.domain.decisions import Forecast
from trunkline.domain.errors import Refused
from trunkline.domain.names import BranchName, EntryKey, Oid
from trunkline.domain.note import BEGIN
from trunkline.domain.snapshot import PrState
from trunkline.domain.stack import Entry
from trunkline.domain.step import Outcome, Plan, Step, StepKey, StepName, StepStatus
from trunkline.engine import RunResult, StepContext, StepFunction
from trunkline.git import local_refs
from trunkline.operations import native_link
from trunkline.planning import heads
from trunkline.planning.questions import OwnCommitsUnknown
from trunkline.planning.replay_plan import refuse_unanswered
from trunkline.state import lock
from trunkline.state.change_log import Part
from trunkline.steps import cleanup, fetch, note, push, replay, retarget, switch

TASK = "restack"
SYNC = "sync"


def nothing_to_do(view: View, *, up_to: EntryKey | None = None) -> Outcome | None:
    """Return the outcome for a stack without open entries; None if one is open.

    Args:
        view: the stack.
        up_to: the last entry that matters; None: all.
    """
    entries, open_keys = view.stack.entries, {entry.key for entry in view.open_entries()}
    last = entries.index(view.stack.entry(up_to)) if up_to is not None else len(entries) - 1
    of_it = entries[: last + 1]
    if any(entry.key in open_keys for entry in of_it):
        return None
    merged = [entry.label for entry in of_it if view.known(entry.pr).state is PrState.MERGED]
    closed = [entry.pr for entry in of_it if entry.label not in merged]
    message = [f"{', '.join(merged)} {'is' if len(merged) == 1 else 'are'} merged"] if merged else []
    message += [f"#{number} is closed without a merge" for number in closed]
    details = tuple(f"to bring #{number} back: {task_command('rescue', '--pr', number)}" for number in closed)
    return Outcome("nothing to do", ", ".join(message), StepStatus.NOTHING, details)


def plan(context: Context) -> Forecast:
    """Plan a restack, with every replay computed in memory; no ref moves.

    Raises:
        Refused: no entry is open, or a replay differs from git's own merges.
        Paused: the user must decide which commits are an entry's own.
    """
    view = context.view()
    entries = view.open_entries()
    if not entries:
        raise Refused(
            "no entry of the stack is open",
            why="all are merged or closed: there is nothing to restack",
            next_command="git fetch --prune",
        )
    heads.load(view)
    steps = [fetch.plan_in_run(view)]
    try:
        for entry in entries:
            before = view.of(entry)
            step, view = replay.forecast(before)
            steps.append(replace(switch.creating(before, step), pr=entry.key))
    except OwnCommitsUnknown:
        refuse_unanswered(view, entries, task=TASK)  # collects the questions of all entries
        raise
    replay.check_predictions(view, entries)
    stacks = native_link.stacks_of(context.observer, context.stack)
    steps += [push.plan_stack(view, entries), retarget.plan(view, stacks)]
    steps += [
        replace(note.plan_without_gates(view.of(entry)), pr=entry.key) for entry in entries if _is_noted(view, entry)
    ]
    skipped = tuple(step.name for step in steps if step.name in view.options.skip)
    return Forecast(Plan(TASK, entries[0].key, tuple(steps), tuple(dict.fromkeys(skipped))), view.decisions)


def _is_noted(view: View, entry: Entry) -> bool:
    """Return whether an entry has readers: it is not a draft, or it has our note."""
    pr = view.world.snapshot.pr(entry.key)
    return pr is not None and view.stack.unsubmitted_below(entry) is None and (not pr.draft or BEGIN in pr.body)


def forecast(context: Context) -> Forecast:
    """Return the plan that `run` would execute.

    Raises:
        Paused: an earlier run is paused.
        Refused: see `plan`.
    """
    runner.refuse_while_paused(context, (StepName.REPLAY,))
    return plan(context)


def run(context: Context) -> RunResult:
    """Restack: take the lock, open a journal, run the steps.

    Raises:
        Paused: an earlier run is paused.
        Refused: another run holds the lock.
    """
    return carry_out(context, forecast(context))


def carry_out(context: Context, intended: Forecast) -> RunResult:
    """Run a plan with steps of this module, after a backup of every branch that it moves; see `run`."""

    @contextlib.contextmanager
    def around(repository_lock: lock.RepositoryLock) -> Iterator[None]:
        local_refs.back_up_all(context.git, repository_lock, _tips(context.view(), intended.plan))
        with local_refs.update_ref_session(context.git, repository_lock, why=intended.plan.task):
            yield

    handlers = step_functions(context, intended.plan)
    return runner.carry_out(context, intended, handlers, label=intended.plan.task, around=around)


def _tips(view: View, intended: Plan) -> list[tuple[BranchName, Oid]]:
    """Return the tips that the plan will move, for their backups."""
    entries = [view.stack.entry(step.pr) for step in intended.steps if step.name is StepName.REPLAY and step.pr]
    held = [(entry.branch, view.of(entry).local) for entry in entries]
    return [(branch, tip) for branch, local in held if (tip := local.local or local.remote)]


def step_functions(context: Context, intended: Plan) -> dict[StepKey, StepFunction]:
    """Return the function of each step in the plan."""

    def push_all(context: Context, step_context: StepContext) -> Outcome:
        # An invalid template must fail before anything is published.
        for step in intended.steps:
            if step.name is StepName.NOTE and step.pr is not None:
                note.refuse_unusable(context.of(context.stack.entry(step.pr)).view())
        return push.run_stack(context, step_context)

    noted = [step.pr for step in intended.steps if step.name is StepName.NOTE and step.pr is not None]
    notes = note.Notes([context.of(context.stack.entry(number)) for number in noted])
    each = {StepName.REPLAY: replay_entry, StepName.NOTE: notes.run}
    whole = {
        StepName.FETCH: fetch.run_with_trunk if intended.task == SYNC else fetch.run,
        StepName.PUSH: push_all,
        StepName.RETARGET: retarget.run,
        StepName.CLEANUP: observing(cleanup.run_locally, Part.ALL),
    }
    return {
        step.key: partial(whole[step.name], context)
        if step.name in whole
        else on_entry(context, each[step.name], step)
        for step in intended.steps
    }


def on_entry(context: Context, function: Callable[[Context, StepContext], Outcome], step: Step) -> StepFunction:
    """Return the function of an entry's step in a plan for several; it does nothing if the entry was merged."""
    assert step.pr is not None  # noqa: S101 -- true for every plan of a stack
    entry_context = context.of(context.stack.entry(step.pr))
    return runner.unless_merged(entry_context, step.name, partial(function, entry_context))


def replay_entry(context: Context, step_context: StepContext) -> Outcome:
    """Replay an entry's own commits onto its base; create its local branch if it is missing."""
    switch.ensure_branch(context, step_context)
    return replay.run(context, step_context)
