"""Output reaches every stream, whatever its encoding."""

from __future__ import annotations

import io

import pytest

from trunkline.domain.errors import UsageError
from trunkline.domain.step import Outcome, StepStatus
from trunkline.report.terminal import Terminal


def shown(encoding: str, errors: str = "strict") -> bytes:
    """Return what a stream of an encoding gets of marks, a name that it may lack, and an error."""
    raw = io.BytesIO()
    terminal = Terminal(io.TextIOWrapper(raw, encoding=encoding, errors=errors, write_through=True))
    terminal.outcome(Outcome("push", "done", StepStatus.DONE))
    terminal.outcome(Outcome("push", "Zoë ☃ \udcff", StepStatus.FAILED))
    terminal.outcome(Outcome("push", "planned", StepStatus.PLANNED))
    terminal.error(UsageError("no branch ☃", next_command="git switch ☃"))
    return raw.getvalue()


@pytest.mark.parametrize("errors", ["strict", "surrogateescape", "ignore"])
def test_ascii_gets_marks_of_its_own(errors: str) -> None:
    """A plus for what is done, an x for what failed; every other character is escaped, none is lost."""
    lines = shown("ascii", errors).decode("ascii").splitlines()
    assert [line.split() for line in lines[:3]] == [
        ["+", "push", "done"], ["x", "push", "Zo\\xeb", "\\u2603", "\\udcff"], [".", "push", "planned"],
    ]  # fmt: skip
    assert lines[3:] == ["error: no branch \\u2603", "next: git switch \\u2603"]


def test_latin_1_keeps_what_it_has() -> None:
    """Only what is missing there is replaced."""
    text = shown("latin-1").decode("latin-1")
    assert [line[1] for line in text.splitlines()[:3]] == ["+", "x", "·"]
    assert "Zoë \\u2603" in text


def test_utf_8_has_everything() -> None:
    """The marks are themselves."""
    assert [line[1] for line in shown("utf-8").decode().splitlines()[:3]] == ["✓", "✗", "·"]
