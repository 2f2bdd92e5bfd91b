"""scripts/style finds what it is there for, and nothing in code."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

SCRIPT = Path(__file__).resolve().parents[2] / "scripts/style"


def findings(path: Path, text: str) -> tuple[int, str]:
    """Return exit code and output for a file of that text."""
    path.write_text(text, encoding="utf-8")
    done = subprocess.run([sys.executable, SCRIPT, path], capture_output=True, text=True, check=False)
    return done.returncode, done.stdout + done.stderr


@pytest.mark.parametrize(
    ("name", "text", "found"),
    [
        ("a.md", "# A\n\nThe user is told that it failed.\n", ":3: `is told`"),
        ("a.md", "One sentence.\nThen GitHub is asked again.\n", ":2: `GitHub is asked`"),
        ("a.md", "It restores the the branch.\n", ":1: lexical_illusions"),
        ("a.py", '"""Where it is."""\n', ":1: `Where`"),
        (
            "a.py",
            'def f():\n    """Return it.\n\n    It cannot be had.\n    """\n',
            ":4: `cannot be had`",
        ),
    ],
)
def test_it_finds(tmp_path: Path, name: str, text: str, found: str) -> None:
    """Exit 1; each finding has its line and the advice."""
    code, out = findings(tmp_path / name, text)
    assert code == 1, out
    assert found in out
    assert out.count("\n") == 1


def test_it_finds_idiom_in_messages(tmp_path: Path) -> None:
    """Only in src: a test may hold any text."""
    path = tmp_path / "src/a.py"
    path.parent.mkdir()
    code, out = findings(path, 'def f():\n    raise OSError("GitHub was not asked")\n')
    assert (code, ":2: `was not asked`" in out) == (1, True), out


def test_it_passes_plain_text_and_code(tmp_path: Path) -> None:
    """Code, comments and links are not prose; exit 0 and no output."""
    text = "# CI\n\nCI runs `is told` twice.\n\n```sh\necho is told\n```\n\n<!-- is told -->\n[a](upon.md)\n"
    assert findings(tmp_path / "a.md", text) == (0, "")
