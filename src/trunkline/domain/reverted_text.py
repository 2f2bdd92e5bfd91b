"""Take a change of a text back, where the text was edited elsewhere since."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from difflib import SequenceMatcher

_Edit = tuple[int, int, Sequence[str]]
"""Lines to replace (from, to), and their replacement."""


def reverted(now: str, *, left: str, before: str) -> str | None:
    """Return a text without an earlier change; None if lines of that change, or beside them, were edited since.

    Args:
        now: the text.
        left: the text that the change left.
        before: the text before the change.
    """
    base = left.splitlines(keepends=True)
    later, back = list(_edits(base, now)), list(_edits(base, before))
    if any(mine[0] <= theirs[1] and theirs[0] <= mine[1] for mine in back for theirs in later):
        return None
    for start, end, lines in sorted((*later, *back), key=lambda edit: edit[:2], reverse=True):
        base[start:end] = lines
    return "".join(base)


def _edits(base: Sequence[str], text: str) -> Iterator[_Edit]:
    lines = text.splitlines(keepends=True)
    for tag, start, end, first, last in SequenceMatcher(None, base, lines, autojunk=False).get_opcodes():
        if tag != "equal":
            yield start, end, lines[first:last]
