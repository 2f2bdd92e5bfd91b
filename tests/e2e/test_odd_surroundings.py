"""Shells whose locale, output and environment are not what a developer's are."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from support.landing import Landing, small_stack

pytestmark = pytest.mark.gh

ASCII: Any = {"LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"}
LOUD: Any = {"CLICOLOR_FORCE": "1", "GH_FORCE_TTY": "100", "GH_DEBUG": "api", "GIT_TRACE": "1", "PAGER": "less"}


@pytest.fixture
def landing(tmp_path: Path) -> Iterator[Landing]:
    """Return the small stack with #518 merged; tasks are processes of their own, with their own streams."""
    with small_stack(tmp_path, merged=True) as made:
        yield made


def test_a_landing_where_output_is_ascii_and_the_environment_is_loud(landing: Landing) -> None:
    """Land, then show the stack: marks are ASCII, GitHub's responses are parsed; the remote's name has a slash."""
    landing.author.git("switch", "--quiet", "feat/two")
    landing.author.commit("Zoë's ☃", {"src/ü.rs": "//! Ü.\n"}, author="Zoë")
    landing.push_as_author("feat/two")
    path = landing.clone.path / "stack.toml"
    text = path.read_text().replace('title = "Entry"', 'title = "Entrée"').replace('"origin"', '"up/stream"')
    path.write_text(text, encoding="utf-8")
    landing.clone.git("remote", "rename", "origin", "up/stream")
    book = landing.invoke("plan", "--pr", "519", "--markdown", PYTHONIOENCODING="ascii")
    assert "- + " in book.out, book.out + book.err
    ended = landing.invoke("rebase", "--pr", "519", **ASCII, **LOUD)
    assert ended.code == 0, ended.out + ended.err
    assert ended.out.isascii()
    assert any(line.startswith(" + pushed") for line in ended.out.splitlines()), ended.out
    shown = landing.invoke("status", **ASCII, **LOUD, PYTHONIOENCODING="ascii")
    assert (shown.code, shown.err) == (0, "")
    assert "+ #518 Arena" in shown.out
    asked = landing.invoke("checklist", "--pr", "519", "--json", **LOUD, PYTHONIOENCODING="ascii:strict")
    assert asked.json["exit_code"] in {0, 1}
    assert asked.out.isascii()
