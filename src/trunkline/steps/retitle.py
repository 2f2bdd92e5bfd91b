"""Step `retitle`: keep the positions in the titles of open pull requests right (`[submit] title`)."""

from __future__ import annotations

from collections.abc import Sequence

from trunkline.context.view import View
from trunkline.domain.stack import Entry
from trunkline.domain.step import Outcome, Step, StepName, StepStatus
from trunkline.engine import StepContext
from trunkline.operations import titles
from trunkline.planning.titles import Titles, titles_of


def plan(view: View, entries: Sequence[Entry]) -> tuple[Step, ...]:
    """Plan the step; () if titles have no positions.

    Args:
        view: the stack as it shall be.
        entries: the entries whose pull requests are published.
    """
    if not view.stack.submit.title:
        return ()
    found = titles_of(view, entries)
    return (
        Step(
            StepName.RETITLE,
            "each title shows its position" if found.wrong else "nothing: no title shows a wrong position",
            tuple(titles.command(pr.number, title) for pr, title in found.wrong),
            mutates=True,
            publishes=tuple(titles.described(pr, title) for pr, title in found.wrong),
        ),
    )


def run(view: View, step_context: StepContext, entries: Sequence[Entry]) -> Outcome:
    """Change the titles that show a wrong position; one that does not follow the pattern stays, and is named.

    Raises:
        Refused: GitHub rejects a change.
        ExternalError: GitHub does not show one.
    """
    found = titles_of(view, entries)
    if found.wrong:
        titles.change(view.project, step_context, *found.wrong)
    message = ", ".join(f"#{pr.number} {title!r}" for pr, title in found.wrong) or "every position is right"
    mark = StepStatus.DONE if found.wrong else StepStatus.NOTHING
    return Outcome("retitled", message, mark, _stays(view.stack.submit.title, found))


def _stays(pattern: str, found: Titles) -> tuple[str, ...]:
    """Return the line about titles that stay, with the command that gives the first of them a position."""
    if not found.own:
        return ()
    numbers = ", ".join(f"#{pr.number}" for pr, _ in found.own)
    keep, do = ("keeps its title", "does") if len(found.own) == 1 else ("keep their titles", "do")
    command = titles.command(found.own[0][0].number, found.own[0][1])
    return (f"{numbers} {keep}, which {do} not follow {pattern!r}; to number one: {command}",)
