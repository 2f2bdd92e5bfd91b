"""A checklist's line: what must be true, whether it is, and what shows it."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum


class LineState(Enum):
    """How a line stands."""

    DONE = "done"
    OPEN = "open"
    SKIPPED = "skipped"


@dataclass(frozen=True)
class Line:
    """One line with its evidence."""

    text: str
    state: LineState
    evidence: str
