"""Command `log`: list runs from the journals."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from trunkline.context.loading import top_of
from trunkline.git.git import Git
from trunkline.state import journal
from trunkline.state.journal import Run

_SHOWN = 20


def runs(cwd: Path | None = None) -> tuple[Run, ...]:
    """Return the newest runs of this repository."""
    state = top_of(Git(cwd or Path.cwd())).state_dir()
    return tuple(journal.runs(state))[:_SHOWN]


def rows(run: Run) -> Iterator[str]:
    """Yield a line for each step that finished, paused or failed."""
    for record in run.records:
        if record.kind == "done":
            yield f"{record.step:14} {record.data.get('mark')}: {record.data.get('message')}"
        elif record.kind in {"paused", "failed"}:
            why = record.data.get("what") or "conflict in " + ", ".join(record.data.get("files", ()))
            yield f"{record.step:14} {record.kind}: {why}"
        elif record.kind == "aborted":
            yield "aborted"
    if run.damaged:
        yield f"damaged: {run.damaged}"


def as_data(run: Run) -> dict[str, Any]:
    """Return a run as JSON values."""
    records = [{"kind": r.kind, "step": r.step, "at": r.at, "data": dict(r.data)} for r in run.records]
    started = {key: run.started.get(key) for key in ("task", "pr", "branch", "stack", "undoes")}
    about = {"id": run.id, "state": run.state, "journal": str(run.path), "damaged": run.damaged}
    return {**about, **started, "at": run.records[0].at if run.records else "", "records": records}
