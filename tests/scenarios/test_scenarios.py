"""Each file beside this one is a scenario: what happens, what you type, what is printed (tests/README.md)."""

from __future__ import annotations

from pathlib import Path

import pytest

from support.killing import Yard
from support.scenario import Player

SCENARIOS = sorted(Path(__file__).parent.glob("*.txt"))


@pytest.mark.gh
@pytest.mark.parametrize("path", SCENARIOS, ids=lambda path: path.stem)
def test_scenario(grounds: Yard, path: Path, request: pytest.FixtureRequest) -> None:
    """The commands print what the file says; `pytest tests/scenarios --rewrite-scenarios` writes it anew."""
    written = path.read_text()
    with grounds.prepared("nothing merged") as stack:
        played = Player(stack).play(written)
    if request.config.getoption("--rewrite-scenarios"):
        path.write_text(played)
    assert played.splitlines() == path.read_text().splitlines()
