"""The stack as text: reading it with every problem by line, single operations, and that nothing is lost."""

from __future__ import annotations

from collections import Counter
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from trunkline.domain.commits import Commit
from trunkline.domain.errors import UsageError, WrongFlag
from trunkline.domain.modify import Today, WantedStack, described, wanted
from trunkline.domain.modify_operations import Operation, applied
from trunkline.domain.names import Oid, branch_name, pr_number
from trunkline.domain.stack import Entry
from trunkline.domain.stack_text import EntryLine, lines_of, parsed, written


def commit(letter: str, subject: str = "") -> Commit:
    """Return a commit whose id is a repeated letter."""
    text = f"{subject or f'subject {letter}'}\n\nBody of {letter}.\n"
    return Commit(Oid(letter * 40), (Oid("0" * 40),), Oid("0" * 40), b"Ada <a@b> 1 +0000", text.encode())


A, B, C, D, E = (commit(letter) for letter in "abcde")
ONE, TWO = (Entry(pr_number(number), branch_name(name)) for number, name in ((1, "one"), (2, "two")))
NEW = Entry(None, branch_name("feat/three"))
STACK: Today = [(ONE, (A, B)), (TWO, (C, D)), (NEW, (E,))]


def read(text: str) -> tuple[WantedStack, list[str]]:
    """Return the stack that a text describes, and its problems."""
    lines, problems = parsed(text)
    if problems:
        return WantedStack(()), [str(each) for each in problems]
    stack, found = wanted(STACK, lines)
    return stack, [str(each) for each in found]


def subjects(stack: WantedStack) -> dict[str, list[str]]:
    """Return for each entry the first letters of the changes of its commits."""
    return {
        str(each.entry.branch): ["".join(change.oid[0] for change in new.changes) for new in each.commits]
        for each in stack.entries
    }


def test_unchanged_text_changes_nothing() -> None:
    """The text written for a stack is read back as the same stack."""
    text = written(STACK, "origin/main")
    assert text.startswith(
        "# stack onto origin/main, the bottom entry first\nentry #1 one\n    pick aaaaaaa subject a\n"
    )
    stack, problems = read(text)
    assert problems == []
    assert subjects(stack) == {"one": ["a", "b"], "two": ["c", "d"], "feat/three": ["e"]}
    assert list(described(STACK, stack)) == []


def test_everything_at_once() -> None:
    """Entries and commits move, are joined, reworded, dropped, removed and made."""
    stack, problems = read(
        """
        entry #2
            pick cccc
            squash aaaa
        entry feat/new
            reword bbbb Another subject
            fixup eeee
        remove feat/three
        entry #1
            pick dddd
        """
    )
    assert problems == []
    assert subjects(stack) == {"two": ["ca"], "feat/new": ["be"], "one": ["d"]}
    two, new, _ = stack.entries
    assert two.commits[0].message == b"subject c\n\nBody of c.\n\nsubject a\n\nBody of a.\n"
    assert new.commits[0].message == b"Another subject\n\nBody of b.\n"
    assert new.entry.number is None
    assert stack.removed == (NEW,)
    assert dict(described(STACK, stack))[ONE.key].startswith("moved onto feat/new; takes ddddddd; loses aaaaaaa")


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("", "line 1: there is no entry"),
        ("pick aaaa", "line 1: a commit before the first entry"),
        ("entry #1\npick", "line 2: pick: the name of a commit is missing"),
        ("entry", "line 1: entry: the name of an entry is missing"),
        ("entry #1\nkeep aaaa", "line 2: 'keep' is no verb; known are pick"),
        ("entry #7", "line 1: #7 is no open entry; the stack has #1, #2, feat/three"),
        ("entry a..b", "line 1: 'a..b' is no branch name"),
        ("entry #1\nentry one", "line 2: #1 is listed twice, first in line 1"),
        ("entry #1\npick ffff", "line 2: ffff is no own commit of the stack"),
        ("entry #1\npick aa", "line 2: aa is no own commit of the stack"),
        ("entry #1\npick aaaa\npick aaaaa", "is listed twice, first in line 2"),
        ("entry #1\nsquash aaaa", "line 2: squash: there is no commit above it in #1"),
        ("entry #1\nsplit aaaa", "line 2: split aaaa: the paths are missing"),
        ("entry #1\nsplit aaaa x", "line 2: split aaaa: changes nothing in x, or nothing else"),
        ("entry #1\nreword aaaa", "line 2: reword aaaa: the new subject is missing"),
        ("entry #1\ndrop aaaa\ndrop bbbb", "line 1: #1 has no commit left: write `remove #1`"),
        ("remove #1\npick aaaa", "line 2: aaaa is in #1, which is removed: move it, or drop it"),
        ("remove feat/new", "line 1: feat/new is no entry of the stack"),
        ("entry #1\npick aaaa", 'line 1: bbbbbbb "subject b" is missing: to lose it, write `drop bbbbbbb`'),
        ("entry #1\npick aaaa", "line 1: #2 is missing: to lose it, write `remove #2`"),
    ],
)
def test_problems_name_their_line(text: str, problem: str) -> None:
    """Every problem is found, with its line."""
    _, problems = read(text)
    assert any(problem in each for each in problems), problems


def after(**flags: Any) -> dict[str, list[str]]:
    """Return the stack after one operation."""
    stack, problems = wanted(STACK, applied(lines_of(STACK), Operation(**flags)))
    assert problems == ()
    return subjects(stack)


def test_operations() -> None:
    """Each operation changes what it names."""
    assert list(after(kind="move", name="2", onto="main", trunk="main")) == ["two", "one", "feat/three"]
    assert list(after(kind="move", name="one", onto="feat/three")) == ["two", "feat/three", "one"]
    assert after(kind="drop", name="#2") == {"one": ["a", "b"], "feat/three": ["e"]}
    assert after(kind="drop", name="cccc")["two"] == ["d"]
    assert after(kind="fold", name="2") == {"one": ["a", "b", "c", "d"], "feat/three": ["e"]}
    assert after(kind="fold", name="2", into="feat/three") == {"one": ["a", "b"], "feat/three": ["c", "d", "e"]}
    assert after(kind="split", name="aaaa", branch="half") == {
        "one": ["a"], "half": ["b"], "two": ["c", "d"], "feat/three": ["e"],
    }  # fmt: skip
    assert after(kind="rename", name="2", branch="feat/2", closes=True)["feat/2"] == ["c", "d"]
    assert after(kind="rename", name="feat/three", branch="feat/3") == {
        "one": ["a", "b"], "two": ["c", "d"], "feat/3": ["e"],
    }  # fmt: skip
    assert after(kind="squash", name="dddd")["two"] == ["cd"]
    assert after(kind="reword", name="dddd", message="Words")["two"] == ["c", "d"]


@pytest.mark.parametrize(
    ("flags", "what"),
    [
        ({"kind": "move", "name": "2"}, "--onto names"),
        ({"kind": "move", "name": "7", "onto": "1"}, "7 is no open entry"),
        ({"kind": "fold", "name": "1"}, "it is the bottom entry of the stack"),
        ({"kind": "move", "name": "2", "onto": "8", "trunk": "main"}, "--onto 8: the stack has no other open entry"),
        ({"kind": "fold", "name": "1", "into": "feat/three"}, "is not next to it"),
        ({"kind": "split", "name": "aaaa"}, "--branch makes an entry"),
        ({"kind": "rename", "name": "feat/three"}, "--branch has the new name"),
        ({"kind": "rename", "name": "2", "branch": "x"}, "#2 two keeps its branch"),
        ({"kind": "split", "name": "bbbb", "branch": "x"}, "it is the last commit of #1"),
        ({"kind": "drop", "name": "ffff"}, "is no own commit of the stack, nor an entry"),
        ({"kind": "reword", "name": "aaaa"}, "--message has the new message"),
    ],
)
def test_operations_that_do_not_fit(flags: dict[str, Any], what: str) -> None:
    """The error names what is missing or unknown."""
    with pytest.raises(UsageError, match=what):
        applied(lines_of(STACK), Operation(**flags))


@pytest.mark.parametrize(
    "operation",
    [Operation(kind="drop", name="ffff"), Operation(kind="move", name="2", onto="8", trunk="main")],
    ids=["commit", "place"],
)
def test_an_unknown_name_leads_to_the_list(operation: Operation) -> None:
    """The next command shows the entries and commits that there are, and moves nothing."""
    with pytest.raises(UsageError) as wrong:
        applied(lines_of(STACK), operation)
    assert wrong.value.next_commands[0].startswith("invoke modify --print")


@pytest.mark.parametrize(
    ("flags", "choices"),
    [
        ({"kind": "fold", "name": "1"}, ({"into": "2"},)),
        ({"kind": "fold", "name": "2", "into": "2"}, ({"into": "1"}, {"into": "feat/three"})),
        ({"kind": "move", "name": "2", "onto": "feat/tree", "trunk": "main"}, ({"onto": "feat/three"},)),
    ],
)
def test_operations_that_fit_with_another_flag(flags: dict[str, Any], choices: tuple[dict[str, str], ...]) -> None:
    """The next commands have a flag that fits."""
    with pytest.raises(WrongFlag) as caught:
        applied(lines_of(STACK), Operation(**flags))
    assert caught.value.choices == choices
    for choice in choices:
        assert applied(lines_of(STACK), Operation(**{**flags, **choice}))


def test_the_only_entry_cannot_be_folded() -> None:
    """There is no entry to name in the next command."""
    with pytest.raises(UsageError, match="no other entry is open"):
        applied(lines_of(STACK)[:1], Operation("fold", "1"))


def test_a_commit_is_split_by_paths() -> None:
    """Both parts keep the author; the messages number them."""
    halves = commit("1"), commit("2")
    text = written(STACK, "main").replace("pick cccc", "split cccc", 1).replace("subject c", "'x y' z")
    lines, problems = parsed(text)
    assert problems == ()
    asked: list[tuple[str, ...]] = []

    def halve(_: Commit, paths: tuple[str, ...]) -> tuple[Commit, Commit]:
        asked.append(paths)
        return halves

    stack, problems = wanted(STACK, lines, halve)
    assert problems == ()
    assert asked == [("x y", "z")]
    assert subjects(stack)["two"] == ["1", "2", "d"]
    assert [new.message for new in stack.entries[1].commits[:2]] == [
        b"subject c (1/2)\n\nBody of c.\n", b"subject c (2/2)\n\nBody of c.\n",
    ]  # fmt: skip
    assert dict(described(STACK, stack)) == {TWO.key: "splits ccccccc"}


KINDS = st.sampled_from(["move", "drop", "fold", "split", "reword", "squash"])
NAMES = st.sampled_from(["#1", "#2", "feat/three", *(each.oid for each in (A, B, C, D, E))])


@given(st.lists(st.tuples(KINDS, NAMES, NAMES), max_size=8))
def test_no_operation_loses_a_commit(steps: list[tuple[str, str, str]]) -> None:
    """Over random sequences every commit is in the stack exactly once, or was dropped by a `drop`."""
    lines: tuple[EntryLine, ...] = lines_of(STACK)
    for number, (kind, name, other) in enumerate(steps):
        try:
            lines = applied(lines, Operation(kind, name, onto=other, branch=f"new-{number}", message=f"m{number}"))
        except UsageError:
            continue
    stack, problems = wanted(STACK, lines)
    if problems:
        return
    kept = Counter(change.oid for each in stack.entries for new in each.commits for change in new.changes)
    asked = {name for kind, name, _ in steps if kind == "drop"}
    for _, commits in STACK:
        for each in commits:
            dropped = each in stack.dropped
            assert kept[each.oid] + dropped == 1
            assert not dropped or asked & {each.oid, "#1", "#2", "feat/three"}
