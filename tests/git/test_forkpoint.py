"""Fork points on real histories: parents merged, amended and moved in every way, and cases that need a question."""

from __future__ import annotations

from collections.abc import Sequence

import pytest

from support.repo import Repo
from trunkline.domain.commits import Commit
from trunkline.domain.names import Oid
from trunkline.git import history
from trunkline.planning import evidence as fork_point_evidence
from trunkline.planning.fork_point import decide
from trunkline.planning.fork_point_evidence import Evidence, KnownHead, Parent
from trunkline.planning.ownership import CommitClass, InvalidForkPointError
from trunkline.planning.update_merge import is_clean_merge


def evidence(
    repo: Repo,
    *,
    current: Oid | None,
    merge: Oid | None = None,
    older: Sequence[Oid] = (),
    child: str = "child",
) -> Evidence:
    """Gather the evidence as the workflow does, from a repository alone.

    Args:
        repo: the repository; its trunk is `main`.
        current: the parent's head; None: there is no parent.
        merge: the commit on trunk that the parent was merged as.
        older: heads that the parent was force-pushed from.
        child: the entry's branch.
    """
    git, trunk, tip = repo.adapter, repo.head("main"), repo.head(child)
    base = history.merge_base(git, trunk, tip)
    assert base is not None
    chain = history.with_patch_ids(git, history.reachable(git, [tip], [trunk]))
    names = {commit.oid for commit in chain}

    def known(head: Oid) -> KnownHead:
        held = frozenset(commit.oid for commit in history.reachable(git, [head], [trunk]))
        return KnownHead(head, head == current, held & names)

    before = git.resolve(f"{merge}^1") if merge else trunk
    heads = tuple(known(head) for head in ([current] if current else []) + list(older))
    commits = history.with_patch_ids(git, history.reachable(git, [current], [before or trunk])) if current else ()
    return Evidence(
        child=tip, merge_base=base, chain=chain, parents=(Parent("#1", heads, commits, rewritten=bool(older)),),
        clean_merges=frozenset(commit.oid for commit in chain if is_clean_merge(git, commit)),
        absorbed=lambda commits: fork_point_evidence.absorbed(git, commits, trunk),
        superseded=lambda commits, squashes: fork_point_evidence.superseded(git, commits, (trunk, *squashes)),
        similar=lambda one, other: fork_point_evidence.similar(git, one, other),
    )  # fmt: skip


def subjects(commits: Sequence[Commit]) -> list[str]:
    """Return the subjects of commits."""
    return [commit.subject for commit in commits]


CHILD = ["child one", "child two", "child three"]


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


def amended_parent(repo: Repo, *flags: str) -> tuple[Oid, Oid]:
    """Amend the parent's last commit in content; return its head before and after."""
    before = repo.head("parent")
    repo.git("switch", "--quiet", "parent")
    (repo.path / "p.txt").write_text("1\n2 amended\n")
    repo.git("commit", "--quiet", "--all", "--amend", *(flags or ("--no-edit",)))
    repo.git("switch", "--quiet", "main")
    return before, repo.head("parent")


def test_squash_merged_parent(stack: Repo) -> None:
    """The head of the merged pull request is the fork point, though trunk does not contain it."""
    parent = stack.head("parent")
    found = decide(evidence(stack, current=parent, merge=squash(stack)))
    assert (found.fork, found.about, subjects(found.own)) == (parent, "head of #1", CHILD)


def test_rebase_merged_parent(stack: Repo) -> None:
    """A rebase merge gives the parent new object ids; its head still decides."""
    parent = stack.head("parent")
    stack.commit("trunk moved", {"other.txt": "x"})
    stack.git("switch", "--quiet", "--detach", "parent")
    stack.git("rebase", "--quiet", "main")
    stack.git("switch", "--quiet", "main")
    stack.git("merge", "--quiet", "--ff-only", stack.head("HEAD@{1}"))
    found = decide(evidence(stack, current=parent, merge=stack.head("main")))
    assert (found.fork, subjects(found.own)) == (parent, CHILD)


def test_merge_commit_parent(stack: Repo) -> None:
    """After a merge commit trunk itself holds the parent."""
    parent = stack.head("parent")
    stack.git("merge", "--quiet", "--no-ff", "-m", "Merge #1", "parent")
    found = decide(evidence(stack, current=parent, merge=stack.head("main")))
    assert (found.fork, subjects(found.own)) == (parent, CHILD)


def test_parent_amended_after_the_child_branched(stack: Repo) -> None:
    """The head before the force-push decides; the amended head is no ancestor of the child."""
    old, amended = amended_parent(stack)
    found = decide(evidence(stack, current=amended, older=[old], merge=squash(stack)))
    assert (found.fork, found.about, subjects(found.own)) == (old, "an earlier head of #1", CHILD)


def test_parent_amended_in_content_and_message(stack: Repo) -> None:
    """An amend keeps author and date: no question."""
    old, amended = amended_parent(stack, "--message=other words")
    found = decide(evidence(stack, current=amended, older=[old], merge=squash(stack)))
    assert (found.fork, found.questions, subjects(found.own)) == (old, (), CHILD)


def test_parent_amended_with_a_new_author_date_is_paired_by_its_diff(stack: Repo) -> None:
    """Only the diff is alike, as `git range-diff` pairs them."""
    lines = [f"line {number}\n" for number in range(30)]
    stack.git("switch", "--quiet", "parent")
    old = stack.commit("parent three", {"long.txt": "".join(lines)})
    stack.git("rebase", "--quiet", "--onto", old, "HEAD~1", "child")
    stack.git("switch", "--quiet", "parent")
    (stack.path / "long.txt").write_text("".join([*lines, "one more\n"]))
    stack.git("commit", "--quiet", "--all", "--amend", "--message=parent three, again", "--date=@1700000000 +0000")
    stack.git("switch", "--quiet", "main")
    found = decide(evidence(stack, current=stack.head("parent"), older=[old], merge=squash(stack)))
    assert (found.questions, subjects(found.own)) == ((), CHILD)


def test_parent_squashed_by_force_push(stack: Repo) -> None:
    """The base contains the whole change of the commits that vanished: no question."""
    old = stack.head("parent")
    stack.git("switch", "--quiet", "parent")
    stack.git("reset", "--quiet", "--soft", "main")
    stack.commit("all in one", {"more.txt": "1"}, author="Mallory")
    stack.git("switch", "--quiet", "main")
    found = decide(evidence(stack, current=stack.head("parent"), older=[old], merge=squash(stack)))
    assert (found.fork, found.questions, subjects(found.own)) == (old, (), CHILD)


@pytest.mark.parametrize("again", [False, True])
def test_a_squashed_parent_that_changed_the_same_lines_since(stack: Repo, *, again: bool) -> None:
    """The squash contains the change, the base not any more; unless the branch applied the change twice."""
    stack.git("switch", "--quiet", "child")
    stack.git("reset", "--quiet", "--hard", "child~2")
    if again:
        stack.commit("applied", {"same.txt": "1"})
        stack.commit("reverted", {"same.txt": None})
    below = stack.head()
    last = stack.commit("applied", {"same.txt": "1"})
    stack.commit("child two", {"c-two.txt": "2"})
    stack.git("switch", "--quiet", "--detach", below if again else "main")
    if not again:
        stack.git("merge", "--quiet", "--squash", last)
    much: dict[str, str | None] = {"same.txt": "1", "much.txt": "more\n" * 50}
    stack.commit("squashed", much if again else None, author="Mallory")
    grown = stack.commit("and changed", {"same.txt": "another line"}, author="Mallory")
    stack.git("switch", "--quiet", "main")
    stack.git("merge", "--quiet", "--squash", grown)
    stack.commit("parent", author="Mallory")
    questions = decide(evidence(stack, current=grown, older=[last], merge=stack.head())).questions
    assert bool(questions) is again


def test_commits_that_cancel_each_other_out_are_a_question(stack: Repo) -> None:
    """A base contains the sum of a change and its revert trivially: that proves nothing."""
    stack.git("switch", "--quiet", "child")
    stack.git("reset", "--quiet", "--hard", "child~2")
    stack.commit("take it back", {"c-one.txt": None})
    stray = stack.commit("empty")
    stack.commit("child two", {"c-two.txt": "2"})
    stack.git("switch", "--quiet", "main")
    parent = stack.head("parent")
    for older in (stray, stack.head(f"{stray}~1")):
        found = decide(evidence(stack, current=parent, older=[older], merge=parent))
        assert [question.kind for question in found.questions] == [CommitClass.VANISHED]


def test_an_empty_commit_of_a_parent_that_was_squashed(stack: Repo) -> None:
    """Between commits that the squash contains it is the parent's; on top it could be the child's: a question."""
    stack.git("switch", "--quiet", "child")
    stack.git("reset", "--quiet", "--hard", "child~2")
    stack.commit("empty")
    last = stack.commit("parent three", {"p-three.txt": "3"})
    stray = stack.commit("empty again")
    stack.commit("child two", {"c-two.txt": "2"})
    stack.git("switch", "--quiet", "main")
    stack.git("merge", "--quiet", "--squash", last)
    squashed = stack.commit("all in one", author="Mallory")
    assert decide(evidence(stack, current=squashed, older=[last], merge=squashed)).questions == ()
    (question,) = decide(evidence(stack, current=squashed, older=[stray], merge=squashed)).questions
    assert subjects(question.commits) == ["empty again"]  # not those below it, which the squash contains


def test_child_pushed_to_the_parents_branch_by_mistake(stack: Repo) -> None:
    """An earlier head of the parent holds the child's work, which the parent removed: a question."""
    parent, stray = stack.head("parent"), stack.head("child~1")
    seen = evidence(stack, current=parent, older=[stray], merge=squash(stack))
    found = decide(seen)
    (question,) = found.questions
    assert (question.kind, subjects(question.commits)) == (CommitClass.VANISHED, ["child one", "child two"])
    assert {answer.oid for answer in found.answers} == {parent, stray}
    assert subjects(decide(seen, given=parent).own) == CHILD
    assert subjects(decide(seen, given=stray).own) == ["child three"]


def test_parent_that_grew_by_force_push_and_push(stack: Repo) -> None:
    """An older head is contained in the newer one and changes nothing."""
    parent, older = stack.head("parent"), stack.head("parent~1")
    found = decide(evidence(stack, current=parent, older=[older], merge=squash(stack)))
    assert (found.fork, found.questions) == (parent, ())


def test_parent_that_grew_after_the_child_left_it(stack: Repo) -> None:
    """A review fix on the parent: what both share is the parent's."""
    left = stack.head("parent")
    stack.git("switch", "--quiet", "parent")
    stack.commit("review fix", {"fix.txt": "1"})
    stack.git("switch", "--quiet", "main")
    found = decide(evidence(stack, current=stack.head("parent"), merge=squash(stack)))
    assert (found.fork, subjects(found.own), found.questions) == (left, CHILD, ())


def test_a_branch_that_sits_on_trunk_already(stack: Repo) -> None:
    """After the rebase the fork point is trunk itself: running again has nothing to do."""
    parent = stack.head("parent")
    merge = squash(stack)
    stack.git("rebase", "--quiet", "--onto", "main", parent, "child")
    found = decide(evidence(stack, current=parent, merge=merge))
    assert (found.fork, found.about, subjects(found.own)) == (merge, "merge base with trunk", CHILD)


def test_a_hand_made_rebase_that_dragged_the_parent_along(stack: Repo) -> None:
    """Copies of the parent's commits that trunk holds already are left out: that provably changes no tree."""
    parent = stack.head("parent")
    merge = squash(stack)
    stack.git("rebase", "--quiet", "--reapply-cherry-picks", "--empty=keep", "-Xtheirs", "main", "child")
    found = decide(evidence(stack, current=parent, merge=merge))
    assert (subjects(found.own), found.questions) == (CHILD, ())
    assert subjects(found.of_kind(CommitClass.COPY)) == ["parent one", "parent two"]


def test_a_hand_made_rebase_onto_half_of_the_parent_is_a_question(stack: Repo) -> None:
    """Trunk took only half of the parent: leaving its copies out would change the result."""
    parent = stack.head("parent")
    stack.git("switch", "--quiet", "main")
    stack.commit("the squash took only half (#1)", {"p.txt": "1\n"})
    merge = stack.head("main")
    stack.git("rebase", "--quiet", "--reapply-cherry-picks", "--empty=keep", "-Xtheirs", "main", "child")
    found = decide(evidence(stack, current=parent, merge=merge))
    assert [(each.kind, subjects(each.commits)) for each in found.questions] == [
        (CommitClass.LIKENESS, ["parent two"])
    ]


def test_bottom_entry_has_no_parent(stack: Repo) -> None:
    """Without an entry below, the merge base with trunk is the fork point."""
    stack.commit("trunk moved", {"other.txt": "x"})
    found = decide(evidence(stack, current=None, child="parent"))
    assert (found.about, subjects(found.own)) == ("merge base with trunk", ["parent one", "parent two"])


@pytest.mark.parametrize(("revision", "drops"), [("child~2", ["child one"]), ("child", CHILD), ("main", [])])
def test_a_given_fork_point_that_contradicts_the_evidence(stack: Repo, revision: str, drops: list[str]) -> None:
    """A fork point may not leave out own commits, lie off the branch, or make the parent's commits own."""
    parent = stack.head("parent")
    seen = evidence(stack, current=parent, merge=squash(stack))
    with pytest.raises(InvalidForkPointError) as refused:
        decide(seen, given=stack.head(revision))
    assert subjects(refused.value.drops) == drops


def test_an_own_commit_that_repeats_a_parents_patch(stack: Repo) -> None:
    """An own commit with the parent's very patch is own: no head of the parent holds it."""
    parent = stack.head("parent")
    stack.git("switch", "--quiet", "child")
    stack.commit("take it out", {"p.txt": "1\n"})
    stack.commit("put it back", {"p.txt": "1\n2\n"})
    stack.git("switch", "--quiet", "main")
    found = decide(evidence(stack, current=parent, merge=squash(stack)))
    assert (subjects(found.own), found.questions) == ([*CHILD, "take it out", "put it back"], ())


def test_trunk_merged_into_the_branch_after_the_parents_squash(stack: Repo) -> None:
    """The button "Update branch": the automatic merge is left out, trunk's commits are not own."""
    parent = stack.head("parent")
    merge = squash(stack)
    stack.git("switch", "--quiet", "child")
    stack.git("merge", "--quiet", "--no-edit", "main")
    stack.commit("child four", {"c-four.txt": "4"})
    stack.git("switch", "--quiet", "main")
    found = decide(evidence(stack, current=parent, merge=merge))
    assert subjects(found.own) == [*CHILD, "child four"]
    assert len(found.of_kind(CommitClass.MERGE)) == 1
