"""Convert outcomes, plans and errors to JSON values; their keys are a public interface."""

from __future__ import annotations

from typing import Any

from trunkline.domain.errors import TrunklineError
from trunkline.domain.status import OpenRun
from trunkline.domain.step import Outcome, Plan


def outcome(value: Outcome) -> dict[str, Any]:
    """Return an outcome as JSON values."""
    return {
        "label": value.label,
        "message": value.message,
        "mark": value.mark.value,
        "details": list(value.details),
        "data": dict(value.data),
        "seconds": round(value.seconds, 3),
    }


def plan(value: Plan) -> dict[str, Any]:
    """Return a plan as JSON values."""
    return {
        "task": value.task,
        "pr": value.pr,
        "steps": [
            {
                "step": step.name.value,
                **step.about,
                "description": step.description,
                "commands": list(step.commands),
                "mutates": step.mutates,
                "skipped": step.name in value.skipped,
            }
            for step in value.steps
        ],
    }


def error(value: TrunklineError) -> dict[str, Any]:
    """Return an expected failure as JSON values."""
    return {
        "what": value.what,
        "why": value.why,
        "code": int(value.code),
        "command": value.command,
        "stderr": value.stderr,
        "next": [str(command) for command in value.next_commands],
        **value.data,
    }


def open_run(run: OpenRun) -> dict[str, Any]:
    """Return the open run as JSON values; their keys are a public interface."""
    return {
        "id": run.id,
        "task": run.task,
        "state": run.state,
        "what": run.what,
        "why": run.why,
        "worktree": run.worktree,
        "next": list(run.commands),
    }
