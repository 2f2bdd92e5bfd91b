"""The own commits of an entry, from synthetic evidence: examples for each rule, and properties."""

from __future__ import annotations

import dataclasses
import hashlib
from collections.abc import Mapping, Sequence

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from msgspec import structs

from trunkline.domain.commits import Commit
from trunkline.domain.names import Oid, oid
from trunkline.planning.commit_matching import Likeness, match
from trunkline.planning.fork_point import decide
from trunkline.planning.fork_point_evidence import Evidence, KnownHead, Parent
from trunkline.planning.ownership import Classified, CommitClass, InvalidForkPointError, Ownership


def name(text: str) -> Oid:
    """Return a made-up object id."""
    return oid(hashlib.sha1(text.encode(), usedforsecurity=False).hexdigest())


BASE = name("base")


def commit(
    text: str, *parents: Oid, subject: str = "", author: str = "", date: int = 0, patch: str | None = None
) -> Commit:
    """Return a commit whose id, subject, date and patch derive from its text unless given."""
    line = f"{author or 'Ada'} <a@example.invalid> {date or sum(text.encode())} +0000".encode()
    return Commit(
        oid=name(text), parents=parents or (BASE,), tree=name(f"tree of {text}"), author=line,
        message=(subject or text).encode() + b"\n", patch_id=name(f"patch of {text}") if patch is None else patch,
    )  # fmt: skip


def line(*texts: str, onto: Oid = BASE) -> tuple[Commit, ...]:
    """Return a straight line of commits."""
    found, below = [], onto
    for text in texts:
        found.append(commit(text, below))
        below = found[-1].oid
    return tuple(found)


def head(tip: Commit, chain: Sequence[Commit], *, current: bool = True) -> KnownHead:
    """Return a known head with what it holds of a straight chain."""
    names = [each.oid for each in chain]
    below = names[: names.index(tip.oid) + 1] if tip.oid in names else []
    return KnownHead(tip.oid, current, frozenset(below))


def evidence(chain: Sequence[Commit], *parents: Parent, absorbed: int = 0) -> Evidence:
    """Return evidence for a chain; the first `absorbed` commits are proven to be in the base."""
    return Evidence(
        child=chain[-1].oid, merge_base=BASE, chain=tuple(chain), parents=parents,
        absorbed=lambda commits: min(absorbed, len(commits)),
    )  # fmt: skip


def subjects(commits: Sequence[Commit]) -> list[str]:
    """Return the subjects of commits."""
    return [each.subject for each in commits]


def test_a_parent_that_was_never_rewritten_is_decided_by_identity_alone() -> None:
    """Own commits that look like the parent's (revert, re-apply, version bump) stay own."""
    p1, p2, c1, c2 = line("p1", "p2", "c1", "c2")
    twin = structs.replace(c2, message=p1.message, author=p1.author, patch_id=p1.patch_id)
    chain = (p1, p2, c1, twin)
    found = decide(evidence(chain, Parent("#1", (head(p2, chain),), (p1, p2))))
    assert (found.own, found.fork, found.about, found.questions) == ((c1, twin), p2.oid, "head of #1", ())


def test_a_parent_amended_in_content_and_message_is_matched_by_author_and_date() -> None:
    """An amend keeps the author line, so the old version at the old head is the parent's."""
    p1, p2, _ = chain = line("p1", "p2", "c1")
    amended = structs.replace(p2, oid=name("amended"), message=b"other words\n", patch_id=name("other"))
    parent = Parent("#1", (KnownHead(amended.oid, True, frozenset()), head(p2, chain, current=False)), (p1, amended),
                    rewritten=True)  # fmt: skip
    found = decide(evidence(chain, parent))
    assert (subjects(found.own), found.fork, found.questions) == (["c1"], p2.oid, ())
    assert found.about == "an earlier head of #1"


def test_a_childs_commit_pushed_to_the_parent_by_mistake_is_a_question() -> None:
    """Of two commits with the same author line the parent's one version uses up one; the other has vanished."""
    p1, c1, _ = chain = tuple(structs.replace(each, author=b"A <a@x> 1 +0000") for each in line("p1", "c1", "c2"))
    amended = structs.replace(p1, oid=name("amended"), message=b"amended\n", patch_id="")
    old = head(c1, chain, current=False)
    parent = Parent("#1", (KnownHead(amended.oid, True, frozenset()), old), (amended,), rewritten=True)
    found = decide(evidence(chain, parent))
    (question,) = found.questions
    assert (question.kind, subjects(question.commits)) == (CommitClass.VANISHED, ["c1"])
    assert {answer.oid: subjects(answer.own) for answer in found.answers} == {p1.oid: ["c1", "c2"], c1.oid: ["c2"]}
    for answer in found.answers:
        assert decide(evidence(chain, parent), given=answer.oid).own == answer.own


@pytest.mark.parametrize(
    ("subject", "author", "date", "asks"),
    [
        ("trigger", "", 99, False),
        ("trigger", "Nina", 0, False),
        ("trigger", "Nina", 99, True),
        ("other", "", 99, True),
    ],
)
def test_an_empty_commit_with_a_new_date_or_author_is_the_parents(
    subject: str, author: str, date: int, *, asks: bool
) -> None:
    """Its subject and its author or date identify a commit without a patch id in the rewritten parent."""
    p1, own = line("p1", "c1")
    trigger = commit("old", p1.oid, subject="trigger", patch="")
    chain = (p1, trigger, structs.replace(own, parents=(trigger.oid,)))
    again = commit("new", p1.oid, subject=subject, patch="", author=author, date=date or sum(b"old"))
    old = head(trigger, chain, current=False)
    parent = Parent("#1", (KnownHead(again.oid, True, frozenset({p1.oid})), old), (p1, again), rewritten=True)
    assert bool(decide(evidence(chain, parent)).questions) is asks


def test_an_answer_is_not_asked_for_again() -> None:
    """The commits that a person kept are own from then on; others of the same parent are still asked about."""
    p1, c1, c2, c3 = chain = line("p1", "c1", "c2", "c3")
    parent = Parent("#1", (head(p1, chain), head(c2, chain, current=False)), (p1,), rewritten=True)
    asked = evidence(chain, parent)
    assert decide(asked, given=p1.oid).confirmed == (c1.oid, c2.oid)
    assert decide(asked, given=c1.oid).confirmed == (c2.oid,)
    known = dataclasses.replace(asked, confirmed=lambda: frozenset({c1.oid, c2.oid}))
    found = decide(known)
    assert (found.own, found.fork, found.questions) == ((c1, c2, c3), p1.oid, ())
    (question,) = decide(dataclasses.replace(asked, confirmed=lambda: frozenset({c2.oid}))).questions
    assert question.commits == (c1,)


def test_an_empty_commit_is_no_copy_of_another_one() -> None:
    """An own empty commit stays, though an amended parent got one with the same subject."""
    p1, own = line("p1", "c1")
    trigger = commit("old", p1.oid, subject="trigger", patch="")
    chain = (p1, trigger, structs.replace(own, parents=(trigger.oid,)))
    amended = structs.replace(p1, oid=name("amended"), patch_id=name("other"))
    again = commit("new", amended.oid, subject="trigger", patch="", date=99)
    heads = (KnownHead(again.oid, True, frozenset()), head(p1, chain, current=False))
    found = decide(evidence(chain, Parent("#1", heads, (amended, again), rewritten=True), absorbed=1))
    assert (subjects(found.own), found.questions) == (["trigger", "c1"], ())


def test_a_commit_that_the_parent_still_has_accounts_for_no_other() -> None:
    """The parent dropped its second commit; the first, of the same author and second, is itself and nothing else."""
    p1, p2, _ = chain = tuple(structs.replace(each, author=b"A <a@x> 1 +0000") for each in line("p1", "p2", "c1"))
    parent = Parent("#1", (head(p1, chain), head(p2, chain, current=False)), (p1,), rewritten=True)
    (question,) = decide(evidence(chain, parent)).questions
    assert (question.kind, question.commits) == (CommitClass.VANISHED, (p2,))


def test_a_commit_that_was_skipped_in_the_parent_is_the_parents() -> None:
    """A commit that was skipped in the parent is dropped from the child, without a question."""
    p1, p2, _ = chain = line("p1", "p2", "c1")
    parent = Parent("#1", (head(p1, chain), head(p2, chain, current=False)), (p1,), rewritten=True)
    asked = evidence(chain, parent)
    assert decide(asked).questions
    found = decide(dataclasses.replace(asked, left_out=lambda _: frozenset({p2.oid})))
    assert (subjects(found.own), found.fork, found.questions) == (["c1"], p2.oid, ())


def test_an_entry_between_holds_the_commits_of_those_below() -> None:
    """The lowest was reworded; its old version accounts for it, although the nearer entry holds that by object id."""
    p1, p2, c1, c2 = line("p1", "p2", "c1", "c2")
    twin = structs.replace(c1, message=p1.message, author=p1.author)
    chain = (p1, p2, twin, c2)
    again = structs.replace(p1, oid=name("again"), message=b"reworded\n")
    nearer = Parent("#2", (head(p2, chain),), (p1, p2))
    lowest = Parent("#1", (KnownHead(again.oid, True, frozenset()), head(p1, chain, current=False)), (again,), True)
    found = decide(evidence(chain, nearer, lowest))
    assert (found.own, found.questions) == ((twin, c2), ())


def test_a_change_applied_again_is_matched_with_its_own_author_and_date() -> None:
    """The entry below holds a commit with the same patch and subject: it does not account for the moved one."""
    p1, p2, _ = chain = line("p1", "p2", "c1")
    twin = structs.replace(p2, message=p1.message, patch_id=p1.patch_id)
    chain = (p1, twin, chain[-1])
    moved = structs.replace(twin, oid=name("moved"), parents=(BASE,))
    lower = Parent("#1", (head(p1, chain),), (p1,))
    upper = Parent("#2", (KnownHead(moved.oid, True, frozenset()), head(p2, chain, current=False)), (moved,), True)
    found = decide(evidence(chain, upper, lower))
    assert (subjects(found.own), found.questions) == (["c1"], ())


def test_a_commit_of_the_entry_below_accounts_for_none_of_a_parent_that_moved_away() -> None:
    """Both are empty, with one author, date and subject: only the parent's head distinguishes them."""
    p1, p2, c1 = line("p1", "p2", "c1")
    p1 = structs.replace(p1, patch_id="")
    p2 = structs.replace(p2, message=p1.message, author=p1.author, patch_id="")
    moved = structs.replace(p2, oid=name("moved"), parents=(BASE,))
    chain = (p1, p2, c1)
    lower = Parent("#1", (head(p1, chain),), (p1,))
    upper = Parent("#2", (KnownHead(moved.oid, True, frozenset()), head(p2, chain, current=False)), (moved,), True)
    found = decide(evidence(chain, upper, lower))
    assert (subjects(found.own), found.questions) == (["c1"], ())


def test_exact_copies_of_what_a_parent_got_later_are_left_out() -> None:
    """A commit cherry-picked to a parent that was never force-pushed; one that only looks alike stays own."""
    p1, c1, c2 = chain = line("p1", "c1", "c2")
    copy = structs.replace(c1, oid=name("copy"), parents=(p1.oid,))
    alike = structs.replace(copy, patch_id=name("another patch"))
    for picked, left in ((copy, [c2]), (alike, [c1, c2])):
        parent = Parent("#1", (KnownHead(picked.oid, True, frozenset({p1.oid})),), (p1, picked))
        found = decide(evidence(chain, parent, absorbed=1))
        assert (list(found.own), found.questions) == (left, ())


def test_an_exact_copy_is_left_out_though_it_was_own_before_the_parent_got_it() -> None:
    """Any force-push of the entry leaves an earlier head with that commit: it proves nothing about a later copy."""
    p1, c1, _ = chain = line("p1", "c1", "c2")
    copy = structs.replace(c1, oid=name("copy"), parents=(p1.oid,))
    heads = (KnownHead(copy.oid, True, frozenset({p1.oid})), head(p1, chain, current=False))
    known = evidence(chain, Parent("#1", heads, (p1, copy)), absorbed=1)
    found = decide(dataclasses.replace(known, earlier=lambda _: (c1,)))
    assert (subjects(found.own), found.of_kind(CommitClass.COPY), found.questions) == (["c2"], (c1,), ())


def test_only_the_topmost_vanished_run_is_a_question() -> None:
    """A deeper commit without a match is the parent's: something above it was recognised."""
    p1, p2, _ = chain = line("p1", "p2", "c1")
    again = structs.replace(p2, oid=name("again"))
    parent = Parent("#1", (KnownHead(again.oid, True, frozenset()), head(p2, chain, current=False)), (again,), True)
    found = decide(evidence(chain, parent))
    assert (subjects(found.own), found.questions) == (["c1"], ())
    assert [each.kind for each in found.classes] == [CommitClass.PARENT, CommitClass.PARENT, CommitClass.OWN]
    assert p1 in found.of_kind(CommitClass.PARENT)


def test_what_lies_below_a_certain_commit_of_another_parent_is_no_question() -> None:
    """The lower parent dropped its commit, but the parent above it still stands on it."""
    p1, p2, c1 = chain = line("p1", "p2", "c1")
    again = structs.replace(p2, oid=name("again"))
    lower = Parent("#1", (head(p1, chain, current=False),), rewritten=True)
    upper = Parent("#2", (KnownHead(again.oid, True, frozenset()), head(p2, chain, current=False)), (again,), True)
    found = decide(evidence(chain, lower, upper))
    assert (found.own, found.questions) == ((c1,), ())


def test_copies_of_a_rewritten_parent_at_the_bottom_are_left_out_when_the_base_has_them() -> None:
    """A hand-made rebase dragged the parent's commits along; the base provably holds them."""
    chain = line("p1", "p2", "c1")
    merged = tuple(structs.replace(each, oid=name(f"merged {each.subject}")) for each in chain[:2])
    parent = Parent("#1", (KnownHead(merged[1].oid, True, frozenset()),), merged)
    found = decide(evidence(chain, parent, absorbed=2))
    assert (subjects(found.own), found.questions) == (["c1"], ())
    assert subjects(found.of_kind(CommitClass.COPY)) == ["p1", "p2"]


def likeness() -> Evidence:
    """Return evidence in which two commits look like the parent's, and the base holds only one."""
    chain = line("p1", "p2", "c1")
    merged = tuple(structs.replace(each, oid=name(f"merged {each.subject}")) for each in chain[:2])
    parent = Parent("#1", (KnownHead(merged[1].oid, True, frozenset()),), merged)
    return evidence(chain, parent, absorbed=1)


def grown() -> Evidence:
    """Return evidence in which the parent got a commit by another patch that looks like an own one."""
    p1, c1, _ = chain = line("p1", "c1", "c2")
    later = structs.replace(c1, oid=name("later"), patch_id="another")
    return evidence(chain, Parent("#1", (head(p1, chain),), (p1, later)))


def shortened() -> Evidence:
    """Return evidence in which the parent has a copy of the lowest of three commits of its old head."""
    p1, _, p3, _ = chain = line("p1", "p2", "p3", "c1")
    kept = structs.replace(p1, oid=name("kept"))
    return evidence(chain, Parent("#1", (head(p3, chain, current=False),), (kept,), rewritten=True))


@pytest.mark.parametrize("moved", [False, True])
def test_an_equal_diff_of_another_author_is_another_commit(*, moved: bool) -> None:
    """A colleague inserted the same change into the parent, amended since. What moved there keeps its author."""
    p1, c1, _ = chain = line("p1", "c1", "c2")
    twin = structs.replace(
        c1, oid=name("twin"), message=b"other words\n", author=c1.author if moved else b"M <m@x> 1 +0000"
    )
    now = structs.replace(p1, oid=name("p1 on twin"), parents=(twin.oid,))
    heads = KnownHead(now.oid, True, frozenset()), head(p1, chain, current=False)
    known = evidence(chain, Parent("#1", heads, (twin, now), rewritten=True), absorbed=1)
    known = dataclasses.replace(known, similar=lambda one, other: {one[-1].oid: other[0].oid} if one else {})
    assert subjects(decide(known).own) == (["c2"] if moved else ["c1", "c2"])


def test_above_a_certain_parent_only_exact_copies_of_those_below_are_left_out() -> None:
    """The entry sits on the current head of #2, which was never force-pushed; #1 below was, and got a like commit."""
    p1, p2, c1, _ = chain = line("p1", "p2", "c1", "c2")
    twin = structs.replace(c1, oid=name("twin"), patch_id=name("another"))
    now = structs.replace(p1, oid=name("p1 on twin"), parents=(twin.oid,))
    below = Parent("#1", (KnownHead(now.oid, True, frozenset()), head(p1, chain, current=False)), (twin, now),
                   rewritten=True)  # fmt: skip
    on = Parent("#2", (head(p2, chain),), (p1, p2))
    assert subjects(decide(evidence(chain, on, below, absorbed=1)).own) == ["c1", "c2"]
    exact = structs.replace(below, commits=(structs.replace(c1, oid=name("twin")), now))
    assert subjects(decide(evidence(chain, on, exact, absorbed=1)).own) == ["c2"]


def test_a_likeness_that_is_not_proven_is_a_question() -> None:
    """The commits look like the parent's, yet leaving them out would change the result."""
    found = decide(likeness())
    assert [(question.kind, subjects(question.commits)) for question in found.questions] == [
        (CommitClass.LIKENESS, ["p2"])
    ]
    assert [subjects(answer.own) for answer in found.answers] == [["p2", "c1"], ["c1"]]


def test_a_likeness_above_the_bottom_means_nothing() -> None:
    """An own commit re-applies a change of the parent's: not at the bottom, so it is own."""
    chain = line("c1", "p1", "c2")
    merged = structs.replace(chain[1], oid=name("merged"))
    parent = Parent("#1", (KnownHead(merged.oid, True, frozenset()),), (merged,), rewritten=True)
    found = decide(evidence(chain, parent, absorbed=3))
    assert (subjects(found.own), found.questions) == (["c1", "p1", "c2"], ())


def test_two_branches_cut_from_trunk_in_the_same_second_stay_apart() -> None:
    """Same author and date alone say nothing of a parent that was never force-pushed."""
    mine, more, theirs = (commit(text, date=7) for text in ("mine", "more", "theirs"))
    chain = (mine, structs.replace(more, parents=(mine.oid,)))
    parent = Parent("#1", (KnownHead(theirs.oid, True, frozenset()),), (theirs,))
    found = decide(evidence(chain, parent))
    assert (found.own, found.fork, found.about) == (chain, BASE, "merge base with trunk")


def test_a_commit_that_landed_with_an_entry_between_accounts_for_its_version() -> None:
    """An own commit of the same author and second is no version of the parent's rewritten commit."""
    landed = commit("p1", subject="bump", date=1)
    rewritten = structs.replace(landed, oid=name("p1 again"), patch_id=name("patch of p1 again"))
    c1, c2 = commit("c1", date=1), commit("c2", name("c1"), date=2)
    parent = Parent("#1", (KnownHead(rewritten.oid, True, frozenset()),), (rewritten,), rewritten=True)
    assert decide(evidence([c1, c2], parent)).questions
    found = decide(evidence([c1, c2], structs.replace(parent, landed=(landed,))))
    assert (found.questions, subjects(found.own)) == ((), ["c1", "c2"])


def test_what_was_own_before_a_rebase_stays_own() -> None:
    """An earlier head of the entry sat on the parent, so a similar commit there was its own."""
    old = commit("old c1", subject="codemod", date=1, patch=name("patch"))
    c1, c2 = commit("c1", subject="codemod", date=1, patch=name("patch")), commit("c2", name("c1"), date=2)
    theirs = commit("p1", subject="codemod", date=1)
    parent = Parent("#1", (KnownHead(theirs.oid, True, frozenset()),), (theirs,))
    seen = evidence([c1, c2], parent)
    assert decide(seen).questions
    found = decide(dataclasses.replace(seen, earlier=lambda _: (old,)))
    assert (found.questions, subjects(found.own)) == ((), ["codemod", "c2"])


def test_the_last_commit_of_an_entry_is_never_taken_for_a_copy() -> None:
    """An entry of one commit that looks like the parent's is still an entry."""
    (only,) = chain = line("p1")
    merged = structs.replace(only, oid=name("merged"))
    parent = Parent("#1", (KnownHead(merged.oid, True, frozenset()),), (merged,), rewritten=True)
    assert decide(evidence(chain, parent, absorbed=1)).own == (only,)


def test_what_trunk_dropped_is_a_question() -> None:
    """Trunk was force-pushed without a commit that the branch sits on."""
    dropped, c1 = chain = line("dropped", "c1")
    trunk = Parent("main", (head(dropped, chain, current=False),), trunk=True)
    found = decide(evidence(chain, trunk))
    (question,) = found.questions
    assert (question.kind, question.parent) == (CommitClass.REMOVED_FROM_TRUNK, "main")
    assert [subjects(answer.own) for answer in found.answers] == [["dropped", "c1"], ["c1"]]
    assert c1 in found.own


def test_a_branch_once_pushed_to_trunk_by_mistake_belongs_to_its_entry() -> None:
    """The entry below claims its commits before trunk's history does."""
    p1, c1 = chain = line("p1", "c1")
    trunk = Parent("main", (head(p1, chain, current=False),), trunk=True)
    found = decide(evidence(chain, trunk, Parent("#1", (head(p1, chain),), (p1,))))
    assert (found.own, found.questions) == ((c1,), ())


def test_a_clean_merge_of_trunk_is_no_own_commit() -> None:
    """The button "Update branch": the merge is left out, the own commits on both sides of it stay."""
    c1 = commit("c1")
    merge = commit("merge", c1.oid, name("trunk tip"))
    c2 = commit("c2", merge.oid)
    found = decide(dataclasses.replace(evidence((c1, merge, c2)), clean_merges=frozenset({merge.oid})))
    assert (found.own, found.of_kind(CommitClass.MERGE)) == ((c1, c2), (merge,))


def test_a_merge_resolved_by_hand_is_recognised() -> None:
    """Its tree differs from git's automatic merge."""
    c1 = commit("c1")
    merge = commit("merge", c1.oid, name("trunk tip"))
    found = decide(evidence((c1, merge)))
    assert (found.own, found.of_kind(CommitClass.HAND_MERGE)) == ((c1,), (merge,))


def test_a_merge_of_another_feature_branch_is_own() -> None:
    """Both sides bring commits that belong to no parent: the entry holds a merge of its own."""
    c1, side = commit("c1"), commit("side")
    merge = commit("merge", c1.oid, side.oid)
    found = decide(dataclasses.replace(evidence((c1, side, merge)), clean_merges=frozenset({merge.oid})))
    assert merge in found.own


@pytest.mark.parametrize("then", ["merged as it is", "amended again", "amended in message too"])
def test_a_branch_with_two_versions_of_its_parent(then: str) -> None:
    """The parent was amended and merged into the branch; each version is matched by itself, also the current one."""
    p1, p2, c1 = line("p1", "p2", "c1")
    again = structs.replace(p2, oid=name("again"), patch_id=name("other patch"))
    merge = commit("merge", c1.oid, again.oid)
    chain = (p1, p2, c1, again, merge)
    versions = [
        head(p2, chain, current=False),
        KnownHead(again.oid, then == "merged as it is", frozenset({again.oid})),
    ]
    now = (p1, again)
    if then != "merged as it is":
        last = structs.replace(again, oid=name("last"), patch_id=name("last patch"))
        now = (p1, structs.replace(last, message=b"reworded\n") if then == "amended in message too" else last)
        versions.append(KnownHead(last.oid, True, frozenset({p1.oid})))
    found = decide(evidence(chain, Parent("#1", tuple(versions), now, rewritten=True)))
    assert (subjects(found.own), found.questions) == (["c1"], ())


def test_a_commit_pushed_to_the_parent_by_mistake_is_asked_about_beside_another_version() -> None:
    """The parent's later version was merged above it: that proves nothing about the commit."""
    p1, stray, c1 = line("p1", "stray", "c1")
    again = structs.replace(p1, oid=name("again"), patch_id=name("other patch"))
    last = structs.replace(p1, oid=name("last"), patch_id=name("last patch"))
    merge = commit("merge", c1.oid, again.oid)
    chain = (p1, stray, c1, again, merge)
    heads = (head(stray, chain, current=False), KnownHead(again.oid, False, frozenset({again.oid})))
    parent = Parent("#1", (KnownHead(last.oid, True, frozenset()), *heads), (last,), rewritten=True)
    (question,) = decide(evidence(chain, parent)).questions
    assert (question.kind, question.commits) == (CommitClass.VANISHED, (stray,))


@pytest.mark.parametrize(
    ("cut", "drops", "takes"), [("c1", ["c1"], []), ("base", [], ["p1", "p2"]), ("p1", [], ["p2"])]
)
def test_a_given_fork_point_never_overrules_object_ids(cut: str, drops: list[str], takes: list[str]) -> None:
    """A fork point may not leave out own commits, nor make the parent's own."""
    p1, p2, c1, c2 = chain = line("p1", "p2", "c1", "c2")
    assert (c1, c2) == chain[2:]
    parent = Parent("#1", (head(p2, chain),), (p1, p2))
    with pytest.raises(InvalidForkPointError) as raised:
        decide(evidence(chain, parent), given=name(cut))
    assert (subjects(raised.value.drops), subjects(raised.value.takes)) == (drops, takes)


def test_a_given_fork_point_off_the_branch_is_invalid() -> None:
    """A fork point must be a commit of the branch, or what its commits sit on."""
    with pytest.raises(InvalidForkPointError):
        decide(evidence(line("c1")), given=name("elsewhere"))


def test_matching_is_one_to_one_and_strongest_first() -> None:
    """The exact patch is paired before a commit that only shares author and date."""
    one = (commit("a", date=1), commit("b", date=1))
    other = (commit("x", date=1, subject="b", patch=one[1].patch_id), commit("y", date=1))
    assert match(one, other) == {
        one[1].oid: (other[0].oid, Likeness.PATCH_AND_SUBJECT),
        one[0].oid: (other[1].oid, Likeness.AUTHOR_DATE),
    }
    assert len(match(one, other[:1])) == 1


def test_what_nothing_else_pairs_is_paired_by_diff() -> None:
    """As `git range-diff` does, for a parent amended with another author date."""
    (one,), (other,) = line("a"), line("b")
    assert match((one,), (other,), lambda left, free: {left[0].oid: free[0].oid}) == {
        one.oid: (other.oid, Likeness.SIMILAR_DIFF)
    }


# --- Properties ----------------------------------------------------------------------------------------------------


@st.composite
def evidences(draw: st.DrawFn) -> Evidence:
    """Draw a straight chain of commits that share authors, dates, subjects and patches, and parents in any state."""

    def any_commit(text: str, below: Oid) -> Commit:
        return commit(
            text, below, subject=draw(st.sampled_from("stu")), author=draw(st.sampled_from("AB")),
            date=draw(st.integers(1, 2)), patch=draw(st.sampled_from(["", "1", "2", "3"])),
        )  # fmt: skip

    chain: list[Commit] = []
    for index in range(draw(st.integers(1, 6))):
        chain.append(any_commit(f"chain {index}", chain[-1].oid if chain else BASE))
    parents = []
    for number in range(draw(st.integers(0, 3))):
        heads = [
            head(draw(st.sampled_from(chain)), chain, current=draw(st.booleans()))
            for _ in range(draw(st.integers(0, 2)))
        ]
        known = [each for each in chain if any(each.oid in kept.holds for kept in heads if kept.current)]
        more = [any_commit(f"parent {number} {index}", BASE) for index in range(draw(st.integers(0, 3)))]
        rewritten = draw(st.booleans())
        parents.append(Parent(f"#{number}", tuple(heads), (*known, *more), rewritten, trunk=number == 2))
    absorbed = draw(st.integers(0, 6))
    return evidence(chain, *parents, absorbed=absorbed)


def kinds(found: Ownership) -> Mapping[Oid, CommitClass]:
    """Return the class of each commit."""
    return {each.commit.oid: each.kind for each in found.classes}


@given(evidences())
@example(likeness())  # few drawn examples have a commit of this class
@settings(max_examples=300)
def test_every_commit_is_in_exactly_one_class(known: Evidence) -> None:
    """The classes list the chain, each commit once; the own commits are those of class OWN."""
    found = decide(known)
    assert [each.commit for each in found.classes] == list(known.chain)
    assert found.own == found.of_kind(CommitClass.OWN)


@given(evidences())
@settings(max_examples=300)
def test_identity_beats_likeness(known: Evidence) -> None:
    """A commit in a parent's current head is never own; a commit in no head is never the parent's by id."""
    found = kinds(decide(known))
    current = frozenset[Oid]().union(
        *(each.holds for parent in known.parents for each in parent.heads if each.current and not parent.trunk)
    )
    held = frozenset[Oid]().union(*(each.holds for parent in known.parents for each in parent.heads))
    assert all(found[each] is CommitClass.PARENT for each in current)
    assert all(found[each] is not CommitClass.PARENT for each in found.keys() - held)


@given(evidences())
@example(grown())  # few drawn examples have a parent that grew
@settings(max_examples=300)
def test_more_of_the_same_changes_nothing(known: Evidence) -> None:
    """Pushing the same head twice, or adding a parent that shares nothing, changes no class."""
    doubled = tuple(structs.replace(parent, heads=parent.heads * 2) for parent in known.parents)
    stranger = commit("stranger", subject="x", author="C", date=9, patch="9")
    beside = Parent("#9", (KnownHead(stranger.oid, True, frozenset()),), (stranger,))
    again = dataclasses.replace(known, parents=(*doubled, beside))
    assert kinds(decide(again)) == kinds(decide(known))


@given(evidences())
@settings(max_examples=300)
def test_every_offered_answer_is_accepted_and_settles(known: Evidence) -> None:
    """Each answer leaves no question, keeps all certain own commits and only adds commits in question."""
    found = decide(known)
    disputed = {each.oid for question in found.questions for each in question.commits}
    assert bool(found.answers) == bool(found.questions)
    for answer in found.answers:
        settled = decide(known, given=answer.oid)
        assert (settled.own, settled.questions) == (answer.own, ())
        assert {each.oid for each in found.own} <= {each.oid for each in settled.own}
        assert {each.oid for each in settled.own} - {each.oid for each in found.own} <= disputed


@given(evidences(), st.text(alphabet="xyz", min_size=1, max_size=3))
@example(shortened(), "y")  # few drawn examples have several commits of an old head
@settings(max_examples=200)
def test_relabelling_changes_nothing(known: Evidence, suffix: str) -> None:
    """Other object ids and other names of parents: the same classes."""

    def renamed(each: Oid) -> Oid:
        return each if each == BASE else name(each + suffix)

    def moved(each: Commit) -> Commit:
        return structs.replace(each, oid=renamed(each.oid), parents=tuple(renamed(p) for p in each.parents))

    again = dataclasses.replace(
        known,
        child=renamed(known.child),
        chain=tuple(moved(each) for each in known.chain),
        parents=tuple(
            structs.replace(
                parent,
                name=parent.name + suffix,
                heads=tuple(
                    KnownHead(renamed(each.oid), each.current, frozenset(map(renamed, each.holds)))
                    for each in parent.heads
                ),
                commits=tuple(moved(each) for each in parent.commits),
            )
            for parent in known.parents
        ),
    )
    before: Sequence[Classified] = decide(known).classes
    after: Sequence[Classified] = decide(again).classes
    assert [each.kind for each in after] == [each.kind for each in before]
