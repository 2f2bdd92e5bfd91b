"""Step `retarget`: set the base of every open pull request to the branch that it builds on."""

from __future__ import annotations

from trunkline.context.project import Context
from trunkline.domain.snapshot import PullRequest
from trunkline.domain.step import Outcome, Step, StepName, StepStatus
from trunkline.engine import StepContext
from trunkline.git import history
from trunkline.operations import native_link, publish
from trunkline.planning.parents import Base, base_of


def plan(context: Context) -> Step:
    """Plan the step."""
    wrong = _wrong(context)
    linked = native_link.linking(context, [pr.number for pr, _ in wrong])
    commands = tuple(f"gh pr edit {pr.number} --base {base.branch}" for pr, base in wrong)
    publishes = tuple(f"#{pr.number} targets {base.branch} instead of {pr.base}" for pr, base in wrong)
    description = "each pull request targets what its entry sits on"
    description += "; GitHub shows them as one native stack" if linked.changes else ""
    return Step(
        StepName.RETARGET,
        description,
        (*commands, *linked.commands),
        mutates=True,
        publishes=(*publishes, *linked.publishes),
    )


def run(context: Context, step_context: StepContext) -> Outcome:
    """Set the base of each open pull request, after the push, and link them as a native stack.

    Before the push, a pull request might have no commits over its new base.

    Raises:
        Refused: GitHub rejects a change.
    """
    message, kept = [], []
    wrong = _wrong(context)
    linked = native_link.linking(context, [pr.number for pr, _ in wrong])
    native_link.dissolve(context, step_context, linked)
    for pr, base in wrong:
        context.of(context.stack.entry(pr.number)).pull_request()
        if history.is_ancestor(context.git, pr.head_oid, base.oid):
            kept.append(f"#{pr.number} still targets {pr.base}: it has no commits over {base.branch}")
            continue
        publish.retarget(context, step_context, pr, base.branch)
        message.append(f"#{pr.number} {pr.base} -> {base.branch}")
    if message:
        context.invalidate_github()
    linked = native_link.link(context, linked)
    done = message or linked.changes
    mark = StepStatus.WARNED if kept else StepStatus.DONE if done else StepStatus.NOTHING
    details = (*kept, *linked.notes)
    return Outcome("retargeted", ", ".join(message) or "every base is right", mark, details)


def _wrong(context: Context) -> tuple[tuple[PullRequest, Base], ...]:
    """Return the open pull requests with a wrong base, each with its proper base."""
    bases = ((pr, base_of(context.of(context.stack.entry(pr.number)))) for pr in context.open_pulls())
    return tuple((pr, base) for pr, base in bases if pr.base != base.branch and _is_published(base))


def _is_published(base: Base) -> bool:
    """Return whether GitHub has the base: `submit` publishes that of an entry without a pull request."""
    return base.entry is None or base.entry.number is not None
