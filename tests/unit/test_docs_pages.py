"""The documentation names files, messages and tasks that exist."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
SOURCES = ROOT / "src/trunkline"
LOGS = {ROOT / "CHANGELOG.md", ROOT / "docs/decisions.md"}  # they tell of modules that are gone
PAGES = sorted({*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md"), *(ROOT / "examples").glob("*.md")} - LOGS)
# `planning/heads.py`, `src/trunkline/engine.py`, `tests/e2e/test_kill.py`, `scripts/demo`
NAMED = re.compile(r"(?<![\w./<$-])((?:src|tests|scripts|docs|examples)/[\w./-]*\w|(?:\w+/)+\w+\.py)(?![\w*])")
# What other repositories, machines and users have.
FOREIGN = {"src/lib.rs"}


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_every_path_that_a_page_names_exists(page: Path) -> None:
    """Paths in backticks: from the repository's top, or of a module below `src/trunkline`."""
    missing = set()
    for code in re.findall(r"`([^`\n]+)`", page.read_text(encoding="utf-8")):
        for path in NAMED.findall(code.partition("::")[0]):
            found = any((base / path).exists() for base in (ROOT, SOURCES))
            if not found and path not in FOREIGN:
                missing.add(path)
    assert missing == set()


def test_every_module_in_the_drawings_of_the_architecture_exists() -> None:
    """The packages, and the path of one command."""
    drawings = re.findall(
        r"^```text$(.*?)^```$", (ROOT / "docs/architecture.md").read_text(encoding="utf-8"), re.DOTALL | re.MULTILINE
    )
    named = [path for drawing in drawings for path in re.findall(r"(?:\w+/)+\w+\.py\b", drawing)]
    assert len(named) > 10
    assert [path for path in named if not (SOURCES / path).exists()] == []


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_no_line_begins_with_the_number_of_a_pull_request(page: Path) -> None:
    """The site would make a heading of `#520 targets main`."""
    text = re.sub(r"^ *```.*?^ *```", "", page.read_text(encoding="utf-8"), flags=re.DOTALL | re.MULTILINE)
    assert re.findall(r"^ *#+[^#\s].*", text, re.MULTILINE) == []


def test_every_message_of_the_troubleshooting_page_is_in_the_source() -> None:
    """A part of a message between two placeholders is somewhere in the source, on one line."""
    source = "\n".join(path.read_text(encoding="utf-8") for path in SOURCES.rglob("*.py"))
    rows = re.findall(r"^\| (`.+?) \|", (ROOT / "docs/troubleshooting.md").read_text(encoding="utf-8"), re.MULTILINE)
    parts = [part.strip() for row in rows for code in re.findall(r"`([^`]+)`", row) for part in code.split("…")]
    assert len(rows) > 40
    assert [part for part in parts if part and not part.startswith("--") and part not in source] == []


def test_the_front_page_is_short() -> None:
    """README.md has under 150 lines, and the two commands."""
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    assert text.count("\n") < 150
    assert "make demo" in text
    assert "make test" in text
