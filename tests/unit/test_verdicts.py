"""Rendering of an entry's verdicts: each differs from the others in words, mark and colour."""

from __future__ import annotations

import io

import pytest
from rich.console import Console

from trunkline.domain.names import BranchName, Oid, PrNumber
from trunkline.domain.receipt import GateOutcome, Verdict
from trunkline.domain.stack import Entry, Stack
from trunkline.domain.status import EntryState, EntryStatus, StackStatus, State
from trunkline.report.stack import entry_facts, mark_of, stack_tree

NOW = "2026-11-28T10:02:03+00:00"
KNOWN: tuple[tuple[str, GateOutcome | None], ...] = (
    ("build", GateOutcome("build", Verdict.PASSED)),
    ("test", GateOutcome("test", Verdict.FAILED, since=NOW)),
    ("clippy", GateOutcome("clippy", Verdict.FLAKY, passes=1, runs=2)),
    ("fmt", GateOutcome("fmt", Verdict.STALE, diagnosis="it ran with rustc 1.0.0")),
    ("doc", None),
    ("msrv", GateOutcome.unavailable("msrv", "x")),
    ("units", GateOutcome("units", Verdict.PASSED, tests=0)),
    ("slow", GateOutcome("slow", Verdict.TIMED_OUT)),
)


def row(*gates: tuple[str, GateOutcome | None], state: State = State.DRAFT) -> EntryStatus:
    """Return an entry without a pull request."""
    entry = Entry(PrNumber(1), BranchName("one"))
    return EntryStatus(entry, None, EntryState(entry.pr, state), Oid("a" * 40), 1, gates)


def shown(status: EntryStatus) -> str:
    """Return what a terminal with colours gets."""
    stack = Stack(BranchName("main"), "origin", (status.entry,))
    stream = io.StringIO()
    console = Console(file=stream, width=400, force_terminal=True, color_system="standard", highlight=False)
    console.print(stack_tree(StackStatus(stack, None, (status,), "")))
    return stream.getvalue()


@pytest.mark.parametrize(
    ("colour", "text"),
    [
        (31, "✗ test failed since 2026-11-28 10:02 UTC"),
        (31, "✗ slow timed out"),
        (33, "≈ clippy flaky: 1 of 2 passed"),
        (33, "~ fmt stale (it ran with rustc 1.0.0)"),
        (33, "- msrv unavailable"),
        (33, "! units passed, 0 tests"),
        (2, "· not run: doc"),
        (2, "gates 1 of 8 passed"),
    ],
)
def test_each_verdict_has_words_a_mark_and_a_colour(colour: int, text: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Failed is red, what does not count is yellow, what never ran is dim."""
    monkeypatch.delenv("NO_COLOR")
    monkeypatch.setenv("TERM", "xterm")
    assert f"\x1b[{colour}m{text}\x1b[0m" in shown(row(*KNOWN))
    assert text in "\n".join(entry_facts(row(*KNOWN))), "and the same words in a report"


def test_a_failed_gate_makes_its_entry_red() -> None:
    """A failed gate outweighs GitHub's state, unless the entry is merged or closed."""
    assert mark_of(row(*KNOWN)) == ("✗", "red")
    assert mark_of(row(*KNOWN, state=State.READY)) == ("✗", "red")
    assert mark_of(row(*KNOWN, state=State.MERGED)) == ("✓", "green")
    assert mark_of(row(KNOWN[0], state=State.READY)) == ("✓", "green")
    assert mark_of(row(KNOWN[2])) == ("·", "cyan")


def test_an_entry_whose_gates_never_ran() -> None:
    """One sentence, not a list of six."""
    assert entry_facts(row(("build", None), ("test", None)))[-1] == "gates: none has run on this commit"
    assert "✗" not in shown(row(("build", None)))
