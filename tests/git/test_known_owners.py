"""Own commits where the owner of each commit is known by construction: restack and status agree with it."""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Iterator

import pytest

from support.inprocess import Quiet
from support.repo import Repo
from support.stage import Stage, stage
from trunkline.commands import restack, status
from trunkline.context.loading import open_stack
from trunkline.domain.errors import Paused
from trunkline.domain.names import oid
from trunkline.domain.options import Options
from trunkline.domain.snapshot import PrState


@pytest.fixture
def staged(monkeypatch: pytest.MonkeyPatch) -> Iterator[Stage]:
    """Return a stack of three entries with two commits each."""
    with stage(monkeypatch) as made:
        yield made


def assert_known(staged: Stage) -> None:
    """A restack plans the known commits of every open entry, and status counts them."""
    planned = restack.plan(open_stack(stack="", options=Options(), reporter=Quiet())).decisions.replays.values()
    assert [[commit.oid for commit in each.work.own] for each in planned] == [
        staged.own[number] for number in staged.open_entries()
    ]
    assert counted(staged) == {number: len(staged.own[number]) for number in staged.open_entries()}


def counted(staged: Stage) -> dict[int | None, int | None]:
    """Return the number of own commits that status shows for each open entry."""
    looked = status.observe(open_stack(stack="", options=Options(), reporter=Quiet()), offline=False).entries
    return {each.entry.number: each.own for each in looked if each.entry.number in staged.open_entries()}


@pytest.mark.parametrize("amended", [False, True])
def test_a_merged_entry_that_was_taken_out_of_stack_toml(staged: Stage, *, amended: bool) -> None:
    """GitHub retargeted the entry above to trunk: its earlier base still owns the commits below."""
    if amended:
        staged.amend(1, message="other words")
    staged.write_stack(2, 3)
    staged.land(1)
    assert_known(staged)


@pytest.mark.parametrize("known", [False, True])
def test_a_merged_entry_that_is_neither_in_stack_toml_nor_in_the_clone(staged: Stage, *, known: bool) -> None:
    """The pull request of the earlier base is queried from GitHub, also when it was amended before its merge."""
    if known:
        staged.amend(1, message="other words")
    staged.write_stack(2, 3)
    staged.land(1)
    staged.clone.git("branch", "--quiet", "-D", "e1")
    staged.clone.git("fetch", "--quiet", "--prune", "origin")
    assert_known(staged)
    assert restack.run(open_stack(stack="", options=Options(), reporter=Quiet())).error is None
    requests = staged.hub.requests
    restack.plan(open_stack(stack="", options=Options(), reporter=Quiet()))
    assert staged.hub.requests == requests + 1  # the journal holds the tip that the replay left


@pytest.mark.parametrize("pruned", [False, True])
def test_commits_dropped_from_a_merged_entry_that_was_taken_out_of_stack_toml(staged: Stage, *, pruned: bool) -> None:
    """Only GitHub has the replaced head, whether or not the clone still has the branch: the user must decide."""
    for branch in staged.names.values():
        staged.clone.git("branch", "--quiet", "-D", branch)
    staged.grow(1, {"grown.txt": "1\n"})
    staged.replay(2, staged.own[1][-1])
    staged.own[1].pop()
    staged.push(staged.author_with(1), 1, staged.own[1][-1])
    staged.clone.git("fetch", "--quiet", "origin")
    staged.write_stack(2)
    staged.land(1, delete=pruned)
    if pruned:
        staged.clone.git("fetch", "--quiet", "--prune", "origin")
    else:
        staged.hub.pulls[2].target("main")
    with pytest.raises(Paused, match="#1 once held it"):
        restack.plan(open_stack(stack="", options=Options(), reporter=Quiet()))
    assert counted(staged) == {2: None}


def test_an_open_entry_that_was_taken_out_of_stack_toml(staged: Stage) -> None:
    """The pull request still targets its branch."""
    staged.write_stack(1, 3)
    assert_known(staged)


def test_the_two_lowest_entries_swapped(staged: Stage) -> None:
    """The new lowest one contains the other, which is above it now."""
    staged.write_stack(2, 1, 3)
    assert_known(staged)


@pytest.mark.parametrize("method", ["", "merge"])
def test_a_commit_that_the_parent_got_from_the_child(staged: Stage, method: str) -> None:
    """The copy on the remote's parent, or in trunk, accounts for it, though the local parent is behind."""
    staged.own[1].append(staged.edit(1, lambda repo: repo.git("cherry-pick", staged.own[2][0])))
    staged.own[2] = staged.own[2][1:]
    if method:
        staged.land(1, method=method)
    assert_known(staged)


def test_a_parent_that_grew_and_was_squashed_before_it_was_fetched(staged: Stage) -> None:
    """GitHub names the replaced head, which contains the parent's commits in the child; it is fetched by its id."""
    for branch in staged.names.values():
        staged.clone.git("branch", "--quiet", "-D", branch)
    staged.grow(2, {"grown.txt": "1\n"})

    def squash(repo: Repo) -> None:
        repo.git("checkout", "--quiet", staged.own[2][-1], "--", ".")
        repo.commit("all in one", author="Mallory")

    staged.rewrite(2, squash)
    assert counted(staged) == {1: 2, 2: None, 3: 2}
    staged.clone.git("fetch", "--quiet", "origin")
    assert counted(staged) == {1: 2, 2: 1, 3: None}  # status fetches nothing
    assert_known(staged)


def test_a_replaced_head_of_a_contained_parent_is_not_needed(staged: Stage) -> None:
    """The lowest was amended twice and the others rebased onto it: only its middle version was never fetched."""
    staged.amend(1, message="first try")
    staged.amend(1, message="second try")
    for number in (2, 3):
        staged.replay(number, staged.own[number - 1][-1])
    staged.clone.git("fetch", "--quiet", "origin")
    staged.amend(2, message="other words")
    staged.clone.git("fetch", "--quiet", "origin")
    assert counted(staged) == {1: 2, 2: 2, 3: 2}


@pytest.mark.parametrize("parent", ["as it was", "amended", "amended, and the child restacked"])
def test_commits_of_one_tool_run_after_a_restack(monkeypatch: pytest.MonkeyPatch, parent: str) -> None:
    """Author, second and subject of all commits are the same: what was own before the restack stays own."""

    def codemod(repo: Repo, number: int, index: int) -> None:
        repo.clock = 1_763_400_000
        repo.commit("codemod", {f"m{number}-{index}.txt": "x\n"}, author="Bot")

    with stage(monkeypatch, entries=2, fill=codemod) as staged:
        if parent != "as it was":
            staged.amend(1, message="codemod")
        if parent == "amended, and the child restacked":
            assert restack.run(open_stack(stack="", options=Options(), reporter=Quiet())).error is None
            staged.owns(2, staged.hub.tip(staged.names[1]))
        staged.land(1)
        assert restack.run(open_stack(stack="", options=Options(), reporter=Quiet())).error is None
        staged.owns(2, staged.trunk_tip())
        assert_known(staged)


def test_a_parent_rebased_by_others_that_landed_through_another(monkeypatch: pytest.MonkeyPatch) -> None:
    """Its old commits landed with the entry between, so its rewritten ones match no own commit of the same second."""

    def tool(repo: Repo, number: int, index: int) -> None:
        repo.clock = 1_763_400_000
        repo.commit(f"step {number}{index}", {f"m{number}-{index}.txt": "x\n"}, author="Bot")

    with stage(monkeypatch, fill=tool) as staged:
        staged.trunk_moves()
        staged.replay(1, staged.trunk_tip())
        staged.land(1, 2, method="merge")
        assert_known(staged)


@pytest.mark.parametrize(
    ("local", "side"),
    [
        ("here", "head of #1"),
        ("without a reflog", "head of #1"),
        ("absent", "head of #1"),
        ("behind", "trunk"),
        ("with a merge of trunk", "trunk"),
    ],
)
def test_the_command_that_makes_an_entry_linear(staged: Stage, local: str, side: str) -> None:
    """The command takes the remote's head, and neither commits of #1 nor of trunk become the entry's own."""
    staged.trunk_moves()
    base = staged.trunk_tip() if side == "trunk" else staged.fork(2)
    if local == "with a merge of trunk":
        staged.edit(2, lambda repo: repo.git("merge", "--quiet", "--no-edit", f"origin/{staged.trunk}"))

    def merge_side(repo: Repo) -> None:
        tip = repo.head()
        repo.git("switch", "--quiet", "--detach", base)
        beside = repo.commit("beside", {"beside.txt": "1\n"})
        repo.git("switch", "--quiet", "--detach", tip)
        repo.git("merge", "--quiet", "--no-ff", "--no-edit", beside)

    staged.edit(2, merge_side)
    if local != "behind":
        staged.take_over()
    if local == "absent":
        staged.clone.git("branch", "--quiet", "-D", "e2")
    if local == "without a reflog":
        staged.clone.git("config", "core.logAllRefUpdates", "false")
        shutil.rmtree(staged.clone.path / ".git/logs")
    ran = staged.run("invoke restack --dry-run")
    assert "holds merge commits of its own" in ran.text
    subprocess.run(["bash", "-c", ran.next[0]], cwd=staged.clone.path, check=True, capture_output=True)
    assert staged.run("invoke restack --yes").code == 0
    assert sorted(staged.hub.bare.subjects("e1..e2")) == ["beside", "e2 1", "e2 2"]
    assert staged.hub.bare.subjects("main..e1") == ["e1 1", "e1 2"]


def test_an_answer_that_changes_nothing_is_not_asked_for_again(staged: Stage) -> None:
    """A commit of #2 was pushed to #1 and taken back; #2 keeps it, and is up to date as it is."""
    below = staged.own[1][-1]
    for name in (staged.own[2][0], below):
        staged.push(staged.author_with(2), 1, name)
    asked = staged.run("invoke restack --dry-run")
    assert asked.code == 3
    assert staged.run(f"{asked.next[0].partition('   #')[0]} --yes").code == 0
    assert staged.run("invoke restack --dry-run").code == 0
    assert_known(staged)
    staged.trunk_moves()
    assert staged.run("invoke restack --yes").code == 0
    assert staged.run("invoke land --dry-run").code == 0


def test_an_entry_that_was_merged_into_this_one_is_no_parent(staged: Stage) -> None:
    """The merged entry sat on this one, so its head has this one's commits; stack.toml lists it below since."""

    def merge(repo: Repo) -> None:
        repo.git("merge", "--quiet", "--squash", "origin/e2")
        repo.commit("e2 (#2)")

    pull = staged.hub.pulls[2]
    pull.merged_head, pull.merge_commit = oid(staged.hub.tip("e2")), staged.edit(1, merge)
    pull.state = PrState.MERGED
    staged.own[1].append(pull.merge_commit)
    staged.write_stack(2, 1, 3)
    staged.take_over()
    assert_known(staged)


def test_entries_that_changed_places_before_the_lower_one_grew(staged: Stage) -> None:
    """Only stack.toml has the new order: the base on GitHub tells which branch sits on which."""
    staged.write_stack(1, 3, 2)
    staged.grow(2, {"grown.txt": "1\n"})
    staged.trunk_moves()
    assert_known(staged)


def test_a_merged_entry_between_two_that_changed_places(staged: Stage) -> None:
    """The owner of each commit is known after the base was merged and left stack.toml."""
    staged.land(1)
    staged.write_stack(3, 2)
    staged.grow(2, {"grown.txt": "1\n"})
    assert_known(staged)


def test_a_reverted_parent_whose_child_would_be_merged_as_it_is(staged: Stage) -> None:
    """A commit of #2 takes back what the revert took back: nothing would be left of it, so every task asks."""
    staged.grow(2, {"1-1.txt": None})
    staged.land(1, method="merge")
    staged.author.git("revert", "--no-edit", "-m", "1", "HEAD")
    staged.author.git("push", "--quiet", "origin", f"HEAD:refs/heads/{staged.trunk}")
    for task in ("restack", "land", "rebase --pr 2"):
        assert staged.run(f"invoke {task} --dry-run").code == 3, task


@pytest.mark.parametrize("retargeted", [False, True])
def test_a_version_of_a_commit_below_a_moved_entry_is_none_of_its_own(staged: Stage, *, retargeted: bool) -> None:
    """#1 was put onto #2, which then went back to its old head; one commit was once pushed to #1 by mistake."""
    old, below = staged.hub.tip("e2"), staged.own[1][-1]
    for name in (staged.own[2][0], below):
        staged.push(staged.author_with(2), 1, name)
    staged.replay(2, staged.trunk_tip())
    staged.replay(1, staged.own[2][-1])
    staged.write_stack(2, 1, 3)
    if retargeted:
        staged.hub.pulls[2].target(staged.trunk)
        staged.hub.pulls[1].target("e2")
    staged.push(staged.author_with(2), 2, old)
    ran = staged.run("invoke restack --dry-run")
    assert ran.code == 3
    assert '"e2 1"' in ran.text
