"""Stacks cut out of histories, decided and replayed in this process, against `git rebase --onto`.

`TRUNKLINE_SOAK` sets the number of stacks of each history, `TRUNKLINE_REPLAY` names repositories (separated by `:`)
whose histories are cut up too. `tests/replay/report.py` prints the counts.
"""

from __future__ import annotations

import os
import subprocess
from collections import Counter
from pathlib import Path

import pytest

from support import histories
from support.replaying import Comparison, Result, run
from support.soak import SOAK

STACKS = SOAK or 33
OURS = Path(__file__).parents[2]
AT_HAND = [OURS, *(Path(name) for name in os.environ.get("TRUNKLINE_REPLAY", "").split(":") if name)]
NEEDLESS_AT_MOST = 0.01


def assert_right(counts: Counter[Result], odd: list[Comparison]) -> None:
    """No stack comes out wrong, and hardly any is refused needlessly."""
    message = "\n".join(f"{comparison.result.value}: {comparison.plan}\n  {comparison.why}" for comparison in odd)
    assert not counts[Result.WRONG], message
    assert counts[Result.NEEDLESS] <= NEEDLESS_AT_MOST * counts.total(), message


@pytest.mark.parametrize("seed", [1, 2])
def test_stacks_of_a_generated_history(tmp_path: Path, seed: int) -> None:
    """Renames, modes, links, binaries, line ends, odd names and messages, encodings, reverts: as git replays them."""
    histories.generate(tmp_path / "generated", commits=300, seed=seed)
    counts, odd = run(tmp_path / "generated", tmp_path / "scratch", count=STACKS, seed=seed)
    assert counts.total() == STACKS
    assert_right(counts, odd)


@pytest.mark.parametrize("source", AT_HAND, ids=lambda path: path.name)
def test_stacks_of_a_history_at_hand(tmp_path: Path, source: Path) -> None:
    """Commits that people made: this repository's own, and those of `TRUNKLINE_REPLAY`."""
    listed = subprocess.run(["git", "rev-list", "--count", "HEAD"], cwd=source, capture_output=True, check=False)
    if listed.returncode or int(listed.stdout) < 50:
        pytest.skip("no history here, or a short one")
    assert_right(*run(source, tmp_path / "scratch", count=STACKS, seed=3))
