"""Lines on terminals of several widths, and in pipes."""

from __future__ import annotations

import io

import pytest

from trunkline.domain.names import PrNumber, branch_name, oid
from trunkline.domain.snapshot import PrState, PullRequest
from trunkline.domain.stack import DEFAULT_REMOTE, Entry, Stack
from trunkline.domain.status import EntryState, EntryStatus, StackStatus, State
from trunkline.domain.step import Outcome, StepStatus
from trunkline.report.stack import stack_tree
from trunkline.report.terminal import Terminal

LONG = "feat/319-kv-pool-v2-pr5-a-branch-with-a-name-that-is-longer-than-a-line-of-a-terminal-of-80-columns"
WORDS = "each of the words of this sentence stays in one piece wherever the line ends " * 3
URL = "https://github.com/octo/tiny/pull/519"


class Tty(io.StringIO):
    """A terminal that keeps what is printed."""

    def isatty(self) -> bool:
        return True


def terminal(monkeypatch: pytest.MonkeyPatch, columns: int, stream: io.StringIO, **environment: str) -> Terminal:
    """Return a terminal, or a pipe in one of that many columns."""
    monkeypatch.delenv("NO_COLOR")
    monkeypatch.setenv("COLUMNS", str(columns))
    for name, value in {"TERM": "xterm-256color", **environment}.items():
        monkeypatch.setenv(name, value)
    return Terminal(stream)


def picture() -> StackStatus:
    """Return a stack of one entry whose every line is long."""
    pr = PullRequest(
        PrNumber(519), "T", URL, PrState.OPEN, draft=False, body="", base="main", head=LONG, head_oid=oid("a" * 40),
        head_repository="octo/tiny",
    )  # fmt: skip
    entry = Entry(PrNumber(519), branch_name(LONG), WORDS.strip())
    row = EntryStatus(entry, pr, EntryState(entry.pr, State.RESTACK, (WORDS.strip(),)), pr.head_oid, 2, ())
    return StackStatus(Stack(branch_name("main"), DEFAULT_REMOTE, (entry,)), None, (row,), "")


@pytest.mark.parametrize("columns", [40, 80, 120])
def test_what_is_piped_is_not_wrapped(monkeypatch: pytest.MonkeyPatch, columns: int) -> None:
    """One line stays one line, whatever COLUMNS says: grep finds it."""
    stream = io.StringIO()
    there = terminal(monkeypatch, columns, stream)
    there.console.print(stack_tree(picture()), soft_wrap=False)
    there.outcome(Outcome("rebase", WORDS.strip(), StepStatus.DONE))
    assert stream.getvalue().count(WORDS.strip()) == 3
    assert LONG in stream.getvalue()
    assert not any(line.endswith(" ") for line in stream.getvalue().splitlines())


@pytest.mark.parametrize("columns", [80, 120])
def test_continuation_lines_hang_below_the_text(monkeypatch: pytest.MonkeyPatch, columns: int) -> None:
    """No line is longer than the terminal is wide, no word is broken; commands are not wrapped: they are copied."""
    stream = Tty()
    there = terminal(monkeypatch, columns, stream, NO_COLOR="1", TERM="dumb")
    there.outcome(Outcome("rebase", WORDS.strip(), StepStatus.DONE))
    lines = stream.getvalue().splitlines()
    assert max(map(len, lines)) <= columns
    assert {line[:18].strip() for line in lines[1:]} == {""}
    assert " ".join(" ".join(lines).split()) == f"✓ rebase {WORDS.strip()}"
    there.next(f"git switch {LONG}")
    assert f"next: git switch {LONG}\n" in stream.getvalue()


def test_a_tree_loses_nothing_where_it_is_narrow(monkeypatch: pytest.MonkeyPatch) -> None:
    """A branch longer than the line is broken, not cropped."""
    stream = Tty()
    terminal(monkeypatch, 80, stream, NO_COLOR="1", TERM="dumb").console.print(stack_tree(picture()), soft_wrap=False)
    assert max(map(len, stream.getvalue().splitlines())) <= 80
    assert LONG in "".join(line[6:] for line in stream.getvalue().splitlines())


@pytest.mark.parametrize(("term", "linked"), [("xterm-256color", True), ("dumb", False)])
def test_numbers_are_links_where_the_terminal_has_them(
    monkeypatch: pytest.MonkeyPatch,
    term: str,
    linked: bool,  # noqa: FBT001 -- drawn
) -> None:
    """OSC 8, on a terminal only."""
    stream, piped = Tty(), io.StringIO()
    terminal(monkeypatch, 80, stream, TERM=term).console.print(stack_tree(picture()), soft_wrap=False)
    assert (f";{URL}\x1b\\" in stream.getvalue()) is linked
    Terminal(piped).console.print(stack_tree(picture()), soft_wrap=False)
    assert "\x1b" not in piped.getvalue()
