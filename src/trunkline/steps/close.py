"""Step `close`: close the pull request of an entry that was removed from the stack."""

from __future__ import annotations

from trunkline.context.view import View
from trunkline.domain.stack import Entry
from trunkline.domain.step import Outcome, Step, StepName
from trunkline.engine import StepContext
from trunkline.operations import pull_request_state


def plan(entry: Entry) -> Step:
    """Plan the step; its branch stays, here and on the remote."""
    line = f"close {entry.full_label}: its entry is removed from the stack"
    return Step(StepName.CLOSE, line, (f"gh pr close {entry.pr}",), mutates=True, pr=entry.key, publishes=(line,))


def run(view: View, step_context: StepContext) -> Outcome:
    """Close the pull request, unless it is not open any more."""
    return pull_request_state.set_state(view, step_context, is_open=False)
