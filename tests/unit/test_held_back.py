"""Publishing that a variable or `--skip` holds back, in tasks without a flag for it."""

from __future__ import annotations

import pytest

from trunkline.domain.errors import UsageError
from trunkline.tasks.session import TaskSession


def session(task: str, **given: str) -> TaskSession:
    """Return the session of a task that was given `--yes`."""
    made = TaskSession(task, json_wanted=False)
    made.yes, made.given = True, given
    return made


@pytest.mark.parametrize("task", ["push", "ready", "note", "land", "submit", "undo", "continue", "receipts.push"])
def test_no_push_of_the_environment_holds_every_task_back(task: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """A chain's variable counts for each of its tasks, `--yes` or not."""
    monkeypatch.setenv("TRUNKLINE_NO_PUSH", "1")
    with pytest.raises(UsageError, match=f"{task} publishes, and TRUNKLINE_NO_PUSH is set") as refused:
        session(task).approve(["push x"])
    assert refused.value.next_commands == ("unset TRUNKLINE_NO_PUSH",)
    session(task).approve([])  # publishes nothing


def test_a_skipped_step_is_not_run_by_its_task(monkeypatch: pytest.MonkeyPatch) -> None:
    """By the flag and by the variable; the other steps may publish."""
    with pytest.raises(UsageError, match="push publishes, and --skip names push"):
        session("push", skip="gates,push").approve(["push x"])
    monkeypatch.setenv("TRUNKLINE_SKIP", "ready,note")
    with pytest.raises(UsageError, match="ready publishes, and TRUNKLINE_SKIP names ready"):
        session("ready").approve(["#1 is marked ready"])
    session("push").approve(["push x"])


@pytest.mark.parametrize("task", ["submit", "modify", "undo"])
def test_a_skipped_push_holds_back_a_task_that_needs_it(task: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Without it they would do half of their work; `continue` and `abort` end a run that began otherwise."""
    monkeypatch.setenv("TRUNKLINE_SKIP", "gates,push")
    with pytest.raises(UsageError, match=f"{task} publishes, and TRUNKLINE_SKIP names push") as refused:
        session(task).approve(["push x"])
    assert refused.value.next_commands == ("unset TRUNKLINE_SKIP",)
    for other in ("continue", "abort", "receipts.push"):
        session(other).approve(["push x"])


def test_a_variable_that_is_neither_yes_nor_no_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    """A task without that flag refuses it, too."""
    monkeypatch.setenv("TRUNKLINE_NO_PUSH", "please")
    with pytest.raises(UsageError, match="TRUNKLINE_NO_PUSH=please"):
        session("ready").approve(["#1 is marked ready"])
