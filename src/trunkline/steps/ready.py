"""Step `ready`: retarget the pull request to trunk, and mark it as ready for review."""

from __future__ import annotations

import shlex

from trunkline.context.observer import Part
from trunkline.context.run import Context
from trunkline.context.view import View
from trunkline.domain import records
from trunkline.domain.command import task_command
from trunkline.domain.errors import ExternalError
from trunkline.domain.snapshot import PullRequest
from trunkline.domain.stack import Stack
from trunkline.domain.step import Outcome, Step, StepName, StepStatus
from trunkline.engine import StepContext
from trunkline.operations.publish import set_base
from trunkline.planning.verification import refuse_other_head
from trunkline.system.polling import poll

LAG_SECONDS = 60.0
"""Seconds until GitHub shows a pushed head; delays of tens of seconds are documented."""


def plan(view: View) -> Step:
    """Plan the step."""
    pr, trunk = view.known(view.entry.pr), view.stack.trunk
    commands = (
        *([f"gh pr edit {pr.number} --base {shlex.quote(trunk)}"] if pr.base != trunk else []),
        *([f"gh pr ready {pr.number}"] if pr.draft else []),
    )
    description = f"{view.entry.label} targets {trunk} and is ready for review"
    return Step(
        StepName.READY, description if commands else f"nothing: {description}", commands, mutates=True,
        publishes=_publishes(view.stack, pr),
    )  # fmt: skip


def _publishes(stack: Stack, pr: PullRequest) -> tuple[str, ...]:
    base = f"#{pr.number} targets {stack.trunk} instead of {pr.base}"
    ready = f"#{pr.number} is marked ready for review"
    return (*([base] if pr.base != stack.trunk else []), *([ready] if pr.draft else []))


def run(context: Context, step_context: StepContext) -> Outcome:
    """Retarget the pull request to trunk if it targets a merged entry, and mark it as ready.

    Raises:
        Refused: it is closed, or its head is not the local tip.
        ExternalError: GitHub did not show the push in time.
    """
    pr = _caught_up(context)
    retargeted = pr.base != context.stack.trunk
    if publishes := _publishes(context.stack, pr):
        context.reporter.require_approval(*publishes)
    about, trunk = step_context.about(context.entry), context.stack.trunk
    step_context.log_intent(
        records.PullRequestEdited(*about, base=pr.base, draft=pr.draft, base_after=trunk, draft_after=False)
    )
    if retargeted:
        set_base(context, pr.number, context.stack.trunk)
    if pr.draft:
        context.reporter.command(f"gh pr ready {pr.number}")
        context.observer.took(context.github.set_draft(pr, draft=False))
    elif retargeted:
        context.observer.changed(Part.PULLS)
    moved = f", retargeted from {pr.base} to {context.stack.trunk}" if retargeted else ""
    return Outcome(
        "ready",
        ("was draft" if pr.draft else "was ready already") + moved,
        StepStatus.DONE if pr.draft or retargeted else StepStatus.NOTHING,
        data={"was_draft": pr.draft, "base_before": pr.base, "base": context.stack.trunk},
    )


def _caught_up(context: Context) -> PullRequest:
    """Poll, with a time limit, until GitHub shows the pushed head, which lags behind the remote."""

    def look() -> PullRequest:
        pr = context.view().pull_request()
        if is_behind(pr):
            context.observer.changed(Part.REMOTE)
        return pr

    def is_behind(pr: PullRequest) -> bool:
        return pr.head_oid != context.view().local.remote

    pr = poll(look, pending=is_behind, limit=LAG_SECONDS, first=0.5, longest=8)
    if is_behind(pr):
        raise ExternalError(
            f"GitHub does not show the pushed head of {context.entry.label} yet",
            why=f"waited {LAG_SECONDS:g} s",
            next_command=task_command("ready", "--pr", context.entry.key),
        )
    refuse_other_head(context.view(), pr, why="what is marked ready must be what was verified here", task="push")
    return pr
