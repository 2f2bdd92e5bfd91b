"""Names without room: `two/x` and `two` cannot both be refs of one repository."""

from __future__ import annotations

import shlex
from collections.abc import Iterator

import pytest

from support.inprocess import Desk, desk, refusal


@pytest.fixture
def stack(monkeypatch: pytest.MonkeyPatch) -> Iterator[Desk]:
    """Return the stack in a clone without local branches of its entries, on a trunk that moved on."""
    with desk(monkeypatch, branches=False) as made:
        made.trunk_commits("moves on", {"more.txt": "more\n"})
        yield made


def test_a_branch_below_the_name_of_an_entry(stack: Desk) -> None:
    """Named as the cause; the printed command renames it, and `continue` finishes."""
    stack.clone.git("branch", "--quiet", "two/x", "origin/main")
    error = refusal(stack.restack)
    assert error.what == "refs/heads/two cannot be created"
    assert "refs/heads/two/x exists" in error.why
    rename, go_on, *_ = error.next_commands
    assert go_on == "invoke continue"
    stack.clone.git(*shlex.split(rename.replace("ANOTHER-NAME", "elsewhere"))[1:])
    resumed = stack.resume()
    assert resumed is not None
    assert resumed.error is None
    assert stack.hub.tip("two") == stack.clone.head("two")


def test_a_stale_tracking_branch_above_the_name_of_an_entry(stack: Desk) -> None:
    """A fetch cannot create its tracking branch: `continue` alone would fail again and again."""
    for branch in ("one", "two", "three"):
        stack.clone.git("update-ref", "-d", f"refs/remotes/origin/{branch}")
    stack.clone.git("update-ref", "refs/remotes/origin/two/x", "refs/remotes/origin/main")
    error = refusal(stack.restack)
    assert error.what == "refs/remotes/origin/two cannot be created"
    remove, *_ = error.next_commands
    stack.clone.git(*shlex.split(remove)[1:])
    resumed = stack.resume()
    assert resumed is not None
    assert resumed.error is None
