"""Conflicts are equal regardless of their position and of which side is ours."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from trunkline.domain.conflicts import digests

_LINE = st.binary(max_size=8).filter(lambda line: not line.startswith((b"<", b"=", b">", b"|")) and b"\n" not in line)
_SIDE = st.lists(_LINE.filter(lambda line: b"\r" not in line), max_size=3).map(
    lambda lines: b"\n".join([*lines, b""])
)


def _conflict(ours: bytes, theirs: bytes, label: str = "x") -> bytes:
    return b"<<<<<<< %s\n%s=======\n%s>>>>>>> %s\n" % (label.encode(), ours, theirs, label.encode())


@given(_SIDE, _SIDE, _SIDE, st.sampled_from(["HEAD", "abc1234 (subject)"]))
def test_place_labels_and_sides_do_not_matter(before: bytes, ours: bytes, theirs: bytes, label: str) -> None:
    """The key of a conflict ignores surrounding text and the order of sides."""
    one = digests(_conflict(ours, theirs))

    assert one == digests(before + _conflict(theirs, ours, label))
    assert len(one) == 1


def test_each_conflict_of_a_file_counts() -> None:
    """Two conflicts, two digests; diff3's middle part does not count; text without markers has none."""
    both = _conflict(b"a\n", b"b\n") + b"kept\n" + _conflict(b"c\n", b"d\n")
    three = b"<<<<<<< x\na\n||||||| base\nz\n=======\nb\n>>>>>>> y\n"

    assert len(digests(both)) == 2
    assert digests(three) == digests(_conflict(b"a\n", b"b\n"))
    assert digests(b"<<<<<<<not a marker\n======\nplain\n") == frozenset()
