"""The title of a squash commit, from a template with names in braces."""

from __future__ import annotations

import re
from collections.abc import Mapping

NAMES = ("title", "number", "position", "count")
_PART = re.compile(r"\{\{|\}\}|\{[^{}]*\}|[{}]")


def fill(template: str, values: Mapping[str, object]) -> str:
    """Return a template with `{name}` replaced by its value, `{{` and `}}` by braces.

    Python's format language is not used: stack.toml must not be able to access attributes or set
    widths.

    Raises:
        ValueError: a brace is unpaired, or a name has no value.
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
