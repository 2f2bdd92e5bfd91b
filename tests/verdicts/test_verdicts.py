"""A gate in a reused work tree has the same verdict as its command, typed in a clean checkout."""

from __future__ import annotations

import os
from dataclasses import replace
from pathlib import Path

import pytest

from support import needs
from support.gating import stand_in_rustup
from verdicts.changes import CHANGES
from verdicts.changes_pairs import PAIRS
from verdicts.compare import NOTHING, Contest, run, sequence, summary

pytestmark = [
    pytest.mark.cargo,
    pytest.mark.slow,
    needs.rustup,
]


@pytest.fixture
def contest(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Contest:
    """Return the two work trees to compare; the MSRV toolchain is the installed one under another name."""
    stand_in_rustup(tmp_path / "rustup")
    monkeypatch.setenv("RUSTUP_HOME", str(tmp_path / "rustup"))
    monkeypatch.setenv("CARGO_HOME", os.environ["CARGO_HOME"])  # taken back afterwards
    return Contest.create(tmp_path)


@pytest.mark.parametrize("part", [0, *(pytest.param(each, marks=pytest.mark.soak) for each in (1, 2, 3))])
def test_a_sample_of_changes(contest: Contest, part: int) -> None:
    """A fixed sequence of changes that neither file times nor dep-info show gives no stale verdict.

    A verdict takes seven CPU seconds, so that three quarters of the sequence are left to soak.
    """
    chosen = [change for change in [*sequence(1, CHANGES), *PAIRS] if change.sample][part::4]
    found = list(run(contest, [replace(change, gates=change.sample) for change in (NOTHING, *chosen)]))
    assert [str(each) for each in found if each.kind.startswith("stale")] == []
    assert sum(each.typed != 0 for each in found) >= 3, "the changes do change verdicts"
    assert [str(each) for each in found if each.change == "nothing" and each.typed] == [], "all gates pass without"


@pytest.mark.soak
@pytest.mark.timeout(7200)
@pytest.mark.parametrize("seed", [2, 3])
def test_all_changes(contest: Contest, seed: int, capsys: pytest.CaptureFixture[str]) -> None:
    """All changes in random order give no stale verdict; those of sources run first, because they reuse builds."""
    sources = [change for change in CHANGES if all(path.endswith(".rs") for path in contest.paths(change))]
    found = list(run(contest, [*sequence(seed, sources), *sequence(seed, (*CHANGES, *PAIRS))]))
    with capsys.disabled():
        print(f"\n{summary(found)}")  # noqa: T201 -- the count that docs/gate-internals.md shows
    assert [str(each) for each in found if each.kind.startswith("stale")] == []
