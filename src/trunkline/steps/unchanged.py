"""The steps of a landing for an entry that is merged as it is; those that rewrite are left out."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

from trunkline.context.project import Context
from trunkline.domain.command import task_command
from trunkline.domain.errors import ExternalError, Refused
from trunkline.domain.merge_choice import MergeChoice, described
from trunkline.domain.names import short
from trunkline.domain.step import Outcome, Step, StepName, StepStatus
from trunkline.engine import StepContext
from trunkline.operations import local_branch
from trunkline.planning import merge_as_is, pushed_commits
from trunkline.planning.replay_plan import ReplayPreview
from trunkline.planning.verification import is_unverified
from trunkline.steps import checks, gates, note, replay

_ROUNDS = 5
"""How often gates run again because trunk moved while they ran."""


def is_unchanged(context: Context) -> bool:
    """Return whether the entry is merged as it is, as last decided."""
    choice = context.cache.merges.get(context.entry.pr)
    return choice is not None and not choice.reason


def plan_step(context: Context, name: StepName) -> Step:
    """Plan a step that rewrites, for an entry that is merged as it is."""
    choice = context.cache.merges[context.entry.pr]
    if name is StepName.ONTO:
        return Step(name, f"{described(choice)}: {merge_as_is.message(context, choice)}")
    return Step(name, "nothing: the pull request is merged as it is")


def perform_onto(context: Context, step_context: StepContext) -> Outcome:
    """Decide how the entry is merged; replay its own commits where it has to be rewritten.

    Raises:
        Refused: it has to be rewritten, and stack.toml forbids that; else as of `replay.run`.
        Paused, Pause: as of `replay.run`.
    """
    pushed_commits.settle(context, step_context)
    choice, foreseen = _chosen(context)
    if choice.reason:
        merge_as_is.refuse_rewriting(context, (context.entry.pr, choice))
        done = replay.run(context, step_context)
        why = f"#{context.entry.pr} is {described(choice)}"
        return replace(done, details=(why, *done.details), data={**done.data, "rewritten_because": choice.reason})
    work = foreseen.work
    local_branch.move(
        context, step_context, new=work.tip, old=work.local, why=f"caught up with {context.stack.remote}"
    )
    facts = {"as_is": True, "head": choice.head, "trunk": choice.trunk, "result": choice.result}
    return Outcome("unchanged", merge_as_is.message(context, choice), StepStatus.NOTHING, work.notes, facts)


def perform_fmt(context: Context, step_context: StepContext, otherwise: Callable[[StepContext], Outcome]) -> Outcome:
    """Leave formatting to the gates where the head stays."""
    if not is_unchanged(context):
        return otherwise(step_context)
    return Outcome("formatted", "nothing: merged as it is; the gates judge its format", StepStatus.NOTHING)


def perform_push(context: Context, step_context: StepContext, otherwise: Callable[[StepContext], Outcome]) -> Outcome:
    """Push nothing where the head stays."""
    if not is_unchanged(context):
        return otherwise(step_context)
    note.refuse_unusable(context)
    head = short(context.cache.merges[context.entry.pr].head)
    return Outcome(
        "pushed", f"nothing: {context.stack.remote} keeps {head}", StepStatus.NOTHING, data={"pushed": False}
    )


def decided(context: Context, way: Callable[[StepContext], Outcome]) -> Callable[[StepContext], Outcome]:
    """Return a step that knows how its entry is merged, also where an earlier process had decided it."""

    def step_function(step_context: StepContext) -> Outcome:
        if context.entry.pr not in context.cache.merges:
            _chosen(context)
        return way(step_context)

    return step_function


def _chosen(context: Context) -> tuple[MergeChoice, ReplayPreview]:
    """Decide, and store the commit that gates run on: other processes read it."""
    choice, foreseen = merge_as_is.choose(context)
    context.git.query("cat-file", "-e", choice.result)
    return choice, foreseen


def renew(context: Context, step_context: StepContext) -> MergeChoice | None:
    """See that the gates ran on exactly what merging the head into trunk gives now; run them where trunk moved.

    Returns:
        The choice that holds now; None: nothing is decided, since every entry is rewritten, or none by name.

    Raises:
        Paused: somebody has pushed to the branch since the run began.
        Refused: trunk or its rules changed so that the entry has to be rewritten.
        CheckFailed: a gate or a check fails on the result.
        ExternalError: trunk moved each time.
    """
    if not merge_as_is.is_enabled(context) or StepName.ONTO in context.options.skip:
        return None
    for _ in range(_ROUNDS):
        pushed_commits.refuse(context)
        choice, _foreseen = _chosen(context)
        if choice.reason:
            raise Refused(
                f"#{context.entry.pr} cannot be merged as it is any more",
                why=f"it is to be {described(choice)}; it was not merged",
                next_command=task_command("land"),
            )
        if not is_unverified(context, choice.result):
            return choice
        at = f"{context.tracking} is at {short(choice.trunk)}"
        context.reporter.progress(f"{at}: the gates run on what merging #{context.entry.pr} gives")
        _verify(context, step_context)
        context.invalidate_remote()
    raise ExternalError(
        f"#{context.entry.pr}: {context.tracking} moved {_ROUNDS} times while the gates ran",
        why="what a merge would give now is not verified; it was not merged",
        next_command=task_command("continue"),
    )


def _verify(context: Context, step_context: StepContext) -> None:
    if StepName.GATES not in context.options.skip:
        gates.run(context, step_context)
    if StepName.CHECKS not in context.options.skip:
        checks.run(context, step_context)
