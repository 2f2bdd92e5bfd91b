"""docs/simulator.md matches the tests."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[2]


def test_the_page_is_up_to_date() -> None:
    """Else: .venv/bin/python scripts/describe-simulator."""
    done = subprocess.run([sys.executable, ROOT / "scripts/describe-simulator", "--check"], check=False)
    assert done.returncode == 0, "run .venv/bin/python scripts/describe-simulator"
