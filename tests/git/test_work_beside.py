"""Work outside the branch in stack.toml: on another branch, on a detached HEAD, or during a rebase."""

from __future__ import annotations

import shlex
import shutil
import subprocess
from collections.abc import Iterator

import pytest

from support.inprocess import Desk, desk, refusal
from support.repo import Repo
from trunkline.commands import restack
from trunkline.context.loading import open_context
from trunkline.context.run import Context
from trunkline.domain.command import Caller, called_by, task_command
from trunkline.domain.errors import Refused, TransientError, UsageError, WrongFlag
from trunkline.domain.options import Options
from trunkline.domain.step import StepName


@pytest.fixture
def stack(monkeypatch: pytest.MonkeyPatch) -> Iterator[Desk]:
    """Return the stack of three entries, opened and cloned."""
    with desk(monkeypatch) as place:
        yield place


def entry_here(stack: Desk) -> Context:
    """Return the context of a task without `--pr`."""
    return open_context(None, stack="", options=Options(), reporter=stack.quiet, cwd=stack.clone.path)


def rename_two(stack: Desk) -> None:
    """Rename the second branch here; its upstream is kept."""
    stack.clone.git("switch", "--quiet", "two")
    stack.clone.git("branch", "--quiet", "--set-upstream-to=origin/two")
    stack.clone.git("branch", "--move", "mine")


def test_a_renamed_branch_is_found_by_its_upstream(stack: Desk) -> None:
    """Not "which pull request?", and not the lowest entry."""
    rename_two(stack)
    assert entry_here(stack).entry.pr == 2


def test_entries_that_are_merged_are_not_offered(stack: Desk) -> None:
    """On trunk: the open entries are listed, and the lowest of them is the one to type."""
    stack.merge(1)
    with pytest.raises(WrongFlag) as wrong:
        entry_here(stack)
    assert "#1" not in wrong.value.why
    assert wrong.value.flags == {"pr": "2"}
    stack.hub.down = TransientError("GitHub is down")
    with pytest.raises(WrongFlag) as wrong:
        entry_here(stack)
    assert "#1" in wrong.value.why


def test_unpushed_commits_of_a_renamed_branch_are_named(stack: Desk) -> None:
    """The entry's branch would be pushed without them; the command gives it its name again."""
    rename_two(stack)
    stack.clone.commit("mine, not pushed", {"mine.txt": "1\n"})
    with pytest.raises(Refused) as refused:
        entry_here(stack)
    assert "mine, not pushed" in refused.value.why
    stack.clone.git(*shlex.split(refused.value.next_commands[0])[1:])
    assert entry_here(stack).entry.pr == 2
    assert stack.clone.subjects("origin/two..two") == ["mine, not pushed"]


def test_a_commit_on_a_detached_head_above_an_entry_is_named(stack: Desk) -> None:
    """Once, of the entry that it sits on; the command takes it in."""
    stack.clone.git("switch", "--quiet", "--detach", "two")
    made = stack.clone.commit("on no branch", {"mine.txt": "1\n"})
    stack.trunk_commits("trunk moves", {"trunk.txt": "1\n"})
    assert stack.restack().error is None, stack.quiet.lines
    (message,) = (line for line in stack.quiet.lines if "on no branch" in line)
    assert message.startswith(f'warning: not part of #2: {made[:7]} "on no branch" on your detached HEAD; ')
    subprocess.run(["sh", "-c", message.partition("to take it in: ")[2]], cwd=stack.clone.path, check=True)
    assert stack.clone.subjects("origin/two..two") == ["on no branch"]


def test_a_branch_checked_out_in_another_work_tree_is_foreseen(stack: Desk) -> None:
    """The plan ends as the run would: before anything moves."""
    stack.clone.git("worktree", "add", "--quiet", str(stack.root / "other"), "two")
    stack.trunk_commits("trunk moves", {"trunk.txt": "1\n"})
    before = stack.tips()
    with pytest.raises(Refused, match="two is checked out in another work tree") as planned:
        restack.plan(stack.stack_context())
    with pytest.raises(Refused) as ran:
        stack.restack()
    assert planned.value.what == ran.value.what
    assert stack.tips() == before


@pytest.mark.parametrize("locked", [False, True])
def test_a_work_tree_without_its_directory(stack: Desk, *, locked: bool) -> None:
    """Somebody deleted it without git: the printed command lets go of its branch."""
    gone = stack.root / "a place"
    stack.clone.git("worktree", "add", "--quiet", str(gone), "two")
    if locked:
        stack.clone.git("worktree", "lock", str(gone))
    shutil.rmtree(gone)
    stack.trunk_commits("trunk moves", {"trunk.txt": "1\n"})
    error = refusal(stack.restack)
    assert error.what == "two is checked out in a work tree whose directory is gone"
    stack.clone.git(*shlex.split(error.next_commands[0])[1:])
    assert stack.restack().error is None


@pytest.mark.parametrize(
    ("rebase", "linked"), [(("two", "HEAD~2"), True), (("three", "--update-refs", "HEAD~4"), False)]
)
def test_a_branch_that_the_user_is_rebasing_is_left_alone(
    stack: Desk, rebase: tuple[str, ...], *, linked: bool
) -> None:
    """Its rebase could not end: refused as a plan and as a run, with the commands that end it; then all works."""
    place = Repo(stack.root / "a place") if linked else stack.clone
    if linked:
        stack.clone.git("worktree", "add", "--quiet", "--detach", str(place.path))
    place.git("switch", "--quiet", rebase[0])
    place.git("rebase", "--quiet", "--interactive", *rebase[1:], env={"GIT_SEQUENCE_EDITOR": "sed -i 1s/pick/edit/"})
    place.git("commit", "--quiet", "--amend", "--message=two 1, edited")
    stack.trunk_commits("trunk moves", {"trunk.txt": "1\n"})
    before, remote = stack.tips(), stack.remote_tips()
    with pytest.raises(Refused, match="two is being rebased by you") as planned:
        restack.plan(stack.stack_context())
    with pytest.raises(Refused) as ran:
        stack.restack()
    assert planned.value.what == ran.value.what
    assert (stack.tips(), stack.remote_tips()) == (before, remote)
    go_on = shlex.split(ran.value.next_commands[0])
    subprocess.run(go_on, cwd=stack.clone.path, check=True, capture_output=True)
    assert stack.clone.subjects("one..two") == ["two 1, edited", "two 2"]
    place.git("switch", "--quiet", "--detach")
    assert stack.restack().error is None
    stack.assert_stacked()
    assert stack.clone.subjects("one..two") == ["two 1, edited", "two 2"]


def test_a_pick_that_became_empty_is_left_alone(stack: Desk) -> None:
    """The rebase stopped with a clean work tree; the branch does not move, and the printed command ends it."""
    clone = stack.clone
    clone.git("switch", "--quiet", "one")
    clone.git("cherry-pick", "one", check=False)
    assert clone.git("status", "--porcelain") == ""
    stack.trunk_commits("trunk moves", {"trunk.txt": "1\n"})
    before = stack.tips()
    error = refusal(stack.restack)
    assert (int(error.code), error.what) == (5, "one is checked out, and git cherry-pick is in progress there")
    assert stack.tips() == before
    clone.git(*shlex.split(error.next_commands[0])[1:])
    assert stack.restack().error is None


def test_the_plan_of_a_stack_that_is_up_to_date_pushes_nothing(stack: Desk) -> None:
    """No push command is printed; after a move of trunk there is one, for all three branches."""
    plan = restack.forecast(stack.stack_context()).plan
    push = next(step for step in plan.steps if step.name is StepName.PUSH)
    assert (push.commands, push.publishes) == ((), ())
    assert push.description == "nothing: origin has every branch already"
    stack.trunk_commits("trunk", {"trunk.txt": "x\n"})
    plan = restack.forecast(stack.stack_context()).plan
    push = next(step for step in plan.steps if step.name is StepName.PUSH)
    assert push.commands[0].count("--force-with-lease=") == 3


SEVERAL = "schema = 1\n" + "".join(
    f'[[stack]]\nname = "{name}"\n[[stack.entry]]\npr = {number}\nbranch = "{branch}"\n'
    for name, number, branch in (("kv", 1, "one"), ("docs", 2, "two"))
)


def test_of_several_stacks_the_entry_chooses(stack: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    """`--pr`, TRUNKLINE_PR or the branch that is checked out names an entry of one stack only; `--stack` prevails."""
    (stack.root / "stack.toml").write_text(SEVERAL)
    monkeypatch.setenv("TRUNKLINE_STACK_FILE", str(stack.root / "stack.toml"))
    called_by(Caller(takes={"amend": {"stack"}}))
    with pytest.raises(WrongFlag, match="several stacks"):
        entry_here(stack)
    assert stack.entry_context(2).stack.name == "docs"
    stack.clone.git("switch", "--quiet", "two")
    assert (entry_here(stack).stack.name, stack.stack_context().stack.name) == ("docs", "docs")
    assert task_command("amend") == "invoke amend --stack docs"
    monkeypatch.setenv("TRUNKLINE_PR", "#1")
    assert entry_here(stack).stack.name == "kv"
    with pytest.raises(UsageError, match="#1 is not in"):
        open_context(None, stack="docs", options=Options(), reporter=stack.quiet, cwd=stack.clone.path)
