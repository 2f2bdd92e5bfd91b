"""Close or reopen a pull request."""

from __future__ import annotations

from trunkline.context.run import Context
from trunkline.domain import records
from trunkline.domain.command import task_command
from trunkline.domain.errors import ExternalError
from trunkline.domain.snapshot import PrState
from trunkline.domain.step import Outcome, StepStatus
from trunkline.engine import StepContext


def set_state(context: Context, step_context: StepContext, *, is_open: bool) -> Outcome:
    """Close or reopen the entry's pull request.

    Raises:
        ExternalError: GitHub does not show the new state.
        Refused: GitHub rejects the change.
    """
    state = context.view().known(context.entry.pr).state
    word = "open" if is_open else "closed"
    if state is (PrState.OPEN if is_open else PrState.CLOSED) or state is PrState.MERGED:
        return Outcome(word, f"is {state.value.lower()} already", StepStatus.NOTHING)
    command = "reopen" if is_open else "close"
    context.reporter.require_approval(f"{command} {context.entry.full_label}")
    step_context.log_intent(records.PullRequestClosed(*step_context.about(context.entry), closed=not is_open))
    context.reporter.command(f"gh pr {command} {context.entry.pr}")
    edited = context.github.edit(context.entry.pr, state=word)
    context.observer.changed()
    if edited.state != word:
        raise ExternalError(
            f"{context.entry.full_label} is {edited.state}, not {word}",
            why="GitHub did not take the change",
            next_command=task_command("continue"),
        )
    return Outcome(word, f"{context.entry.branch} stays, here and on {context.stack.remote}")
