"""The documentation: it builds without network, strictly; and what the tutorial says to type does what it shows."""

from __future__ import annotations

import doctest
import functools
import http.server
import re
import shutil
import subprocess
import sys
import threading
from collections.abc import Iterator
from html.parser import HTMLParser
from pathlib import Path

import pytest
from playwright.sync_api import sync_playwright

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


# Questions of newcomers, messages and flags, each with pages that answer it.
QUESTIONS = {
    "squash merge conflict after rebase": {"howto/restack", "howto/conflict", "fork-points", "faq"},
    "undo a force push": {"howto/undo", "faq"},
    "skip msrv gate": {"gates", "faq"},
    "billing failure CI": {"howto/ci-outage", "howto/no-ci"},
    "how do I add a gate": {"gates"},
    "lost commits": {"faq", "howto/undo", "reliability"},
    "stack.toml example": {"howto/adopt", "reference/stack-toml"},
    "does it work with merge queue": {"faq", "howto/land"},
    "fork": {"limits", "fork-points"},
    "exit code 5": {"usage", "reference/exit-codes", "troubleshooting"},
    "--accept-flaky": {"usage", "receipts", "gates", "reference/tasks"},
    "your checkout has uncommitted changes": {"troubleshooting"},
    "there is no local branch": {"troubleshooting"},
    "a person must say which commits are its own": {"fork-points", "troubleshooting"},
    "reorder pull requests": {"howto/change", "howto/restack"},
    "windows": {"limits", "faq"},
    "where does trunkline store its files": {"faq"},
    "two people on the same stack": {"faq"},
    "sign commits gpg": {"faq"},
}
CHROMIUM = shutil.which("chromium") or shutil.which("google-chrome")


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the directory of the built site."""
    path = tmp_path_factory.mktemp("docs") / "site"
    done = subprocess.run(
        [sys.executable, "-m", "mkdocs", "build", "--strict", "--site-dir", str(path)], cwd=ROOT,
        env={"PATH": programs.path(), "NO_MKDOCS_2_WARNING": "1"}, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr
    return path


class Quiet(http.server.SimpleHTTPRequestHandler):
    """Serves files without a log."""

    def log_message(self, *_: object) -> None:
        """Write nothing."""


@pytest.fixture
def address(site: Path) -> Iterator[str]:
    """Serve the site, and return its address."""
    handler = functools.partial(Quiet, directory=str(site))
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}/"
        server.shutdown()


@pytest.mark.slow
def test_the_search_answers_questions_of_newcomers(site: Path, address: str) -> None:
    """A page that answers is one of the first two results, in a real browser, from a server and from files."""
    if CHROMIUM is None:
        pytest.skip("no chromium is installed: scripts/bootstrap test installs it where it may")
    missed = {}
    with sync_playwright() as driver:
        browser = driver.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        page = browser.new_page()
        served = dict.fromkeys(("undo a force push", "exit code 5"), address)
        for question, answers in QUESTIONS.items():
            page.goto(f"{served.get(question, (site / 'index.html').as_uri())}?q={question.replace(' ', '+')}")
            page.locator(".md-search-result__item").first.wait_for(state="attached")
            links = page.locator(".md-search-result__item").evaluate_all(
                "items => items.slice(0, 2).map(item => new URL(item.querySelector('a').href).pathname)"
            )
            found = [link.removeprefix(f"{site}/").strip("/").removesuffix(".html") for link in links]
            if answers.isdisjoint(found):
                missed[question] = found
        browser.close()
    assert missed == {}


@pytest.mark.slow
def test_the_site_fetches_nothing_from_elsewhere(site: Path) -> None:
    """A dead link fails the build; what a page fetches is on the site; the reference is made from the code."""
    pages = sorted(site.rglob("*.html"))
    assert len(pages) > 15
    for page in pages:
        seen = Fetched()
        seen.feed(page.read_text())
        assert not [address for address in seen.addresses if "//" in address], page
    assert "--accept-unavailable" in (site / "reference/tasks.html").read_text()
    assert "[[entry.check]]" in (site / "reference/stack-toml.html").read_text()
    codes = (site / "reference/exit-codes.html").read_text()
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
