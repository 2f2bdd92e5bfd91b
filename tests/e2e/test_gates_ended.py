"""Gates that are killed, interrupted, or run twice at once: no receipt without a run, no process left behind."""

from __future__ import annotations

import os
import signal
import sys
import threading
from pathlib import Path

import pytest

from support.gating import FILES, NOXFILE, STACK, Bench, Looping, ancestry, looping
from support.repo import Repo
from trunkline.domain.receipt import GateOutcome, Verdict
from trunkline.gates.run import gate_commit

pytestmark = pytest.mark.cargo


@pytest.fixture
def bench(tmp_path: Path) -> Bench:
    """Return a repository with a crate that has adopted trunkline."""
    repo = Repo.create(tmp_path / "repo")
    repo.commit("start", {**FILES, "noxfile.py": NOXFILE, "stack.toml": STACK})
    return Bench(repo)


def all_ended(gate: Looping, action: int, pid: int) -> None:
    """Send a signal to one process, then see that every process of the gate ends."""
    held = gate.all()
    assert any("cargo" in each.name for each in held)
    os.kill(pid, action)
    left = [each.name for each in held if not each.ended()]
    assert left == []
    gate.process.wait(30)
    assert [each.name for each in gate.all()] == [], "nothing began meanwhile"


def link(gate: Looping, which: str) -> int:
    """Return the process id of a link of the chain: the requesting process, nox, its session, cargo."""
    chain = ancestry(gate.script)  # the build script's parents: cargo (and rustup), session, nox, the head
    head = chain.index(gate.process.pid)
    return {"head": chain[head], "nox": chain[head - 1], "session": chain[head - 2], "cargo": chain[0]}[which]


@pytest.mark.parametrize("which", ["head", "nox", "session", "cargo"])
def test_sigkill_anywhere_leaves_no_receipt_and_no_child(bench: Bench, which: str) -> None:
    """Any process of the chain is killed: cargo, rustc and build scripts end, and there is no receipt."""
    with looping(bench) as gate:
        all_ended(gate, signal.SIGKILL, link(gate, which))
    assert no_build_receipt(bench)


def no_build_receipt(bench: Bench) -> bool:
    """Return whether the ended gate left no receipt; fmt, beside it, may have finished before."""
    return not [path for path in bench.receipts() if "-build-" in path.name]


@pytest.mark.parametrize("command", ["invoke", "nox", "nox -j"])
def test_ctrl_c_ends_every_child(bench: Bench, command: str) -> None:
    """SIGINT to the program that the user started ends all it started; there is no receipt."""
    argv = {
        "invoke": (),
        "nox": (sys.executable, "-m", "nox", "-s", "gates(build)"),
        "nox -j": (sys.executable, "-m", "nox", "-s", "gates(build)", "gates(fmt)", "-j", "2"),
    }[command]
    with looping(bench, *argv) as gate:
        all_ended(gate, signal.SIGINT, gate.process.pid)
        assert gate.process.returncode != 0
    assert no_build_receipt(bench)


def test_sigkill_of_a_nox_that_the_user_started(bench: Bench) -> None:
    """A session started by `nox -j` ends with the nox that is killed."""
    with looping(bench, sys.executable, "-m", "nox", "-s", "gates(build)", "gates(fmt)", "-j", "2") as gate:
        all_ended(gate, signal.SIGKILL, gate.process.pid)
    assert no_build_receipt(bench)


def test_after_a_kill_the_next_run_is_as_if_nothing_had_been(bench: Bench) -> None:
    """No lock, half receipt or dirty tree is left that blocks the next run."""
    with looping(bench) as gate:
        all_ended(gate, signal.SIGKILL, link(gate, "head"))
    bench.repo.commit("no build script", {"build.rs": None})
    assert bench.one("build").verdict is Verdict.PASSED


def test_two_runs_at_once_on_different_commits(bench: Bench) -> None:
    """Each has a work tree of its own, neither waits for the other for ever, both finish with their own verdict."""
    good = bench.repo.head()
    bad = bench.repo.commit("broken", {"src/lib.rs": "pub fn broken() -> u32 { missing }\n"})
    found: dict[str, tuple[GateOutcome, ...]] = {}

    def run(commit: str) -> None:
        found[commit] = gate_commit(
            bench.repo.path, bench.repo.head(commit), bench.settings, only=("build", "clippy")
        )

    threads = [threading.Thread(target=run, args=(commit,)) for commit in (good, bad)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(120)
    assert [outcome.verdict for outcome in found[good]] == [Verdict.PASSED] * 2
    assert [outcome.verdict for outcome in found[bad]] == [Verdict.FAILED] * 2
    slots = next((Path(os.environ["XDG_STATE_HOME"]) / "trunkline").glob("*/gates"))
    assert len(list(slots.iterdir())) == 2


def test_two_runs_at_once_on_one_commit_share_its_tree(bench: Bench) -> None:
    """The same commit twice at once: one work tree, both pass."""
    found: list[GateOutcome] = []

    def run() -> None:
        found.extend(gate_commit(bench.repo.path, bench.repo.head(), bench.settings, only=("build", "clippy")))

    threads = [threading.Thread(target=run) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(120)
    assert [outcome.verdict for outcome in found] == [Verdict.PASSED] * 4
    slots = next((Path(os.environ["XDG_STATE_HOME"]) / "trunkline").glob("*/gates"))
    assert len(list(slots.iterdir())) == 1
