"""The gh of Debian 12 (2.23): every task that talks to GitHub works with it as with the newest."""

from __future__ import annotations

from typing import Any

import pytest

from support import programs
from support.killing import Yard, YardLanding
from support.landing import Landing

pytestmark = [pytest.mark.gh, pytest.mark.slow]
QUICK = ("--skip", "fmt,gates", "--yes")
NO_WAIT: Any = {"TRUNKLINE_WAIT_FACTOR": "0"}


@pytest.fixture(autouse=True)
def _debian_gh(monkeypatch: pytest.MonkeyPatch) -> None:
    programs.use_debian_gh(monkeypatch)


def test_the_main_job(stack: YardLanding) -> None:
    """Rebased, pushed, ready, noted; status and rehearse see the same."""
    assert stack.run("gh", "--version").out.startswith("gh version 2.23.")
    rehearsed = stack.invoke("rehearse", "--pr", "519", "--json")
    assert rehearsed.code == 0, rehearsed.err
    ran = stack.invoke("rebase", "--pr", "519", "--yes")
    assert ran.code == 0, ran.out + ran.err
    pull = stack.pr(519)
    assert (pull["draft"], pull["base"], "## Reviewer Note" in pull["body"]) == (False, "main", True)
    status = stack.invoke("status")
    assert (status.code, "#519" in status.out) == (0, True)


def test_the_stack_lands_itself(stack: YardLanding) -> None:
    """Bottom-up, merged in the background, children retargeted."""
    ran = stack.invoke("land", *QUICK, **NO_WAIT)
    assert ran.code == 0, ran.out + ran.err
    assert [stack.pr(number)["state"] for number in (518, 519, 520)] == ["MERGED"] * 3


def test_the_stack_is_found_and_diagnosed(stack: YardLanding) -> None:
    """`init --check`, `plan` and `doctor` read GitHub through it."""
    for arguments in (("init", "--check"), ("plan", "--pr", "519"), ("doctor",)):
        ran = stack.invoke(*arguments)
        assert (ran.code in {0, 1}, "Traceback" in ran.err) == (True, False), ran.out + ran.err
    assert "2.23" in stack.invoke("doctor").out


def _closed(landing: Landing) -> None:
    landing.merge_parent(delete="rest")


def test_a_closed_child_is_rescued(grounds: Yard) -> None:
    """`rescue` reopens what the deletion of a base has closed."""
    with grounds.prepared("closed", _closed) as stack:
        assert stack.pr(519)["state"] == "CLOSED"
        ran = stack.invoke("rescue", "--pr", "519", "--yes")
        assert ran.code == 0, ran.out + ran.err
        assert stack.pr(519)["state"] == "OPEN"
