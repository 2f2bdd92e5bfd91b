"""Render a custom template in a separate process with limits on time, memory and output.

`operations/note_template.py` starts it and exchanges JSON with it. Jinja2's sandbox protects
Python's internals, but limits neither loops nor the size of a result.
"""

from __future__ import annotations

import contextlib
import json
import resource
import sys
import traceback
from collections.abc import Mapping
from typing import Any

from jinja2 import TemplateError, TemplateSyntaxError

from trunkline.report import templates

CPU_SECONDS = 5
MEMORY = 512 * 2**20
LONGEST = 2**20
"""The maximum number of characters in a result; a description has room for a sixteenth of it."""
_TEMPLATE = "<template>"  # Jinja2's name in tracebacks for a template without a file


def main() -> None:
    """Read `{"text", "view"}`, and write `{"rendered"}` or `{"error", "line"}` (line 0 if unknown)."""
    for limit, value in ((resource.RLIMIT_CPU, CPU_SECONDS), (resource.RLIMIT_AS, MEMORY)):
        with contextlib.suppress(ValueError, OSError):  # macOS has no limit on address space
            resource.setrlimit(limit, (value, value))
    request = json.load(sys.stdin)
    json.dump(render(request["text"], request["view"]), sys.stdout)


def render(text: str, view: Mapping[str, Any]) -> dict[str, Any]:
    """Return the rendered template, or its error; see `main`."""
    try:
        parts, length = list[str](), 0
        for part in templates.environment().from_string(text).generate(_tuples(view)):
            length += len(part)
            if length > LONGEST:
                return {"error": f"it writes more than {LONGEST} characters", "line": 0}
            parts.append(part)
        return {"rendered": "".join(parts)}
    except TemplateSyntaxError as error:
        return {"error": error.message, "line": error.lineno}
    except Exception as error:  # noqa: BLE001 -- a template can call any method of its values
        frames = traceback.extract_tb(error.__traceback__)
        line = next((frame.lineno for frame in reversed(frames) if frame.filename == _TEMPLATE), None)
        return {"error": _message(error), "line": line or 0}


def _message(error: Exception) -> str:
    if isinstance(error, MemoryError):
        return "it takes more memory than a note may"
    return (str(error) if isinstance(error, TemplateError) else f"{type(error).__name__}: {error}")[:300]


def _tuples(value: Any) -> Any:
    """Return JSON values with tuples instead of lists, so that a template cannot change them."""
    if isinstance(value, dict):
        return {key: _tuples(each) for key, each in value.items()}
    return tuple(_tuples(each) for each in value) if isinstance(value, list) else value


if __name__ == "__main__":
    main()
