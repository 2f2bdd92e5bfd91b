"""Gates and receipts as tables, and the gates that run now."""

from __future__ import annotations

import io

from rich.console import Console

from trunkline.domain.names import oid
from trunkline.domain.receipt import GateOutcome, Receipt, Toolchain, Verdict
from trunkline.report.gates import receipts_table, stack_table
from trunkline.report.screen import Running
from trunkline.report.terminal import Terminal

TREE = oid("1" * 40)


def rendered(what: object) -> list[str]:
    """Return what a console of 80 columns shows, line by line."""
    console = Console(file=io.StringIO(), width=80, color_system=None)
    console.print(what)
    assert isinstance(console.file, io.StringIO)
    return console.file.getvalue().splitlines()


def receipt(exit_code: int = 0) -> Receipt:
    """Return a receipt."""
    return Receipt(
        "build", TREE, TREE, ("cargo", "build"), {}, (), Toolchain("rustc 1.95.0 (abc 2026-01-01)", "cargo 1.95.0"),
        "", "bwrap", "2026-01-02T03:04:05.678+00:00", 1.25, exit_code, "x.log", "",
    )  # fmt: skip


def test_a_stack_as_entries_by_gates() -> None:
    """Each cell has its verdict; what did not run is empty; foreign text cannot command the terminal."""
    rows = [
        (
            "#1 abc",
            {"build": GateOutcome("build", Verdict.PASSED, 1.5), "msrv": GateOutcome.unavailable("msrv", "x")},
        ),
        ("#2 \x1b[31mred", {"build": GateOutcome("build", Verdict.FAILED, 2.0)}),
        ("#3 abd", {"build": GateOutcome("build", Verdict.PASSED, 1.0, reused=True)}),
    ]
    head, *lines = rendered(stack_table(("build", "msrv"), rows))
    assert head.split() == ["entry", "build", "msrv"]
    assert lines[0].split() == ["#1", "abc", "✓", "1.5s", "-", "unavailable"]
    assert lines[1].split() == ["#2", "\\x1b[31mred", "✗", "2.0s"]
    assert lines[2].split() == ["#3", "abd", "✓", "receipt"]


def test_receipts_fit_eighty_columns() -> None:
    """A row has the gate, compiler, sandbox, time and signer."""
    _, *lines = rendered(
        receipts_table([(receipt(), "passed", "tess"), (receipt(101), "failed", ""), (receipt(), "superseded", "")])
    )
    assert "✓  build  1111111  1111111  1.2" in lines[0]
    assert "1.95.0  bwrap    2026-01-02T03:04  tess" in lines[0]
    assert [line[0] for line in lines] == ["✓", "✗", "·"]


def test_the_running_gates_are_shown_as_time_goes_by() -> None:
    """The same object rendered later shows more seconds."""
    now = [10.0]
    running = Running({"test": 4.0, "build": 9.0}, {}, lambda: now[0])
    assert rendered(running) == ["gates: build 1s  test 6s"]
    now[0] = 12.0
    assert rendered(running) == ["gates: build 3s  test 8s"]
    assert rendered(Running({}, {}, lambda: 0.0)) == ["gates: none runs"]
    message = Running({"#519 test": 1.0, "#520 doc": 1.0}, {"#519 test": "Compiling \x1b[31mcore"}, lambda: 2.0)
    assert rendered(message) == ["gates: #519 test 1s  #520 doc 1s", "#519 test 1s: Compiling \\x1b[31mcore"]


def test_elsewhere_than_on_a_terminal_running_gates_print_nothing() -> None:
    """Plain output has a line for each verdict, and nothing that moves."""
    stream = io.StringIO()
    terminal = Terminal(stream)
    with terminal.gating():
        terminal.running({"build": 0.0}, {"build": "Compiling"})
    assert stream.getvalue() == ""
