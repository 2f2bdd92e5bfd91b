"""land: the stack lands itself, bottom first: each entry is rebased, gated, pushed, waited for, merged."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

from trunkline.domain.errors import Refused, WrongFlag
from trunkline.domain.names import PrNumber
from trunkline.domain.stack import Entry
from trunkline.domain.step import REBASE_STEPS, Outcome, Plan, Step, StepKey, StepName
from trunkline.engine import Acting, Performed, Performer
from trunkline.workflows import evidence, rebase
from trunkline.workflows.base import open_below
from trunkline.workflows.context import Context
from trunkline.workflows.question import OwnCommitsUnknown
from trunkline.workflows.restack import open_entries
from trunkline.workflows.steps import merge, onto, tidy, wait
from trunkline.workflows.work import refuse_unanswered

TASK = "land"
_LEFT_OUT = frozenset({StepName.CHECKLIST, StepName.NEXT})
_FIRST = tuple(name for name in REBASE_STEPS if name not in _LEFT_OUT)


def plan(context: Context, *, up_to: PrNumber | None = None) -> Plan:
    """Decide what landing will do, entry by entry; conflicts are foreseen in memory.

    Args:
        context: of the whole stack.
        up_to: the last entry to land; None: all.

    Raises:
        WrongFlag: what a merge requires is skipped.
        Refused: no entry is open, or a replay does not come to what git's own merges come to.
        Paused: which commits are an entry's own is a question for a person.
    """
    refuse_contradiction(context)
    entries = entries_of(context, up_to)
    evidence.load(context)
    try:
        steps = [replace(step, pr=entry.pr) for entry in entries for step in _steps(context.of(entry))]
    except OwnCommitsUnknown:
        refuse_unanswered(context, entries, task=TASK)  # asks about every entry at once
        raise
    onto.foresee_checks(context, entries)
    steps.append(tidy.plan(context))
    skipped = tuple(dict.fromkeys(step.name for step in steps if step.name in context.options.skip))
    return Plan(TASK, entries[0].pr, tuple(steps), skipped)


def refuse_contradiction(context: Context) -> None:
    """See that what a merge requires is not skipped: receipts of gates that are not run prove nothing.

    Raises:
        WrongFlag: the merge requires the gates, and `--skip` names them or the checks.
    """
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


def entries_of(context: Context, up_to: PrNumber | None) -> tuple[Entry, ...]:
    """Return the entries that are landed, in order: the open ones, up to one of them.

    Raises:
        Refused: there is none.
    """
    entries = open_entries(context)
    if up_to is not None:
        last = context.stack.entries.index(context.stack.entry(up_to))
        entries = tuple(entry for entry in entries if context.stack.entries.index(entry) <= last)
    if not entries:
        raise Refused(
            "there is nothing to land",
            why="no entry of the stack is open" if up_to is None else f"no entry up to #{up_to} is open",
            next_command="git fetch --prune",
        )
    return entries


def _step(context: Context, name: StepName) -> Step:
    if name is not StepName.ONTO or name in context.options.skip:
        return rebase.plan_step(context, name)
    step, below = onto.forecast(context), open_below(context)
    if below is None or context.entry.pr not in context.seen.foreseen:
        return step
    return replace(step, does=onto.foretold(context, below), commands=())


def forecast(context: Context, *, up_to: PrNumber | None = None) -> Plan:
    """Return the plan that `run` would carry out.

    Raises:
        Paused: an earlier run waits for a person.
        WrongFlag, Refused: see `plan`.
    """
    rebase.refuse_while_paused(context, (StepName.ONTO,))
    return plan(context, up_to=up_to)


def run(context: Context, *, up_to: PrNumber | None = None) -> Performed:
    """Land: hold the lease, open a journal, perform the steps.

    Raises:
        Paused: an earlier run waits for a person.
        Refused: another run holds the repository.
    """
    intended = forecast(context, up_to=up_to)
    return rebase.carry_out(context, intended, performers(context, intended), label=TASK)


def performers(context: Context, intended: Plan) -> dict[StepKey, Performer]:
    """Return how each step of the plan is done."""
    found: dict[StepKey, Performer] = {}
    for number in dict.fromkeys(step.pr for step in intended.steps if step.pr is not None):
        there = context.of(context.stack.entry(number))
        found |= {
            key: rebase.unless_merged(there, key[0], way)
            for key, way in rebase.performers(there, rebase.WHOLE, pr=number).items()
        }
        found[StepName.WAIT, number] = _bound(there, wait.perform)
        found[StepName.MERGE, number] = _bound(there, merge.perform)
    found[StepName.TIDY, None] = _bound(context, tidy.perform)
    return found


def _bound(context: Context, way: Callable[[Context, Acting], Outcome]) -> Performer:
    return lambda acting: way(context, acting)
