"""A line of a checklist: a condition, its state and its evidence."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from enum import Enum
from typing import Any

import msgspec

from trunkline.domain.command import task_command
from trunkline.domain.names import EntryKey


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


def next_commands(key: EntryKey, lines: Iterable[Mapping[str, Any]]) -> tuple[str, ...]:
    """Return the commands that close the open lines: `gates` and `checks` where only these are open, else `rebase`.

    A rebase of an entry that sits on trunk already would stop at the same gate.

    Args:
        key: the entry.
        lines: the JSON values of its checklist.
    """
    ran = (task_command("gates", "--pr", key), task_command("checks", "--pr", key))
    needed = dict.fromkeys(str(line["command"]) for line in lines if line["state"] == LineState.OPEN.value)
    return tuple(needed) if needed and needed.keys() <= set(ran) else (task_command("rebase", "--pr", key),)
