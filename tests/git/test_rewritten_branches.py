"""Branches rewritten by others or by the user: the remote's version, copies, and squashed parents."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest

from support.inprocess import ENTRIES, Desk, desk, refusal
from trunkline.commands import restack, status
from trunkline.domain.names import oid
from trunkline.domain.snapshot import ForcePush
from trunkline.domain.status import State
from trunkline.domain.step import StepName


@pytest.fixture
def stack(monkeypatch: pytest.MonkeyPatch) -> Iterator[Desk]:
    """Return the stack of three entries, opened and cloned."""
    with desk(monkeypatch) as place:
        yield place


def squash(stack: Desk, branch: str, below: str) -> None:
    """Replace the commits of a branch by one, with another author and message, in the author's clone."""
    author = stack.author
    author.git("fetch", "--quiet", "origin")
    author.git("switch", "--quiet", "--detach", f"origin/{branch}")
    author.git("reset", "--quiet", "--soft", f"origin/{below}")
    author.commit(f"{branch}, squashed", author="Mallory")


def drop(stack: Desk, branch: str, _below: str) -> None:
    """Remove the last commit of a branch in the author's clone."""
    stack.author.git("fetch", "--quiet", "origin")
    stack.author.git("switch", "--quiet", "--detach", f"origin/{branch}~1")
    stack.author.commit("another end", {"end.txt": "1\n"}, author="Mallory")


def swap(stack: Desk, branch: str, below: str) -> None:
    """Exchange the two commits of a branch in the author's clone, and change one."""
    author = stack.author
    author.git("fetch", "--quiet", "origin")
    author.git("switch", "--quiet", "--detach", f"origin/{below}")
    author.git("cherry-pick", f"origin/{branch}")
    author.commit(f"{branch} 1 by another", {f"{branch}.txt": "changed\n"}, author="Mallory")


REWRITES = {"squashed": squash, "dropped": drop, "swapped": swap}


def pushed(stack: Desk, pr: int) -> str:
    """Force-push the commit checked out by the author to an entry's branch."""
    branch = ENTRIES[pr]
    before, after = oid(stack.hub.tip(branch)), stack.author.head("HEAD")
    stack.author.git("push", "--quiet", "--force", "origin", f"{after}:refs/heads/{branch}")
    stack.hub.pulls[pr].pushes.append(ForcePush(before, after))
    return after


@pytest.mark.parametrize("rewrite", REWRITES.values(), ids=REWRITES)
def test_a_rewrite_by_others_over_an_unchanged_local_branch_is_taken_over(
    stack: Desk, rewrite: Callable[[Desk, str, str], None]
) -> None:
    """Every local commit was pushed, so nothing of the user's is lost; the commits that only it had are named."""
    rewrite(stack, "three", "two")
    theirs = pushed(stack, 3)
    before = stack.tips()["three"]
    found = status.observe(stack.stack_context(), offline=False)
    assert found.entries[2].standing.state is not State.DIVERGED
    error = stack.restack().error
    assert error is None, (error.what, error.why)
    assert stack.tips()["three"] == stack.hub.tip("three") == theirs
    assert "only your local branch had" in " ".join(stack.quiet.lines)
    assert before in stack.clone.refs().values()  # kept in a backup ref


def test_a_branch_put_back_by_the_user_after_another_push_is_not_replaced(stack: Desk) -> None:
    """The user pushed something else meanwhile, and moved the branch back by hand: both commands are offered."""
    clone, old = stack.clone, stack.tips()["three"]
    clone.git("switch", "--quiet", "three")
    clone.git("reset", "--quiet", "--hard", "HEAD~1")
    clone.git("push", "--quiet", "--force", str(stack.root / "bare"), "HEAD:refs/heads/three")
    clone.git("update-ref", "refs/remotes/origin/three", "HEAD")
    stack.hub.pulls[3].pushes.append(ForcePush(oid(old), clone.head()))
    clone.git("reset", "--quiet", "--hard", old)
    clone.git("switch", "--quiet", "main")
    squash(stack, "three", "two")
    pushed(stack, 3)
    error = refusal(stack.restack)
    assert stack.tips()["three"] == old
    assert [command.split()[1] for command in error.next_commands] == ["rebase", "switch"]


def own(stack: Desk) -> dict[str, list[str]]:
    """Return the subjects that each entry holds over the one below, on the remote."""
    below, found = "main", {}
    for branch in ENTRIES.values():
        found[branch] = stack.hub.bare.subjects(f"{below}..{branch}")
        below = branch
    return found


@pytest.mark.parametrize("pushed_first", [False, True])
@pytest.mark.parametrize("revision", ["two~1", "two"])
def test_a_commit_cherry_picked_from_the_child_to_the_parent(
    stack: Desk, revision: str, *, pushed_first: bool
) -> None:
    """The result is the same before and after a push: a copy at the bottom is left out, one further up is kept."""
    clone = stack.clone
    clone.git("switch", "--quiet", "one")
    clone.git("cherry-pick", revision)
    if pushed_first:
        clone.git("push", "--quiet", str(stack.root / "bare"), "one")
        clone.git("update-ref", "refs/remotes/origin/one", "one")
    clone.git("switch", "--quiet", "main")
    picked = clone.subjects(f"{revision}^..{revision}")
    error = stack.restack().error
    assert error is None, (error.what, error.why)
    left = ["two 2"] if revision == "two~1" else ["two 1", "two 2"]
    assert own(stack) == {"one": ["one 1", "one 2", *picked], "two": left, "three": ["three 1", "three 2"]}
    assert ("a copy of a commit of #1" in " ".join(stack.quiet.lines)) is (revision == "two~1")


@pytest.mark.parametrize("start", ["origin/main", "one~1"])
@pytest.mark.parametrize("more", [{}, {"another.txt": "1\n"}])
def test_a_parent_rebuilt_by_reset_and_commit_after_an_unpushed_restack(
    stack: Desk, start: str, more: dict[str, str | None]
) -> None:
    """The reflog holds the old commits, and the new one contains their change: no question."""
    before = own(stack)
    stack.trunk_commits("trunk moves", {"trunk.txt": "1\n"})
    unpushed = stack.stack_context(skip=frozenset({StepName.PUSH}))
    assert restack.run(unpushed).error is None
    stack.clone.git("switch", "--quiet", "one")
    stack.clone.git("reset", "--quiet", "--soft", start)
    stack.clone.commit("rebuilt", more)
    stack.clone.git("switch", "--quiet", "main")
    error = stack.restack().error
    assert error is None, (error.what, error.why)
    rebuilt = ["rebuilt"] if start == "origin/main" else ["one 1", "rebuilt"]
    assert own(stack) == {**before, "one": rebuilt}


def test_a_commit_made_on_the_wrong_branch_and_moved_up_stays_own(stack: Desk) -> None:
    """The commit was taken back from the parent, which then went on: it belongs to the child that holds it."""
    clone = stack.clone
    stack.trunk_commits("trunk moves", {"trunk.txt": "1\n"})
    assert restack.run(stack.stack_context(skip=frozenset({StepName.PUSH}))).error is None
    clone.git("switch", "--quiet", "one")
    made = clone.commit("for two", {"for-two.txt": "1\n"})
    clone.git("reset", "--quiet", "--hard", "HEAD~1")
    clone.commit("one 3", {"one-3.txt": "1\n"})
    clone.git("rebase", "--quiet", "--onto", made, f"{made}~1", "two")
    clone.git("switch", "--quiet", "main")
    error = stack.restack().error
    assert error is None, (error.what, error.why)
    assert own(stack)["two"] == ["for two", "two 1", "two 2"]
