"""SECURITY.md: every defence that it claims names a test, and every test that it names exists."""

from __future__ import annotations

import re
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]


def rows() -> list[list[str]]:
    """Return the cells of the tables of attacks."""
    lines = (ROOT / "SECURITY.md").read_text().partition("## Attacks")[2].splitlines()
    cells = [[cell.strip() for cell in line.strip("|").split("|")] for line in lines if line.startswith("| ")]
    return [row for row in cells if row[0] != "attack"]


def test_every_attack_has_a_defence_and_a_test_that_exists() -> None:
    """`file.py::function`, or `::function` of the file before it."""
    sources = {path.name: path.read_text() for path in (ROOT / "tests").rglob("test_*.py")}
    assert len(rows()) > 20
    for row in rows():
        assert len(row) == 3, row
        file = ""
        cited = re.findall(r"`(test_\w+\.py)?::(test_\w+)`", row[2])
        assert cited, row
        for name, function in cited:
            file = name or file
            assert f"def {function}(" in sources[file], (file, function)
