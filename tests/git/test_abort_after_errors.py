"""Abort after git or another person changed more than a failed run recorded."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from support.inprocess import Desk, desk
from trunkline.domain.errors import ExternalError
from trunkline.domain.names import branch_name, branch_ref, oid
from trunkline.domain.snapshot import PrState
from trunkline.domain.step import StepStatus
from trunkline.git import local_refs
from trunkline.steps import rescue


@pytest.fixture
def stack(monkeypatch: pytest.MonkeyPatch) -> Iterator[Desk]:
    """Yield the stack of three entries."""
    with desk(monkeypatch) as place:
        yield place


def test_a_branch_that_moved_before_git_failed(stack: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    """Git was killed after it had moved the ref, so it looks like a failure: abort moves the branch back."""
    stack.clone.git("switch", "--quiet", "main")
    before, move_ref = stack.tips(), local_refs.move_ref

    def moved_too_late(git: Any, lock: Any, ref: str, **change: Any) -> None:
        move_ref(git, lock, ref, **change)
        if ref == branch_ref(branch_name("one")):
            raise ExternalError("git update-ref was ended by SIGKILL")

    stack.trunk_commits("trunk moves", {"t.txt": "t\n"})
    with monkeypatch.context() as patch:
        patch.setattr(local_refs, "move_ref", moved_too_late)
        error = stack.restack().error
    assert isinstance(error, ExternalError)
    assert stack.tips()["one"] != before["one"]
    assert stack.abort() is not None
    assert stack.tips() == before


def test_a_git_that_died_at_the_second_entry(stack: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    """An error of git names no command: the run goes on, or back; it is not only given up."""
    stack.clone.git("switch", "--quiet", "main")
    move_ref = local_refs.move_ref

    def ended(git: Any, lock: Any, ref: str, **change: Any) -> None:
        if ref == branch_ref(branch_name("two")):
            raise ExternalError("git update-ref failed", why="exit code -9")
        move_ref(git, lock, ref, **change)

    stack.trunk_commits("trunk moves", {"t.txt": "t\n"})
    with monkeypatch.context() as patch:
        patch.setattr(local_refs, "move_ref", ended)
        error = stack.restack().error
    assert error is not None
    assert "this run so far: #1 one rebased here" in error.why
    assert error.next_commands == ("invoke continue", "invoke abort")
    resumed = stack.resume()
    assert resumed is not None
    assert resumed.error is None
    stack.assert_stacked()


def test_a_restored_base_that_others_pushed_to(stack: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    """The abort of a rescue keeps it and reports the reason."""
    stack.hub.pulls[2].state = PrState.CLOSED
    restored = oid(stack.hub.tip("one"))
    stack.push_commit("one", "theirs", {"theirs.txt": "theirs\n"})
    lost = rescue._Lost(((branch_name("one"), restored),), branch_name("one"), branch_name("main"))
    monkeypatch.setattr(rescue, "_begun", lambda _: lost)
    (outcome,) = rescue.abort_incomplete(stack.entry_context(2), None)  # type: ignore[arg-type]  # nothing is logged
    theirs = stack.hub.tip("one")
    assert (outcome.message, outcome.mark) == ("#2 stays closed", StepStatus.WARNED)
    assert outcome.details == (f"one stays on origin: it is at {theirs[:7]}",)
