"""Validate responses of the simulator against GitHub's OpenAPI description.

scripts/prune-openapi creates `data/openapi.json`. It has no `required`, because the simulator omits
what it does not simulate. Every field of a response must be documented, with the documented type.
"""

from __future__ import annotations

import functools
import json
from pathlib import Path
from typing import Any

import jsonschema
from starlette.routing import compile_path

DATA = Path(__file__).parents[1] / "sim" / "data" / "openapi.json"


@functools.cache
def description() -> dict[str, Any]:
    """Return the pruned description."""
    found: dict[str, Any] = json.loads(DATA.read_text())
    return found


@functools.cache
def _routes() -> tuple[tuple[str, Any, dict[str, Any]], ...]:
    listed = []
    for route, documented in description()["routes"].items():
        method, _, path = route.partition(" ")
        listed.append((method, compile_path(path)[0], documented))
    return tuple(listed)


def documented(method: str, path: str) -> dict[str, Any] | None:
    """Return the documentation of a request's route, or None."""
    for known, pattern, found in _routes():
        if known == method and pattern.match(path):
            return found
    return None


def complaints(method: str, path: str, status: int, answer: Any) -> list[str]:
    """Return what is not documented in a response; empty if everything is."""
    found = documented(method, path)
    if found is None or status == 501:
        return []
    responses = found["responses"]
    if str(status) not in responses:
        # 400, 401, 403, 404 and 5xx are documented once for all routes ("Troubleshooting the REST
        # API").
        return [] if status >= 400 else [f"{found['operation']}: status {status} is not documented"]
    schema = responses[str(status)]
    if schema is None:  # some routes do not describe the body of errors
        return [] if answer is None or status >= 400 else [f"{found['operation']}: {status} has no body"]
    if status >= 400 and answer.get("status") == str(status):
        # Real errors repeat their status in the body; only `basic-error` documents that.
        answer = {key: value for key, value in answer.items() if key != "status"}
    validator = jsonschema.Draft202012Validator({**schema, "$defs": description()["$defs"]})
    return [
        f"{found['operation']}: {status}: {error.json_path}: {error.message[:300]}"
        for error in validator.iter_errors(answer)
    ]
