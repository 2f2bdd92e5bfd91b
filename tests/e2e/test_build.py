"""The commands of the pages about building and changing a stack, run with the real gh; output is compared."""

from __future__ import annotations

import doctest
import shutil
import subprocess
from pathlib import Path

import pytest

from support import programs
from support.pages import commands
from trunkline.sim.sandbox import sandbox

ROOT = Path(__file__).parents[2]


def _follow(page: str, top: Path) -> tuple[Path, str]:
    """Run every command of a page in the example's sandbox: exit 0, and the output is what the page shows.

    Returns:
        The checkout, and the text of stack.toml.
    """
    checker, flags = doctest.OutputChecker(), doctest.ELLIPSIS | doctest.NORMALIZE_WHITESPACE
    with sandbox(top / "sandbox") as place:
        file = place.checkout / ".git/stack.toml"
        shutil.copyfile(place.checkout / "stack.toml", file)
        environment = {**place.environment(), "PATH": programs.path(), "TRUNKLINE_YES": ""}
        for command, printed in commands((ROOT / "docs/howto" / page).read_text()):
            done = subprocess.run(
                ["bash", "-c", command], cwd=place.checkout, env={**environment, "TRUNKLINE_STACK_FILE": str(file)},
                stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False,
            )  # fmt: skip
            assert done.returncode == 0, (command, done.stdout + done.stderr)
            assert not printed or checker.check_output(printed, done.stdout, flags), (command, done.stdout)
        return place.checkout, file.read_text()


@pytest.mark.gh
def test_the_page(tmp_path: Path) -> None:
    """build.md makes two entries, and the stashed change comes back."""
    checkout, file = _follow("build.md", tmp_path)
    assert (checkout / "FAQ.md").read_text() == "Questions.\nMore questions.\n"
    assert '[[entry]]\npr = 524\nbranch = "feat/319-faq"' in file


@pytest.mark.gh
def test_the_page_about_changes(tmp_path: Path) -> None:
    """change.md ends with the split entry in stack.toml again."""
    _, file = _follow("change.md", tmp_path)
    assert '[[entry]]\npr = 523\nbranch = "feat/319-migration"' in file
