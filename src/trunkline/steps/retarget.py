"""Step `retarget`: set the base of every open pull request to the branch that it builds on."""

from __future__ import annotations

import shlex
from collections.abc import Sequence

from trunkline.context.run import Context
from trunkline.context.view import View
from trunkline.domain.native import NativeStack
from trunkline.domain.snapshot import PullRequest
from trunkline.domain.stack import Entry
from trunkline.domain.step import Outcome, Step, StepName, StepStatus
from trunkline.engine import StepContext
from trunkline.git import history
from trunkline.operations import native_link, publish
from trunkline.planning.parents import Base, base_of


def plan(view: View, stacks: tuple[NativeStack, ...] | None, entries: Sequence[Entry] | None = None) -> Step:
    """Plan the step.

    Args:
        view: the stack.
        stacks: GitHub's native stacks; None if they are not used.
        entries: the entries whose bases are published by then; None: those that are now.
    """
    wrong = _wrong(view, entries)
    linked = native_link.linking(view, stacks, [pr.number for pr, _ in wrong])
    commands = tuple(f"gh pr edit {pr.number} --base {shlex.quote(base.branch)}" for pr, base in wrong)
    publishes = tuple(f"#{pr.number} targets {base.branch} instead of {pr.base}" for pr, base in wrong)
    description = "each pull request targets what its entry sits on"
    description = description if wrong or linked.changes else f"nothing: {description}"
    description += "; GitHub shows them as one native stack" if linked.changes else ""
    return Step(
        StepName.RETARGET,
        description,
        (*commands, *linked.commands),
        mutates=True,
        publishes=(*publishes, *linked.publishes),
    )


def run(context: Context, step_context: StepContext, entries: Sequence[Entry] | None = None) -> Outcome:
    """Set the base of each open pull request, after the push, and link them as a native stack.

    Before the push, a pull request might have no commits over its new base.

    Raises:
        Refused: GitHub rejects a change.
    """
    moved, kept = [], []
    view = context.view()
    wrong = _wrong(view, entries)
    stacks = native_link.stacks_of(context.observer, context.stack)
    linked = native_link.linking(view, stacks, [pr.number for pr, _ in wrong])
    native_link.dissolve(view, step_context, linked)
    for pr, base in wrong:
        view.of_pr(pr.number).pull_request()
        if history.is_ancestor(context.git, pr.head_oid, base.oid):
            kept.append(f"#{pr.number} still targets {pr.base}: it has no commits over {base.branch}")
            continue
        moved.append((pr, base.branch))
    if moved:
        publish.retarget(context, step_context, *moved)
    linked = native_link.link(context.project, linked)
    message = [f"#{pr.number} {pr.base} -> {branch}" for pr, branch in moved]
    done = message or linked.changes
    mark = StepStatus.WARNED if kept else StepStatus.DONE if done else StepStatus.NOTHING
    details = (*kept, *linked.notes)
    return Outcome("retargeted", ", ".join(message) or "every base is right", mark, details)


def _wrong(view: View, entries: Sequence[Entry] | None) -> tuple[tuple[PullRequest, Base], ...]:
    """Return the open pull requests with a wrong base, each with its proper base."""
    bases = ((pr, base_of(view.of(view.stack.entry(pr.number)))) for pr in view.open_pulls())
    chosen = None if entries is None else {entry.number for entry in entries}
    return tuple(
        (pr, base)
        for pr, base in bases
        if pr.base != base.branch and (_is_published(base) if chosen is None else pr.number in chosen)
    )


def _is_published(base: Base) -> bool:
    """Return whether GitHub has the base: `submit` publishes that of an entry without a pull request."""
    return base.entry is None or base.entry.number is not None
