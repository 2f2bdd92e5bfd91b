"""Plan of `land --together`: verify every entry, then merge all without waiting in between."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from functools import partial

from msgspec import structs

from trunkline.commands import rebase, runner
from trunkline.context.project import Project
from trunkline.context.run import Context, observing
from trunkline.context.view import View
from trunkline.domain.decisions import Forecast
from trunkline.domain.errors import Refused, WrongFlag
from trunkline.domain.stack import Entry
from trunkline.domain.step import Plan, Step, StepKey, StepName
from trunkline.engine import StepFunction
from trunkline.operations import attested_push
from trunkline.planning import merge_as_is, together
from trunkline.state.change_log import Part
from trunkline.steps import cleanup, merge, unchanged, verify_merged, wait
from trunkline.steps import together as step

_GATES = (StepName.GATES, StepName.CHECKS)
_FIRST = (StepName.SWITCH, StepName.FETCH, StepName.REPLAY, *_GATES, StepName.PUSH, StepName.READY, StepName.NOTE)
_OWN = {
    StepName.REPLAY: step.plan_replay,
    StepName.PUSH: lambda view: unchanged.plan_step(view, StepName.PUSH),
    StepName.READY: step.plan_ready,
}


def refuse_contradiction(project: Project) -> None:
    """Check that the options of the landing fit each other.

    Raises:
        WrongFlag: `--verify` without `--together`.
        Refused: stack.toml demands that every entry is rewritten.
    """
    if project.options.verify and not project.options.together:
        raise WrongFlag(
            "--verify belongs to --together",
            why="entries that land one by one are all gated",
            flags={"verify": ""},
        )
    if project.options.together and not merge_as_is.is_enabled(project.stack):
        raise Refused(
            '--together and [land] rewrite = "always" contradict each other',
            why="a rewritten entry waits for its own CI before the next one can land",
            next_command="${EDITOR:-vi} stack.toml",
        )


def plan(context: Context, view: View, task: str, entries: Sequence[Entry]) -> Forecast:
    """Plan the landing of several entries without a push between their merges.

    Raises:
        Refused: an entry must be rewritten, or GitHub's native stack holds others.
        OwnCommitsUnknown: the user must decide which commits are an entry's own.
    """
    terms = merge_as_is.requested_terms(context.observer)
    landing = tuple(entry.key for entry in entries)
    view = together.decide(replace(view, decisions=structs.replace(view.decisions, landing=landing)), terms)
    steps = [structs.replace(each, pr=entry.key) for entry in entries for each in _first(view.of(entry))]
    steps.append(step.plan(view, entries, terms))
    if together.native_stack(terms.stacks, entries) is None:
        for entry in entries:
            entry_view = view.of(entry)
            one = (verify_merged.plan(entry_view), wait.plan(entry_view), merge.plan(entry_view))
            steps += [structs.replace(each, pr=entry.key) for each in one]
    steps.append(cleanup.plan(view, entries))
    skipped = tuple(dict.fromkeys(each.name for each in steps if each.name in context.options.skip))
    return Forecast(Plan(task, entries[0].pr, tuple(steps), skipped), view.decisions)


def _first(view: View) -> list[Step]:
    # Nothing is pushed but receipts.
    names = [
        name
        for name in rebase.needed(_FIRST, view.entry)
        if name is not StepName.PUSH or attested_push.is_wanted(view)
    ]
    gated = together.is_gated(view, view.decisions)
    return [
        _OWN[name](view) if name in _OWN else rebase.plan_step(view, name)
        for name in names
        if gated or name not in _GATES
    ]


def step_functions(context: Context, intended: Plan) -> dict[StepKey, StepFunction]:
    """Return the function of each step in the plan."""
    keys = tuple(dict.fromkeys(each.pr for each in intended.steps if each.pr is not None))
    context.run.decisions = structs.replace(context.run.decisions, landing=keys)
    found: dict[StepKey, StepFunction] = {}
    for key in keys:
        entry_context = context.of(context.stack.entry(key))
        ordinary = rebase.step_functions(entry_context, rebase.WHOLE, pr=key)
        pushed = ordinary[StepName.PUSH, key]
        own: dict[StepName, StepFunction] = {
            **{name: ordinary[name, key] for name in (StepName.SWITCH, StepName.FETCH, StepName.VERIFY_MERGED)},
            StepName.REPLAY: partial(step.run_replay, entry_context),
            StepName.PUSH: step.decided(entry_context, partial(unchanged.run_push, entry_context, otherwise=pushed)),
            StepName.READY: partial(step.run_ready, entry_context),
            **{name: step.decided(entry_context, ordinary[name, key]) for name in (*_GATES, StepName.NOTE)},
            StepName.WAIT: partial(wait.run, entry_context),
            StepName.MERGE: partial(merge.run, entry_context),
        }
        found |= {(name, key): runner.unless_merged(entry_context, name, function) for name, function in own.items()}
    found[StepName.TOGETHER, None] = partial(step.run, context)
    found[StepName.CLEANUP, None] = partial(observing(cleanup.run, Part.ALL), context)
    return found
