"""The base of checks and coverage of entries that were not rebased yet: the difference is what is own."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from support.inprocess import Quiet
from support.repo import Repo
from support.stage import Stage, stage
from trunkline.commands import status
from trunkline.context.loading import open_context, open_stack
from trunkline.domain.options import Options
from trunkline.planning.heads import entry_tip
from trunkline.planning.own_base import own_base_of


@pytest.fixture
def staged(monkeypatch: pytest.MonkeyPatch) -> Iterator[Stage]:
    """Return a stack of three entries with two commits each."""
    with stage(monkeypatch) as made:
        yield made


def assert_own_files(staged: Stage) -> None:
    """The difference from the base to each tip names the files of the own commits, also in a task of one entry."""
    whole = open_stack(stack="", options=Options(), reporter=Quiet())
    views = {int(entry.pr): whole.of(entry).view() for entry in whole.view().open_entries()}
    staged.clone.git("fetch", "--quiet", "origin")
    observed, _ = status.look(open_stack(stack="", options=Options(), reporter=Quiet()), offline=False)
    for number in staged.open_entries():
        alone = open_context(str(number), stack="", options=Options(), reporter=Quiet()).view()
        tip = entry_tip(views[number]).oid
        base = own_base_of(views[number], tip)
        names = [staged.clone.git("diff-tree", "-r", "--name-only", f"{name}^", name) for name in staged.own[number]]
        changed = list(views[number].git.query("diff-tree", "-r", "--name-only", base, tip).lines)
        assert changed == sorted({file for each in names for file in each.split()}), number
        shown = observed.subject(views[number].entry)
        assert shown is not None
        assert (shown.base, own_base_of(alone, tip)) == (base, base)


def test_entries_as_they_were_pushed(staged: Stage) -> None:
    """The base is the head of the entry below."""
    staged.trunk_moves()
    assert_own_files(staged)


@pytest.mark.parametrize("landed", [False, True])
def test_trunk_merged_into_an_upper_entry(staged: Stage, *, landed: bool) -> None:
    """The changes of trunk are not own, whether or not the entry below is in trunk."""
    staged.trunk_moves()
    if landed:
        staged.land(1)
    staged.edit(2, lambda repo: repo.git("merge", "--quiet", "--no-edit", f"origin/{staged.trunk}"))
    assert_own_files(staged)


def test_the_entry_below_grew_and_was_merged_into_the_next(staged: Stage) -> None:
    """The base is its new head."""
    staged.grow(1, {"grown.txt": "1\n"})
    staged.update_branch(2)
    assert_own_files(staged)


def test_swapped_entries(staged: Stage) -> None:
    """The commits of the entry that moved up are not the other one's."""
    staged.write_stack(2, 1, 3)
    assert_own_files(staged)


def test_a_commit_that_was_once_pushed_to_the_entry_below(staged: Stage) -> None:
    """The commit may be own, so it is among the changes until the user has answered."""
    staged.push(staged.author_with(2), 1, staged.own[2][0])
    staged.amend(1)
    staged.take_over()
    assert_own_files(staged)


def test_swapped_entries_whose_local_branches_are_behind(staged: Stage) -> None:
    """The remote branch of the entry below holds the squashed parent; the local one does not."""
    swapped = staged.own[2]
    staged.replay(2, staged.trunk_tip())
    staged.replay(1, staged.own[2][-1])
    staged.write_stack(2, 1, 3)

    def squash(repo: Repo) -> None:
        repo.git("cherry-pick", "--no-commit", *swapped)
        repo.commit("all in one", author="Mallory")

    staged.rewrite(2, squash)
    assert_own_files(staged)
