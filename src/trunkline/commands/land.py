"""Command `land`: rebase, verify and merge the entries of a stack, bottom first."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import partial

from msgspec.structs import replace

from trunkline.commands import land_together, rebase, runner
from trunkline.context.project import Project
from trunkline.context.run import Context, observing
from trunkline.context.view import View
from trunkline.domain.command import task_command
from trunkline.domain.decisions import Decisions, Forecast
from trunkline.domain.errors import Refused, WrongFlag
from trunkline.domain.merge_choice import MergeChoice, described
from trunkline.domain.names import EntryKey, PrNumber, labelled
from trunkline.domain.stack import Entry, Stack
from trunkline.domain.step import REBASE_STEPS, Outcome, Plan, Step, StepKey, StepName
from trunkline.engine import RunResult, StepContext, StepFunction
from trunkline.planning import heads, merge_as_is
from trunkline.planning.merge_as_is import Terms
from trunkline.planning.parents import open_below
from trunkline.planning.questions import OwnCommitsUnknown
from trunkline.planning.replay_plan import refuse_unanswered
from trunkline.state.change_log import Part
from trunkline.steps import cleanup, fetch, merge, replay, unchanged, wait

TASK = "land"
_LEFT_OUT = frozenset({StepName.CHECKLIST, StepName.NEXT})
_REWRITING = frozenset({StepName.FMT, StepName.PUSH})
_FIRST = tuple(name for name in REBASE_STEPS if name not in _LEFT_OUT)


def plan(context: Context, *, up_to: EntryKey | None = None) -> Forecast:
    """Plan the landing of each entry, with conflicts predicted in memory.

    Args:
        context: the stack's context.
        up_to: the last entry to land; None: all.

    Raises:
        WrongFlag: a condition of the merge is skipped.
        Refused: no entry is open, a remote branch was deleted, or a replay differs from git's own merges.
        Paused: the user must decide which commits are an entry's own.
    """
    refuse_contradiction(context.project)
    view = context.view()
    entries = entries_of(view, up_to)
    fetch.refuse_deleted(view)
    heads.load(view)
    terms = merge_as_is.terms_of(context.observer, context.stack)
    steps = list[Step]()
    try:
        if view.options.together:
            return land_together.plan(context, view, TASK, entries)
        for entry in entries:
            of_entry, view = _steps(view.of(entry), terms)
            steps += (replace(step, pr=entry.key) for step in of_entry)
    except OwnCommitsUnknown:
        refuse_unanswered(view, entries, task=TASK)  # collects the questions of all entries
        raise
    replay.check_predictions(view, [each for each in entries if view.decisions.as_is(each.pr) is None])
    merge_as_is.refuse_rewriting(view.stack, *choices(view.decisions, entries))
    steps.append(cleanup.plan(view, entries))
    skipped = tuple(dict.fromkeys(step.name for step in steps if step.name in view.options.skip))
    return Forecast(Plan(TASK, entries[0].pr, tuple(steps), skipped), view.decisions)


def refuse_contradiction(project: Project) -> None:
    """Check that the options of a landing fit each other.

    Conditions of the merge must not be skipped: there are no receipts of skipped gates.
    """
    land_together.refuse_contradiction(project)
    skipped = project.options.skip & {StepName.GATES, StepName.CHECKS}
    if not (wait.requires_gates(project) and skipped):
        return
    names = ", ".join(sorted(step.value for step in skipped))
    where = "--require gates" if project.options.require else 'require = "gates" in stack.toml'
    rest = sorted(step.value for step in project.options.skip - skipped)
    raise WrongFlag(
        f"{where} and --skip {names} contradict each other",
        why="the pull requests would be merged on receipts that are not made; nothing was done",
        flags={"skip": ",".join(rest)},
    )


def _steps(view: View, terms: Terms | None) -> tuple[list[Step], View]:
    """Plan an entry; `terms` are the terms of a merge, None if every entry is rewritten."""
    steps = []
    for name in rebase.needed(_FIRST, view.entry):
        step, view = _step(view, name, terms)
        steps.append(step)
    return [*steps, wait.plan(view), merge.plan(view)], view


def entries_of(view: View, up_to: EntryKey | None) -> tuple[Entry, ...]:
    """Return the entries to land in order: the open ones, up to a given one.

    Raises:
        Refused: there is none.
    """
    entries = before_unsubmitted(view.open_entries())
    if up_to is not None:
        last = view.stack.entries.index(view.stack.entry(up_to))
        entries = tuple(entry for entry in entries if view.stack.entries.index(entry) <= last)
    lacking = unsubmitted(view.stack, up_to)
    if not entries and lacking is not None:
        raise Refused(
            "there is nothing to land",
            why=f"{lacking.branch} has no pull request yet",
            next_command=task_command("submit"),
        )
    if not entries:
        raise Refused(
            "there is nothing to land",
            why="no entry of the stack is open" if up_to is None else f"no entry up to {labelled(up_to)} is open",
            next_command=task_command("status"),
        )
    return entries


def before_unsubmitted(entries: Sequence[Entry]) -> tuple[Entry, ...]:
    """Return the entries below the first one that has no pull request yet: those above it cannot land."""
    return tuple(itertools.takewhile(lambda entry: entry.number is not None, entries))


def unsubmitted(stack: Stack, up_to: EntryKey | None) -> Entry | None:
    """Return the entry without a pull request at which a landing stops; None if there is none.

    Args:
        stack: the stack.
        up_to: the last entry to land; None: all.
    """
    entries = stack.entries
    last = entries.index(stack.entry(up_to)) if up_to is not None else len(entries) - 1
    return next((entry for entry in entries[: last + 1] if entry.number is None), None)


def choices(decisions: Decisions, entries: Iterable[Entry]) -> list[tuple[PrNumber, MergeChoice]]:
    """Return the last merge choice of each entry; entries above an unresolved conflict have none."""
    known = decisions.merges
    return [(entry.pr, known[entry.pr]) for entry in entries if entry.pr in known]


def _step(view: View, name: StepName, terms: Terms | None) -> tuple[Step, View]:
    if name is StepName.REPLAY and name not in view.options.skip:
        return _onto(view, terms)
    if name in _REWRITING and view.decisions.as_is(view.entry.pr) is not None:
        return unchanged.plan_step(view, name), view
    return rebase.plan_step(view, name), view


def _onto(view: View, terms: Terms | None) -> tuple[Step, View]:
    """Plan the replay, unless the entry is merged without a rewrite.

    Without a merge choice, every entry is rewritten, or a conflict below leaves it undecided.
    """
    choice = None
    if terms is not None and replay.blocked_by(view) is None:
        choice, preview = merge_as_is.choose(view, terms)
        view = view.with_merge(choice)
        if not choice.reason:
            view = view.with_replay(preview)
            return unchanged.plan_step(view, StepName.REPLAY), view
    step, view = replay.forecast(view)
    below = open_below(view)
    if below is not None and view.entry.key in view.decisions.replays:
        step = replace(step, description=replay.after_landing(view, below), commands=())
    if choice is not None:
        step = replace(step, description=f"{step.description}; {described(choice)}")
    return step, view


def forecast(context: Context, *, up_to: EntryKey | None = None) -> Forecast:
    """Return the plan that `run` would execute.

    Raises:
        Paused: an earlier run is paused.
        WrongFlag, Refused: see `plan`.
    """
    runner.refuse_while_paused(context, (StepName.REPLAY,))
    return plan(context, up_to=up_to)


def run(context: Context, *, up_to: EntryKey | None = None) -> RunResult:
    """Land the stack: take the lock, open a journal, run the steps.

    Raises:
        Paused: an earlier run is paused.
        Refused: another run holds the lock.
    """
    intended = forecast(context, up_to=up_to)
    return runner.carry_out(context, intended, step_functions(context, intended.plan), label=TASK)


def step_functions(context: Context, intended: Plan) -> dict[StepKey, StepFunction]:
    """Return the function of each step in the plan."""
    if context.options.together:
        return land_together.step_functions(context, intended)
    found: dict[StepKey, StepFunction] = {}
    for number in dict.fromkeys(step.pr for step in intended.steps if step.pr is not None):
        entry_context = context.of(context.stack.entry(number))
        found |= {
            key: runner.unless_merged(entry_context, key[0], function)
            for key, function in rebase.step_functions(entry_context, rebase.WHOLE, pr=number).items()
        }
        if merge_as_is.is_enabled(entry_context.stack):
            found |= _merged_as_it_is(entry_context, found, number)
        found[StepName.WAIT, number] = partial(wait.run, entry_context)
        found[StepName.MERGE, number] = partial(merge.run, entry_context)
    found[StepName.CLEANUP, None] = partial(observing(cleanup.run, Part.ALL), context)
    return found


def _merged_as_it_is(
    context: Context, handlers: Mapping[StepKey, StepFunction], number: EntryKey
) -> dict[StepKey, StepFunction]:
    """Return the step functions that differ if an entry may be merged without a rewrite."""

    def kept(name: StepName, function: Callable[[Context, StepContext, StepFunction], Outcome]) -> StepFunction:
        otherwise = handlers[name, number]
        return unchanged.decided(context, lambda step_context: function(context, step_context, otherwise))

    own: dict[StepName, StepFunction] = {
        StepName.REPLAY: partial(unchanged.run_replay, context),
        StepName.FMT: kept(StepName.FMT, unchanged.run_fmt),
        StepName.PUSH: kept(StepName.PUSH, unchanged.run_push),
        **{
            name: unchanged.decided(context, handlers[name, number])
            for name in (StepName.GATES, StepName.CHECKS, StepName.NOTE)
            if (name, number) in handlers
        },
    }
    return {(name, number): runner.unless_merged(context, name, function) for name, function in own.items()}
