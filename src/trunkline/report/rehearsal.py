"""Render the result of a rehearsal: changes to remote refs and to pull requests."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from rich.table import Table
from rich.text import Text

from trunkline.domain.names import Oid, short
from trunkline.domain.rehearsal import Rehearsed
from trunkline.domain.words import count_of
from trunkline.report.escape import for_terminal
from trunkline.report.terminal import duration


def refs_table(found: Rehearsed) -> Table:
    """Return a table of remote refs that would move: old tip, new tip, number of new commits."""
    table = _table("branch on the remote", "now", "then", "new commits")
    for ref in found.refs:
        count = "" if ref.new is None else str(ref.commits)
        table.add_row(*map(_text, (ref.name, _tip(ref.old), _tip(ref.new) if ref.new else "deleted", count)))
    return table


def pulls_table(found: Rehearsed) -> Table:
    """Return a table of pull request fields that would change; descriptions as diffs."""
    table = _table("pull request", "field", "now", "then")
    for pull in found.pulls:
        for name, old, new in pull.fields:
            table.add_row(*map(_text, (f"#{pull.number}", name, old, new)))
        if pull.body:
            table.add_row(*map(_text, (f"#{pull.number}", "description", "", "as below")))
    return table


def descriptions(found: Rehearsed) -> Iterator[str]:
    """Yield the lines of the descriptions' diffs, each diff headed by its pull request."""
    for pull in found.pulls:
        if pull.body:
            yield f"#{pull.number}'s description:"
            yield from (f"  {line}" for line in pull.body.splitlines())


def summary(found: Rehearsed) -> str:
    """Return a summary in one line."""
    receipts = f"; {count_of(found.receipts, 'receipt')} earned, valid here too" if found.receipts else ""
    bad = f"; {found.hits} of {found.faults} failures met" if found.faults else ""
    took = f"sandbox {duration(found.preparing)}, task {duration(found.seconds)}"
    return f"{found.command}: exit code {found.code} ({took}){bad}{receipts}"


def data(found: Rehearsed) -> dict[str, Any]:
    """Return a rehearsal as JSON values; their keys are a public interface."""
    return {
        "command": found.command,
        "task_exit_code": found.code,
        "refs": [{"name": r.name, "old": r.old, "new": r.new, "commits": r.commits} for r in found.refs],
        "pull_requests": [
            {
                "number": pull.number,
                "fields": {name: {"before": old, "after": new} for name, old, new in pull.fields},
                "body": pull.body,
            }
            for pull in found.pulls
        ],
        "receipts": found.receipts,
        "faults": found.faults,
        "faults_met": found.hits,
        "preparing_seconds": round(found.preparing, 3),
        "seconds": round(found.seconds, 3),
        "kept": found.place,
    }


def _table(*columns: str) -> Table:
    table = Table(box=None, pad_edge=False, header_style="bold")
    for column in columns:
        table.add_column(column)
    return table


def _tip(tip: Oid | None) -> str:
    return short(tip) if tip else "none"


def _text(text: str) -> Text:
    return Text(for_terminal(text))
