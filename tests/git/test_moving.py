"""`switch`, `up`, `down`, `top`, `bottom`: another entry is checked out; uncommitted work is never carried."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from support.inprocess import Desk, desk, refusal
from trunkline.commands import move, rebase
from trunkline.context.loading import open_context
from trunkline.domain.options import Options
from trunkline.domain.step import StepName
from trunkline.engine import RunResult


@pytest.fixture
def stack(monkeypatch: pytest.MonkeyPatch) -> Iterator[Desk]:
    """Yield a stack with its middle entry checked out."""
    with desk(monkeypatch) as found:
        found.clone.git("switch", "--quiet", "two")
        yield found


def _target(stack: Desk, direction: str, count: int = 1) -> str | None:
    context = stack.stack_context()
    found = move.target(context.git, context.stack, direction, count)
    return None if found is None else str(found.branch)


def _switch(stack: Desk, pr: int, *, stash: bool = True) -> RunResult:
    context = open_context(
        str(pr), stack="", options=Options(stash=stash), reporter=stack.quiet, cwd=stack.clone.path
    )
    return rebase.run(context, StepName.SWITCH.value)


def _edit(stack: Desk, name: str, text: str) -> None:
    (stack.clone.path / name).write_text(text)


def _text(stack: Desk, name: str) -> str:
    return (stack.clone.path / name).read_text()


def test_directions(stack: Desk) -> None:
    """One entry up or down, the ends, and nothing beyond them; from trunk, up is the bottom entry."""
    assert [_target(stack, each) for each in ("up", "down", "top", "bottom")] == ["three", "one", "three", "one"]
    stack.clone.git("switch", "--quiet", "three")
    assert [_target(stack, each) for each in ("up", "top")] == [None, None]
    stack.clone.git("switch", "--quiet", "main")
    assert [_target(stack, each) for each in ("up", "down")] == ["one", None]
    stack.clone.git("switch", "--quiet", "--detach")
    assert "is no entry of the stack" in refusal(lambda: _target(stack, "up")).what


def test_a_count_stops_at_the_end(stack: Desk) -> None:
    """Several entries at once; past the end of the stack, the last one counts."""
    stack.clone.git("switch", "--quiet", "three")
    assert [_target(stack, "down", count) for count in (1, 2, 9)] == ["two", "one", "one"]
    stack.clone.git("switch", "--quiet", "main")
    assert [_target(stack, "up", count) for count in (2, 9)] == ["two", "three"]
    assert _target(stack, "down", 2) is None


def test_a_merged_entry_without_a_branch_is_passed_over(stack: Desk) -> None:
    """`bottom` and `down` go to entries that can be checked out."""
    stack.merge(1)
    stack.clone.git("branch", "--quiet", "-D", "one")
    assert refusal(lambda: _switch(stack, 1)).next_commands == ("git fetch --prune origin",)
    assert stack.open_run() is None
    stack.clone.git("fetch", "--quiet", "--prune")
    assert (_target(stack, "bottom"), _target(stack, "down")) == (None, None)


def test_uncommitted_work_is_not_carried(stack: Desk) -> None:
    """Without --stash it is refused, and nothing changes."""
    _edit(stack, "two.txt", "mine\n")
    refused = refusal(lambda: _switch(stack, 3, stash=False))
    assert "would carry them to another branch" in refused.why
    assert refused.next_commands[0].startswith("invoke switch --pr 3 --stash")
    assert stack.clone.git("branch", "--show-current") == "two"
    assert _text(stack, "two.txt") == "mine\n"


def test_a_stash_is_restored(stack: Desk) -> None:
    """The changes leave with their branch, staged ones too, and are back when it is checked out again."""
    _edit(stack, "two.txt", "mine\n")
    _edit(stack, "more.txt", "staged\n")
    stack.clone.git("add", "more.txt")
    assert _switch(stack, 1).error is None
    assert not (stack.clone.path / "two.txt").exists()
    assert _switch(stack, 3, stash=False).error is None
    assert _switch(stack, 2, stash=False).error is None
    assert (_text(stack, "two.txt"), _text(stack, "more.txt")) == ("mine\n", "staged\n")
    assert stack.clone.git("status", "--porcelain") == "A  more.txt\n M two.txt"
    assert stack.clone.git("stash", "list") == ""
    assert "your stashed changes are back" in stack.quiet.lines


def test_a_stash_that_conflicts_stays(stack: Desk) -> None:
    """The branch was changed meanwhile: the stash is kept, and the outcome has the command."""
    _edit(stack, "two.txt", "mine\n")
    assert _switch(stack, 1).error is None
    stack.clone.git("switch", "--quiet", "--detach", "two")
    stack.clone.commit("theirs", {"two.txt": "theirs\n"})
    stack.clone.git("branch", "--quiet", "--force", "two", "HEAD")
    assert _switch(stack, 2).error is None
    assert _text(stack, "two.txt") == "theirs\n"
    assert "trunkline: two" in stack.clone.git("stash", "list")
    assert any("git stash pop 'stash@{0}'" in line for line in stack.quiet.lines)


def test_a_stash_of_another_branch_stays(stack: Desk) -> None:
    """Only the branch's own stash comes back; stashes of the user are never touched."""
    _edit(stack, "two.txt", "by hand\n")
    stack.clone.git("stash", "--quiet")
    assert _switch(stack, 1).error is None
    assert _switch(stack, 2).error is None
    assert _text(stack, "two.txt") == "two\n"


def test_commits_of_a_detached_head_are_named(stack: Desk) -> None:
    """A switch leaves them on no branch; the command that is printed keeps them, and then none are named."""
    stack.clone.git("switch", "--quiet", "--detach")
    assert _switch(stack, 1).error is None
    assert not [line for line in stack.quiet.lines if "on no branch" in line]
    stack.clone.git("switch", "--quiet", "--detach", "two")
    made = stack.clone.commit("mine", {"mine.txt": "1\n"})
    assert _switch(stack, 1).error is None
    (message,) = (line for line in stack.quiet.lines if "on no branch" in line)
    assert f'{made[:7]} "mine"; to keep: git branch ' in message
    stack.clone.git(*message.partition("to keep: ")[2].split()[1:])
    assert stack.clone.head(f"left-at-{made[:7]}") == made
