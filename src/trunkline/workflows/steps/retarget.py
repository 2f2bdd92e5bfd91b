"""retarget: every open pull request of the stack targets the branch that its entry sits on."""

from __future__ import annotations

from trunkline.adapters import history
from trunkline.domain.snapshot import PullRequest
from trunkline.domain.step import Mark, Outcome, Step, StepName
from trunkline.engine import Acting
from trunkline.workflows import publish
from trunkline.workflows.base import Base, base_of
from trunkline.workflows.context import Context


def plan(context: Context) -> Step:
    """Plan the step."""
    wrong = _wrong(context)
    commands = tuple(f"gh pr edit {pr.number} --base {base.branch}" for pr, base in wrong)
    publishes = tuple(f"#{pr.number} targets {base.branch} instead of {pr.base}" for pr, base in wrong)
    does = "each pull request targets what its entry sits on"
    return Step(StepName.RETARGET, does, commands, mutates=True, publishes=publishes)


def perform(context: Context, acting: Acting) -> Outcome:
    """Let each open pull request target its base, after the push: before, it might have had no commits over it.

    Raises:
        Refused: GitHub does not take one.
    """
    told, kept = [], []
    for pr, base in _wrong(context):
        context.of(context.stack.entry(pr.number)).pull_request()
        if history.is_ancestor(context.git, pr.head_oid, base.oid):
            kept.append(f"#{pr.number} still targets {pr.base}: it has no commits over {base.branch}")
            continue
        publish.retarget(context, acting, pr, base.branch)
        told.append(f"#{pr.number} {pr.base} -> {base.branch}")
    if told:
        context.forget_github()
    mark = Mark.WARNED if kept else Mark.DONE if told else Mark.NOTHING
    return Outcome("retargeted", ", ".join(told) or "every base is right", mark, tuple(kept))


def _wrong(context: Context) -> tuple[tuple[PullRequest, Base], ...]:
    """Return each open pull request that targets another branch than it sits on, with what it sits on."""
    bases = ((pr, base_of(context.of(context.stack.entry(pr.number)))) for pr in context.open_pulls())
    return tuple((pr, base) for pr, base in bases if pr.base != base.branch)
