"""Command `log`: list runs from the journals."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from trunkline.context.loading import checkout
from trunkline.domain import records
from trunkline.domain.records import Record
from trunkline.state import journal
from trunkline.state.journal import Run

_SHOWN = 20


def runs(cwd: Path | None = None) -> tuple[Run, ...]:
    """Return the newest runs of this repository."""
    state = checkout(cwd).state_dir()
    return tuple(journal.runs(state))[:_SHOWN]


def rows(run: Run) -> Iterator[str]:
    """Yield a line for each step that finished, paused or failed."""
    for record in run.records:
        match record:
            case records.StepDone():
                yield f"{record.step.value:14} {record.mark.value}: {record.message}"
            case records.Paused():
                yield f"{record.step.value:14} paused: conflict in {', '.join(record.files)}"
            case records.StepFailed():
                yield f"{record.step.value:14} failed: {record.what}"
            case records.Aborted():
                yield "aborted"
            case _:
                pass
    if run.damaged:
        yield f"damaged: {run.damaged}"


def as_data(run: Run) -> dict[str, Any]:
    """Return a run as JSON values."""
    first = run.started
    started = {key: getattr(first, key, None) for key in ("task", "pr", "branch", "stack", "undoes")}
    about = {"id": run.id, "state": run.state, "journal": str(run.path), "damaged": run.damaged}
    return {
        **about,
        **started,
        "at": run.records[0].at if run.records else "",
        "records": [_as_data(record) for record in run.records],
    }


def _as_data(record: Record) -> dict[str, Any]:
    data = records.encode(record)
    return {"kind": data.pop("kind"), "step": data.pop("step", ""), "at": data.pop("at"), "data": data}
