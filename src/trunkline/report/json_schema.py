"""The JSON Schema of each task's `--json` output; its keys are a public interface."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from trunkline.domain.health import Health
from trunkline.domain.snapshot import PrState
from trunkline.domain.status import State
from trunkline.domain.step import StepName, StepStatus

_Schema = dict[str, Any]
_DIALECT = "https://json-schema.org/draft/2020-12/schema"

_TEXT: _Schema = {"type": "string"}
_NUMBER: _Schema = {"type": "number"}
_COUNT: _Schema = {"type": "integer", "minimum": 0}
_FLAG: _Schema = {"type": "boolean"}
_ANY: _Schema = {"type": "object"}
_MAYBE_TEXT: _Schema = {"type": ["string", "null"]}
_MAYBE_COUNT: _Schema = {"type": ["integer", "null"], "minimum": 0}


def _list(items: _Schema) -> _Schema:
    return {"type": "array", "items": items}


def _object(required: Mapping[str, _Schema], optional: Mapping[str, _Schema] | None = None) -> _Schema:
    """Return the schema of an object with exactly these keys."""
    return {
        "type": "object",
        "required": sorted(required),
        "properties": {**required, **(optional or {})},
        "additionalProperties": False,
    }


def _or_null(schema: _Schema) -> _Schema:
    return {"anyOf": [schema, {"type": "null"}]}


_TEXTS = _list(_TEXT)
_COMMITS = _list(_object({"commit": _TEXT, "subject": _TEXT}))
_PR: _Schema = {"type": "integer", "minimum": 1}
_PR_OR_NULL: _Schema = {"type": ["integer", "null"], "minimum": 1}
"""Of an entry: null while it has no pull request."""
_KEY: _Schema = {"type": ["integer", "string", "null"]}
"""An entry: its pull request or, while it has none, its branch."""
_STEP: _Schema = {"enum": [name.value for name in StepName]}
_OUTCOME = _object(
    {
        "label": _TEXT,
        "message": _TEXT,
        "mark": {"enum": [mark.value for mark in StepStatus]},
        "details": _TEXTS,
        "data": _ANY,
        "seconds": _NUMBER,
    },
    {"step": _STEP, "pr": _PR, "branch": _TEXT},
)
_GATE = {
    "type": "object",
    "required": ["gate", "verdict"],
    "properties": {
        "gate": _TEXT,
        "verdict": {"enum": ["passed", "failed", "timed-out", "flaky", "stale", "unavailable", "interrupted"]},
    },
}
_ERROR: _Schema = {
    "type": "object",
    "required": ["what"],
    "properties": {
        "what": _TEXT,
        "why": _TEXT,
        "code": {"type": "integer"},
        "command": _TEXT,
        "stderr": _TEXT,
        "next": _TEXTS,
        "log": _TEXT,
    },
}
_HEALTH: _Schema = {"enum": [health.name.lower() for health in Health]}
_PLANNED = _object(
    {"step": _STEP, "description": _TEXT, "commands": _TEXTS, "mutates": _FLAG, "skipped": _FLAG},
    {"pr": _PR, "branch": _TEXT},
)
_PLAN = _object({"task": _TEXT, "pr": _KEY, "steps": _list(_PLANNED)})
_RUN = _object(
    {"id": _TEXT, "task": _TEXT, "state": _TEXT, "what": _TEXT, "why": _TEXT, "worktree": _TEXT, "next": _TEXTS}
)
_PULL = _object(
    {
        "state": {"enum": [state.value for state in PrState]},
        "url": _TEXT,
        "draft": _FLAG,
        "base": _TEXT,
        "review": _TEXT,
        "reviewers": _list(_object({"login": _TEXT, "state": _TEXT})),
        "review_asked_of": _TEXTS,
        "open_threads": _COUNT,
        "failed_checks": _TEXTS,
        "checks": _TEXT,
        "mergeable": _TEXT,
        "merge_state": _TEXT,
        "merged_at": _TEXT,
        "merge_commit": _MAYBE_TEXT,
    }
)
_MERGES = _list(_object({"pr": _PR, "as_is": _FLAG, "rewritten_because": _TEXT}))
_VERDICTS: _Schema = {"type": "object", "additionalProperties": _MAYBE_TEXT}
_ENTRY = _object(
    {
        "pr": _PR_OR_NULL,
        "branch": _TEXT,
        "title": _TEXT,
        "state": {"enum": [state.name.lower() for state in State]},
        "message": _TEXT,
        "why": _TEXTS,
        "blocked_by": _KEY,
        "commit": _MAYBE_TEXT,
        "own_commits": {"type": ["integer", "null"]},
        "checked_out": _FLAG,
        "native": _or_null(_object({"stack": _COUNT, "position": _COUNT, "size": _COUNT})),
        "gates": _VERDICTS,
        "checks": _VERDICTS,
        "verdicts": _VERDICTS,
        "pull_request": _or_null(_PULL),
    }
)
_STACK = _object(
    {
        "name": _TEXT,
        "trunk": _TEXT,
        "trunk_commit": _MAYBE_TEXT,
        "next": _TEXT,
        "notes": _TEXTS,
        "native": _or_null(_object({"linked": _TEXT, "stack": _COUNT})),
        "entries": _list(_ENTRY),
    }
)

# The parts that every task may print: executed, planned and requested work.
_COMMON: dict[str, _Schema] = {
    "pr": _PR_OR_NULL,
    "plan": _PLAN,
    "steps": _list(_OUTCOME),
    "outcome": _OUTCOME,
    "publishes": _TEXTS,
    "declined": _FLAG,
}
_DIFFERENCES = _TEXTS
_RECEIPTS = _list(
    _object(
        {
            "file": _TEXT,
            "statement": _or_null(_ANY),
            "problem": _TEXT,
            "signed": _TEXT,
            "standing": _TEXT,
            "why": _TEXT,
        }
    )
)
_ATTESTATION = _object(
    {
        "commit": _TEXT,
        "tree": _TEXT,
        "merged": _FLAG,
        "trunk": _TEXT,
        "policy": _TEXT,
        "notices": _TEXTS,
        "gates": _list(
            _object(
                {
                    "gate": _TEXT,
                    "standing": {"enum": ["attested", "waived", "missing"]},
                    "signer": _TEXT,
                    "where": _TEXT,
                    "toolchain": _TEXT,
                    "started": _TEXT,
                    "receipt": _TEXT,
                    "reason": _TEXT,
                }
            )
        ),
    }
)
_OWN: dict[str, dict[str, _Schema]] = {
    "add": {"branch": _TEXT},
    "absorb": {
        "hunks": _list(
            _object(
                {
                    "path": _TEXT,
                    "line": _COUNT,
                    "pr": {"type": ["integer", "null"]},
                    "branch": _MAYBE_TEXT,
                    "commit": _MAYBE_TEXT,
                    "subject": _MAYBE_TEXT,
                    "left": _TEXT,
                }
            )
        )
    },
    "attest": {"attestation": _ATTESTATION, "shared": _FLAG},
    "checks": {"ticked": _ANY},
    "ci.workflow": {"path": _TEXT, "text": _TEXT},
    "diff": {
        "diff": _object(
            {
                "fork_point": _TEXT,
                "head": _TEXT,
                "own_commits": _COMMITS,
                "files": _list(_object({"path": _TEXT, "added": _MAYBE_COUNT, "deleted": _MAYBE_COUNT})),
                "review": _or_null(_object({"author": _TEXT, "state": _TEXT, "at": _TEXT, "head": _TEXT})),
                "notes": _TEXTS,
                "text": _TEXT,
            }
        )
    },
    "comments": {
        "threads": _list(
            _object(
                {
                    "pr": _PR,
                    "branch": _TEXT,
                    "path": _TEXT,
                    "line": {"type": ["integer", "null"]},
                    "outdated": _FLAG,
                    "author": _TEXT,
                    "text": _TEXT,
                    "at": _TEXT,
                    "url": _TEXT,
                    "replies": _COUNT,
                }
            )
        )
    },
    "doctor": {"findings": _list(_object({"about": _TEXT, "message": _TEXT, "health": _HEALTH, "fix": _TEXT}))},
    "gates": {
        "entries": _list(
            _object(
                {
                    "pr": _PR_OR_NULL,
                    "branch": _TEXT,
                    "commit": _MAYBE_TEXT,
                    "seconds": _NUMBER,
                    "outcomes": _list(_GATE),
                }
            )
        )
    },
    "help": {"topic": _TEXT, "text": _TEXT},
    "init": {
        "stacks": _list(_list(_object({"pr": _PR, "branch": _TEXT, "title": _TEXT}))),
        "left_out": {"type": "object", "additionalProperties": _TEXT},
        "native": _list(_object({"stack": _COUNT, "prs": _list(_PR)})),
        "differences": _DIFFERENCES,
        "files": _list(_object({"name": _TEXT, "wrote": _FLAG, "add": _TEXT})),
        "path": _TEXT,
        "tracked": _FLAG,
        "branches": _list(_object({"pr": _PR, "beside": _PR, "base": _TEXT})),
        "proposals": _list(_object({"why": _TEXT, "table": _TEXT, "needed": _FLAG})),
    },
    "land": {"lands": _list(_PR), "merges": _MERGES},
    "log": {"runs": _list(_ANY)},
    "modify": {"text": _TEXT, "changes": _TEXTS},
    "open": {"url": _TEXT},
    "plan": {
        "fork_point": _object({"commit": _MAYBE_TEXT, "from": _TEXT}),
        "base": _object({"name": _TEXT, "commit": _MAYBE_TEXT}),
        "own_commits": _COMMITS,
        "commits_over_base": _COUNT,
        "conflict": _or_null(_object({"commit": _TEXT, "files": _TEXTS})),
        "above": _list(_object({"pr": _PR_OR_NULL, "branch": _TEXT, "description": _TEXT})),
        "effects": _TEXTS,
        "merges": _MERGES,
        "ci": _object({"state": _TEXT, "why": _TEXT}),
    },
    "receipts.export": {"folder": _TEXT, "files": _TEXTS},
    "receipts.list": {"receipts": _RECEIPTS},
    "receipts.pull": {"taken": _COUNT, "untrusted": _COUNT, "known": _COUNT},
    "receipts.push": {"receipts": _COUNT, "pushed": _FLAG},
    "receipts.verify": {"receipts": _RECEIPTS},
    "rehearse": {"rehearsal": _ANY},
    "report": {
        "report": _object(
            {
                "made": _TEXT,
                "repository": _TEXT,
                "verdict": _TEXT,
                "stack": _STACK,
                "evidence": _list(_ANY),
                "runs": _list(_ANY),
            }
        )
    },
    "schema": {"of": _TEXT, "json_schema": _ANY},
    "status": {"run": _or_null(_RUN), "stack": _STACK},
    "sync": {"next_stack": _list(_PR)},
    "submit": {"pull_requests": _list(_object({"pr": _PR_OR_NULL, "branch": _TEXT, "url": _TEXT, "created": _FLAG}))},
    "trust": {"differences": _DIFFERENCES, "trusted": _FLAG},
    "undo": {"undoes": _TEXT},
    "verify": {
        "attestation": _ATTESTATION,
        "statuses": _list(_object({"gate": _TEXT, "state": _TEXT, "description": _TEXT, "problem": _TEXT})),
    },
}


def schema_of(task: str, version: int) -> _Schema:
    """Return the JSON Schema of what a task prints with `--json`.

    Args:
        task: the task's full name.
        version: the version of the object, in its key `schema`.
    """
    required: dict[str, _Schema] = {
        "schema": {"const": version},
        "task": {"const": task},
        "ok": _FLAG,
        "exit_code": {"type": "integer", "minimum": 0, "maximum": 255},
        "outcomes": _list(_OUTCOME),
        "error": _or_null(_ERROR),
        "next": _list(_list(_TEXT)),
    }
    made = _object(required, {**_COMMON, **_OWN.get(task, {})})
    return {"$schema": _DIALECT, "title": f"trunkline {task} --json", **made}
