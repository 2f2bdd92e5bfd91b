"""Debian's gh beside the newest: which of them the tests' shells find first."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest

PROGRAMS = Path(__file__).parents[2] / ".venv" / "gh-debian" / "usr" / "bin"
"""Where scripts/bootstrap puts it."""
VARIABLE = "TRUNKLINE_TEST_PROGRAMS"


def first_on_path() -> str:
    """Return what comes before everything on the path of a test's shell, with its colon."""
    chosen = os.environ.get(VARIABLE, "")
    return f"{chosen}:" if chosen else ""


def use(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let the shells of this test find Debian's gh; skip the test where there is none."""
    if not (PROGRAMS / "gh").exists():
        pytest.skip("no Debian gh: scripts/bootstrap downloads it where apt-get is")
    monkeypatch.setenv(VARIABLE, str(PROGRAMS))
    told = subprocess.run([PROGRAMS / "gh", "--version"], capture_output=True, text=True, check=True).stdout
    assert told.startswith("gh version 2.23."), told
