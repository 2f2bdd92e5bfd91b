"""A line of a checklist: a condition, its state and its evidence."""

from __future__ import annotations

from enum import Enum
from typing import Any

import msgspec


class LineState(Enum):
    """The state of a line."""

    DONE = "done"
    WARNED = "done, with a warning"
    OPEN = "open"
    SKIPPED = "skipped"


class Line(msgspec.Struct, frozen=True):
    """A condition with its state and evidence.

    Attributes:
        text: the condition.
        state: whether it is met.
        evidence: the evidence, in words.
        command: the command that checks it again.
        commit: the commit that it refers to, or "".
        receipts: the receipts that prove it, by gate or check.
        at: when it became true, ISO 8601 in UTC (of several receipts the oldest); "" for just now.
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
