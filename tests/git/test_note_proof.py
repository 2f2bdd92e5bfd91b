"""The note compares a rebase with the head that the pull request showed before, after any number of rebases."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from support.inprocess import NO_CARGO, Desk, desk
from trunkline.commands import rebase
from trunkline.domain.step import StepName
from trunkline.planning.verification import rebased_since

UNPUSHED = NO_CARGO | {StepName.PUSH, StepName.READY}


@pytest.fixture
def stack(monkeypatch: pytest.MonkeyPatch) -> Iterator[Desk]:
    """Return the stack of three entries, opened and cloned."""
    with desk(monkeypatch) as place:
        yield place


def rebase_unpushed(stack: Desk, number: int) -> None:
    """Let trunk move on and rebase the bottom entry, without a push."""
    stack.trunk_commits(f"trunk {number}", {f"trunk-{number}.txt": "1\n"})
    error = rebase.run(stack.entry_context(1, UNPUSHED), rebase.WHOLE).error
    assert error is None, (error.what, error.why)


def test_rebased_twice_before_a_push_is_only_rebased(stack: Desk) -> None:
    """The fork point of the range-diff is the pushed head's, and no commit counts as changed."""
    pushed, fork = stack.hub.tip("one"), stack.clone.git("merge-base", "origin/main", "origin/one")
    rebase_unpushed(stack, 1)
    rebase_unpushed(stack, 2)
    rebase_unpushed(stack, 3)
    context = stack.entry_context(1)
    since = rebased_since(context, context.local_tip())
    assert since is not None
    assert (since.old, since.fork, since.commits, since.changed, since.left_out) == (pushed, fork, 2, (), ())


def test_a_commit_amended_between_two_rebases_is_named(stack: Desk) -> None:
    """The commit is not what the pull request showed, although the last rebase left it alone."""
    rebase_unpushed(stack, 1)
    stack.clone.git("switch", "--quiet", "one")
    stack.clone.commit("one 3", {"more.txt": "1\n"})
    stack.clone.git("switch", "--quiet", "main")
    rebase_unpushed(stack, 2)
    context = stack.entry_context(1)
    since = rebased_since(context, context.local_tip())
    assert since is not None
    assert (since.commits, since.changed) == (3, ("one 3",))
