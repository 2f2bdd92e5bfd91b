"""Grammar for messages: counts with nouns, lists."""

from __future__ import annotations

from collections.abc import Iterable, Sequence


def count_of(count: int, noun: str, plural: str = "") -> str:
    """Return `1 gate`, `2 gates`; `plural` for irregular nouns."""
    return f"{count} {noun if count == 1 else plural or f'{noun}s'}"


def listed_briefly(items: Sequence[str]) -> str:
    """Return the first three items and the number of the others: `one, two, three and 4 more`."""
    first, others = ", ".join(items[:_BRIEF]), len(items) - _BRIEF
    return f"{first} and {others} more" if others > 0 else first


_BRIEF = 3
"""The number of items in a brief list."""


def listing(items: Iterable[str]) -> str:
    """Return `one`, `one and two`, `one, two and three`."""
    *first, last = items
    return f"{', '.join(first)} and {last}" if first else last
