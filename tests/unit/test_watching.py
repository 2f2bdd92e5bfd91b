"""A picture that is shown again and again on one screen."""

from __future__ import annotations

import io

import pytest
from invoke.exceptions import Exit

from trunkline.domain.errors import TransientError, UsageError
from trunkline.report.terminal import Terminal
from trunkline.system import retry
from trunkline.tasks.watching import watch


class Tty(io.StringIO):
    """A terminal that keeps what is printed."""

    def isatty(self) -> bool:
        return True


def interrupting(rounds: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """Press Ctrl-C after so many rounds."""
    left = iter(range(rounds - 1))

    def sleep(_seconds: float) -> None:
        if next(left, None) is None:
            raise KeyboardInterrupt

    monkeypatch.setattr(retry, "sleep", sleep)
    monkeypatch.setenv("TERM", "xterm")


def test_the_scrollback_gets_the_last_picture_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    """Each round replaces the one before on the alternate screen; Ctrl-C ends it with 130 and without a message."""
    stream, rounds = Tty(), iter(range(1, 9))
    terminal = Terminal(stream)
    interrupting(3, monkeypatch)
    with pytest.raises(Exit) as ended:
        watch(terminal, lambda: terminal.line(f"round {next(rounds)}"))
    assert ended.value.code == 130
    assert not ended.value.message
    shown, _, after = stream.getvalue().partition("\x1b[?1049l")
    assert shown.startswith("\x1b[?1049h")
    assert [f"round {number}" in shown for number in (1, 2, 3, 4)] == [True, True, True, False]
    assert ("round 3" in after, "round 2" in after) == (True, False)


def test_a_failure_that_may_pass_is_shown_and_tried_again(monkeypatch: pytest.MonkeyPatch) -> None:
    """Anything else ends it, on a screen that is put back."""
    stream, rounds = Tty(), iter([TransientError("GitHub did not answer"), None, UsageError("no stack.toml")])
    terminal = Terminal(stream)
    interrupting(9, monkeypatch)

    def show() -> None:
        if (error := next(rounds)) is not None:
            raise error
        terminal.line("fine again")

    with pytest.raises(UsageError):
        watch(terminal, show)
    assert "GitHub did not answer" in stream.getvalue()
    assert "fine again" in stream.getvalue()
    assert "\x1b[?1049l" in stream.getvalue()


def test_in_a_pipe_it_is_shown_once() -> None:
    """A script that sets TRUNKLINE_WATCH does not hang."""
    shown = list[int]()
    watch(Terminal(io.StringIO()), lambda: shown.append(1))
    assert shown == [1]
