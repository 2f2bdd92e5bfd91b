"""`add`: a new entry with the staged changes, in any place of the stack."""

from __future__ import annotations

import itertools
import subprocess
from collections.abc import Iterator
from typing import Any

import pytest

from support.inprocess import Desk, desk, refusal
from support.typist import typist
from trunkline.commands import add, status
from trunkline.commands.add import Request
from trunkline.domain.errors import UsageError, WrongFlag
from trunkline.domain.names import branch_name
from trunkline.domain.stack import Entry
from trunkline.engine import RunResult
from trunkline.operations import stack_file
from trunkline.state import lock
from trunkline.state.journal import Journal


class Killed(BaseException):
    """The process is killed here."""


@pytest.fixture
def stack(monkeypatch: pytest.MonkeyPatch) -> Iterator[Desk]:
    """Yield a stack of three whose file git does not track; the middle entry is checked out, with a staged file."""
    with desk(monkeypatch) as found:
        found.own_stack(monkeypatch)
        found.clone.git("switch", "--quiet", "two")
        _stage(found, "new.txt")
        yield found


def _stage(stack: Desk, name: str, text: str = "new\n") -> None:
    (stack.clone.path / name).write_text(text)
    stack.clone.git("add", name)


def _add(stack: Desk, **asked: Any) -> RunResult:
    request = Request(branch_name("half"), **{"message": "Add half\n\nWhy.", **asked})
    return add.run(add.plan(stack.stack_context(), request))


def _order(stack: Desk) -> list[str]:
    return [str(entry.branch) for entry in stack.stack_context().stack.entries]


def _has(stack: Desk, branch: str, name: str) -> bool:
    return name in stack.clone.git("ls-tree", "--name-only", branch).splitlines()


def _status(stack: Desk) -> str:
    return stack.clone.git("status", "--porcelain", "--untracked-files=no")


def test_in_the_middle(stack: Desk) -> None:
    """The staged file becomes a commit on a new branch, and the entry above is replayed onto it."""
    two = stack.tips()["two"]
    (stack.clone.path / "a.txt").write_text("an edit that is not staged\n")
    assert _add(stack).error is None
    assert _order(stack) == ["one", "two", "half", "three"]
    assert stack.clone.git("branch", "--show-current") == "half"
    assert stack.clone.git("log", "--format=%s %b", "two..half").strip() == "Add half Why."
    assert stack.tips()["two"] == two
    assert stack.clone.git("merge-base", "half", "three") == stack.clone.git("rev-parse", "half")
    assert _has(stack, "three", "new.txt")
    assert _status(stack).strip() == "M a.txt"
    assert 'branch = "half"\ntitle = "Add half"' in (stack.root / "stack.toml").read_text()


@pytest.mark.parametrize("place", [{}, {"below": True}])
def test_undo_and_redo(stack: Desk, place: dict[str, Any]) -> None:
    """Undo removes entry and branch, and stages the file where it was; a second undo adds the entry again."""
    before, text = stack.tips(), (stack.root / "stack.toml").read_text()
    _add(stack, **place)
    order, after, half = _order(stack), stack.tips(), stack.clone.head("half")
    for _ in range(2):
        undone = stack.undo()
        assert undone is not None
        assert undone.error is None
        assert ((stack.root / "stack.toml").read_text(), stack.tips()) == (text, before)
        assert stack.clone.git("branch", "--show-current") == "two"
        assert _status(stack) == "A  new.txt"
        assert "refs/heads/half" not in stack.clone.refs()
        redone = stack.undo()
        assert redone is not None
        assert redone.error is None
        assert (_order(stack), stack.tips(), stack.clone.head("half")) == (order, after, half)
        assert (stack.clone.git("branch", "--show-current"), _status(stack)) == ("half", "")


def test_undo_after_other_work(stack: Desk) -> None:
    """With another commit on the branch nothing is undone; while it is checked out with an edit, it stays."""
    _add(stack, above=3)
    stack.clone.git("commit", "--quiet", "--allow-empty", "--message", "more")
    assert refusal(stack.undo).what == "half moved since"
    stack.clone.git("reset", "--quiet", "--hard", "half~1")
    (stack.clone.path / "a.txt").write_text("edited\n")
    undone = stack.undo()
    assert undone is not None
    assert any(line == "branch half stays: it is checked out" for line in stack.quiet.lines)
    assert (_order(stack), stack.clone.git("branch", "--show-current")) == (["one", "two", "three"], "half")


@pytest.mark.parametrize(
    ("place", "order"),
    [
        ({"below": True}, ["one", "half", "two", "three"]),
        ({"onto_trunk": True}, ["half", "one", "two", "three"]),
        ({"above": 3}, ["one", "two", "three", "half"]),
    ],
)
def test_in_another_place(stack: Desk, place: dict[str, Any], order: list[str]) -> None:
    """The staged changes move to the place, the checkout with them; undo brings both back."""
    before = stack.tips()
    assert _add(stack, **place).error is None
    assert _order(stack) == order
    assert stack.clone.git("branch", "--show-current") == "half"
    assert _status(stack) == ""
    assert stack.clone.git("show", "--format=", "--name-only", "half") == "new.txt"
    for below, above in itertools.pairwise(order):
        assert stack.clone.git("merge-base", below, above) == stack.clone.git("rev-parse", below)
    assert stack.undo() is not None
    assert (stack.tips(), _status(stack)) == (before, "A  new.txt")
    assert stack.clone.git("branch", "--show-current") == "two"


def test_changes_that_do_not_apply_there(stack: Desk) -> None:
    """A conflict with the place is found before anything changes."""
    _stage(stack, "two.txt", "changed\n")
    refused = refusal(lambda: _add(stack, onto_trunk=True))
    assert "do not apply there: conflict in two.txt" in refused.what
    assert refused.next_commands[0].startswith("invoke add half --message ")
    assert _order(stack) == ["one", "two", "three"]


def test_changes_of_trunk_that_do_not_apply_to_an_entry(stack: Desk) -> None:
    """The printed command carries them there; a conflict leaves them in the stash as well."""
    stack.clone.git("switch", "--quiet", "main")
    _stage(stack, "two.txt", "changed\n")
    refused = refusal(lambda: _add(stack, above=2))
    assert refused.next_commands == ("git stash && git switch two && git stash pop",)
    subprocess.run(["sh", "-c", refused.next_commands[0]], cwd=stack.clone.path, capture_output=True, check=False)
    assert _status(stack) == "A  new.txt\nAA two.txt"
    assert stack.clone.git("show", "stash@{0}:two.txt") == "changed"


def test_a_conflict_above_pauses_and_goes_on(stack: Desk) -> None:
    """The entry is made; the conflict of the entry above is resolved as in a restack."""
    _stage(stack, "three.txt", "mine\n")
    paused = refusal(lambda: _add(stack))
    assert paused.what.startswith("conflict in #3 three")
    assert _order(stack) == ["one", "two", "half", "three"]
    stack.resolve()
    resumed = stack.resume()
    assert resumed is not None
    assert resumed.error is None
    assert stack.clone.git("merge-base", "half", "three") == stack.clone.git("rev-parse", "half")


def test_abort_after_a_conflict(stack: Desk) -> None:
    """The stack is as before, and the changes are staged again."""
    before = stack.tips()
    _stage(stack, "three.txt", "mine\n")
    refusal(lambda: _add(stack))
    assert stack.abort() is not None
    assert (_order(stack), stack.tips()) == (["one", "two", "three"], before)
    assert _status(stack).splitlines() == ["A  new.txt", "A  three.txt"]


@pytest.mark.parametrize("place", [{}, {"below": True}])
@pytest.mark.parametrize("number", range(5))
def test_killed_after_each_record(
    stack: Desk, monkeypatch: pytest.MonkeyPatch, number: int, place: dict[str, Any]
) -> None:
    """`continue` finishes: the entry, its commit, the checkout and the replay above."""
    append, count = Journal.append, iter(range(1000))

    def dies(self: Journal, *arguments: Any) -> None:
        append(self, *arguments)
        if next(count) == number:
            raise Killed

    with monkeypatch.context() as patch:
        patch.setattr(Journal, "append", dies)
        with pytest.raises(Killed):
            _add(stack, **place)
    resumed = stack.resume()
    assert resumed is not None
    assert resumed.error is None
    assert "half" in _order(stack)
    assert stack.clone.git("branch", "--show-current") == "half"
    assert (_status(stack), _has(stack, "three", "new.txt")) == ("", True)


def test_a_branch_that_exists(stack: Desk) -> None:
    """A branch that was begun by hand, or by another tool, is added with its commits, above what it contains."""
    stack.clone.git("reset", "--quiet", "--hard")
    stack.clone.git("switch", "--quiet", "--create", "half", "three")
    stack.clone.commit("by hand", {"hand.txt": "h\n"})
    assert _add(stack, message="").error is None
    assert _order(stack) == ["one", "two", "three", "half"]
    seen = status.observe(stack.stack_context(), offline=False)
    assert (seen.entries[3].own, seen.next) != (None, "")


def test_what_was_forgotten(stack: Desk) -> None:
    """No message, nothing staged, no place, an entry that exists: each error has the command that goes on."""
    assert "needs a commit message" in refusal(lambda: _add(stack, message="")).what
    stack.clone.git("reset", "--quiet")
    assert refusal(lambda: _add(stack)).next_commands == ("git status",)
    (stack.clone.path / "a.txt").write_text("edited\n")
    unstaged = refusal(lambda: _add(stack))
    assert isinstance(unstaged, WrongFlag)  # the other flags of the call, such as --above, stay
    assert unstaged.flags == {"all": True, "message": "Add half\n\nWhy."}
    assert _add(stack, all=True).error is None
    assert "is an entry of the stack already" in refusal(lambda: _add(stack)).what
    stack.clone.git("switch", "--quiet", "--detach")
    where = refusal(lambda: add.plan(stack.stack_context(), Request(branch_name("more"), "m")))
    assert where.what == "the place of more in the stack is not known"
    assert isinstance(where, WrongFlag)
    assert where.choices == ({"above": "3", "below": ""}, {"onto-trunk": True, "below": ""})


@pytest.mark.parametrize("command", ["merge", "rebase"])
def test_git_is_in_the_middle_of_something(stack: Desk, command: str) -> None:
    """Changes staged by a merge or a rebase do not count as the user's own, and HEAD is not moved."""
    clone = stack.clone
    clone.git("reset", "--quiet", "--hard")
    stack.trunk_commits("trunk moves", {"two.txt": "trunk\n"})
    clone.git("fetch", "--quiet")
    clone.git(command, "origin/main", check=False)
    _stage(stack, "two.txt", "resolved\n")
    here = clone.git("branch", "--show-current")
    error = refusal(lambda: _add(stack, above="two"))
    assert error.what == f"git is in the middle of a {command} in your checkout"
    assert error.next_commands == (f"git {command} --continue", f"git {command} --abort")
    assert clone.git("branch", "--show-current") == here
    assert "half" not in _order(stack)


def test_trunk_is_no_entry(stack: Desk) -> None:
    """stack.toml stays valid; no branch moves."""
    before, text = stack.tips(), (stack.root / "stack.toml").read_text()
    request = Request(branch_name("main"), onto_trunk=True)
    error = refusal(lambda: add.run(add.plan(stack.stack_context(), request)))
    assert error.what == "main is trunk"
    assert (stack.tips(), (stack.root / "stack.toml").read_text()) == (before, text)


def test_an_invalid_stack_file_is_not_written(stack: Desk) -> None:
    """The file stays as it is, so every other task still works."""
    path = stack.root / "stack.toml"
    context, text = stack.stack_context(), path.read_text()
    with lock.hold(context.state, run="test") as held, pytest.raises(UsageError, match="trunk itself"):
        stack_file.change_entries(
            context.git, held, "", lambda entries: [Entry(None, branch_name("main"), ""), *entries]
        )
    assert path.read_text() == text


def test_the_name_follows_from_the_message(
    stack: Desk, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Without NAME the branch is named after the subject; a taken name gets a number, [submit] prefix comes first."""
    person = next(typist(stack, monkeypatch, capsys, ""))
    assert person("invoke add --message Half --dry-run --json").code == 0
    ran = person("invoke add --message 'Add: half of it' up --stash")
    assert ran.code == 0, ran.err
    assert _order(stack) == ["one", "two", "add-half-of-it", "three"]
    assert stack.clone.git("branch", "--show-current") == "three"
    path = stack.root / "stack.toml"
    path.write_text(path.read_text() + '\n[submit]\nprefix = "me/"\n')
    stack.clone.git("branch", "me/half")
    _stage(stack, "other.txt")
    assert person("invoke add --message Half").code == 0
    assert _order(stack)[-1] == "me/half-2"
    _stage(stack, "third.txt")
    assert person("invoke add").code == 2
    assert person("invoke add --message ###").code == 2


def test_nothing_to_stage(stack: Desk) -> None:
    """No file differs, so no flag would help: the next command is one that can be typed."""
    stack.clone.git("rm", "--quiet", "--force", "new.txt")
    refused = refusal(lambda: _add(stack))
    assert "no file differs" in refused.why
    assert refused.next_commands == ("git status",)
