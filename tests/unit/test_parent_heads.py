"""The evidence of a fork point from heads, the ancestry of commits, and journals; no git: examples and properties."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec.structs import replace

from trunkline.domain import records
from trunkline.domain.commits import Commit
from trunkline.domain.names import EntryKey, Oid, branch_name, oid, pr_number
from trunkline.domain.replayed import Replayed
from trunkline.domain.snapshot import ForcePush, PrState, PullRequest
from trunkline.domain.stack import Entry, Stack
from trunkline.domain.step import StepName, StepStatus
from trunkline.planning import journal_queries, parent_heads
from trunkline.planning.fork_point_evidence import KnownHead, Parent
from trunkline.planning.parent_heads import Branch, Heads
from trunkline.state.journal import Run


def name(text: str) -> Oid:
    """Return a made-up object id."""
    return oid(hashlib.sha1(text.encode(), usedforsecurity=False).hexdigest())


class Commits:
    """Commits in memory, by short names; some are missing, as after a garbage collection on GitHub."""

    def __init__(self, parents: Mapping[str, str], missing: Iterable[str] = ()) -> None:
        """Take the parents of each commit, `"b": "a"` or `"m": "a b"`, each commit after its parents."""
        self.parents = {name(each): tuple(map(name, of.split())) for each, of in parents.items()}
        self.texts = {name(each): each for each in parents}
        self.missing = {name(each) for each in missing}

    def ancestors(self, tip: Oid) -> frozenset[Oid]:
        """Return a commit and all that it reaches."""
        return frozenset({tip}).union(*(self.ancestors(each) for each in self.parents.get(tip, ())))

    def present(self, names: Iterable[Oid]) -> Sequence[Oid]:
        """Leave out what is missing or reaches something missing."""
        whole = (each for each in dict.fromkeys(names) if each in self.parents)
        return [each for each in whole if not self.missing & self.ancestors(each)]

    def is_ancestor(self, ancestor: Oid, descendant: Oid) -> bool:
        """Compare two commits; False if one is missing."""
        here = len(self.present([ancestor, descendant])) == len({ancestor, descendant})
        return here and ancestor in self.ancestors(descendant)

    def reachable(self, tips: Iterable[Oid], excluding: Iterable[Oid]) -> Sequence[Commit]:
        """Return the commits in the order of their definition; fail where one is missing, as git does."""
        starts, ends = list(tips), list(excluding)
        assert len(self.present(starts)) == len(set(starts)), "a missing commit was walked"
        reached = frozenset[Oid]().union(*map(self.ancestors, starts)) - frozenset[Oid]().union(
            *map(self.ancestors, ends)
        )
        return [
            Commit(each, of, name("tree"), b"Ada <a@x> 1 +0000", self.texts[each].encode())
            for each, of in self.parents.items()
            if each in reached
        ]

    def with_patch_ids(self, commits: Sequence[Commit]) -> tuple[Commit, ...]:
        """Give each commit a patch id of its own."""
        return tuple(replace(each, patch_id=f"patch of {self.texts[each.oid]}") for each in commits)

    def branch(self, child: str, trunk: str = "t") -> Branch:
        """Return a branch by its head, with the merge base that has most ancestors."""
        own = self.ancestors(name(child)) - self.ancestors(name(trunk))
        common = self.ancestors(name(child)) & self.ancestors(name(trunk))
        base = max(common, key=lambda each: len(self.ancestors(each)))
        return Branch(name(child), name(trunk), base, own)


def heads(current: str, older: str = "", *, base: str = "t", rewritten: bool = False) -> Heads:
    """Return the heads of a parent, by names separated by blanks."""
    return Heads("#1", [*map(name, current.split())], [*map(name, older.split())], name(base), rewritten)


def known(parent: Parent) -> dict[Oid, bool]:
    """Return the heads of a parent, each with whether it is current."""
    return {head.oid: head.current for head in parent.heads}


def texts(commits: Iterable[Commit]) -> list[str]:
    """Return the short names of commits."""
    return [each.subject for each in commits]


STACKED = Commits({"t": "", "p1": "t", "p2": "p1", "c": "p2", "p2'": "p1", "wip": "p2'"})
"""A child on `p2`; its parent was amended to `p2'` and went on."""


# --- The heads of one parent ---------------------------------------------------------------------------------------


def test_each_head_holds_its_part_of_the_branch() -> None:
    """The amended head holds what both versions share; commits of the parent are those of its head now."""
    found = parent_heads.parent_of(STACKED, heads("p2'", "p2", rewritten=True), STACKED.branch("c"))
    assert found.heads == (
        KnownHead(name("p2'"), True, frozenset({name("p1")})),
        KnownHead(name("p2"), False, frozenset({name("p1"), name("p2")})),
    )
    assert (texts(found.commits), found.rewritten) == (["p1", "p2'"], True)
    assert [commit.patch_id for commit in found.commits] == ["patch of p1", "patch of p2'"]


def test_heads_that_are_missing_here_are_left_out() -> None:
    """A replaced head was collected on GitHub, or one that it reaches: the others still count."""
    gone = Commits({"t": "", "p1": "t", "p2": "p1", "x": "t", "y": "x", "c": "p2"}, missing=["x"])
    found = parent_heads.parent_of(gone, heads("p2", "y x unknown"), gone.branch("c"))
    assert known(found) == {name("p2"): True}
    nothing = parent_heads.parent_of(gone, heads("y"), gone.branch("c"))
    assert (nothing.heads, nothing.commits) == ((), ())


def test_a_head_that_contains_the_child_is_no_parents_head() -> None:
    """The entries changed places: what the other has on top of the child is its own."""
    found = parent_heads.parent_of(STACKED, heads("c", "p1"), STACKED.branch("p2"))
    assert known(found) == {name("p1"): False}
    assert texts(found.commits) == ["c"]


def test_commits_in_trunk_are_matched_by_object_id_alone() -> None:
    """A parent that landed by a merge commit has no commits above the merge base."""
    merged = Commits({"t0": "", "p": "t0", "t": "t0 p", "c": "p"})
    found = parent_heads.parent_of(merged, heads("p", base="t0"), merged.branch("c"))
    assert (found.commits, found.heads) == ((), (KnownHead(name("p"), True, frozenset()),))


def test_earlier_heads_that_landed_account_for_their_versions() -> None:
    """Trunk and the branch both hold `q`, an earlier head of the parent, which is at `q'` now."""
    landed = Commits({"t0": "", "q": "t0", "t": "t0 q", "c": "q", "q'": "t0"})
    parent = parent_heads.parent_of(landed, heads("q'", "q", base="t0", rewritten=True), landed.branch("c"))
    assert (texts(parent.commits), texts(parent.landed)) == (["q'"], ["q"])
    assert parent_heads.parent_of(landed, heads("q'", "q", base="t0"), landed.branch("c")).landed == ()


OPEN, MERGED = PrState.OPEN, PrState.MERGED


def pull(number: int, base: str, state: PrState = PrState.OPEN, *pushes: ForcePush) -> PullRequest:
    """Return a pull request of the branch `bN`."""
    return PullRequest(
        number=pr_number(number), title="", url="", state=state, draft=False, body="", base=base, head=f"b{number}",
        head_oid=name(f"head {number}"), head_repository="octo/tiny", force_pushes=pushes,
    )  # fmt: skip


def test_a_force_push_makes_the_replaced_heads_known() -> None:
    """Newest first; a head that GitHub no longer names is left out; a pull request without one is not rewritten."""
    pushes = ForcePush(name("a"), name("b")), ForcePush(None, name("c")), ForcePush(name("c"), name("head 1"))
    found = parent_heads.of_pull(pull(1, "main", PrState.OPEN, *pushes), name("t"))
    assert (found.current, found.older) == ([name("head 1")], (name("c"), name("b"), name("a")))
    assert found.rewritten
    assert not parent_heads.of_pull(pull(1, "main"), name("t")).rewritten


@pytest.mark.parametrize(
    ("planned", "current"), [("local", ["local"]), (None, ["local", "remote", "head 1"])], ids=["planned", "diverged"]
)
def test_heads_of_an_open_entry(planned: str | None, current: list[str]) -> None:
    """The planned head is the current one; if the branch diverged, each of its tips may be."""
    pr, seen = pull(1, "main", OPEN, ForcePush(name("a"), name("head 1"))), [name("local"), name("remote")]
    head = name(planned) if planned else None
    found = parent_heads.of_unmerged("#1", pr, head, seen, [name("backup")], name("t"))
    older = ["backup", "a", "local", "remote", "head 1"]
    assert (list(found.current), list(found.older)) == (list(map(name, current)), list(map(name, older)))
    assert (found.name, found.base, found.rewritten) == ("#1", name("t"), True)


def test_heads_of_an_entry_without_a_pull_request() -> None:
    """Only its branch and the backups are known; it counts as rewritten."""
    found = parent_heads.of_unmerged("b1", None, name("local"), [name("local")], [name("backup")], name("t"))
    assert (found.name, found.rewritten) == ("b1", True)
    assert (list(found.current), list(found.older)) == ([name("local")], [name("backup"), name("local")])


def test_heads_of_a_merged_entry() -> None:
    """The head of the pull request, whatever the local branch holds by now."""
    found = parent_heads.of_merged(pull(1, "main", MERGED), [name("backup")], name("before"))
    assert (list(found.current), list(found.older)) == ([name("head 1")], [name("backup")])
    assert (found.base, found.rewritten) == (name("before"), False)


# --- Which entries are parents -------------------------------------------------------------------------------------

ENTRIES = tuple(Entry(pr_number(each), branch_name(f"b{each}")) for each in (1, 2, 3))
STACK = Stack(branch_name("main"), "origin", ENTRIES)


@pytest.mark.parametrize(
    ("pulls", "below", "beside", "target"),
    [
        pytest.param([(1, "main", OPEN), (2, "b1", OPEN), (3, "b2", OPEN)], [1], [3], None, id="as in stack.toml"),
        pytest.param([(1, "main", MERGED), (2, "main", OPEN)], [1], [3], None, id="merged below, none above"),
        pytest.param([(1, "b2", MERGED), (2, "main", OPEN)], [], [3], None, id="merged into its branch"),
        pytest.param([(1, "b2", OPEN), (2, "main", OPEN), (3, "b1", OPEN)], [], [1, 3], None, id="swapped"),
        pytest.param([(1, "main", OPEN), (2, "b3", OPEN), (3, "b1", OPEN)], [1], [3], 3, id="on the one above"),
        pytest.param([(1, "main", OPEN), (2, "b3", OPEN), (3, "b2", OPEN)], [1], [3], None, id="on each other"),
        pytest.param([(1, "main", OPEN), (2, "b1", OPEN), (3, "b1", MERGED)], [1], [], None, id="lands with another"),
        pytest.param([(1, "main", OPEN), (2, "b3", MERGED), (3, "main", MERGED)], [1], [3], None, id="merged itself"),
    ],
)  # fmt: skip
def test_candidates(
    pulls: list[tuple[int, str, PrState]], below: list[int], beside: list[int], target: int | None
) -> None:
    """The entries around the second of three, by the pull requests that GitHub shows."""
    shown: dict[EntryKey, PullRequest] = {pr_number(each[0]): pull(*each) for each in pulls}
    found = parent_heads.candidates(STACK, ENTRIES[1], shown.get)
    numbers = [[each.number for each in entries] for entries in (found.below, found.beside)]
    assert numbers == [below, beside]
    assert (found.target and found.target.number) == target


def test_only_contained_heads_of_a_moved_entry_count() -> None:
    """The branch holds one head of an entry that is not below; without any, the entry is no parent."""
    branch = STACKED.branch("c")
    parent = parent_heads.parent_of(STACKED, heads("p2'", "p2"), branch)
    moved = parent_heads.contained(parent, branch)
    assert moved is not None
    assert (known(moved), moved.commits) == ({name("p2"): False}, parent.commits)
    assert parent_heads.contained(parent_heads.parent_of(STACKED, heads("p2'"), branch), branch) is None


def test_commits_that_another_head_of_the_branch_holds_were_its_own() -> None:
    """A former head held `p2'`, which the moved entry has now; missing heads hold nothing."""
    branch = STACKED.branch("c")
    mine = parent_heads.held_elsewhere(STACKED, [name("p2'"), name("unknown")], branch)
    assert mine == {name("p2'")}
    parent = parent_heads.parent_of(STACKED, heads("wip"), branch)
    assert texts(parent_heads.without(parent, mine).commits) == ["p1", "wip"]


@pytest.mark.parametrize(("current", "child", "on_it"), [("p2", "c", True), ("p2'", "c", False), ("t", "c", True)])
def test_sitting_on_a_current_head(*, current: str, child: str, on_it: bool) -> None:
    """The branch contains it, above trunk or in trunk; an older head alone is not enough."""
    parent = Parent("#1", (KnownHead(name(current), True, frozenset()), KnownHead(name("p1"), False, frozenset())))
    assert parent_heads.sits_on(STACKED, STACKED.branch(child), parent) is on_it


@pytest.mark.parametrize(
    ("tips", "older", "targeted", "expected"),
    [
        ("p2'", "p1", True, ("p2'", "p1")),
        ("p2' p2", "p1 wip", False, ("p2", "p1")),
        ("p2'", "wip", False, None),
        ("c", "", False, None),
        ("", "", True, None),
        ("", "p1", True, ("", "p1")),
    ],
)
def test_a_base_branch_without_an_entry(
    *,
    tips: str,
    older: str,
    targeted: bool,
    expected: tuple[str, str] | None,
) -> None:
    """A base from before a rename, or before a new target, counts as far as the branch sits on it."""
    given = heads(tips, older)
    found = parent_heads.of_base_branch(
        "old/name", given.current, given.older, STACKED.branch("c"), targeted=targeted
    )
    shown = found and (texts_of(found.current), texts_of(found.older))
    assert shown == expected
    assert found is None or (found.name, found.base, found.rewritten) == ("old/name", name("t"), True)


def texts_of(names: Iterable[Oid]) -> str:
    """Return the short names of commits, separated by blanks."""
    return " ".join(STACKED.texts[each] for each in names)


# --- Heads in reflogs ----------------------------------------------------------------------------------------------


def test_an_amended_tip_in_the_reflog_is_a_head() -> None:
    """`p2` was replaced by `p2'`: it proves whose `p2` is, and that the parent was rewritten."""
    branch = STACKED.branch("c")
    parent = parent_heads.parent_of(STACKED, heads("p2'"), branch)
    found = parent_heads.with_reflog(STACKED, parent, [name("p2'"), name("p2")], branch, replaced_only=True)
    (added,) = (head for head in found.heads if not head.current)
    assert added == KnownHead(name("p2"), False, frozenset({name("p1"), name("p2")}))
    assert found.rewritten


def test_a_tip_that_was_reset_away_is_marked() -> None:
    """`git reset` to `p1`, and another commit: `p2` may have been made on the wrong branch; `p1` was extended."""
    commits = Commits({"t": "", "p1": "t", "p2": "p1", "c": "p2", "new": "p1"})
    branch = commits.branch("c")
    parent = parent_heads.parent_of(commits, heads("new"), branch)
    tips = [name("new"), name("p1"), name("p2")]
    for replaced_only in (True, False):
        found = parent_heads.with_reflog(commits, parent, tips, branch, replaced_only=replaced_only)
        added = [(head.oid, head.moved_back) for head in found.heads[1:]]
        assert added == [(name("p1"), False), (name("p2"), replaced_only)]


@pytest.mark.parametrize(("replaced_only", "heads_of_it"), [(True, ["p1"]), (False, ["p1", "p2"])])
def test_a_parent_that_was_only_reset(*, replaced_only: bool, heads_of_it: list[str]) -> None:
    """The local branch still is at `p1`: beside another head, a tip that nothing replaced is no head."""
    branch = STACKED.branch("c")
    parent = parent_heads.parent_of(STACKED, heads("p1"), branch)
    tips = [name("p1"), name("p2")]
    found = parent_heads.with_reflog(STACKED, parent, tips, branch, replaced_only=replaced_only)
    assert list(known(found)) == list(map(name, heads_of_it))


@pytest.mark.parametrize("replaced_only", [True, False])
def test_a_reflog_without_a_head_of_the_branch(*, replaced_only: bool) -> None:
    """The parent counts as rewritten if the branch contains no known head at all."""
    commits = Commits({"t": "", "p": "t", "x": "t", "c": "t"})
    branch = commits.branch("c")
    parent = parent_heads.parent_of(commits, heads("p"), branch)
    found = parent_heads.with_reflog(commits, parent, [name("p"), name("x")], branch, replaced_only=replaced_only)
    assert found.rewritten is not replaced_only


def test_a_branch_that_only_grew_was_not_rewritten() -> None:
    """Every tip in the reflog is contained in the head now."""
    branch = STACKED.branch("c")
    parent = parent_heads.parent_of(STACKED, heads("p2"), branch)
    found = parent_heads.with_reflog(STACKED, parent, [name("p2"), name("p1")], branch, replaced_only=False)
    assert (known(found), found.rewritten) == ({name("p2"): True, name("p1"): False}, False)


def test_tips_of_the_reflog_that_are_missing_or_contain_the_child() -> None:
    """They are no heads; nor is the child itself."""
    branch = STACKED.branch("p2")
    parent = parent_heads.parent_of(STACKED, heads("p2'"), branch)
    tips = [name("p2'"), name("c"), name("p2"), name("unknown")]
    found = parent_heads.with_reflog(STACKED, parent, tips, branch, replaced_only=False)
    assert known(found) == {name("p2'"): True}


def test_former_tips_of_trunk() -> None:
    """Trunk was force-pushed: only the commits that it lost and the branch has count."""
    commits = Commits({"t0": "", "x": "t0", "y": "t0", "t": "t0", "c": "x"})
    tips = [name("t"), name("x"), name("y"), name("unknown")]
    found = parent_heads.trunk_parent(commits, "main", tips, commits.branch("c"))
    assert [head.oid for head in found.heads] == [name("x"), name("y")]
    assert {head.holds for head in found.heads} == {frozenset({name("x")})}
    assert (found.trunk, found.commits) == (True, ())
    assert parent_heads.trunk_parent(commits, "main", tips, commits.branch("y")).heads[0].holds == {name("y")}
    assert parent_heads.trunk_parent(commits, "main", [name("t")], commits.branch("c")).heads == ()


# --- Former heads of the branch itself, and journals ---------------------------------------------------------------


@pytest.mark.parametrize(("force_pushed", "own"), [(False, ["old"]), (True, [])])
def test_what_was_its_own_before(*, force_pushed: bool, own: list[str]) -> None:
    """A former head on an earlier head of the parent; after a force-push only a current head is certain."""
    commits = Commits({"t": "", "p1": "t", "old": "p1", "p1'": "t", "c": "p1'", "loose": "t"})
    branch = commits.branch("c")
    parent = parent_heads.parent_of(commits, heads("p1'", "p1"), branch)
    former = [name("old"), name("c"), name("loose"), name("unknown")]
    found = parent_heads.own_before(commits, branch, [parent], parent, former, force_pushed=force_pushed)
    assert texts(found) == own


def replay(branch: str, new: str, **more: Sequence[Oid]) -> Replayed:
    """Return the record of a replay."""
    values: dict[str, Any] = {key: tuple(value) for key, value in more.items()}
    return Replayed(
        branch=branch_name(branch),
        tip=name("tip"),
        new=name(new),
        base=name("t"),
        fork=name("t"),
        remote=None,
        **values,
    )


def run(*made: Replayed | None) -> Run:
    """Return a run whose replay steps ended so, oldest first."""
    done = (
        records.StepDone(
            step=StepName.REPLAY,
            pr=pr_number(1),
            mark=StepStatus.DONE,
            message="",
            seconds=0.0,
            facts={},
            replayed=each,
        )
        for each in made
    )
    return Run("id", Path("nowhere"), tuple(done))


def test_the_journals_replays_of_one_branch() -> None:
    """Newest first; those of other branches, and of the branch before it was renamed, are not its own."""
    runs = [run(replay("b1", "4"), None, replay("old/name", "5"), replay("b1", "6")), run(replay("b1", "3"))]
    found = journal_queries.replays_of(runs, branch_name("b1"))
    assert [each.new for each in found] == [name("6"), name("4"), name("3")]
    assert [each.new for each in journal_queries.replays_of(runs, branch_name("old/name"))] == [name("5")]


def test_answers_and_left_out_commits_of_all_replays() -> None:
    """Each replay adds what it skipped and dropped, and what an answer kept."""
    made = [
        replay("b1", "1", skipped=[name("s")], confirmed=[name("k"), name("k'")]),
        replay("b1", "2", dropped=[name("d")], confirmed=[name("m")]),
    ]
    assert journal_queries.left_out(made) == {name("s"), name("d")}
    assert journal_queries.confirmed(made) == {name("k"), name("k'"), name("m")}
    assert journal_queries.left_out([]) == journal_queries.confirmed([]) == frozenset()


# --- Properties ----------------------------------------------------------------------------------------------------

LETTERS = "abcdefgh"


@st.composite
def histories(draw: st.DrawFn) -> tuple[Commits, Branch, list[Oid]]:
    """Draw a history with merges and missing commits, a branch, and heads of a parent, some of them unknown."""
    parents = {"r": ""}
    for letter in ("t", *LETTERS):
        below = draw(st.lists(st.sampled_from(sorted(parents)), min_size=1, max_size=2, unique=True))
        parents[letter] = " ".join(below)
    commits = Commits(parents)
    branch = commits.branch(draw(st.sampled_from(LETTERS)))
    needed = commits.ancestors(branch.child) | commits.ancestors(branch.trunk)
    lost = draw(st.sets(st.sampled_from(LETTERS), max_size=2))
    commits.missing = {name(each) for each in lost} - needed
    tips = draw(st.lists(st.sampled_from([*LETTERS, "t", "unknown"]), min_size=1, max_size=5))
    return commits, branch, [name(each) for each in tips]


@settings(max_examples=60)
@given(drawn=histories(), count=st.integers(1, 3), rewritten=st.booleans())
def test_heads_of_a_parent(*, drawn: tuple[Commits, Branch, list[Oid]], count: int, rewritten: bool) -> None:
    """Heads exist, do not contain the child, and hold what both branches have; missing ones change nothing."""
    commits, branch, tips = drawn
    given_heads = Heads("#1", tips[:count], tips[count:], branch.base, rewritten)
    found = parent_heads.parent_of(commits, given_heads, branch)
    assert len(known(found)) == len(found.heads)
    for head in found.heads:
        assert head.oid in commits.present(tips)
        assert branch.child not in commits.ancestors(head.oid)
        assert head.current == (head.oid in given_heads.current)
        assert head.holds == commits.ancestors(head.oid) & branch.names
    owned = {each.oid for each in (*found.commits, *found.landed)}
    assert not owned & commits.ancestors(branch.base)
    present = [each for each in tips if each in commits.present(tips)]
    current = [each for each in present if each in given_heads.current]
    others = [each for each in present if each not in given_heads.current]
    assert parent_heads.parent_of(commits, Heads("#1", current, others, branch.base, rewritten), branch) == found


@settings(max_examples=60)
@given(drawn=histories(), replaced_only=st.booleans())
def test_a_reflog_only_adds_heads(*, drawn: tuple[Commits, Branch, list[Oid]], replaced_only: bool) -> None:
    """Heads that are known stay as they are, no head appears twice, and a rewritten parent stays rewritten."""
    commits, branch, (first, *tips) = drawn
    parent = parent_heads.parent_of(commits, Heads("#1", [first], [], branch.base, False), branch)
    tips = list(dict.fromkeys(tips))
    found = parent_heads.with_reflog(commits, parent, tips, branch, replaced_only=replaced_only)
    assert found.heads[: len(parent.heads)] == parent.heads
    assert len(known(found)) == len(found.heads)
    assert all(each.oid in tips and not each.current for each in found.heads[len(parent.heads) :])
    assert found.rewritten >= parent.rewritten
    assert (found.commits, found.landed) == (parent.commits, parent.landed)


@settings(max_examples=60)
@given(drawn=histories(), force_pushed=st.booleans())
def test_what_was_its_own_before_belongs_to_no_parent(
    *,
    drawn: tuple[Commits, Branch, list[Oid]],
    force_pushed: bool,
) -> None:
    """No commit is in trunk or in a known head of a parent; a force-push makes fewer commits certain."""
    commits, branch, tips = drawn
    first, second, *former = [*tips, name("a")]
    parent = parent_heads.parent_of(commits, Heads("#1", [first], [second], branch.base, True), branch)
    found = parent_heads.own_before(commits, branch, [parent], parent, former, force_pushed=force_pushed)
    taken = commits.ancestors(branch.trunk).union(*(commits.ancestors(head.oid) for head in parent.heads))
    assert not taken & {each.oid for each in found}
    more = parent_heads.own_before(commits, branch, [parent], parent, former, force_pushed=False)
    assert {each.oid for each in found} <= {each.oid for each in more}
