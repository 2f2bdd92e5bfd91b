"""Titles of squash commits and pull requests, from templates with names in braces."""

from __future__ import annotations

import re
from collections.abc import Mapping

NAMES = ("title", "number", "position", "count")
"""The names in the title of a squash commit."""
POSITION_NAMES = ("title", "position", "count")
"""The names in the title of a pull request, whose number is not known before it is created."""
LONGEST = 256
"""The most characters of a pull request's title; GitHub rejects more: "title is too long"."""
_PART = re.compile(r"\{\{|\}\}|\{[^{}]*\}|[{}]")
_SOUGHT = {"{title}": "(?P<title>.+)", "{position}": "[0-9]+", "{count}": "[0-9]+"}


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


def is_pattern(template: str) -> bool:
    """Return whether a template has `{title}` exactly once: only then a title can be read back (`plain`)."""
    return [match[0] for match in _PART.finditer(template)].count("{title}") == 1


def plain(template: str, text: str) -> str | None:
    """Return the `{title}` of a text that follows a template; None if it does not follow.

    Args:
        template: see `is_pattern`; "" is followed by every text.
        text: a pull request's title. GitHub removes blanks around it.
    """
    if not template:
        return text
    template, parts, at = template.strip(), "", 0
    for match in _PART.finditer(template):
        parts += re.escape(template[at : match.start()]) + _SOUGHT.get(match[0], re.escape(match[0][:1]))
        at = match.end()
    found = re.fullmatch(parts + re.escape(template[at:]), text.strip())
    return found["title"] if found else None


def numbered(template: str, text: str, *, position: int, count: int) -> str:
    """Return a plain title with its position; without a template the title itself.

    A text that would make it longer than `LONGEST` is shortened, and ends with an ellipsis.
    """

    def filled(text: str) -> str:
        return fill(template, {"title": text, "position": position, "count": count}).strip() if template else text

    whole = filled(text)
    over = len(whole) - LONGEST
    return filled(shortened(text, len(text) - over)) if over > 0 else whole


def shortened(text: str, room: int = LONGEST) -> str:
    """Return a text of at most this many characters; a shortened one ends with an ellipsis."""
    return text if len(text) <= room else f"{text[: max(room - 1, 0)].rstrip()}…"
