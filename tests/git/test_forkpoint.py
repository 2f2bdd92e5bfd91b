"""Fork points decided on real histories: every way a parent is merged, amended, moved, and what must stop."""

from __future__ import annotations

from collections.abc import Sequence

import pytest

from support.repo import Repo
from trunkline.adapters import history
from trunkline.domain import forkpoint
from trunkline.domain.commits import CommitSet
from trunkline.domain.errors import Refused, UsageError
from trunkline.domain.forkpoint import Evidence, ParentHead, Source, Standing
from trunkline.domain.names import Oid, PrNumber

PARENT = PrNumber(1)


def evidence(
    repo: Repo,
    *,
    current: Oid | None,
    merge: Oid | None,
    older: Sequence[Oid] = (),
    child: str = "child",
    recorded: Oid | None = None,
) -> Evidence:
    """Gather the evidence as the workflow does, from a repository alone."""
    git, trunk, tip = repo.adapter, repo.head("main"), repo.head(child)
    base = history.merge_base(git, trunk, tip)
    assert base is not None
    before = [git.resolve(f"{merge}^1")] if merge else []
    excluded = [name for name in before if name]
    heads = [ParentHead(f"#{PARENT}", current, current=True)] if current else []
    merged = history.reachable(git, [current], excluded) if current else ()
    known = history.reachable(git, [*older, *([current] if current else [])], excluded)
    return Evidence(
        trunk=trunk,
        child=tip,
        merge_base=base,
        chain=history.chain(git, base, tip, patch_ids=True),
        heads=(*heads, *(ParentHead(f"#{PARENT}", head, current=False) for head in older)),
        heads_in_trunk=frozenset(h.oid for h in heads if history.is_ancestor(git, h.oid, trunk)),
        merged=CommitSet.of(history.with_patch_ids(git, merged)),
        known=CommitSet.of(history.with_patch_ids(git, known)),
        recorded=recorded,
        base_holds_parents=merge is not None and history.is_ancestor(git, merge, base) if current else True,
    )


@pytest.fixture
def stack(repo: Repo) -> Repo:
    """Main with one commit; parent with two on it; child with three on parent."""
    repo.commit("start", {"base.txt": "0\n"})
    repo.git("switch", "--quiet", "-c", "parent")
    repo.commit("parent one", {"p.txt": "1\n"})
    repo.commit("parent two", {"p.txt": "1\n2\n"})
    repo.git("switch", "--quiet", "-c", "child")
    for number in ("one", "two", "three"):
        repo.commit(f"child {number}", {f"c-{number}.txt": number})
    repo.git("switch", "--quiet", "main")
    return repo


def squash(repo: Repo, branch: str = "parent") -> Oid:
    """Squash-merge a branch onto main, as GitHub's button does."""
    repo.git("merge", "--quiet", "--squash", branch)
    return repo.commit(f"{branch} (#1)\n\n* everything")


def test_squash_merged_parent(stack: Repo) -> None:
    """The head of the merged pull request is the fork point, though trunk does not contain it."""
    parent = stack.head("parent")
    found = forkpoint.decide(evidence(stack, current=parent, merge=squash(stack)))
    assert (found.oid, found.source) == (parent, Source.PARENT_HEAD)
    assert [commit.subject for commit in found.own] == ["child one", "child two", "child three"]


def test_rebase_merged_parent(stack: Repo) -> None:
    """A rebase merge gives the parent new object ids; its head decides all the same."""
    parent = stack.head("parent")
    stack.commit("trunk moved", {"other.txt": "x"})
    stack.git("switch", "--quiet", "--detach", "parent")
    stack.git("rebase", "--quiet", "main")
    stack.git("switch", "--quiet", "main")
    stack.git("merge", "--quiet", "--ff-only", stack.head("HEAD@{1}"))
    found = forkpoint.decide(evidence(stack, current=parent, merge=stack.head("main")))
    assert found.oid == parent
    assert len(found.own) == 3


def test_merge_commit_parent(stack: Repo) -> None:
    """After a merge commit the merge base is the fork point."""
    parent = stack.head("parent")
    stack.git("merge", "--quiet", "--no-ff", "-m", "Merge #1", "parent")
    found = forkpoint.decide(evidence(stack, current=parent, merge=stack.head("main")))
    assert (found.oid, found.source) == (parent, Source.PARENT_IN_TRUNK)
    assert len(found.own) == 3


def test_parent_amended_after_the_child_branched(stack: Repo) -> None:
    """The head before the force-push decides; the amended head is no ancestor of the child."""
    old = stack.head("parent")
    stack.git("switch", "--quiet", "parent")
    (stack.path / "p.txt").write_text("1\n2 amended\n")
    stack.git("commit", "--quiet", "--all", "--amend", "--no-edit")
    amended = stack.head("parent")
    stack.git("switch", "--quiet", "main")
    found = forkpoint.decide(evidence(stack, current=amended, older=[old], merge=squash(stack)))
    assert (found.oid, found.source) == (old, Source.PARENT_HISTORY)
    assert [commit.subject for commit in found.own] == ["child one", "child two", "child three"]


def test_amended_parent_without_history_needs_a_person(stack: Repo) -> None:
    """Where only a likeness is left, the likely fork point is shown and never taken."""
    stack.git("switch", "--quiet", "parent")
    (stack.path / "p.txt").write_text("1\n2 amended\n")
    stack.git("commit", "--quiet", "--all", "--amend", "--no-edit")
    amended = stack.head("parent")
    stack.git("switch", "--quiet", "main")
    seen = evidence(stack, current=amended, merge=squash(stack))
    with pytest.raises(Refused, match="fork-point-ambiguous") as stopped:
        forkpoint.decide(seen)
    old = stack.head("child~3")
    assert any(f"--fork-point {old}" in command for command in stopped.value.next_commands)
    assert forkpoint.decide(seen, given=old).oid == old


def test_child_pushed_to_the_parents_branch_by_mistake(stack: Repo) -> None:
    """A historical head that holds the child's work would drop it: two sources disagree, so it stops."""
    parent, stray = stack.head("parent"), stack.head("child~1")
    with pytest.raises(Refused, match="fork-point-ambiguous") as stopped:
        forkpoint.decide(evidence(stack, current=parent, older=[stray], merge=squash(stack)))
    assert "child two" in stopped.value.why


def test_parent_that_grew_by_force_push_and_push(stack: Repo) -> None:
    """An older head leaves commits of the parent in: it is too old, and does not dispute the newer one."""
    parent, older = stack.head("parent"), stack.head("parent~1")
    found = forkpoint.decide(evidence(stack, current=parent, older=[older], merge=squash(stack)))
    assert found.oid == parent
    assert [c.standing for c in found.candidates if c.source is Source.PARENT_HISTORY] == [Standing.TOO_OLD]


def test_a_branch_that_sits_on_trunk_already(stack: Repo) -> None:
    """After the rebase the fork point is trunk itself: running again has nothing to do."""
    parent = stack.head("parent")
    merge = squash(stack)
    stack.git("rebase", "--quiet", "--onto", "main", parent, "child")
    found = forkpoint.decide(evidence(stack, current=parent, merge=merge))
    assert (found.oid, found.source) == (merge, Source.TRUNK)
    assert len(found.own) == 3


def test_a_hand_made_rebase_that_dragged_the_parent_along(stack: Repo) -> None:
    """Parent's commits above the merge base of a branch rebased by hand: not guessed away."""
    parent = stack.head("parent")
    stack.git("switch", "--quiet", "main")
    stack.commit("the squash took only half (#1)", {"p.txt": "1\n"})
    merge = stack.head("main")
    stack.git("rebase", "--quiet", "--reapply-cherry-picks", "--empty=keep", "-Xtheirs", "main", "child")
    with pytest.raises(Refused, match="fork-point-ambiguous"):
        forkpoint.decide(evidence(stack, current=parent, merge=merge))


def test_bottom_entry_has_no_parent(stack: Repo) -> None:
    """Without an entry below, the merge base with trunk is the fork point."""
    stack.commit("trunk moved", {"other.txt": "x"})
    found = forkpoint.decide(evidence(stack, current=None, merge=None, child="parent"))
    assert found.source is Source.TRUNK
    assert [commit.subject for commit in found.own] == ["parent one", "parent two"]


def test_the_journals_word_agrees(stack: Repo) -> None:
    """Our own record and the parent's head agree: one fork point, decided by the record."""
    parent = stack.head("parent")
    found = forkpoint.decide(evidence(stack, current=parent, merge=squash(stack), recorded=parent))
    assert (found.oid, found.source) == (parent, Source.JOURNAL)


def test_the_journals_word_disputed(stack: Repo) -> None:
    """A record that contradicts the parent's head is not followed."""
    parent = stack.head("parent")
    seen = evidence(stack, current=parent, merge=squash(stack), recorded=stack.head("child~1"))
    with pytest.raises(Refused, match="fork-point-ambiguous"):
        forkpoint.decide(seen)


def test_a_given_fork_point_that_would_drop_work(stack: Repo) -> None:
    """--fork-point is never decisive alone: commits that no evidence gives to the parent are not dropped."""
    parent = stack.head("parent")
    seen = evidence(stack, current=parent, merge=squash(stack))
    with pytest.raises(Refused, match="would drop 1 commits") as refused:
        forkpoint.decide(seen, given=stack.head("child~2"))
    assert "child one" in refused.value.why


@pytest.mark.parametrize("revision", ["child", "main", "main~1^{commit}"])
def test_a_given_fork_point_outside_the_branch(stack: Repo, revision: str) -> None:
    """The head itself, or a commit of trunk, is no fork point."""
    parent = stack.head("parent")
    merge = squash(stack)
    stack.commit("later", {"l.txt": ""})
    seen = evidence(stack, current=parent, merge=merge)
    given = stack.head(revision)
    if given == seen.merge_base:
        assert forkpoint.decide(seen, given=given).oid == given
        return
    with pytest.raises(UsageError, match="is not between"):
        forkpoint.decide(seen, given=given)


def test_an_own_commit_that_repeats_a_parents_patch(stack: Repo) -> None:
    """An own commit with the parent's very patch cannot be told from the parent's: it stops, and shows it."""
    parent = stack.head("parent")
    stack.git("switch", "--quiet", "child")
    stack.commit("take it out", {"p.txt": "1\n"})
    stack.commit("put it back", {"p.txt": "1\n2\n"})
    stack.git("switch", "--quiet", "main")
    with pytest.raises(Refused, match="fork-point-ambiguous") as stopped:
        forkpoint.decide(evidence(stack, current=parent, merge=squash(stack)))
    assert "put it back" in stopped.value.why
    found = forkpoint.decide(evidence(stack, current=parent, merge=stack.head("main")), given=parent)
    assert len(found.own) == 5
