"""Status and note count an entry's own commits as a restack plans them, also where ids alone are ambiguous."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from support.inprocess import Desk, desk
from trunkline.commands import status
from trunkline.planning.heads import entry_tip
from trunkline.planning.replay_plan import own_commit_count, own_commits


@pytest.fixture
def stack(monkeypatch: pytest.MonkeyPatch) -> Iterator[Desk]:
    """Return the stack of three entries, opened and cloned."""
    with desk(monkeypatch) as place:
        yield place


def assert_agreed(stack: Desk, *counts: int | None) -> None:
    """Status and note show these counts, and a restack would plan as many of what is open."""
    stack.clone.git("fetch", "--quiet", str(stack.root / "bare"), "+refs/heads/*:refs/remotes/origin/*")
    found = status.observe(stack.stack_context(), offline=False).entries
    assert tuple(each.own for each in found) == counts
    for each, count in zip(found, counts, strict=True):
        if count is not None:
            there = stack.stack_context().of(each.entry).view()
            assert len(own_commits(there, entry_tip(there).oid).own) == count
            assert own_commit_count(there, entry_tip(there).oid) == count


def test_trunk_merged_into_an_entry(stack: Desk) -> None:
    """The merge that "Update branch" makes is no commit of the entry's."""
    stack.trunk_commits("trunk moves", {"trunk.txt": "1\n"})
    stack.author.git("fetch", "--quiet", "origin")
    stack.author.git("switch", "--quiet", "--detach", "origin/three")
    stack.author.git("merge", "--quiet", "--no-edit", "origin/main")
    stack.author.git("push", "--quiet", "origin", "HEAD:refs/heads/three")
    assert_agreed(stack, 2, 2, 2)


def test_copies_of_a_merged_parent(stack: Desk) -> None:
    """The child was rebased by hand with the parent's commits, and trunk has those as one squash."""
    clone = stack.clone
    stack.trunk_commits("trunk moves", {"trunk.txt": "1\n"})
    clone.git("fetch", "--quiet", str(stack.root / "bare"), "main")
    clone.git("switch", "--quiet", "three")
    clone.git("rebase", "--quiet", "FETCH_HEAD")
    clone.git("push", "--quiet", "--force", str(stack.root / "bare"), "three")
    clone.git("switch", "--quiet", "main")
    stack.merge(1)
    stack.merge(2)
    assert_agreed(stack, None, None, 2)
