"""Pull requests that were closed by hand after their changes reached trunk: they landed, and are not rescued."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from support.inprocess import Desk, desk
from trunkline.commands import rescue, status
from trunkline.domain.errors import Refused
from trunkline.domain.names import PrNumber, oid
from trunkline.domain.snapshot import PrState
from trunkline.domain.status import State
from trunkline.planning.merged import merged_below


@pytest.fixture
def stack(monkeypatch: pytest.MonkeyPatch) -> Iterator[Desk]:
    """Return the stack of three entries, opened and cloned; the lowest was closed by hand."""
    with desk(monkeypatch) as place:
        place.hub.bare.git("update-ref", "refs/pull/1/head", place.hub.tip("one"))
        place.hub.pulls[1].state = PrState.CLOSED
        yield place


def release(stack: Desk) -> None:
    """Merge the lowest entry into a release branch with other changes, and squash that into trunk."""
    author = stack.author
    author.git("fetch", "--quiet", "origin")
    author.git("switch", "--quiet", "--detach", "origin/main")
    author.git("merge", "--quiet", "--squash", "origin/one")
    author.commit("release 1.2", {"release.txt": "1.2\n"})
    author.git("push", "--quiet", "origin", "HEAD:refs/heads/main")
    stack.trunk_commits("trunk moves", {"trunk.txt": "1\n"})


def test_what_sits_on_it_goes_on_as_after_a_merge(stack: Desk) -> None:
    """Restack puts the rest on trunk, and status calls the closed one landed."""
    release(stack)
    assert stack.restack().error is None, stack.quiet.lines
    assert stack.hub.bare.subjects("main..two") == ["two 1", "two 2"]
    assert stack.hub.bare.subjects("two..three") == ["three 1", "three 2"]
    found = status.observe(stack.stack_context(), offline=False)
    assert found.entries[0].standing.state is State.MERGED
    assert "rescue" not in str(found.next)


def test_rebase_of_the_entry_above(stack: Desk) -> None:
    """The message names the commit since which trunk has the changes."""
    release(stack)
    assert stack.rebase(2).error is None, stack.quiet.lines
    released = stack.hub.bare.git("rev-parse", "--short=7", "main~1")
    assert any(f"#1 was closed, and trunk has its changes since {released}" in line for line in stack.quiet.lines)
    assert stack.hub.bare.subjects("main..two") == ["two 1", "two 2"]


def test_it_is_not_rescued(stack: Desk) -> None:
    """Trunk has its changes."""
    release(stack)
    with pytest.raises(Refused, match="landed"):
        rescue.forecast(stack.entry_context(1))
    assert stack.hub.pulls[1].state is PrState.CLOSED


def test_one_that_landed_with_the_entry_above_which_took_a_part_back(stack: Desk) -> None:
    """Merging #1 into trunk would bring the part again, but the merged head of #2 contains the head of #1."""
    author = stack.author
    author.git("fetch", "--quiet", "origin")
    author.git("switch", "--quiet", "--detach", "origin/two")
    changed = author.git("diff", "--name-only", "origin/main", "origin/one").splitlines()
    author.commit("without it", {changed[0]: None})
    author.git("push", "--quiet", "origin", "HEAD:refs/heads/two")
    stack.clone.git("fetch", "--quiet", "origin")
    stack.hub.pulls[2].target("main")
    stack.merge(2)
    assert stack.restack().error is None, stack.quiet.lines
    assert stack.hub.bare.subjects("main..three") == ["three 1", "three 2"]


def test_half_of_it_on_trunk_is_not_landed(stack: Desk) -> None:
    """One of its commits was picked to trunk: what sits above is not put there without the other."""
    author = stack.author
    author.git("fetch", "--quiet", "origin")
    author.git("switch", "--quiet", "--detach", "origin/main")
    author.git("cherry-pick", "origin/one~1")
    author.git("push", "--quiet", "origin", "HEAD:refs/heads/main")
    with pytest.raises(Refused, match="closed without being merged"):
        stack.restack()


def merge_into_one(stack: Desk, *how: str) -> None:
    """Merge #2 on the web into the branch of #1, which is open; by squash, unless `how` says otherwise."""
    pull = stack.hub.pulls[2]
    stack.hub.pulls[1].state = PrState.OPEN
    author = stack.author
    author.git("fetch", "--quiet", "origin")
    author.git("switch", "--quiet", "--detach", "origin/one")
    author.git("merge", "--quiet", *(how or ["--squash"]), "origin/two")
    pull.merged_head = oid(stack.hub.tip("two"))
    pull.merge_commit = author.head() if how else author.commit("two (#2)")
    author.git("push", "--quiet", "origin", "HEAD:refs/heads/one")
    stack.hub.bare.git("update-ref", "refs/pull/2/head", pull.merged_head)
    stack.hub.bare.git("update-ref", "refs/pull/1/head", pull.merge_commit)
    pull.state = PrState.MERGED


def test_merged_into_the_entry_below(stack: Desk) -> None:
    """The entry lands with that one: until then #3 waits for it, afterwards #3 sits on trunk without its commits."""
    merge_into_one(stack)
    with pytest.raises(Refused, match="#1 below is not merged yet"):
        stack.rebase(3)
    stack.merge(1, delete=False)
    assert stack.rebase(3).error is None, stack.quiet.lines
    assert stack.hub.bare.subjects("main..three") == ["three 1", "three 2"]


def test_merged_into_the_entry_below_by_a_merge_commit(stack: Desk) -> None:
    """Its commits are the entry's from then on: a restack keeps them, and moves those of #3 only."""
    merge_into_one(stack, "--no-ff", "-m", "Merge pull request #2")
    stack.trunk_commits("trunk moves", {"trunk.txt": "1\n"})
    assert stack.restack().error is None, stack.quiet.lines
    assert stack.hub.bare.subjects("main..one") == ["one 1", "one 2", "two 1", "two 2"]
    assert stack.hub.bare.subjects("one..three") == ["three 1", "three 2"]


def test_pushed_onto_the_entry_below(stack: Desk) -> None:
    """GitHub shows #2 as merged: nothing tells whether that was meant, so both commands are named."""
    merge_into_one(stack, "--ff-only")
    with pytest.raises(Refused, match="#1 one holds commits of #2") as refused:
        stack.restack()
    back, take_out = refused.value.next_commands
    assert back.startswith("git push --force-with-lease=refs/heads/one:")
    assert take_out == "${EDITOR:-vi} stack.toml   # or take #2 out"


@pytest.mark.parametrize("landed", [False, True])
def test_merged_into_a_branch_that_does_not_land(stack: Desk, *, landed: bool) -> None:
    """Trunk lacks its changes: a new pull request can bring them, or the open one that holds them is landed."""
    head = stack.hub.tip("one")
    merge_into_one(stack)
    if landed:
        stack.hub.bare.git("update-ref", "refs/heads/one", head)
        stack.merge(1, delete=False)
    view = stack.stack_context().view()
    with pytest.raises(Refused, match="#2 was not merged into main") as refused:
        merged_below(view.of(view.stack.entry(PrNumber(3))), view.stack.entry(PrNumber(2)))
    command = "gh pr create --base main --head two" if landed else "invoke land --up-to 1"
    assert refused.value.next_commands == (command,)
