"""The documentation: it builds without network, strictly; and what the tutorial says to type does what it shows."""

from __future__ import annotations

import doctest
import re
import subprocess
import sys
from html.parser import HTMLParser
from pathlib import Path

import pytest

from support import programs
from support.pages import commands
from trunkline.sim.sandbox import sandbox

ROOT = Path(__file__).parents[2]


class Fetched(HTMLParser):
    """Collects what a browser would fetch of a page by itself."""

    def __init__(self) -> None:
        super().__init__()
        self.addresses: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """Take the sources of images and scripts, and what `link` brings in."""
        named = dict(attrs)
        brings = tag == "link" and named.get("rel") in {"stylesheet", "preconnect", "icon", "preload"}
        address = named.get("src") or (named.get("href") if brings else None)
        if address:
            self.addresses.append(address)


@pytest.mark.slow
def test_the_site_builds_strictly_and_fetches_nothing_from_elsewhere(tmp_path: Path) -> None:
    """A dead link fails; what a page fetches is on the site; the reference is made from the code."""
    done = subprocess.run(
        [sys.executable, "-m", "mkdocs", "build", "--strict", "--site-dir", str(tmp_path / "site")], cwd=ROOT,
        env={"PATH": programs.path(), "NO_MKDOCS_2_WARNING": "1"}, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr
    pages = sorted((tmp_path / "site").rglob("*.html"))
    assert len(pages) > 15
    for page in pages:
        seen = Fetched()
        seen.feed(page.read_text())
        assert not [address for address in seen.addresses if "//" in address], page
    assert "--accept-unavailable" in (tmp_path / "site/reference/tasks/index.html").read_text()
    assert "[[entry.check]]" in (tmp_path / "site/reference/stack-toml/index.html").read_text()
    codes = (tmp_path / "site/reference/exit-codes/index.html").read_text()
    assert re.findall(r"<tr>\s*<td>(\d+)</td>\s*<td>\S", codes) == ["0", "1", "2", "3", "4", "5", "6", "70", "130"]


@pytest.mark.gh
@pytest.mark.cargo
@pytest.mark.slow
def test_the_tutorial(tmp_path: Path) -> None:
    """Every command, in order, in the example's sandbox: exit 0, and the output is what the page shows."""
    page = (ROOT / "docs/tutorial.md").read_text()
    checker, flags = doctest.OutputChecker(), doctest.ELLIPSIS | doctest.NORMALIZE_WHITESPACE
    typed = 0
    with sandbox(tmp_path / "sandbox") as place:
        # All gates are real in test_example; here, those that lint do nothing, for a third of the time.
        idle = "".join(f'[gates.{name}]\nrun = ["true"]\n' for name in ("clippy", "doc"))
        file = tmp_path / "stack.toml"
        text = (place.checkout / "stack.toml").read_text()
        file.write_text(text.replace("\n[[entry]]", f"\n{idle}\n[[entry]]", 1))
        environment = {
            **place.environment(),
            "PATH": programs.path(),
            "TRUNKLINE_STACK_FILE": str(file),
            "TRUNKLINE_YES": "",
        }
        for command, printed in commands(page):
            done = subprocess.run(
                ["bash", "-c", command], cwd=place.checkout, env=environment, stdin=subprocess.DEVNULL,
                capture_output=True, text=True, check=False,
            )  # fmt: skip
            assert done.returncode == 0, (command, done.stdout + done.stderr)
            assert not printed or checker.check_output(printed, done.stdout, flags), (command, done.stdout)
            typed += 1
    assert typed == 9
