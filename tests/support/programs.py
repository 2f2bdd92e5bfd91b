"""The programs that tests run: trunkline, nox, and Debian's or the newest gh."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

DEBIAN = Path(__file__).parents[2] / ".venv" / "gh-debian" / "usr" / "bin"
"""The directory where scripts/bootstrap installs Debian's gh."""
VARIABLE = "TRUNKLINE_TEST_PROGRAMS"


def path() -> str:
    """Return the PATH of a test's shell: chosen programs, the environment's, the system's."""
    chosen = os.environ.get(VARIABLE, "")
    return os.pathsep.join(filter(None, (chosen, str(Path(sys.executable).parent), os.environ["PATH"])))


def use_debian_gh(monkeypatch: pytest.MonkeyPatch) -> None:
    """Use Debian's gh in this test; skip the test if it is not installed."""
    if not (DEBIAN / "gh").exists():
        pytest.skip("no Debian gh: scripts/bootstrap downloads it where apt-get is")
    monkeypatch.setenv(VARIABLE, str(DEBIAN))
    message = subprocess.run([DEBIAN / "gh", "--version"], capture_output=True, text=True, check=True).stdout
    if not message.startswith("gh version 2.23."):
        pytest.skip(f"the oldest gh that is supported is Debian 12's; this Debian has {message.split()[2]}")
