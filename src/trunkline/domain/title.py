"""The title of a squash commit, from a template with a few known names in braces."""

from __future__ import annotations

import re
from collections.abc import Mapping

NAMES = ("title", "number", "position", "count")
_PART = re.compile(r"\{\{|\}\}|\{[^{}]*\}|[{}]")


def fill(template: str, values: Mapping[str, object]) -> str:
    """Return a template with `{name}` replaced by its value, `{{` and `}}` by braces.

    No format language: stack.toml is not trusted to have attributes looked up or widths filled.

    Raises:
        ValueError: a brace stands for nothing, or for a name without a value.
    """

    def value(match: re.Match[str]) -> str:
        part = match[0]
        if part in {"{{", "}}"}:
            return part[0]
        name = part[1:-1]
        if len(part) == 1 or name not in values:
            raise ValueError(f"{part!r} is none of {', '.join(f'{{{each}}}' for each in values)}")
        return str(values[name])

    return _PART.sub(value, template)
