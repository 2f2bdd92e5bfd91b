"""Progress of gates that run: compiled units, an estimate from earlier receipts, a bell after a minute."""

from __future__ import annotations

import io
import os
from collections.abc import Mapping
from dataclasses import replace
from types import SimpleNamespace
from typing import Any

import pytest

from support.repo import Repo
from trunkline.domain.names import Oid
from trunkline.domain.receipt import GateOutcome, Receipt, Toolchain, Verdict
from trunkline.domain.statement import receipt_of, statement_of
from trunkline.gates import request
from trunkline.gates.estimate import Estimate, estimate
from trunkline.operations.gate_stack import GateProgress
from trunkline.report.terminal import Terminal
from trunkline.state.receipt_store import Store

ONE = Receipt(
    "build", Oid("1" * 40), Oid("1" * 40), ("cargo", "build"), {}, (), Toolchain("rustc", "cargo"), "", "none",
    "2026-01-02T03:04:05.678+00:00", 40.0, 0, "x.log", "", units=240,
)  # fmt: skip


def keep(repo: Repo, *receipts: Receipt) -> None:
    """Keep receipts, each newer than the one before."""
    for number, each in enumerate(receipts):
        path = Store(repo.adapter.state_dir()).write(each, b"")
        os.utime(path, (number, number))


def test_an_estimate_from_earlier_receipts(repo: Repo) -> None:
    """The median time of the last passes, whatever their tree, and the units of the newest; failures do not count."""
    assert estimate(repo.adapter, "build") == Estimate()
    trees = [replace(ONE, tree=Oid(f"{number}" * 40), seconds=float(number)) for number in range(1, 8)]
    keep(
        repo,
        *trees,
        replace(ONE, exit_code=101, seconds=900.0),
        replace(ONE, gate="build-all", seconds=800.0),
    )
    assert estimate(repo.adapter, "build") == Estimate(5.0, 240)
    assert receipt_of(statement_of(ONE)).units == 240


def test_what_is_shown_of_a_gate(repo: Repo) -> None:
    """Units of as many as the last time, and about how long; more units than then are a count."""
    keep(repo, ONE)
    shown: list[dict[str, str]] = []

    def running(_gates: Mapping[str, float], lines: Mapping[str, str]) -> None:
        shown.append(dict(lines))

    reporter: Any = SimpleNamespace(progress=lambda _: None, running=running)
    watch = GateProgress(reporter, repo.adapter, "#519 ")
    watch.began("build")
    watch.compiled("build", 112)
    watch.printed("build", "Compiling core")
    watch.compiled("build", 241)
    watch.began("doc")
    watch.compiled("never-began", 1)
    watch.ended(GateOutcome("build", Verdict.PASSED))
    assert [each.get("#519 build", "") for each in shown] == [
        "about 40 s", "112/240, about 40 s", "112/240, about 40 s; Compiling core",
        "241 compiled, about 40 s; Compiling core", "241 compiled, about 40 s; Compiling core", "",
    ]  # fmt: skip
    assert shown[-1] == {}, "of a gate without receipts nothing is known"


class _Stream(io.StringIO):
    def __init__(self, *, terminal: bool) -> None:
        super().__init__()
        self._terminal = terminal

    def isatty(self) -> bool:
        """Return the value that the test sets."""
        return self._terminal


@pytest.mark.parametrize(("terminal", "seconds", "rings"), [(True, 61, True), (True, 59, False), (False, 61, False)])
def test_a_bell_after_a_minute(
    terminal: bool,  # noqa: FBT001 -- a parameter of the test
    seconds: float,
    rings: bool,  # noqa: FBT001
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The bell rings on a terminal only, and only after a long run."""
    monkeypatch.setenv("TERM", "xterm")
    stream = _Stream(terminal=terminal)
    Terminal(stream).gates_ended(seconds)
    assert ("\a" in stream.getvalue()) is rings


def test_sessions_report_units(monkeypatch: pytest.MonkeyPatch) -> None:
    """Units are reported only to a parent that reads them; other lines are no reports."""
    written: list[bytes] = []
    monkeypatch.setattr(os, "write", lambda _handle, line: written.append(line))
    monkeypatch.delenv(request.UNITS_VARIABLE, raising=False)
    request.report_units("clippy")(1)
    assert written == []
    monkeypatch.setenv(request.UNITS_VARIABLE, "1")
    report = request.report_units("clippy")
    for number in range(1, 1000):
        report(number)
    assert len(written) < 900, "a few a second"
    assert request.reported_units(written[0]) == ("clippy", 1)
    for line in (b"nox > units clippy 1\n", b"\x1eunits clippy\n", b"\x1eunits clippy x\n", b"\xff\n"):
        assert request.reported_units(line) is None
