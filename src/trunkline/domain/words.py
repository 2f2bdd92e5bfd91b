"""Words for people: numbers with their nouns."""

from __future__ import annotations


def count_of(count: int, noun: str, plural: str = "") -> str:
    """Return `1 gate`, `2 gates`; `plural` where an s does not do."""
    return f"{count} {noun if count == 1 else plural or f'{noun}s'}"
