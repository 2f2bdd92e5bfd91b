"""`amend`: staged changes become part of a commit of the current entry, and what sits above follows."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator

import pytest

from support.inprocess import Desk, desk, kill_at, refusal
from support.typist import typist
from trunkline.commands import amend, rewriting
from trunkline.commands.amend import Request
from trunkline.domain.errors import Paused
from trunkline.domain.step import StepStatus
from trunkline.engine import RunResult


@pytest.fixture
def stack(monkeypatch: pytest.MonkeyPatch) -> Iterator[Desk]:
    """Yield a stack of three entries, with the middle one checked out."""
    with desk(monkeypatch) as made:
        made.clone.git("switch", "--quiet", "two")
        yield made


def stage(stack: Desk, name: str, text: str) -> None:
    """Write and stage a file of the clone."""
    (stack.clone.path / name).write_text(text)
    stack.clone.git("add", name)


def amended(stack: Desk, pr: int = 2, **request: object) -> RunResult:
    """Run `amend`."""
    context = stack.entry_context(pr, skip=frozenset()).over_the_stack()
    return rewriting.run(context, amend.plan(context.view(), Request(**request)))  # type: ignore[arg-type]


def shown(stack: Desk, revision: str) -> str:
    """Return author, date and message of a commit."""
    return stack.clone.git("show", "--no-patch", "--format=%an %ae %at %B", revision)


def staged(stack: Desk) -> str:
    """Return the staged paths."""
    return stack.clone.git("diff", "--cached", "--name-only")


def test_last_commit_and_entries_above(stack: Desk) -> None:
    """The change is in the last commit; the entry above holds it; author, date, message and files are kept."""
    before, old = stack.tips(), shown(stack, "two")
    stage(stack, "two.txt", "two\nmore\n")
    (stack.clone.path / "a.txt").write_text("edited, not staged\n")
    assert amended(stack).error is None
    assert stack.clone.git("show", "two:two.txt") == "two\nmore"
    assert stack.clone.git("show", "three:two.txt") == "two\nmore"
    assert stack.contains_here("three", "two")
    assert shown(stack, "two") == old
    assert stack.tips()["one"] == before["one"]
    assert staged(stack) == ""
    assert (stack.clone.path / "a.txt").read_text() == "edited, not staged\n"
    assert stack.clone.git("log", "--format=%s", "main..three").splitlines() == [
        "three 2", "three 1", "two 2", "two 1", "one 2", "one 1",
    ]  # fmt: skip


def test_one_undo_gives_the_staged_changes_back(stack: Desk) -> None:
    """Every branch is back, and the changes are staged again."""
    before = stack.tips()
    stage(stack, "two.txt", "two\nmore\n")
    assert amended(stack).error is None
    undone = stack.undo()
    assert undone is not None
    assert undone.error is None
    assert stack.tips() == before
    assert staged(stack) == "two.txt"
    assert (stack.clone.path / "two.txt").read_text() == "two\nmore\n"


def test_another_commit_of_the_entry(stack: Desk) -> None:
    """`--commit` takes the change into an earlier commit; the later one keeps its own change."""
    earlier = stack.clone.head("two~1")
    stage(stack, "two.txt", "two\nmore\n")
    assert amended(stack, commit=earlier).error is None
    assert stack.clone.git("show", "two~1:two.txt") == "two\nmore"
    assert stack.clone.git("diff", "--name-only", "two~1", "two") == "two-more.txt"


def test_commit_of_another_entry_is_refused(stack: Desk) -> None:
    """Only the entry's own commits are accepted; the error lists them."""
    stage(stack, "two.txt", "two\nmore\n")
    error = refusal(lambda: amended(stack, commit=stack.clone.head("one")))
    assert "is no commit of #2 two" in error.what
    assert 'two 1"' in error.why


def test_all_changes_and_a_message(stack: Desk) -> None:
    """`--all` takes unstaged changes of tracked files; `--message` replaces the message only."""
    author = stack.clone.git("show", "--no-patch", "--format=%an %at", "two")
    (stack.clone.path / "two.txt").write_text("unstaged\n")
    (stack.clone.path / "new.txt").write_text("untracked\n")
    assert amended(stack, all=True, message="Reword").error is None
    assert stack.clone.git("show", "two:two.txt") == "unstaged"
    assert stack.clone.git("show", "--no-patch", "--format=%B", "two").strip() == "Reword"
    assert stack.clone.git("show", "--no-patch", "--format=%an %at", "two") == author
    assert stack.clone.git("status", "--porcelain") == "?? new.txt"


def test_nothing_staged(stack: Desk) -> None:
    """Nothing is done, and the unstaged files are named with the command that takes them."""
    (stack.clone.path / "two.txt").write_text("unstaged\n")
    outcome = amend.nothing_to_do(stack.entry_context(2).over_the_stack(), Request())
    assert outcome is not None
    assert outcome.mark is StepStatus.NOTHING
    assert outcome.details == ("to take in two.txt: invoke amend --all",)


def test_another_branch_is_checked_out(stack: Desk) -> None:
    """The staged changes belong to the checkout's branch."""
    stage(stack, "two.txt", "two\nmore\n")
    error = refusal(lambda: amended(stack, pr=1))
    assert error.next_commands == ("git switch one",)


def test_dry_run_writes_nothing(stack: Desk) -> None:
    """The plan names the commit and the entries above; no ref, index or object changes."""
    stage(stack, "two.txt", "two\nmore\n")
    before, index = stack.clone.refs(), stack.clone.path / ".git/index"
    held = index.read_bytes()
    (stack.clone.path / ".git/index.lock").touch()
    context = stack.entry_context(2).over_the_stack()
    plan = amend.plan(context.view(), Request()).forecast.plan
    (stack.clone.path / ".git/index.lock").unlink()
    assert index.read_bytes() == held
    assert [(step.name.value, step.pr) for step in plan.steps] == [("rewrite", 2), ("onto", 3)]
    assert "no conflict" in plan.steps[1].description
    assert stack.clone.refs() == before
    assert staged(stack) == "two.txt"


def test_staged_meanwhile(stack: Desk) -> None:
    """Changes staged after the plan was made are not amended; no branch moves."""
    before = stack.tips()
    stage(stack, "two.txt", "two\nmore\n")
    context = stack.entry_context(2, skip=frozenset()).over_the_stack()
    plan = amend.plan(context.view(), Request())
    stage(stack, "later.txt", "later\n")
    error = refusal(lambda: rewriting.run(context, plan))
    assert "the staged changes are not those of" in error.what
    assert stack.tips() == before
    assert stack.abort() is not None
    assert staged(stack) == "later.txt\ntwo.txt"


def test_branch_behind_its_remote(stack: Desk) -> None:
    """Commits that only the remote branch has are not left out."""
    stack.push_commit("two", "two 3", {"two-3.txt": "3\n"})
    stage(stack, "two.txt", "two\nmore\n")
    error = refusal(lambda: amended(stack))
    assert "#2 two lacks commits of its remote branch" in error.what


def test_the_message_names_the_next_command(
    stack: Desk, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """The task prints what was rewritten, and the command that publishes it."""
    for person in typist(stack, monkeypatch, capsys, ""):
        ran = person("invoke amend")
        assert "nothing is staged" in ran.out
        stage(stack, "two.txt", "two\nmore\n")
        assert "amend " in person("invoke amend --dry-run").out
        ran = person("invoke amend --json")
        assert ran.code == 0, ran.err
        assert json.loads(ran.out)["next"] == [["invoke", "restack"]]
        stack.own_stack(monkeypatch, 3)  # an entry without a pull request: `restack` would leave it
        stage(stack, "two.txt", "two\nmore\nand more\n")
        assert json.loads(person("invoke amend --json").out)["next"] == [["invoke", "submit"]]


def conflicting(stack: Desk) -> None:
    """Stage a change that the first commit of the entry above conflicts with."""
    stage(stack, "three.txt", "two's own\n")


def test_conflict_above_pauses_and_continues(stack: Desk) -> None:
    """The conflict is predicted; the run pauses at it, and `continue` finishes."""
    conflicting(stack)
    context = stack.entry_context(2).over_the_stack()
    assert "conflict in" in amend.plan(context.view(), Request()).forecast.plan.steps[1].description
    assert isinstance(refusal(lambda: amended(stack)), Paused)
    stack.resolve()
    done = stack.resume()
    assert done is not None
    assert done.error is None
    assert stack.clone.git("show", "three:three.txt") == "both"
    assert stack.contains_here("three", "two")


def test_conflict_above_aborts(stack: Desk) -> None:
    """`abort` restores every branch, and the changes are staged again."""
    before = stack.tips()
    conflicting(stack)
    assert isinstance(refusal(lambda: amended(stack)), Paused)
    assert stack.abort() is not None
    assert stack.tips() == before
    assert staged(stack) == "three.txt"


@pytest.mark.parametrize("number", [1, 2, 3, 5, 6, 8])
def test_killed_at_a_record(stack: Desk, monkeypatch: pytest.MonkeyPatch, number: int) -> None:
    """After a kill at any record, `continue` finishes, or nothing had begun; the files are kept."""
    stage(stack, "two.txt", "two\nmore\n")
    killed = kill_at(monkeypatch, number, lambda: amended(stack))
    if killed and stack.open_run() is not None:
        done = stack.resume()
        assert done is not None
        assert done.error is None
    elif killed:
        assert amended(stack).error is None
    assert stack.clone.git("show", "three:two.txt") == "two\nmore"
    assert staged(stack) == ""
    undone = stack.undo()
    assert undone is not None
    assert staged(stack) == "two.txt"


def test_flags_of_other_files_are_kept(stack: Desk) -> None:
    """Files outside a sparse checkout stay outside; the next `--all` does not delete them."""
    clone = stack.clone
    clone.git("sparse-checkout", "set", "--no-cone", "/two*", "/stack.toml")
    (clone.path / "two.txt").write_text("two\nmore\n")
    assert amended(stack, all=True).error is None
    assert clone.git("status", "--porcelain") == ""
    (clone.path / "two.txt").write_text("two\nmore\nand more\n")
    assert amended(stack, all=True).error is None
    assert clone.git("ls-tree", "--name-only", "two").splitlines() == [
        "a.txt", "one-more.txt", "one.txt", "stack.toml", "two-more.txt", "two.txt",
    ]  # fmt: skip


def test_a_file_that_was_assumed_unchanged(stack: Desk) -> None:
    """Its change is not taken in, now or later."""
    (stack.clone.path / "a.txt").write_text("only here\n")
    stack.clone.git("update-index", "--assume-unchanged", "a.txt")
    (stack.clone.path / "two.txt").write_text("two\nmore\n")
    assert amended(stack, all=True).error is None
    assert stack.clone.git("ls-files", "-v", "a.txt") == "h a.txt"


def test_all_deletes_and_turns_a_file_into_a_directory(stack: Desk) -> None:
    """The index and the commit agree with the work tree."""
    (stack.clone.path / "one.txt").unlink()
    (stack.clone.path / "two.txt").unlink()
    (stack.clone.path / "two.txt").mkdir()
    stage(stack, "two.txt/inner", "in\n")
    assert amended(stack, all=True).error is None
    assert stack.clone.git("status", "--porcelain") == ""
    names = stack.clone.git("ls-tree", "-r", "--name-only", "two").splitlines()
    assert names == ["a.txt", "one-more.txt", "stack.toml", "two-more.txt", "two.txt/inner"]


@pytest.mark.parametrize("command", ["merge", "cherry-pick", "revert"])
def test_git_is_in_the_middle_of_something(stack: Desk, command: str) -> None:
    """The changes of a merge, a cherry-pick or a revert are not taken for the user's own."""
    before = stack.tips()
    stack.trunk_commits("trunk moves", {"two.txt": "trunk\n"})
    stack.clone.git("fetch", "--quiet")
    arguments = {"merge": ["origin/main"], "cherry-pick": ["origin/main"], "revert": ["--no-commit", "HEAD~1"]}[
        command
    ]
    stack.clone.git(command, *arguments, check=False)
    (stack.clone.path / "two.txt").write_text("resolved\n")
    stack.clone.git("add", "--all")
    error = refusal(lambda: amended(stack))
    assert f"in the middle of a {command}" in error.what
    assert error.next_commands == (f"git {command} --continue", f"git {command} --abort")
    assert stack.tips() == before


def test_a_message_is_utf_8(stack: Desk) -> None:
    """The encoding of the old message is not claimed for the new one."""
    stack.clone.git("-c", "i18n.commitEncoding=ISO-8859-1", "commit", "--quiet", "--amend", "--message=old")
    assert "encoding ISO-8859-1" in stack.clone.git("cat-file", "-p", "two")
    assert amended(stack, message="Grün → blau").error is None
    assert stack.clone.git("log", "-1", "--format=%s", "two") == "Grün → blau"


def test_a_blank_message_is_refused(stack: Desk) -> None:
    """A commit would have no message at all."""
    error = refusal(lambda: amend.nothing_to_do(stack.entry_context(2).over_the_stack(), Request(message=" ")))
    assert error.what == "--message is blank"


def test_undo_needs_the_checkout_that_the_changes_came_from(stack: Desk) -> None:
    """In another checkout the changes would be in none: undo names the branch to check out, and then works."""
    before = stack.tips()
    stage(stack, "two.txt", "two\nmore\n")
    assert amended(stack).error is None
    stack.clone.git("switch", "--quiet", "main")
    error = refusal(stack.undo)
    assert error.what == "#2 two is not checked out"
    assert error.next_commands == ("git switch two",)
    assert stack.tips() != before
    stack.clone.git("switch", "--quiet", "two")
    assert stack.undo() is not None
    assert (stack.tips(), staged(stack)) == (before, "two.txt")


def test_abort_in_another_checkout_names_the_commit(stack: Desk) -> None:
    """Abort ends the run whatever is checked out; it names the commit that has the changes."""
    stage(stack, "three.txt", "a conflict\n")
    with pytest.raises(Paused):
        raise amended(stack).error or AssertionError
    tip = stack.clone.head("two")
    stack.clone.git("switch", "--quiet", "main")
    outcome = stack.abort()
    assert outcome is not None
    assert any(f"what was staged is in {tip[:7]}" in line for line in outcome.details), outcome


def test_a_file_name_with_a_newline(stack: Desk) -> None:
    """The name cannot begin a line of its own in the output."""
    stage(stack, "two\nnext: none", "new\n")
    outcome = amend.nothing_to_do(stack.entry_context(2).over_the_stack(), Request(message="", all=False))
    assert outcome is None
    assert amended(stack).error is None
    (stack.clone.path / "two\nnext: none").write_text("edited\n")
    outcome = amend.nothing_to_do(stack.entry_context(2).over_the_stack(), Request())
    assert outcome is not None
    assert outcome.details == ("to take in two\\nnext: none: invoke amend --all",)


def test_a_branch_in_another_work_tree_leads_there(stack: Desk) -> None:
    """A switch to it would fail; the printed command leads to the work tree that has it."""
    assert refusal(lambda: amended(stack, 1)).next_commands == ("git switch one",)
    stack.clone.git("worktree", "add", "--quiet", str(stack.root / "other"), "one")
    assert refusal(lambda: amended(stack, 1)).next_commands == (f"cd {stack.root / 'other'}",)
    shutil.rmtree(stack.root / "other")
    assert refusal(lambda: amended(stack, 1)).next_commands[0].startswith("git worktree remove ")
    stack.merge(1)
    assert refusal(lambda: amended(stack, 1)).what == "#1 is merged already"
