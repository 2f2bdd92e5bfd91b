"""The commands of the page "How to build a stack", run in order with the real gh; their output is compared."""

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


@pytest.mark.gh
def test_the_page(tmp_path: Path) -> None:
    """Every command, in order, in the example's sandbox: exit 0, and the output is what the page shows."""
    page = (ROOT / "docs/howto/build.md").read_text()
    checker, flags = doctest.OutputChecker(), doctest.ELLIPSIS | doctest.NORMALIZE_WHITESPACE
    with sandbox(tmp_path / "sandbox") as place:
        file = place.checkout / ".git/stack.toml"
        shutil.copyfile(place.checkout / "stack.toml", file)
        environment = {**place.environment(), "PATH": programs.path(), "TRUNKLINE_YES": ""}
        for command, printed in commands(page):
            done = subprocess.run(
                ["bash", "-c", command], cwd=place.checkout, env={**environment, "TRUNKLINE_STACK_FILE": str(file)},
                stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False,
            )  # fmt: skip
            assert done.returncode == 0, (command, done.stdout + done.stderr)
            assert not printed or checker.check_output(printed, done.stdout, flags), (command, done.stdout)
        assert (place.checkout / "FAQ.md").read_text() == "Questions.\nMore questions.\n"
        assert '[[entry]]\npr = 524\nbranch = "feat/319-faq"' in file.read_text()
