"""A checklist's line: what must be true, whether it is, and what shows it."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum
from typing import Any


class LineState(Enum):
    """How a line stands."""

    DONE = "done"
    WARNED = "done, with a warning"
    OPEN = "open"
    SKIPPED = "skipped"


@dataclass(frozen=True)
class Line:
    """One line with its evidence.

    Attributes:
        text: what must be true.
        state: whether it is.
        evidence: what shows it, for people.
        command: what looks again.
        commit: the commit that it is about, or "".
        receipts: the receipts that prove it, by what they were written for.
        at: when that became true, ISO 8601 in UTC; of several receipts the oldest; "": it was looked at just now.
    """

    text: str
    state: LineState
    evidence: str
    command: str = ""
    commit: str = ""
    receipts: tuple[str, ...] = ()
    at: str = ""

    def to_json(self) -> dict[str, Any]:
        """Return JSON values; `line` is its text."""
        return {
            "line": self.text,
            "state": self.state.value,
            "evidence": self.evidence,
            "command": self.command,
            "commit": self.commit,
            "receipts": list(self.receipts),
            "at": self.at,
        }
