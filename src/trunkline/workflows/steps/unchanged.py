"""The steps of a landing for an entry that is merged as it is; those that rewrite are left out."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

from trunkline.domain.command import task_command
from trunkline.domain.errors import OutsideFailed, Refused
from trunkline.domain.merge_choice import MergeChoice, described
from trunkline.domain.names import short
from trunkline.domain.step import Mark, Outcome, Step, StepName
from trunkline.engine import Acting
from trunkline.workflows import appeared, as_is, branch
from trunkline.workflows.context import Context
from trunkline.workflows.proof import lacking
from trunkline.workflows.steps import checks, gates, note, onto
from trunkline.workflows.work import Foreseen

_ROUNDS = 5
"""How often gates run again because trunk moved while they ran."""


def is_unchanged(context: Context) -> bool:
    """Return whether the entry is merged as it is, as last decided."""
    choice = context.seen.merges.get(context.entry.pr)
    return choice is not None and not choice.reason


def plan_step(context: Context, name: StepName) -> Step:
    """Plan a step that rewrites, for an entry that is merged as it is."""
    choice = context.seen.merges[context.entry.pr]
    if name is StepName.ONTO:
        return Step(name, f"{described(choice)}: {as_is.told(context, choice)}")
    return Step(name, "nothing: the pull request is merged as it is")


def perform_onto(context: Context, acting: Acting) -> Outcome:
    """Decide how the entry is merged; replay its own commits where it has to be rewritten.

    Raises:
        Refused: it has to be rewritten, and stack.toml forbids that; else as of `onto.perform`.
        Paused, Pause: as of `onto.perform`.
    """
    appeared.settle(context, acting)
    choice, foreseen = _chosen(context)
    if choice.reason:
        as_is.refuse_rewriting(context, (context.entry.pr, choice))
        done = onto.perform(context, acting)
        why = f"#{context.entry.pr} is {described(choice)}"
        return replace(done, details=(why, *done.details), data={**done.data, "rewritten_because": choice.reason})
    work = foreseen.work
    branch.move(context, acting, new=work.tip, old=work.local, why=f"caught up with {context.stack.remote}")
    facts = {"as_is": True, "head": choice.head, "trunk": choice.trunk, "result": choice.result}
    return Outcome("unchanged", as_is.told(context, choice), Mark.NOTHING, work.notes, facts)


def perform_fmt(context: Context, acting: Acting, otherwise: Callable[[Acting], Outcome]) -> Outcome:
    """Leave formatting to the gates where the head stays."""
    if not is_unchanged(context):
        return otherwise(acting)
    return Outcome("formatted", "nothing: merged as it is; the gates judge its format", Mark.NOTHING)


def perform_push(context: Context, acting: Acting, otherwise: Callable[[Acting], Outcome]) -> Outcome:
    """Push nothing where the head stays."""
    if not is_unchanged(context):
        return otherwise(acting)
    note.refuse_unusable(context)
    head = short(context.seen.merges[context.entry.pr].head)
    return Outcome("pushed", f"nothing: {context.stack.remote} keeps {head}", Mark.NOTHING, data={"pushed": False})


def decided(context: Context, way: Callable[[Acting], Outcome]) -> Callable[[Acting], Outcome]:
    """Return a step that knows how its entry is merged, also where an earlier process had decided it."""

    def performer(acting: Acting) -> Outcome:
        if context.entry.pr not in context.seen.merges:
            _chosen(context)
        return way(acting)

    return performer


def _chosen(context: Context) -> tuple[MergeChoice, Foreseen]:
    """Decide, and store the commit that gates run on: other processes read it."""
    choice, foreseen = as_is.choose(context)
    context.git.query("cat-file", "-e", choice.result)
    return choice, foreseen


def renew(context: Context, acting: Acting) -> MergeChoice | None:
    """See that the gates ran on exactly what merging the head into trunk gives now; run them where trunk moved.

    Returns:
        The choice that holds now; None: nothing is decided, since every entry is rewritten, or none by name.

    Raises:
        Paused: somebody has pushed to the branch since the run began.
        Refused: trunk or its rules changed so that the entry has to be rewritten.
        CheckFailed: a gate or a check fails on the result.
        OutsideFailed: trunk moved each time.
    """
    if not as_is.is_enabled(context) or StepName.ONTO in context.options.skip:
        return None
    for _ in range(_ROUNDS):
        appeared.refuse(context)
        choice, _foreseen = _chosen(context)
        if choice.reason:
            raise Refused(
                f"#{context.entry.pr} cannot be merged as it is any more",
                why=f"it is to be {described(choice)}; it was not merged",
                next_command=task_command("land"),
            )
        if not lacking(context, choice.result):
            return choice
        at = f"{context.tracking} is at {short(choice.trunk)}"
        context.tell.progress(f"{at}: the gates run on what merging #{context.entry.pr} gives")
        _verify(context, acting)
        context.forget_outside()
    raise OutsideFailed(
        f"#{context.entry.pr}: {context.tracking} moved {_ROUNDS} times while the gates ran",
        why="what a merge would give now is not verified; it was not merged",
        next_command=task_command("continue"),
    )


def _verify(context: Context, acting: Acting) -> None:
    if StepName.GATES not in context.options.skip:
        gates.perform(context, acting)
    if StepName.CHECKS not in context.options.skip:
        checks.perform(context, acting)
