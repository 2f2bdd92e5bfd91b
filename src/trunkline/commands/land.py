"""Command `land`: rebase, verify and merge the entries of a stack, bottom first."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace

from trunkline.commands import rebase
from trunkline.context.project import Context
from trunkline.domain.command import task_command
from trunkline.domain.errors import Refused, WrongFlag
from trunkline.domain.merge_choice import MergeChoice, described
from trunkline.domain.names import EntryKey, PrNumber, labelled
from trunkline.domain.stack import Entry
from trunkline.domain.step import REBASE_STEPS, Outcome, Plan, Step, StepKey, StepName
from trunkline.engine import RunResult, StepContext, StepFunction
from trunkline.planning import heads, merge_as_is
from trunkline.planning.parents import open_below
from trunkline.planning.questions import OwnCommitsUnknown
from trunkline.planning.replay_plan import refuse_unanswered
from trunkline.steps import cleanup, merge, replay, unchanged, wait

TASK = "land"
_LEFT_OUT = frozenset({StepName.CHECKLIST, StepName.NEXT})
_REWRITING = frozenset({StepName.FMT, StepName.PUSH})
_FIRST = tuple(name for name in REBASE_STEPS if name not in _LEFT_OUT)


def plan(context: Context, *, up_to: EntryKey | None = None) -> Plan:
    """Plan the landing of each entry, with conflicts predicted in memory.

    Args:
        context: the stack's context.
        up_to: the last entry to land; None: all.

    Raises:
        WrongFlag: a condition of the merge is skipped.
        Refused: no entry is open, or a replay differs from git's own merges.
        Paused: the user must decide which commits are an entry's own.
    """
    refuse_contradiction(context)
    entries = entries_of(context, up_to)
    heads.load(context)
    try:
        steps = [replace(step, pr=entry.key) for entry in entries for step in _steps(context.of(entry))]
    except OwnCommitsUnknown:
        refuse_unanswered(context, entries, task=TASK)  # collects the questions of all entries
        raise
    replay.check_predictions(context, [each for each in entries if not unchanged.is_unchanged(context.of(each))])
    merge_as_is.refuse_rewriting(context, *choices(context, entries))
    steps.append(cleanup.plan(context))
    skipped = tuple(dict.fromkeys(step.name for step in steps if step.name in context.options.skip))
    return Plan(TASK, entries[0].pr, tuple(steps), skipped)


def refuse_contradiction(context: Context) -> None:
    """Check that conditions of the merge are not skipped: there are no receipts of skipped gates."""
    skipped = context.options.skip & {StepName.GATES, StepName.CHECKS}
    if not (wait.requires_gates(context) and skipped):
        return
    names = ", ".join(sorted(step.value for step in skipped))
    where = "--require gates" if context.options.require else 'require = "gates" in stack.toml'
    rest = sorted(step.value for step in context.options.skip - skipped)
    raise WrongFlag(
        f"{where} and --skip {names} contradict each other",
        why="the pull requests would be merged on receipts that are not made; nothing was done",
        flags={"skip": ",".join(rest)},
    )


def _steps(context: Context) -> tuple[Step, ...]:
    names = rebase.needed(_FIRST, context.entry)
    return (*(_step(context, name) for name in names), wait.plan(context), merge.plan(context))


def entries_of(context: Context, up_to: EntryKey | None) -> tuple[Entry, ...]:
    """Return the entries to land in order: the open ones, up to a given one.

    Raises:
        Refused: there is none.
    """
    entries = before_unsubmitted(context.open_entries())
    if up_to is not None:
        last = context.stack.entries.index(context.stack.entry(up_to))
        entries = tuple(entry for entry in entries if context.stack.entries.index(entry) <= last)
    lacking = unsubmitted(context, up_to)
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
            next_command="git fetch --prune",
        )
    return entries


def before_unsubmitted(entries: Sequence[Entry]) -> tuple[Entry, ...]:
    """Return the entries below the first one that has no pull request yet: those above it cannot land."""
    return tuple(itertools.takewhile(lambda entry: entry.number is not None, entries))


def unsubmitted(context: Context, up_to: EntryKey | None) -> Entry | None:
    """Return the entry without a pull request at which a landing stops; None if there is none.

    Args:
        context: the stack's context.
        up_to: the last entry to land; None: all.
    """
    entries = context.stack.entries
    last = entries.index(context.stack.entry(up_to)) if up_to is not None else len(entries) - 1
    return next((entry for entry in entries[: last + 1] if entry.number is None), None)


def choices(context: Context, entries: Iterable[Entry]) -> list[tuple[PrNumber, MergeChoice]]:
    """Return the last merge choice of each entry; entries above an unresolved conflict have none."""
    known = context.cache.merges
    return [(entry.pr, known[entry.pr]) for entry in entries if entry.pr in known]


def _step(context: Context, name: StepName) -> Step:
    if name is StepName.REPLAY and name not in context.options.skip:
        return _onto(context)
    if name in _REWRITING and unchanged.is_unchanged(context):
        return unchanged.plan_step(context, name)
    return rebase.plan_step(context, name)


def _onto(context: Context) -> Step:
    choice = _choice(context)
    if choice is not None and not choice.reason:
        return unchanged.plan_step(context, StepName.REPLAY)
    step, below = replay.forecast(context), open_below(context)
    if below is not None and context.entry.key in context.cache.foreseen:
        step = replace(step, description=replay.after_landing(context, below), commands=())
    return replace(step, description=f"{step.description}; {described(choice)}") if choice is not None else step


def _choice(context: Context) -> MergeChoice | None:
    """Decide how an entry is merged.

    None means that all entries are rewritten, or that a conflict below leaves it undecided.
    """
    if not merge_as_is.is_enabled(context) or replay.blocked_by(context) is not None:
        return None
    choice, foreseen = merge_as_is.choose(context)
    if not choice.reason:
        replay.remember(context, foreseen)
    return choice


def forecast(context: Context, *, up_to: EntryKey | None = None) -> Plan:
    """Return the plan that `run` would execute.

    Raises:
        Paused: an earlier run is paused.
        WrongFlag, Refused: see `plan`.
    """
    rebase.refuse_while_paused(context, (StepName.REPLAY,))
    return plan(context, up_to=up_to)


def run(context: Context, *, up_to: EntryKey | None = None) -> RunResult:
    """Land the stack: take the lock, open a journal, run the steps.

    Raises:
        Paused: an earlier run is paused.
        Refused: another run holds the lock.
    """
    intended = forecast(context, up_to=up_to)
    return rebase.carry_out(context, intended, step_functions(context, intended), label=TASK)


def step_functions(context: Context, intended: Plan) -> dict[StepKey, StepFunction]:
    """Return the function of each step in the plan."""
    found: dict[StepKey, StepFunction] = {}
    for number in dict.fromkeys(step.pr for step in intended.steps if step.pr is not None):
        entry_context = context.of(context.stack.entry(number))
        found |= {
            key: rebase.unless_merged(entry_context, key[0], way)
            for key, way in rebase.step_functions(entry_context, rebase.WHOLE, pr=number).items()
        }
        if merge_as_is.is_enabled(entry_context):
            found |= _merged_as_it_is(entry_context, found, number)
        found[StepName.WAIT, number] = _bound(entry_context, wait.run)
        found[StepName.MERGE, number] = _bound(entry_context, merge.run)
    found[StepName.CLEANUP, None] = _bound(context, cleanup.run)
    return found


def _merged_as_it_is(
    context: Context, handlers: Mapping[StepKey, StepFunction], number: EntryKey
) -> dict[StepKey, StepFunction]:
    """Return the step functions that differ if an entry may be merged without a rewrite."""

    def kept(name: StepName, way: Callable[[Context, StepContext, StepFunction], Outcome]) -> StepFunction:
        otherwise = handlers[name, number]
        return unchanged.decided(context, lambda step_context: way(context, step_context, otherwise))

    own = {
        StepName.REPLAY: _bound(context, unchanged.run_replay),
        StepName.FMT: kept(StepName.FMT, unchanged.run_fmt),
        StepName.PUSH: kept(StepName.PUSH, unchanged.run_push),
        **{
            name: unchanged.decided(context, handlers[name, number])
            for name in (StepName.GATES, StepName.CHECKS, StepName.NOTE)
            if (name, number) in handlers
        },
    }
    return {(name, number): rebase.unless_merged(context, name, way) for name, way in own.items()}


def _bound(context: Context, way: Callable[[Context, StepContext], Outcome]) -> StepFunction:
    return lambda step_context: way(context, step_context)
