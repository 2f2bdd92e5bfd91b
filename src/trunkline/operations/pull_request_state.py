"""Close or reopen a pull request."""

from __future__ import annotations

from trunkline.context.view import View
from trunkline.domain import records
from trunkline.domain.command import task_command
from trunkline.domain.errors import ExternalError
from trunkline.domain.names import PrNumber
from trunkline.domain.snapshot import PrState
from trunkline.domain.stack import Entry
from trunkline.domain.step import Outcome, StepStatus
from trunkline.engine import StepContext


def log_created(entry: Entry, step_context: StepContext, number: PrNumber) -> None:
    """Log that the run created the pull request, so that its undo closes it."""
    step_context.log_intent(records.PullRequestClosed(*step_context.about(entry), closed=False, number=number))


def set_state(view: View, step_context: StepContext, *, is_open: bool, number: PrNumber | None = None) -> Outcome:
    """Close or reopen the entry's pull request.

    Args:
        view: the entry.
        step_context: the step's arguments.
        is_open: reopen it.
        number: the pull request that a run created for the entry; None: that of stack.toml.

    Raises:
        ExternalError: GitHub does not show the new state.
        Refused: GitHub rejects the change.
    """
    pr = view.entry.pr if number is None else number
    shown = view.world.snapshot.pr(pr)  # None: stack.toml does not have it
    state = shown.state if shown is not None else None
    label = view.entry.full_label if number is None else f"#{number} {view.entry.branch}"
    word = "open" if is_open else "closed"
    if state is not None and (state is (PrState.OPEN if is_open else PrState.CLOSED) or state is PrState.MERGED):
        return Outcome(word, f"is {state.value.lower()} already", StepStatus.NOTHING)
    command = "reopen" if is_open else "close"
    view.reporter.require_approval(f"{command} {label}")
    step_context.log_intent(
        records.PullRequestClosed(*step_context.about(view.entry), closed=not is_open, number=number)
    )
    view.reporter.command(f"gh pr {command} {pr}")
    edited = view.github.edit(pr, state=word)
    if edited.state != word:
        raise ExternalError(
            f"{label} is {edited.state}, not {word}",
            why="GitHub did not take the change",
            next_command=task_command("continue"),
        )
    stays = f"{view.entry.branch} stays, here and on {view.stack.remote}"
    return Outcome(word, stays if number is None else label)
