"""Commits that others push while a run is paused or failed: not used until the user includes them."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from support.inprocess import Desk, desk, fail_at, refusal
from support.verbs import Verbs, verbs
from trunkline.domain.errors import TrunklineError
from trunkline.domain.records import BranchMoved, BranchPushed


@pytest.fixture
def stack(monkeypatch: pytest.MonkeyPatch) -> Iterator[Desk]:
    """Return a stack of three entries, cloned, with local branches."""
    with desk(monkeypatch) as made:
        yield made


def assert_asks(error: TrunklineError, branch: str, tip: str) -> None:
    """The error names who pushed what, and the commands that take it in or go back."""
    assert int(error.code) == 3, error
    assert f"{branch}: 1 commit pushed to origin since this run began" in error.what
    assert 'Mallory: "sneaky"' in error.why
    assert error.next_commands == (f"invoke continue --include {tip[:12]}", "invoke abort")


def announced(stack: Desk, branch: str) -> list[object]:
    """Return the moves of a branch that the open run has announced."""
    run = stack.open_run()
    assert run is not None
    return [each for each in run.records if isinstance(each, BranchMoved | BranchPushed) and each.branch == branch]


def test_the_question_precedes_the_replay(stack: Desk) -> None:
    """Pushed to an entry above the one that paused: its branch here stays as it was, no replay of it is announced."""
    stack.conflict(2)
    assert int(refusal(stack.restack).code) == 3
    before = stack.tips()["three"]
    tip = stack.push_commit("three", "sneaky", {"sneaky.txt": "s\n"})
    stack.resolve()
    assert_asks(refusal(stack.resume), "three", tip)
    assert stack.tips()["three"] == before
    assert announced(stack, "three") == []
    assert stack.abort() is not None
    assert stack.hub.tip("three") == tip


def test_the_question_precedes_the_local_branch(monkeypatch: pytest.MonkeyPatch) -> None:
    """A branch without a local copy is not created from what was pushed since the run began."""
    with desk(monkeypatch, branches=False) as stack:
        stack.conflict(2)
        assert int(refusal(stack.restack).code) == 3
        tip = stack.push_commit("three", "sneaky", {"sneaky.txt": "s\n"})
        stack.resolve()
        assert_asks(refusal(stack.resume), "three", tip)
        assert "three" not in stack.tips()
        assert announced(stack, "three") == []


def test_the_question_precedes_the_push_of_one_entry(stack: Desk) -> None:
    """Replayed and verified, not pushed yet: what came meanwhile is a question, not a lost lease."""
    stack.merge(1)
    fail_at("push", stack, lambda: stack.rebase(2))
    tip = stack.push_commit("two", "sneaky", {"sneaky.txt": "s\n"})
    assert_asks(refusal(stack.resume), "two", tip)
    assert stack.hub.tip("two") == tip


def test_the_question_precedes_the_push_of_a_stack(stack: Desk) -> None:
    """All replayed, none pushed: one branch that got a commit meanwhile keeps every other from being pushed."""
    stack.trunk_commits("trunk", {"trunk.txt": "x\n"})
    before = stack.remote_tips()
    stack.refuse_pushes()
    assert int(refusal(stack.restack).code) == 5
    tip = stack.push_commit("three", "sneaky", {"sneaky.txt": "s\n"})
    stack.allow_pushes()
    assert_asks(refusal(stack.resume), "three", tip)
    assert stack.remote_tips() == {**before, "three": tip}


@pytest.fixture
def person(monkeypatch: pytest.MonkeyPatch) -> Iterator[Verbs]:
    """Return a user whose top entry has no pull request yet."""
    with verbs(monkeypatch) as at:
        at.desk.own_stack(at.patch, 3)
        yield at


def test_a_restack_includes_it_below_an_entry_without_a_pull_request(person: Verbs) -> None:
    """The command that includes it works."""
    person.others_commit("main", shared=False)
    person.desk.refuse_pushes()
    assert person.type("invoke restack").code == 5
    person.desk.allow_pushes()
    person.others_commit("two", shared=False)
    asked = person.type("invoke continue")
    assert (asked.code, len(asked.next)) == (3, 2)
    done = person.type(asked.next[0])
    assert done.code == 0, done.err
    assert person.desk.remote_tips()["two"] == person.desk.tips()["two"]


def test_submit_includes_nothing(person: Verbs) -> None:
    """Nothing is replayed: the error offers to go back, and `restack` has the command that combines both sides."""
    clone = person.desk.clone
    clone.git("switch", "--quiet", "two")
    (clone.path / "more.txt").write_text("m0\n")
    clone.git("add", "more.txt")
    assert person.type("invoke amend").code == 0
    clone.git("switch", "--quiet", "main")
    person.desk.refuse_pushes()
    assert person.type("invoke submit").code == 5
    person.desk.allow_pushes()
    person.others_commit("two", shared=False)
    asked = person.type("invoke continue")
    assert (asked.code, asked.next) == (3, ["invoke abort"])
    tip = person.desk.remote_tips()["two"]
    assert person.type(f"invoke continue --include {tip[:12]}").next == ["invoke abort"]
    assert person.type("invoke abort").code == 0
    combined = person.type("invoke restack")
    while combined.code:
        assert combined.next, person.story
        followed = person.follow(combined.next[0])
        assert followed is not None, person.story
        assert followed.code == 0, person.story
        combined = person.type("invoke restack")
    assert person.type("invoke submit").code == 0
    assert {"m0", "m1"} <= person.marks()
