"""Show which staged change goes to which commit, as lines and as JSON values (a public interface)."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

from trunkline.domain.absorb import Absorbed
from trunkline.domain.names import short


def absorb_lines(rows: Iterable[Absorbed]) -> Iterator[str]:
    """Yield one line for each staged change."""
    for row in rows:
        if row.commit is None or row.entry is None:
            yield f"{row.place} stays staged: {row.left}"
        else:
            yield f'{row.place} -> {row.entry.label} {short(row.commit.oid)} "{row.commit.subject}"'


def absorb_data(rows: Iterable[Absorbed]) -> list[dict[str, Any]]:
    """Return the staged changes as JSON values."""
    return [
        {
            "path": row.path,
            "line": row.line,
            "pr": row.entry and row.entry.number,
            "branch": row.entry and row.entry.branch,
            "commit": row.commit and row.commit.oid,
            "subject": row.commit and row.commit.subject,
            "left": row.left,
        }
        for row in rows
    ]
