"""Changes by others to an entry's branch on GitHub, in process: taken over, or named commit by commit."""

from __future__ import annotations

import shlex
from collections.abc import Iterator

import pytest

from support.inprocess import ENTRIES, Desk, desk, refusal
from trunkline.commands import status
from trunkline.domain.errors import TransientError, TrunklineError
from trunkline.domain.names import oid
from trunkline.domain.snapshot import ForcePush
from trunkline.domain.status import EntryStatus, State, UpstreamRelation
from trunkline.operations import publish
from trunkline.steps import push


@pytest.fixture
def stack(monkeypatch: pytest.MonkeyPatch) -> Iterator[Desk]:
    """Return the stack of three entries, opened and cloned."""
    with desk(monkeypatch) as place:
        yield place


def force_push(stack: Desk, pr: int, revision: str) -> None:
    """Let somebody force-push an entry's branch to a revision of the author's clone."""
    branch = ENTRIES[pr]
    before, after = oid(stack.hub.tip(branch)), stack.author.head(revision)
    stack.author.git("push", "--quiet", "--force", "origin", f"{after}:refs/heads/{branch}")
    stack.hub.pulls[pr].pushes.append(ForcePush(before, after))


def rebased_on_github(stack: Desk, *prs: int) -> None:
    """Rebase entries onto what they sit on, as GitHub's server or a colleague does: same commits, other ids."""
    author = stack.author
    author.git("fetch", "--quiet", "origin")
    for pr in prs:
        below = stack.hub.tip(ENTRIES[pr - 1]) if pr > 1 else stack.hub.tip("main")
        fork = author.git("merge-base", f"origin/{ENTRIES[pr]}", f"origin/{ENTRIES.get(pr - 1, 'main')}")
        author.git("switch", "--quiet", "--detach", f"origin/{ENTRIES[pr]}")
        author.git("rebase", "--quiet", "--force-rebase", "--onto", below, fork)
        force_push(stack, pr, "HEAD")


def own(stack: Desk) -> dict[str, list[str]]:
    """Return the subjects that each entry holds over the one below, on the remote."""
    below, found = "main", {}
    for branch in ENTRIES.values():
        found[branch] = stack.hub.bare.subjects(f"{below}..{branch}")
        below = branch
    return found


def failed(stack: Desk, pr: int | None = None) -> TrunklineError:
    """Return the error that a restack, or the rebase of an entry, ends with."""
    try:
        done = stack.restack() if pr is None else stack.rebase(pr)
    except TrunklineError as error:
        return error
    assert done.error is not None, stack.quiet.lines
    return done.error


def restacked(stack: Desk) -> None:
    """Restack, and see that it went well."""
    error = stack.restack().error
    assert error is None, (error.what, error.why)


def looked_at(stack: Desk, pr: int) -> EntryStatus:
    """Return an entry's row of `status`."""
    return status.observe(stack.stack_context(), offline=False).entries[pr - 1]


def typed(stack: Desk, command: str) -> None:
    """Type a git command as it is printed."""
    stack.clone.git(*shlex.split(command, comments=True)[1:])


@pytest.mark.parametrize("prs", [(1,), (1, 2, 3)])
def test_update_with_rebase_pressed_on_github_is_taken_over(stack: Desk, prs: tuple[int, ...]) -> None:
    """The local branches hold the old ids of the same commits: the remote version counts; nothing is doubled."""
    before = own(stack)
    stack.trunk_commits("trunk moves", {"trunk.txt": "1\n"})
    rebased_on_github(stack, *prs)
    restacked(stack)
    assert own(stack) == before
    stack.assert_stacked()
    assert stack.tips() == stack.remote_tips()
    assert stack.contains(stack.hub.tip("three"), stack.hub.tip("main"))


def test_a_commit_of_the_users_is_never_dropped_when_others_rebased(stack: Desk) -> None:
    """With an unpushed commit above the old ids the two sides differ; the command puts it on top of the remote's."""
    before = own(stack)
    stack.clone.git("switch", "--quiet", "one")
    stack.clone.commit("mine, not pushed", {"mine.txt": "1\n"})
    stack.clone.git("switch", "--quiet", "main")
    stack.trunk_commits("trunk moves", {"trunk.txt": "1\n"})
    rebased_on_github(stack, 1)
    found = status.observe(stack.stack_context(), offline=False)
    assert found.entries[0].standing.state in {State.FETCH, State.DIVERGED}
    error = failed(stack)
    assert "trunk moves" not in error.why
    assert len(error.next_commands) == 1  # to take the remote's as it is would lose a commit
    typed(stack, error.next_commands[0])
    restacked(stack)
    assert own(stack) == {**before, "one": [*before["one"], "mine, not pushed"]}


def test_an_unpushed_amend_is_never_replaced_by_what_others_rebased(stack: Desk) -> None:
    """Same author, date and subject as the remote's version, but another change: a command prefers the user's."""
    before = own(stack)
    stack.clone.git("switch", "--quiet", "one")
    (stack.clone.path / "amended.txt").write_text("mine\n")
    stack.clone.git("add", "--all")
    stack.clone.git("commit", "--quiet", "--amend", "--no-edit", "--cleanup=verbatim")
    tip = stack.clone.git("rev-parse", "HEAD")
    stack.clone.git("switch", "--quiet", "main")
    stack.trunk_commits("trunk moves", {"trunk.txt": "1\n"})
    rebased_on_github(stack, 1)
    error = failed(stack)
    assert "that we did not plan for" in error.what
    assert stack.tips()["one"] == tip
    typed(stack, error.next_commands[-1])  # replaces the remote's by the user's version
    assert stack.hub.tip("one") == tip
    restacked(stack)
    assert own(stack) == before


@pytest.mark.parametrize("choice", [0, -1])
def test_a_commit_reworded_here_while_update_branch_was_pressed(stack: Desk, choice: int) -> None:
    """Its message stays, on top of the old version or instead of it."""
    stack.clone.git("switch", "--quiet", "one")
    stack.clone.git("commit", "--quiet", "--amend", "--message=reworded")
    stack.clone.git("switch", "--quiet", "main")
    stack.trunk_commits("trunk moves", {"trunk.txt": "1\n"})
    stack.author.git("fetch", "--quiet", "origin")
    stack.author.git("switch", "--quiet", "--detach", "origin/one")
    stack.author.git("merge", "--quiet", "--no-edit", "origin/main")
    stack.author.git("push", "--quiet", "origin", "HEAD:refs/heads/one")
    typed(stack, failed(stack).next_commands[choice])
    restacked(stack)
    assert own(stack)["one"] == (["one 1", "one 2", "reworded"] if choice == 0 else ["one 1", "reworded"])


@pytest.mark.parametrize("task", ["restack", "rebase"])
@pytest.mark.parametrize("unpushed", [False, True])
def test_update_branch_pressed_after_the_parents_squash(stack: Desk, task: str, *, unpushed: bool) -> None:
    """Trunk was merged into the child on GitHub, and the local branch is behind: that adds no own commits."""
    mine = own(stack)["two"]
    stack.merge(1, delete=False)
    stack.hub.pulls[2].base = "main"
    stack.trunk_commits("trunk moves", {"trunk.txt": "1\n"})
    stack.author.git("fetch", "--quiet", "origin")
    stack.author.git("switch", "--quiet", "--detach", "origin/two")
    stack.author.git("merge", "--quiet", "--no-edit", "origin/main")
    stack.author.git("push", "--quiet", "origin", "HEAD:refs/heads/two")
    if unpushed:
        stack.clone.git("switch", "--quiet", "two")
        stack.clone.commit("mine, not pushed", {"mine.txt": "1\n"})
        stack.clone.git("switch", "--quiet", "main")
        typed(stack, failed(stack).next_commands[0])
        mine = [*mine, "mine, not pushed"]
    if task == "restack":
        restacked(stack)
    else:
        assert stack.rebase(2).error is None, stack.quiet.lines
    assert stack.hub.bare.subjects("main..two") == mine


def test_a_commit_that_others_added_while_rebasing_is_taken_over(stack: Desk) -> None:
    """The remote version holds more than the local branch's old ids."""
    before = own(stack)
    stack.trunk_commits("trunk moves", {"trunk.txt": "1\n"})
    rebased_on_github(stack, 1)
    stack.push_commit("one", "theirs", {"theirs.txt": "1\n"})
    restacked(stack)
    assert own(stack) == {**before, "one": [*before["one"], "theirs"]}


def test_a_commit_that_others_amended_is_named(stack: Desk) -> None:
    """The amended commit is another version of the user's, not the same one with another id."""
    author = stack.author
    author.git("fetch", "--quiet", "origin")
    author.git("switch", "--quiet", "--detach", "origin/three")
    (author.path / "amended.txt").write_text("amended\n")
    author.git("add", "--all")
    author.git("commit", "--quiet", "--amend", "--no-edit")
    force_push(stack, 3, "HEAD")
    outcomes = stack.restack().outcomes.values()
    (taken,) = (line for each in outcomes for line in each.details if "its version is taken" in line)
    assert f'others rewrote the branch on origin, and changed {author.head()[:7]} "three 2" by Grace' in taken


def test_the_tip_of_the_stack_pushed_to_the_bottom_branch_is_named(stack: Desk) -> None:
    """Every task reports it alike, and the printed command restores the branch."""
    before = own(stack)
    old = stack.hub.tip("one")
    stack.author.git("fetch", "--quiet", "origin")
    force_push(stack, 1, "origin/three")
    errors = [failed(stack), *(failed(stack, pr) for pr in (1, 2, 3))]
    message = {error.what for error in errors}
    assert message == {"#1 one holds commits of #2 and #3"}, message
    found = status.observe(stack.stack_context(), offline=False)
    assert "holds commits of #2 and #3" in " ".join(found.entries[0].standing.why)
    command = errors[0].next_commands[0]
    assert command == found.next
    typed(stack, command)
    assert stack.hub.tip("one") == old
    restacked(stack)
    assert own(stack) == before


def test_commits_that_others_removed_are_not_pushed_back(stack: Desk) -> None:
    """The local branch still has the old tip, and nothing of the user's: the shorter version is taken."""
    stack.author.git("fetch", "--quiet", "origin")
    force_push(stack, 3, "origin/three~1")
    shortened = stack.hub.tip("three")
    assert UpstreamRelation.SHORTENED.value in looked_at(stack, 3).standing.why
    restacked(stack)
    assert stack.hub.tip("three") == shortened == stack.tips()["three"]
    assert any("others removed 1 commit from origin/three" in line for line in stack.quiet.lines), stack.quiet.lines


@pytest.mark.parametrize("fetched", [False, True])
def test_a_branch_that_others_squashed_after_a_push_that_was_never_fetched(stack: Desk, *, fetched: bool) -> None:
    """The clone's tracking branch held every local commit once, though `git clone` wrote no reflog of it."""
    author = stack.author
    author.git("fetch", "--quiet", "origin")
    author.git("switch", "--quiet", "--detach", "origin/three")
    author.commit("more", {"more.txt": "1\n"})
    author.git("push", "--quiet", "origin", "HEAD:refs/heads/three")
    author.git("reset", "--quiet", "--soft", "HEAD~3")
    squashed = author.commit("all in one")
    force_push(stack, 3, "HEAD")
    stack.clone.git("reflog", "delete", "--rewrite", "refs/remotes/origin/three@{0}", check=False)
    if fetched:
        stack.clone.git("fetch", "--quiet", "origin")
    restacked(stack)
    assert stack.tips()["three"] == squashed
    assert any("you have nothing unpushed" in line for line in stack.quiet.lines), stack.quiet.lines


@pytest.mark.parametrize("brought_back", [False, True])
def test_a_commit_on_top_of_one_that_others_removed_is_a_question(stack: Desk, *, brought_back: bool) -> None:
    """A push would bring the removed commit back; each printed command leads on."""
    stack.clone.git("switch", "--quiet", "three")
    stack.clone.commit("mine, not pushed", {"mine.txt": "1\n"})
    stack.clone.git("switch", "--quiet", "main")
    stack.author.git("fetch", "--quiet", "origin")
    force_push(stack, 3, "origin/three~1")
    shortened, local = stack.hub.tip("three"), stack.tips()["three"]
    assert looked_at(stack, 3).standing.why == (UpstreamRelation.REMOVED.value,)
    error = failed(stack)
    assert "others removed 1 commit from origin/three" in error.what
    assert (stack.hub.tip("three"), stack.tips()["three"]) == (shortened, local)
    stack.clone.git("fetch", "--quiet", "origin")
    command = next(each for each in error.next_commands if each.startswith("git push") == brought_back)
    if brought_back:
        assert command.startswith("git push origin three")
        stack.clone.git("push", "--quiet", str(stack.hub.bare.path), "three")
    else:
        typed(stack, command)
    restacked(stack)
    removed = ["three 2"] if brought_back else []
    assert stack.hub.bare.subjects("two..three") == ["three 1", *removed, "mine, not pushed"]


def test_commits_that_others_removed_and_the_user_put_back(stack: Desk) -> None:
    """Another tip was pushed after the local one, and the user moved the branch back on purpose: a question."""
    earlier = stack.tips()["three"]
    amended = stack.clone.git("commit-tree", "-p", f"{earlier}^", "-m", "three 2, amended", f"{earlier}^{{tree}}")
    stack.clone.git("branch", "--quiet", "--force", "three", amended)
    restacked(stack)
    stack.hub.pulls[3].pushes.append(ForcePush(oid(earlier), oid(stack.hub.tip("three"))))
    stack.clone.git("branch", "--quiet", "--force", "three", earlier)
    stack.author.git("fetch", "--quiet", "origin")
    force_push(stack, 3, "origin/three~1")
    assert "others removed 1 commit" in failed(stack).what


def test_an_undo_of_a_run_whose_pull_request_was_merged_since(stack: Desk) -> None:
    """The error names the merge, and the next command shows the stack; to fetch would change nothing."""
    stack.trunk_commits("trunk moves", {"trunk.txt": "1\n"})
    restacked(stack)
    stack.merge(3)
    error = refusal(lambda: stack.undo() or stack.restack())
    assert error.what == "#3 three was merged since"
    assert error.next_commands == ("invoke status",)


def test_a_network_error_in_the_middle_of_a_run_names_continue(stack: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    """The first command goes on with the run; the one that looks at the connection follows."""
    error = TransientError("GitHub could not be reached", next_command="gh auth status")
    stack.trunk_commits("trunk moves", {"trunk.txt": "1\n"})

    def down(*_: object, **__: object) -> None:
        raise error

    with monkeypatch.context() as patch:
        patch.setattr(publish, "push_all", down)
        patch.setattr(push, "push_all", down, raising=False)
        assert failed(stack) is error
    assert error.next_commands[:2] == ("invoke continue", "gh auth status")
    resumed = stack.resume()
    assert resumed is not None
    assert resumed.error is None
