"""The report: one HTML file, opened in a real browser; the same as Markdown and JSON."""

from __future__ import annotations

import contextlib
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Literal

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Browser, Page, sync_playwright

from support.killing import Yard
from support.landing import NO_OP_GATES, STACK, Landing

pytestmark = [pytest.mark.gh, pytest.mark.slow]

CHROMIUM = shutil.which("chromium") or shutil.which("google-chrome")
NASTY = "<script>alert(1)</script> `x` \x1b[31m"
Scheme = Literal["light", "dark"]
WIDTHS: list[tuple[int, Scheme]] = [(1280, "light"), (390, "dark"), (1280, "dark"), (390, "light")]
FAILING = NO_OP_GATES.replace(
    '[gates.clippy]\nrun = ["true"]', '[gates.clippy]\nrun = ["sh", "-c", "echo \'error: <b>no</b>\'; exit 1"]'
)
CHECK = """
[[entry.check]]
kind = "pattern"
name = "evict"
title = "There is an `Evict`"
pattern = "struct Evict;"
"""


@pytest.fixture
def browser() -> Iterator[Browser]:
    """Return the system's Chromium."""
    if CHROMIUM is None:
        pytest.skip("no chromium is installed: scripts/bootstrap test installs it where it may")
    with sync_playwright() as driver:
        # Chromium's own sandbox does not work for root, who runs tests in a container; what it shows is ours.
        started = driver.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        yield started
        started.close()


def _land(landing: Landing) -> None:
    assert landing.invoke("rebase", "--pr", "519").code == 0
    landing.clone.git("switch", "--quiet", "feat/three")
    landing.clone.commit(NASTY, {"src/evict.rs": "//! Evict?\n"})
    file = landing.clone.path / "stack.toml"
    file.write_text(STACK.format(gates=FAILING).replace("Eviction", NASTY[:-5]) + CHECK)
    assert landing.invoke("gates", "--pr", "520").code == 1
    assert landing.invoke("checks", "--pr", "520").code == 1


@pytest.fixture
def landed(grounds: Yard) -> Iterator[Landing]:
    """Return a stack whose #519 has landed, and whose #520 has a failed gate, a failed check and a nasty title."""
    with grounds.prepared("reported", _land, merged=True) as made:
        yield made


@contextlib.contextmanager
def shown(browser: Browser, path: Path, width: int, scheme: Scheme) -> Iterator[Page]:
    """Show a page in a window of some width and colours; a request or a word on the console is a failure."""
    said: list[str] = []
    page = browser.new_page(viewport={"width": width, "height": 900}, color_scheme=scheme)
    page.on("console", lambda message: said.append(message.text))
    page.on("pageerror", lambda error: said.append(str(error)))
    page.on("request", lambda asked: said.append(asked.url))
    page.goto(path.as_uri())
    yield page
    page.close()
    assert said == [path.as_uri()]


def test_the_page_in_a_browser(landed: Landing, browser: Browser) -> None:
    """At two widths, light and dark, by keyboard, on paper."""
    ran = landed.invoke("report")
    assert ran.code == 0, ran.out + ran.err
    path = Path(ran.out.split()[-1])
    assert path == landed.clone.path / ".git/trunkline/report.html"
    for width, scheme in WIDTHS:
        with shown(browser, path, width, scheme) as page:
            shows_everything(page)
            reaches_everything_by_keyboard(page)
            is_accessible_and_fits(page)
    prints(browser, path)


def is_accessible_and_fits(page: Page) -> None:
    """No violation of axe-core's rules, contrast among them; nothing is wider than the window; no script runs."""
    for summary in page.locator("summary").all():
        if summary.evaluate("s => !s.parentElement.open"):
            summary.click()
    found = Axe().run(page)
    assert found.violations_count == 0, found.generate_report()
    assert page.evaluate("document.documentElement.scrollWidth <= window.innerWidth")
    assert page.locator("script").count() == 0


def shows_everything(page: Page) -> None:
    """The chain, entries x gates, what failed with its error and log, when it ran, receipts, runs."""
    assert page.locator(".chain > li").all_inner_texts()[1].startswith("#518 Arena")
    # #519's clippy passed as another command than stack.toml has by now: that proves nothing of this one.
    rows = page.locator("section[aria-labelledby=matrix] tbody tr")
    assert rows.count() == 3
    assert rows.nth(1).locator(".good").count() == 5
    assert rows.nth(2).locator("td.bad").inner_text() == "✗ failed"
    assert str(rows.nth(2).locator("td.bad a").get_attribute("title")).startswith("failed since ")
    failures = page.locator("article")
    assert failures.count() == 2
    assert "error: <b>no</b>" in failures.nth(0).inner_text()
    assert "There is an Evict: failed" in failures.nth(1).inner_text()
    assert "not found in 1 file that the entry changes" in failures.nth(1).inner_text()
    assert page.locator(".gantt .bar").count() == 12
    assert page.locator("section[aria-labelledby=receipts] tbody tr").count() == 13  # the stale one, too
    assert page.locator("section[aria-labelledby=runs] > details").count() == 3
    assert "<script>alert(1)</script>" in page.locator(".chain > li").nth(3).inner_text()


def reaches_everything_by_keyboard(page: Page) -> None:
    """Tab goes to the failed gate, Enter to its failure; a log opens by Enter, and can be reached to be scrolled."""
    link = page.locator("td.bad a")
    seen = []
    for _ in range(12):
        page.keyboard.press("Tab")
        seen.append(page.evaluate("document.activeElement.getAttribute('href') || document.activeElement.tagName"))
        if seen[-1] == link.get_attribute("href"):
            break
    assert seen[-1] == link.get_attribute("href"), seen
    page.keyboard.press("Enter")
    assert page.evaluate("location.hash") == "#pr520-clippy"
    page.locator("article summary").first.focus()
    page.keyboard.press("Enter")
    page.keyboard.press("Tab")
    assert page.evaluate("document.activeElement.tagName") == "PRE"


def prints(browser: Browser, path: Path) -> None:
    """On paper nothing is cut off at the side."""
    page = browser.new_page(viewport={"width": 740, "height": 1000})
    page.emulate_media(media="print")
    page.goto(path.as_uri())
    assert page.evaluate("document.documentElement.scrollWidth <= window.innerWidth")
    assert page.pdf()[:5] == b"%PDF-"
    page.close()


def test_markdown_json_and_where_it_is_written(landed: Landing, tmp_path: Path) -> None:
    """The validation summary that people wrote by hand; the same as data; --output, and --open by BROWSER."""
    tells_markdown_and_json(landed)
    opens_and_writes(landed, tmp_path)


def tells_markdown_and_json(landed: Landing) -> None:
    """Every open entry, what it proved, what it did not."""
    message = landed.invoke("report", "--markdown").out
    assert "## #519 Entry" in message
    assert message.count("- [x] **") == 10
    assert "- [ ] **clippy** failed" in message
    assert r"  error: \<b>no\</b>" in message
    assert "\x1b" not in message
    assert landed.invoke("report", "--markdown", "--offline").out.count("- [x] **") == 10
    found = landed.invoke("report", "--json").json["report"]
    assert [entry["pr"] for entry in found["evidence"]] == [518, 519, 520]
    assert found["evidence"][2]["gates"][2]["outcome"]["verdict"] == "failed"
    assert found["evidence"][2]["checks"][0]["name"] == "evict"
    last = found["runs"][2]["steps"][-1]
    assert {name: last[name] for name in ("name", "pr", "mark", "message")} == {
        "name": "next", "pr": 519, "mark": "done", "message": "#520 Eviction",
    }  # fmt: skip


def opens_and_writes(landed: Landing, tmp_path: Path) -> None:
    """`--open` starts the browser that BROWSER names; a missing directory is an error."""
    opened = tmp_path / "opened"
    program = tmp_path / "browser"
    program.write_text(f'#!/bin/sh\necho "$1" > {opened}\n')
    program.chmod(0o755)
    page = tmp_path / "own.html"
    ran = landed.invoke("report", "--open", "--output", str(page), BROWSER=str(program))
    assert ran.code == 0, ran.out + ran.err
    assert opened.read_text().strip() == page.as_uri()
    assert page.read_bytes().startswith(b"<!doctype html>")
    directory = landed.invoke("report", "--output", str(tmp_path))
    assert (directory.code, f"{tmp_path} cannot be written" in directory.err) == (2, True)
    refused = landed.invoke("report", "--output", str(tmp_path / "gone/own.html"))
    assert (refused.code, refused.err.splitlines()[-1]) == (2, f"next: mkdir -p {tmp_path / 'gone'}")
