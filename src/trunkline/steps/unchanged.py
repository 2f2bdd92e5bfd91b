"""Steps of a landing for an entry that is merged without a rewrite."""

from __future__ import annotations

from collections.abc import Callable

from msgspec.structs import replace

from trunkline.context.run import Context
from trunkline.context.view import View
from trunkline.domain.command import task_command
from trunkline.domain.errors import ExternalError, Refused
from trunkline.domain.merge_choice import MergeChoice, described
from trunkline.domain.names import short
from trunkline.domain.replay_plan import ReplayPreview
from trunkline.domain.step import Outcome, Step, StepName, StepStatus
from trunkline.engine import StepContext
from trunkline.operations import attested_push, inclusion, local_branch
from trunkline.planning import merge_as_is, pushed_commits, together
from trunkline.planning.verification import is_unverified
from trunkline.state.change_log import Part
from trunkline.steps import checks, gates, note, replay

_ROUNDS = 5
"""The maximum number of gate runs that are repeated because trunk moved in the meantime."""


def plan_step(view: View, name: StepName) -> Step:
    """Plan a rewriting step for an entry that is merged without a rewrite."""
    choice = view.decisions.merges[view.entry.key]
    if name is StepName.REPLAY:
        return Step(name, f"{described(choice)}: {merge_as_is.message(view.tracking, choice)}")
    shared = attested_push.publishes(view) if name is StepName.PUSH else ()
    return Step(name, "nothing: the pull request is merged as it is", publishes=shared)


def run_replay(context: Context, step_context: StepContext) -> Outcome:
    """Decide how the entry is merged, and replay its own commits if it must be rewritten.

    Raises:
        Refused: it must be rewritten, and stack.toml forbids that; else see `replay.run`.
        Paused, Pause: see `replay.run`.
    """
    inclusion.settle(context, step_context)
    choice, preview = _chosen(context)
    if choice.reason:
        merge_as_is.refuse_rewriting(context.stack, (context.entry.pr, choice))
        done = replay.run(context, step_context)
        why = f"{context.entry.label} is {described(choice)}"
        return replace(done, details=(why, *done.details), data={**done.data, "rewritten_because": choice.reason})
    work = preview.work
    local_branch.move(
        context, step_context, new=work.tip, old=work.local, why=f"caught up with {context.stack.remote}"
    )
    facts = {"as_is": True, "head": choice.head, "trunk": choice.trunk, "result": choice.result}
    return Outcome("unchanged", merge_as_is.message(context.tracking, choice), StepStatus.NOTHING, work.notes, facts)


def run_fmt(context: Context, step_context: StepContext, otherwise: Callable[[StepContext], Outcome]) -> Outcome:
    """Skip formatting if the head is merged as it is."""
    if not context.run.decisions.as_is(context.entry.pr):
        return otherwise(step_context)
    return Outcome("formatted", "nothing: merged as it is; the gates check its format", StepStatus.NOTHING)


def run_push(context: Context, step_context: StepContext, otherwise: Callable[[StepContext], Outcome]) -> Outcome:
    """Skip the push if the head is merged as it is; share the receipts of the head and of the merge's result."""
    if not context.run.decisions.as_is(context.entry.pr):
        return otherwise(step_context)
    note.refuse_unusable(context.view())
    key = attested_push.key_of(context)
    head = short(context.run.decisions.merges[context.entry.key].head)
    nothing = f"nothing: {context.stack.remote} keeps {head}"
    done = Outcome("pushed", nothing, StepStatus.NOTHING, data={"pushed": False})
    return attested_push.share(context, step_context.lock, key, done)


def decided(context: Context, function: Callable[[StepContext], Outcome]) -> Callable[[StepContext], Outcome]:
    """Wrap a step so that the choice of an earlier process is restored first."""

    def step_function(step_context: StepContext) -> Outcome:
        if context.entry.key not in context.run.decisions.merges:
            _chosen(context)
        return function(step_context)

    return step_function


def _chosen(context: Context) -> tuple[MergeChoice, ReplayPreview]:
    """Decide, and store the commit for the gates, which run in other processes."""
    choice, preview = merge_as_is.choose(context.view(), merge_as_is.requested_terms(context.observer))
    context.run.decisions = context.run.decisions.with_merge(context.entry.pr, choice)
    context.git.query("cat-file", "-e", choice.result)
    return choice, preview


def renew(context: Context, step_context: StepContext) -> MergeChoice | None:
    """Ensure that the gates ran on the current result of the merge; run them again if trunk moved.

    Returns:
        The current choice; None if every entry is rewritten, or none is by request.

    Raises:
        Paused: somebody pushed to the branch after the run began.
        Refused: trunk or its rules changed, and the entry must be rewritten.
        CheckFailed: a gate or a check fails on the result.
        ExternalError: trunk moved during every round.
    """
    if not merge_as_is.is_enabled(context.stack) or StepName.REPLAY in context.options.skip:
        return None
    for _ in range(_ROUNDS):
        pushed_commits.refuse(context.view())
        choice, _preview = _chosen(context)
        if choice.reason:
            raise Refused(
                f"{context.entry.label} can no longer be merged as it is",
                why=f"it is to be {described(choice)}; it was not merged",
                next_command=task_command("land"),
            )
        view = context.view()
        if not (together.is_gated(view, view.decisions) and is_unverified(view, choice.result)):
            return choice
        at = f"{context.tracking} is at {short(choice.trunk)}"
        context.reporter.progress(f"{at}: the gates run on what merging {context.entry.label} gives")
        verify(context, step_context)
        context.world(Part.REMOTE)  # trunk may have moved while they ran
    raise ExternalError(
        f"{context.entry.label}: {context.tracking} moved {_ROUNDS} times while the gates ran",
        why="what a merge would give now is not verified; it was not merged",
        next_command=task_command("continue"),
    )


def verify(context: Context, step_context: StepContext) -> None:
    """Run the gates and checks that are not skipped on what merging the entry gives.

    Raises:
        CheckFailed: one fails.
    """
    if StepName.GATES not in context.options.skip:
        gates.run(context, step_context)
    if StepName.CHECKS not in context.options.skip:
        checks.run(context, step_context)
