"""Hunks of staged changes: which commit they belong to, and what a file is after some of them."""

from __future__ import annotations

import difflib

from hypothesis import given
from hypothesis import strategies as st

from trunkline.domain.absorb import Hunk, patched, target_of
from trunkline.domain.names import Oid

LINES = st.lists(st.sampled_from([b"a\n", b"b\n", b"c\n", b"\n"]), max_size=12)
A, B, OUTSIDE = Oid("a" * 40), Oid("b" * 40), Oid("0" * 40)


def hunks_of(old: list[bytes], new: list[bytes]) -> list[Hunk]:
    """Return the hunks between two files, numbered as git numbers them."""
    found = []
    matcher = difflib.SequenceMatcher(None, old, new, autojunk=False)
    for kind, a, b, c, d in matcher.get_opcodes():
        if kind != "equal":
            found.append(Hunk("f", a + 1 if b > a else a, b - a, c + 1 if d > c else c, d - c))
    return found


@given(LINES, LINES, st.sets(st.integers(0, 12)))
def test_all_hunks_give_the_new_file(old: list[bytes], new: list[bytes], some: set[int]) -> None:
    """All hunks give the new file, none the old one, and some keep every other line."""
    hunks = hunks_of(old, new)
    assert patched(old, new, hunks) == b"".join(new)
    assert patched(old, new, []) == b"".join(old)
    chosen = [hunk for number, hunk in enumerate(hunks) if number in some]
    lines = patched(old, new, chosen).splitlines(keepends=True)
    assert len(lines) == len(old) + sum(hunk.new_length - hunk.length for hunk in chosen)


def test_topmost_commit_that_touched_the_lines() -> None:
    """Commits outside the stack do not count; of several the topmost has all of the lines."""
    hunk = Hunk("f", 2, 3, 2, 1)
    assert target_of(hunk, {2: A, 3: B, 4: OUTSIDE}, [A, B]) == B
    assert target_of(hunk, {2: A, 3: B, 4: OUTSIDE}, [B, A]) == A
    assert target_of(hunk, {2: OUTSIDE, 3: OUTSIDE, 4: OUTSIDE}, [A, B]) is None


def test_insertion_belongs_to_its_neighbours() -> None:
    """Added lines belong to the commit of the line before or after them."""
    hunk = Hunk("f", 4, 0, 5, 2)
    assert hunk.neighbours == (4, 5)
    assert target_of(hunk, {4: OUTSIDE, 5: A}, [A]) == A
    assert target_of(Hunk("f", 0, 0, 1, 1), {}, [A]) is None
