"""`[gates] cache = "sccache"`: the real sccache, its server a test's own; or unavailable, never silently without."""

from __future__ import annotations

import json
import shutil
import subprocess
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from support import programs
from support.gating import FILES, Bench
from support.repo import Repo
from trunkline.domain.receipt import Receipt, Verdict
from trunkline.gates import slots
from trunkline.state.receipt_store import Store

pytestmark = [pytest.mark.cargo, pytest.mark.slow]


@pytest.fixture
def bench(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Bench]:
    """Return a crate whose gates run behind an sccache with a server and a directory of the test's own."""
    monkeypatch.setenv("SCCACHE_SERVER_UDS", str(tmp_path / "sccache.sock"))
    monkeypatch.setenv("SCCACHE_DIR", str(tmp_path / "cache"))
    monkeypatch.setenv("PATH", programs.path())
    made = Bench(Repo.create(tmp_path / "repo"))
    made.repo.commit("start", {**FILES})
    made.settings = replace(made.settings, cache="sccache")
    yield made
    monkeypatch.setenv("PATH", programs.path())
    subprocess.run(["sccache", "--stop-server"], check=False, capture_output=True)


def hits() -> int:
    """Return the number of cache hits of the server."""
    message = subprocess.run(
        ["sccache", "--show-stats", "--stats-format", "json"], check=True, capture_output=True, text=True
    ).stdout
    counts: dict[str, Any] = json.loads(message)["stats"]["cache_hits"]["counts"]
    return sum(counts.values())


def test_a_fresh_directory_is_filled_from_the_cache(bench: Bench) -> None:
    """Target directories thrown away, gates pass with what sccache kept; the MSRV gate stays off it."""
    for gate in ("build", "clippy", "test"):
        assert bench.one(gate).verdict is Verdict.PASSED, bench.one(gate)
    before = hits()
    shutil.rmtree(slots.state_home())  # the work trees that are elsewhere for their short paths go, too
    assert bench.one("build", fresh=True).verdict is Verdict.PASSED
    assert hits() > before
    receipts = [
        receipt
        for _, receipt in Store(bench.repo.path / ".git/trunkline").read(bench.repo.git("rev-parse", "HEAD^{tree}"))
        if isinstance(receipt, Receipt)
    ]
    assert {receipt.env["RUSTC_WRAPPER"] for receipt in receipts} == {"sccache"}
    assert bench.one("fmt").verdict is Verdict.PASSED
    assert bench.one("msrv").command.startswith("RUSTC_WRAPPER='' cargo +1.89.0 check")


def test_without_sccache_gates_are_unavailable(bench: Bench, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The error names the missing sccache; nothing is compiled without it."""
    tools = tmp_path / "tools"
    tools.mkdir()
    for name in ("cargo", "rustc", "git", "sh"):
        found = shutil.which(name)
        assert found
        (tools / name).symlink_to(found)
    monkeypatch.setenv("PATH", str(tools))
    outcome = bench.one("build")
    assert (outcome.verdict, outcome.fix) == (Verdict.UNAVAILABLE, "cargo install --locked sccache")


def test_a_receipt_without_the_cache_does_not_stand_for_one_with_it(bench: Bench) -> None:
    """The wrapper is a part of what was run: switched on or off, a gate runs again."""
    assert not bench.one("build").reused
    assert bench.one("build").reused
    bench.settings = replace(bench.settings, cache="")
    assert not bench.one("build").reused
