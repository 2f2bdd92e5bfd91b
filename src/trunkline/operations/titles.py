"""Change the titles of pull requests, and change them back."""

from __future__ import annotations

import shlex

from trunkline.context.project import Project
from trunkline.context.view import View
from trunkline.domain import records
from trunkline.domain.changes import TitleChanged
from trunkline.domain.command import task_command
from trunkline.domain.errors import ExternalError
from trunkline.domain.names import PrNumber
from trunkline.domain.snapshot import PullRequest
from trunkline.domain.step import Outcome, StepStatus
from trunkline.engine import StepContext
from trunkline.planning.run_changes import drift


def change(project: Project, step_context: StepContext, *edits: tuple[PullRequest, str]) -> None:
    """Log the intents, and change titles; several in one request.

    Args:
        project: the project.
        step_context: the step's arguments.
        *edits: each pull request as last read, and its new title.

    Raises:
        Refused: GitHub rejects a change.
        ExternalError: GitHub does not show one.
    """
    project.reporter.require_approval(*(described(pr, title) for pr, title in edits))
    for pr, title in edits:
        about = step_context.about(project.stack.entry(pr.number))
        step_context.log_intent(records.PullRequestRetitled(*about, title=pr.title, title_after=title))
    for pr, title in edits:
        project.reporter.command(command(pr.number, title))
    shown = project.github.edit_titles(edits)
    for pr, title in edits:
        if shown.get(pr.number) != title:
            raise ExternalError(
                f"#{pr.number}'s title did not come back as written",
                why="somebody may have edited it at the same moment",
                next_command=task_command("continue"),
            )


def restore(view: View, step_context: StepContext, reverted: TitleChanged) -> Outcome:
    """Restore a title.

    Raises:
        Refused: somebody has changed it since.
    """
    pr = view.pull_request()
    if pr.title == reverted.before:
        return Outcome("title", "is as it was", StepStatus.NOTHING)
    if pr.title != reverted.left:
        raise drift(view.entry, (f"#{pr.number}'s title was edited since: {pr.title!r}",))
    change(view.project, step_context, (pr, reverted.before))
    return Outcome("title", f"{reverted.before!r}, as it was")


def described(pr: PullRequest, title: str) -> str:
    """Return a change in words."""
    return f"#{pr.number} is titled {title!r} instead of {pr.title!r}"


def command(number: PrNumber, title: str) -> str:
    """Return the equivalent command."""
    return f"gh pr edit {number} --title {shlex.quote(title)}"
