"""Where the shells of the tests find trunkline, nox and gh: Debian's gh or the newest."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

DEBIAN = Path(__file__).parents[2] / ".venv" / "gh-debian" / "usr" / "bin"
"""Where scripts/bootstrap puts it."""
VARIABLE = "TRUNKLINE_TEST_PROGRAMS"


def path() -> str:
    """Return the PATH of a test's shell: the programs chosen by `VARIABLE`, the environment's own, everybody's."""
    chosen = os.environ.get(VARIABLE, "")
    return os.pathsep.join(filter(None, (chosen, str(Path(sys.executable).parent), os.environ["PATH"])))


def use_debian_gh(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let the shells of this test find Debian's gh; skip the test where there is none."""
    if not (DEBIAN / "gh").exists():
        pytest.skip("no Debian gh: scripts/bootstrap downloads it where apt-get is")
    monkeypatch.setenv(VARIABLE, str(DEBIAN))
    message = subprocess.run([DEBIAN / "gh", "--version"], capture_output=True, text=True, check=True).stdout
    assert message.startswith("gh version 2.23."), message
