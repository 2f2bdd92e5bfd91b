"""Every verdict is what the typed command gives in a clean checkout, whatever was gated before on the work tree."""

from __future__ import annotations

import os
import shutil
from dataclasses import replace
from pathlib import Path

import pytest

from support.gating import stand_in_rustup
from verdicts.changes import CHANGES
from verdicts.compare import Contest, run, sequence, summary

pytestmark = [
    pytest.mark.cargo,
    pytest.mark.slow,
    pytest.mark.skipif(shutil.which("rustup") is None, reason="the MSRV gate needs rustup"),
]


@pytest.fixture
def contest(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Contest:
    """Return the repository; the MSRV toolchain is a stand-in: the installed one under another name."""
    stand_in_rustup(tmp_path / "rustup")
    monkeypatch.setenv("RUSTUP_HOME", str(tmp_path / "rustup"))
    monkeypatch.setenv("CARGO_HOME", os.environ["CARGO_HOME"])  # taken back afterwards
    return Contest.create(tmp_path)


def test_a_sample_of_changes(contest: Contest) -> None:
    """Those that no time of a file and no dep-info shows, in an order that is always the same."""
    sample = [replace(change, gates=change.sample) for change in sequence(1, CHANGES) if change.sample]
    found = list(run(contest, sample))
    assert [str(each) for each in found if each.kind.startswith("stale")] == []
    assert sum(each.typed != 0 for each in found) >= 15, "the changes do change verdicts"


@pytest.mark.skipif(not os.environ.get("TRUNKLINE_SOAK"), reason="takes half an hour: make soak")
@pytest.mark.timeout(7200)
@pytest.mark.parametrize("seed", [2, 3])
def test_all_changes(contest: Contest, seed: int, capsys: pytest.CaptureFixture[str]) -> None:
    """All of them in random order, those of sources first, one after the other: only then is anything reused."""
    sources = [change for change in CHANGES if all(path.endswith(".rs") for path in contest.paths(change))]
    found = list(run(contest, [*sequence(seed, sources), *sequence(seed, CHANGES)]))
    with capsys.disabled():
        print(f"\n{summary(found)}")  # noqa: T201 -- the count that docs/gates.md shows
    assert [str(each) for each in found if each.kind.startswith("stale")] == []
