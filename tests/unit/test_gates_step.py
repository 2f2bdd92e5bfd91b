"""The gates step: its messages when gates do not pass, and when it stops before the first gate runs."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest

from trunkline.domain.cause import Cause, CauseId
from trunkline.domain.decisions import Decisions
from trunkline.domain.errors import CheckFailed, UsageError
from trunkline.domain.names import Oid, branch_name, pr_number
from trunkline.domain.options import Options
from trunkline.domain.receipt import GateOutcome, Verdict
from trunkline.domain.stack import Entry, Stack
from trunkline.domain.waivers import Waivers
from trunkline.git.git import Git
from trunkline.operations import gate_stack
from trunkline.operations.gate_stack import GateProgress
from trunkline.report import html, note
from trunkline.steps import gates
from trunkline.tasks import receipts
from trunkline.tasks.session import TaskSession

TIP = Oid("a" * 40)
TOOLCHAIN = Cause(
    CauseId.TOOLCHAIN, "the toolchain 1.89.0 is not installed", "1.89.0", "rustup toolchain install 1.89.0"
)
LOCK = Cause(
    CauseId.NO_LOCK, "there is no Cargo.lock in the commit", "Cargo.lock", "cargo generate-lockfile", "error: x"
)


def context(*, answer: bool | None = None, accepted: frozenset[str] = frozenset()) -> Any:
    """Return the part of a context that the step reads; `answer` is the user's, None: there is no prompt."""

    def ask(_question: str) -> bool:
        assert answer is not None, "nobody may be asked"
        return answer

    return SimpleNamespace(
        reporter=SimpleNamespace(ask=ask), entry=SimpleNamespace(key=519, label="#519", branch="two"), git=None,
        waivers=Waivers(accepted),
        run=SimpleNamespace(decisions=Decisions()),
    )  # fmt: skip


@pytest.fixture(autouse=True)
def checkout(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Return the branch that is checked out: that of #519, unless the test changes it."""
    held = ["two"]
    monkeypatch.setattr("trunkline.git.refs.current_branch", lambda _git: held[0])
    monkeypatch.setattr(gates, "changed_paths", lambda _git: ())
    return held


def unavailable(name: str) -> GateOutcome:
    """Return a gate whose toolchain is missing."""
    return GateOutcome(name, Verdict.UNAVAILABLE).because(TOOLCHAIN)


def failed(name: str, log: str = "") -> GateOutcome:
    """Return a gate that fails for want of a lock file."""
    return GateOutcome(name, Verdict.FAILED, log=log).because(LOCK)


def test_everything_that_is_missing_is_reported_before_the_first_gate_runs() -> None:
    """Both causes, each once with all its gates, how to fix them, and how to go on without what is unavailable."""
    with pytest.raises(CheckFailed) as refused:
        gates._refuse_first(context(), TIP, (failed("build"), unavailable("msrv"), failed("test")))
    error = refused.value
    assert (
        error.what == "3 gates did not pass: build, msrv, test (#519 at aaaaaaa); no gate was run, nothing was pushed"
    )
    assert error.why.splitlines() == [
        "build, test failed: there is no Cargo.lock in the commit",
        "  error: x",
        "msrv unavailable: the toolchain 1.89.0 is not installed",
    ]
    assert error.next_commands == (
        "cargo generate-lockfile", "rustup toolchain install 1.89.0",
        "invoke rebase --pr 519 --accept-unavailable msrv",
    )  # fmt: skip


def test_what_a_commit_mends_is_mended_on_its_branch(checkout: list[str]) -> None:
    """`git commit` would commit to another entry; a full disk or a missing toolchain is no matter of branches."""
    there, full = (
        context(),
        GateOutcome("test", Verdict.FAILED).because(Cause(CauseId.DISK, "full", "disk", "rm -r x")),
    )
    switch = "invoke switch --pr 519   # to mend #519 there"
    checkout[0] = "three"
    assert gates._failure(there, TIP, [failed("build")]).next_commands[:2] == (switch, "cargo generate-lockfile")
    assert gates.to_edit(there.git, there.entry, [full, GateOutcome("clippy", Verdict.FAILED)]) == (switch,)
    assert gates.to_edit(there.git, there.entry, [full, unavailable("msrv")]) == ()
    checkout[0] = "two"
    assert gates._failure(there, TIP, [failed("build")]).next_commands[0] == "cargo generate-lockfile"


def test_uncommitted_changes_are_no_part_of_the_commit(monkeypatch: pytest.MonkeyPatch) -> None:
    """Somebody edited the files and continued: the same commit fails again, until `amend` takes the edits."""
    there = context()
    monkeypatch.setattr(gates, "changed_paths", lambda _git: ("src/lib.rs",))
    amend = "invoke amend --all   # takes your uncommitted changes into #519"
    assert gates.to_edit(there.git, there.entry, [GateOutcome("clippy", Verdict.FAILED)]) == (amend,)
    assert gates.to_edit(there.git, there.entry, [unavailable("msrv")]) == ()


def test_a_person_may_go_on_without_what_is_unavailable() -> None:
    """One prompt: yes counts for the rest of the task, no refuses; a gate that will fail causes no prompt."""
    there = context(answer=True)
    gates._refuse_first(there, TIP, (unavailable("msrv"),))
    assert there.run.decisions.accepted == {"msrv"}
    with pytest.raises(CheckFailed, match=r"1 gate did not pass: msrv \(#519 at aaaaaaa\); no gate was run"):
        gates._refuse_first(context(answer=False), TIP, (unavailable("msrv"),))
    with pytest.raises(CheckFailed):
        gates._refuse_first(context(), TIP, (failed("build"),))


def test_what_was_accepted_by_name_stops_nothing() -> None:
    """`--accept-unavailable msrv` avoids the prompt."""
    gates._refuse_first(context(accepted=frozenset({"msrv"})), TIP, (unavailable("msrv"),))


def test_gates_with_one_cause_are_one_failure(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Of gates that ran, one log and one command to run the first again; without a noxfile.py, nox has no session."""
    there = context()
    there.git = SimpleNamespace(cwd=tmp_path)
    monkeypatch.setattr("shutil.which", lambda name: f"/bin/{name}")
    plain = gates._failure(there, TIP, [failed("build", "/logs/build.log")])
    assert "invoke gates --pr 519" in plain.next_commands
    (tmp_path / "noxfile.py").touch()
    error = gates._failure(there, TIP, [failed("build", "/logs/build.log"), failed("clippy", "/logs/clippy.log")])
    assert error.why.count("there is no Cargo.lock") == 1
    assert error.why.splitlines()[-1] == "  log: /logs/build.log"
    assert 'nox -s "gates(build)" -- --commit aaaaaaa' in error.next_commands


def test_a_cause_is_reported_once_while_gates_run() -> None:
    """The gates after the first one name it instead."""
    lines: list[str] = []
    reporter: Any = SimpleNamespace(progress=lines.append, running=lambda *_: None)
    watch = GateProgress(reporter, Git(Path("/")))
    for outcome in (failed("build"), failed("clippy"), unavailable("msrv")):
        watch.ended(outcome)
    assert lines == [
        "build   failed (0.0s): there is no Cargo.lock in the commit",
        "clippy  failed (0.0s): for the same cause as build",
        "msrv    unavailable (0.0s): the toolchain 1.89.0 is not installed",
    ]


def test_the_report_has_one_card_a_cause() -> None:
    """Two gates that met one cause share a card, each still to be linked to."""
    rows = [
        {"id": f"pr1-{outcome.gate}", "title": outcome.gate, "failed": True, "outcome": outcome}
        for outcome in (failed("build"), failed("clippy"), unavailable("msrv"), GateOutcome("fmt", Verdict.FAILED))
    ]
    cards = html._failures({"all": [*rows, {"id": "pr1-doc", "failed": False, "outcome": None}]})
    assert [(card["id"], [each["id"] for each in card["same"]]) for card in cards] == [
        ("pr1-build", ["pr1-clippy"]), ("pr1-msrv", []), ("pr1-fmt", []),
    ]  # fmt: skip


def test_the_note_says_that_a_compiler_crashed() -> None:
    """A gate that passed on its second attempt has a remark; another has none."""
    once, twice = (GateOutcome("build", Verdict.PASSED, attempts=number) for number in (1, 2))
    assert note._line("build", "build", once, frozenset())["facts"] == []
    facts = note._line("build", "build", twice, frozenset())["facts"]
    assert facts == ["on the second attempt, after the compiler crashed"]


def gate_rows(monkeypatch: pytest.MonkeyPatch, *accepted: str) -> None:
    """Run `gates --stack` over two entries whose gate msrv is unavailable, and whose others pass."""
    entries = tuple(Entry(pr_number(number), branch_name(f"part-{number}")) for number in (1, 2))
    outcomes = {"build": GateOutcome("build", Verdict.PASSED), "msrv": unavailable("msrv")}
    rows = tuple(gate_stack.GatedEntry(entry, Oid("a" * 40), outcomes) for entry in entries)
    monkeypatch.setattr(gate_stack, "gate_stack", lambda *_, **__: rows)
    session = TaskSession("gates", json_wanted=True)
    session.given = {"stack": True}
    stack = Stack(branch_name("main"), "origin", entries)
    receipts._gate_all(session, cast("Git", None), stack, Options(accept_unavailable=frozenset(accepted)))


def test_gates_of_a_stack_accept_what_is_unavailable(monkeypatch: pytest.MonkeyPatch) -> None:
    """`--accept-unavailable` counts with `--stack`, and the error without it names that command."""
    gate_rows(monkeypatch, "msrv")
    with pytest.raises(CheckFailed, match="2 of 2 entries did not pass every gate") as refused:
        gate_rows(monkeypatch)
    assert refused.value.next_commands == (
        "rustup toolchain install 1.89.0", "invoke gates --stack --accept-unavailable msrv",
    )  # fmt: skip
    with pytest.raises(UsageError, match="there is no gate or check of that name"):
        gate_rows(monkeypatch, "mrsv")
