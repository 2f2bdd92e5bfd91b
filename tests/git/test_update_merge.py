"""`[rebase] update = "merge"`: a branch is updated by a merge of its new base, pushed without force."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from support.inprocess import ENTRIES, STACK, Desk, desk, refusal
from trunkline.config import location, trust
from trunkline.domain.errors import Refused
from trunkline.domain.names import oid, pr_number
from trunkline.operations import conflict
from trunkline.planning.heads import entry_tip
from trunkline.planning.replay_plan import own_commits
from trunkline.planning.verification import rebased_since


@pytest.fixture
def stack(monkeypatch: pytest.MonkeyPatch) -> Iterator[Desk]:
    """Return the small stack with that setting."""
    monkeypatch.setenv(trust.VARIABLE, "checkout")
    with desk(monkeypatch) as made:
        file = made.root / "stack.toml"
        file.write_text(STACK + '\n[rebase]\nupdate = "merge"\n')
        monkeypatch.setenv(location.VARIABLE, str(file))
        yield made


def restack(stack: Desk) -> None:
    """Run `restack`, which must succeed."""
    done = stack.restack()
    assert done.error is None, done.error


def own(stack: Desk, pr: int) -> list[str]:
    """Return the subjects of an entry's own commits, as every task decides them."""
    view = stack.stack_context().of_pr(pr_number(pr)).view()
    found = own_commits(view, entry_tip(view).oid)
    assert not found.questions
    return [commit.subject for commit in found.own]


def all_own(stack: Desk, *numbers: int) -> None:
    """Assert that each entry has its own two commits."""
    for number in numbers:
        assert own(stack, number) == [f"{ENTRIES[number]} 1", f"{ENTRIES[number]} 2"]


def parents(stack: Desk, branch: str) -> list[str]:
    """Return the parents of a branch's tip on the remote."""
    return stack.hub.bare.git("rev-parse", f"{branch}^@").split()


def test_every_branch_is_pushed_fast_forward(stack: Desk) -> None:
    """The new head is a merge of the old head and the new base; the tree is that of a rebase; own commits stay."""
    old = stack.remote_tips()
    trunk = stack.trunk_commits("trunk moves", {"trunk.txt": "1\n"})
    restack(stack)
    new = stack.remote_tips()
    assert parents(stack, "one") == [old["one"], trunk]
    assert parents(stack, "two") == [old["two"], new["one"]]
    assert all(stack.contains(new[branch], old[branch]) for branch in old)
    stack.assert_stacked()
    files = stack.hub.bare.git("ls-tree", "--name-only", "three").split()
    assert {"trunk.txt", "one.txt", "two.txt", "three.txt"} < set(files)
    all_own(stack, 1, 2, 3)
    since = rebased_since(stack.stack_context().of_pr(pr_number(2)), oid(new["two"]))
    assert since is not None
    assert (since.merged, since.only, since.commits, since.old) == (True, True, 2, old["two"])
    restack(stack)
    assert stack.remote_tips() == new


def test_rebase_of_one_entry(stack: Desk) -> None:
    """`rebase` merges, too."""
    old = stack.remote_tips()["one"]
    trunk = stack.trunk_commits("trunk moves", {"trunk.txt": "1\n"})
    assert stack.rebase(1).error is None
    assert parents(stack, "one") == [old, trunk]


def test_updated_again_and_after_the_parent_was_merged(stack: Desk) -> None:
    """Fork points stay right after a second merge, and after a squash of the entry below."""
    stack.trunk_commits("first", {"trunk.txt": "1\n"})
    restack(stack)
    stack.trunk_commits("second", {"trunk.txt": "2\n"})
    restack(stack)
    all_own(stack, 1, 2, 3)
    before = stack.remote_tips()
    stack.merge(1)
    restack(stack)
    all_own(stack, 2, 3)
    after = stack.remote_tips()
    assert all(stack.contains(after[branch], before[branch]) for branch in ("two", "three"))
    diff = stack.hub.bare.git("diff", "--name-only", "main...two").split()
    assert diff == ["two-more.txt", "two.txt"]


def test_a_conflict_is_resolved_once_a_commit_as_in_a_rebase(stack: Desk) -> None:
    """The resolution is in the merge; nothing is lost, and the next update has no conflict in it."""
    old = stack.remote_tips()
    stack.conflict(2)
    assert stack.restack().error is not None
    stack.resolve()
    done = stack.resume()
    assert done is not None
    assert done.error is None, done.error
    new = stack.remote_tips()
    assert stack.contains(new["two"], old["two"])
    assert stack.hub.bare.git("show", "two:two.txt") == "both"
    stack.assert_stacked()


def test_a_branch_that_was_rewritten_here_is_rebased(stack: Desk) -> None:
    """GitHub's version is not contained, so a merge would bring it back: rebased, and said."""
    stack.clone.git("switch", "--quiet", "one")
    stack.clone.git("commit", "--quiet", "--amend", "--message=said better")
    stack.trunk_commits("trunk moves", {"trunk.txt": "1\n"})
    restack(stack)
    assert any("rebased, not merged: origin holds another version" in line for line in stack.quiet.lines)
    assert len(parents(stack, "one")) == 1
    stack.assert_stacked()


def test_a_continue_that_stopped_after_the_branch_moved(stack: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    """The merge is recognised; the branch does not move again."""
    stack.conflict(2)
    assert stack.restack().error is not None
    stack.resolve()

    def fails(*_: object, **__: object) -> None:
        raise Refused("as the test wants", next_command="invoke continue")

    with monkeypatch.context() as patch:
        patch.setattr(conflict, "retire_worktree", fails)
        assert refusal(stack.resume).what == "as the test wants"
    moved = stack.clone.refs()["refs/heads/two"]
    done = stack.resume()
    assert done is not None
    assert done.error is None, done.error
    assert stack.remote_tips()["two"] == moved
    stack.assert_stacked()


def test_trunk_was_merged_into_every_branch_by_hand(monkeypatch: pytest.MonkeyPatch) -> None:
    """Every head contains trunk's tip, and began below it: a rebase still finds the own commits."""
    with desk(monkeypatch) as stack:
        stack.trunk_commits("trunk moves", {"trunk.txt": "1\n"})
        author, below = stack.author, "origin/main"
        author.git("fetch", "--quiet", "origin")
        for branch in ENTRIES.values():
            author.git("switch", "--quiet", branch)
            author.git("merge", "--quiet", "--no-edit", below)
            author.git("push", "--quiet", "origin", branch)
            below = branch
        stack.clone.git("fetch", "--quiet")
        for branch in ENTRIES.values():
            stack.clone.git("branch", "--quiet", "--force", branch, f"origin/{branch}")
        all_own(stack, 1, 2, 3)
        restack(stack)
        all_own(stack, 1, 2, 3)
        assert stack.hub.bare.git("rev-list", "--merges", "main..three") == ""


def test_undo(stack: Desk) -> None:
    """Undo takes the merges back."""
    old = stack.remote_tips()
    stack.trunk_commits("trunk moves", {"trunk.txt": "1\n"})
    restack(stack)
    stack.undo()
    assert stack.remote_tips() == old
