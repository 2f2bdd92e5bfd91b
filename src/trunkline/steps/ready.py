"""Step `ready`: retarget the pull request to trunk, if no entry below is open, and mark it as ready for review."""

from __future__ import annotations

import shlex

from trunkline.context.run import Context
from trunkline.context.view import View
from trunkline.domain import records
from trunkline.domain.command import task_command
from trunkline.domain.errors import ExternalError
from trunkline.domain.snapshot import PullRequest
from trunkline.domain.step import Outcome, Step, StepName, StepStatus
from trunkline.engine import StepContext
from trunkline.operations.publish import set_base
from trunkline.planning.heads import deleted
from trunkline.planning.parents import nearest_open
from trunkline.planning.verification import refuse_other_head
from trunkline.state.change_log import Part
from trunkline.system.polling import poll

LAG_SECONDS = 60.0
"""Seconds until GitHub shows a pushed head; delays of tens of seconds are documented."""


def plan(view: View) -> Step:
    """Plan the step alone."""
    return _planned(view, _target(view), _stays(view))


def plan_in_rebase(view: View) -> Step:
    """Plan the step after others, which check that every entry below is merged."""
    return _planned(view, view.stack.trunk, "")


def _planned(view: View, target: str, stays: str) -> Step:
    pr = view.known(view.entry.pr)
    commands = (
        *([f"gh pr edit {pr.number} --base {shlex.quote(target)}"] if pr.base != target else []),
        *([f"gh pr ready {pr.number}"] if pr.draft else []),
    )
    description = f"{view.entry.label} targets {target} and is ready for review{stays}"
    return Step(
        StepName.READY, description if commands else f"nothing: {description}", commands, mutates=True,
        publishes=_publishes(target, pr),
    )  # fmt: skip


def _publishes(target: str, pr: PullRequest) -> tuple[str, ...]:
    base = f"#{pr.number} targets {target} instead of {pr.base}"
    ready = f"#{pr.number} is marked ready for review"
    return (*([base] if pr.base != target else []), *([ready] if pr.draft else []))


def _target(view: View) -> str:
    """Return the branch that the pull request shall target: trunk, or its base while an entry below is open.

    On trunk, it would show the commits of that entry, and could be merged before it.
    """
    return view.stack.trunk if nearest_open(view) is None else view.known(view.entry.pr).base


def _stays(view: View) -> str:
    below = nearest_open(view)
    return f"; its base stays, because {below.label} below is open" if below is not None else ""


def run(context: Context, step_context: StepContext) -> Outcome:
    """Retarget the pull request to trunk if no entry below is open, and mark it as ready.

    Raises:
        Refused: it is closed, or its head is not the local tip.
        ExternalError: GitHub did not show the push in time.
    """
    pr = _caught_up(context)
    view = context.view()
    target, stays = _target(view), _stays(view)
    retargeted = pr.base != target
    if publishes := _publishes(target, pr):
        context.reporter.require_approval(*publishes)
    about = step_context.about(context.entry)
    step_context.log_intent(
        records.PullRequestEdited(*about, base=pr.base, draft=pr.draft, base_after=target, draft_after=False)
    )
    if retargeted:
        set_base(context, pr.number, target)
    if pr.draft:
        context.reporter.command(f"gh pr ready {pr.number}")
        context.github.set_draft(pr, draft=False)
    moved = f", retargeted from {pr.base} to {target}" if retargeted else ""
    return Outcome(
        "ready",
        ("was draft" if pr.draft else "was ready already") + moved + stays,
        StepStatus.DONE if pr.draft or retargeted else StepStatus.NOTHING,
        data={"was_draft": pr.draft, "base_before": pr.base, "base": target},
    )


def _caught_up(context: Context) -> PullRequest:
    """Poll, with a time limit, until GitHub shows the pushed head, which lags behind the remote."""

    def observe() -> View:
        view = context.view()
        return context.view(Part.REMOTE) if is_behind(view) else view

    def is_behind(view: View) -> bool:
        return view.pull_request().head_oid != view.local.remote

    if context.view().local.remote is None:
        raise deleted(context.view())  # GitHub keeps the head, which no push will change
    view = poll(observe, pending=is_behind, limit=LAG_SECONDS, first=0.5, longest=8)
    if is_behind(view):
        raise ExternalError(
            f"GitHub does not show the pushed head of {context.entry.label} yet",
            why=f"waited {LAG_SECONDS:g} s",
            next_command=task_command("ready", "--pr", context.entry.key),
        )
    why, pr = "what is marked ready must be what was verified here", view.pull_request()
    refuse_other_head(view, pr, why=why, next_command=task_command("push", "--pr", pr.number))
    return pr
