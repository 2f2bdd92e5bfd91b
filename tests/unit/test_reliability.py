"""docs/reliability.md: every fault has its row, and every test that it names is there."""

from __future__ import annotations

import re
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]


def rows() -> list[list[str]]:
    """Return the cells of the table of faults."""
    lines = (ROOT / "docs/reliability.md").read_text().splitlines()
    table = [line for line in lines if re.match(r"\| \d+ \|", line)]
    return [[cell.strip() for cell in line.strip("|").split("|")] for line in table]


def test_every_fault_has_a_row() -> None:
    """Rows 1 to 60 exist; each names the measure, and a test, "not yet", or the reason why it is out of scope."""
    assert [int(row[0]) for row in rows()] == list(range(1, 61))
    assert all(re.search(r"test_\w+\.py|scenarios/|not yet|out of scope", row[3]) for row in rows())


def test_every_test_that_is_named_exists() -> None:
    """`file.py::function`, `::function` of the file before it, or `scenarios/file.txt`."""
    sources = {path.name: path.read_text() for path in (ROOT / "tests").rglob("test_*.py")}
    named = 0
    for row in rows():
        for scenario in re.findall(r"`scenarios/([\w-]+\.txt)`", row[3]):
            assert (ROOT / "tests/scenarios" / scenario).exists(), row
        file = ""
        for cited, function in re.findall(r"`(test_\w+\.py)?(?:::(test_\w+))?", row[3]):
            file = cited or file
            if cited:
                assert cited in sources, row
            if function:
                assert f"def {function}(" in sources[file], row
                named += 1
    assert named > 50
