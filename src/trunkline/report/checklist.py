"""Render a checklist as a table for the terminal, or as Markdown for the pull request."""

from __future__ import annotations

import datetime as dt
from collections.abc import Sequence

from rich.table import Table
from rich.text import Text

from trunkline.domain.checklist import Line, LineState
from trunkline.domain.receipt import instant
from trunkline.report.escape import for_markdown, for_terminal
from trunkline.report.templates import own_markdown

_MARKS = {
    LineState.DONE: ("✓", "green"),
    LineState.WARNED: ("!", "yellow"),
    LineState.OPEN: ("✗", "red"),
    LineState.SKIPPED: ("-", "yellow"),
}
_BOXES = {LineState.DONE: "x", LineState.WARNED: "x", LineState.OPEN: " ", LineState.SKIPPED: " "}
_UNITS = ((86400, "d"), (3600, "h"), (60, "min"))


def table(lines: Sequence[Line], now: dt.datetime) -> Table:
    """Return a table with a row for each line: state, condition, evidence, age of the evidence."""
    made = Table(box=None, pad_edge=False, header_style="bold")
    for name in ("", "what must be true", "evidence", "age"):
        made.add_column(name, no_wrap=name in {"", "age"}, overflow="fold")
    for line in lines:
        mark, style = _MARKS[line.state]
        shown = line.evidence if line.state is LineState.DONE else f"{line.evidence}\n{line.command}"
        cells = (line.text, shown, age(line.at, now))
        made.add_row(Text(mark, style), *(Text(for_terminal(cell, lines=True)) for cell in cells))
    return made


def markdown(lines: Sequence[Line]) -> str:
    """Return a task list with absolute times, because pasted text gets old."""
    rows = []
    for line in lines:
        skipped = "skipped; " if line.state is LineState.SKIPPED else ""
        when = f" ({line.at[:16].replace('T', ' ')} UTC)" if line.at else ""
        rows.append(
            f"- [{_BOXES[line.state]}] {own_markdown(line.text)}: {skipped}{for_markdown(line.evidence)}{when}\n"
        )
    return "".join(rows)


def age(at: str, now: dt.datetime) -> str:
    """Return the age of an ISO 8601 time: `now`, `4 min`, `3 h`, `12 d`; "now" for no time."""
    if not at:
        return "now"
    seconds = (now - instant(at)).total_seconds()
    return next((f"{seconds // unit:.0f} {name}" for unit, name in _UNITS if seconds >= unit), "now")
