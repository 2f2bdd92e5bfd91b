"""Writing of stack.toml in place: numbers, comments, order."""

from __future__ import annotations

import pytest

from trunkline.config import writing
from trunkline.domain.discover import DifferenceKind, unnumbered, with_unsubmitted
from trunkline.domain.errors import UsageError
from trunkline.domain.names import PrNumber, branch_name
from trunkline.domain.stack import Entry, GateSettings

TEXT = """\
# ours
schema = 1

[gates]
features = []   # none

# the ground
[[entry]]
pr = 1
branch = "one"   # first

[[entry]]
# a remark
branch = "two"
title = "Second"

[[entry.check]]
kind = "manual"
name = "seen"
"""


def _entry(number: int | None, branch: str) -> Entry:
    return Entry(None if number is None else PrNumber(number), branch_name(branch))


def test_a_new_file_says_what_the_workspace_does_not_declare() -> None:
    """A library often has no committed Cargo.lock, and `--locked` could never pass."""
    entries, settings = {"one": [_entry(1, "one")]}, GateSettings(features=(), locked=False)
    text = writing.new_file(
        entries, trunk="main", remote="origin", gates=settings, comments={"locked": "none is committed"}
    )
    assert "locked = false # none is committed\n" in text
    assert "locked" not in writing.new_file(entries, trunk="main", remote="origin", gates=GateSettings())


def test_a_number_is_filled_in() -> None:
    """The number becomes the first key of the table; everything else stays, byte for byte."""
    text = writing.with_entries(TEXT, "", [_entry(1, "one"), _entry(2, "two")])
    assert text == TEXT.replace("# a remark\n", "pr = 2\n# a remark\n")


def test_an_entry_without_a_number_is_kept_and_written() -> None:
    """A table without `pr` is found by its branch; a new entry is written without `pr`."""
    assert writing.with_entries(TEXT, "", [_entry(1, "one"), _entry(None, "two")]) == TEXT
    text = writing.with_entries(TEXT, "", [_entry(1, "one"), _entry(None, "half"), _entry(None, "two")])
    assert '[[entry]]\nbranch = "half"\n\n[[entry]]\n# a remark' in text


@pytest.mark.parametrize("below", ["", "\n# the end\n", "\n[land]\nmethod = 'squash'\n"])
def test_an_update_adds_no_blank_line(below: str) -> None:
    """An entry that comes and goes leaves the file as the first update wrote it, with any text after the entries."""
    two, three = [_entry(1, "one"), _entry(None, "two")], [_entry(1, "one"), _entry(None, "two"), _entry(3, "three")]
    first = writing.with_entries(TEXT + below, "", two)
    text = first
    for _ in range(3):
        text = writing.with_entries(writing.with_entries(text, "", three), "", two)
    assert text == first


def test_init_keeps_entries_without_a_pull_request() -> None:
    """They stay above the entry that was below them; one whose branch has a pull request gets its number."""
    declared = [_entry(None, "zero"), _entry(1, "one"), _entry(None, "two"), _entry(3, "three")]
    kept = with_unsubmitted([_entry(1, "one"), _entry(3, "three")], declared)
    assert [entry.branch for entry in kept] == ["zero", "one", "two", "three"]
    assert with_unsubmitted([_entry(1, "one"), _entry(2, "two")], declared)[2].number == 2
    found = unnumbered(declared, [_entry(1, "one"), _entry(2, "two"), _entry(3, "three")])
    assert [(each.kind, each.message) for each in found] == [
        (DifferenceKind.ADDED, "#2 two has no number in the file")
    ]


def test_line_endings_stay() -> None:
    """A file with CRLF has no line that ends otherwise."""
    two = [_entry(1, "one"), _entry(2, "two")]
    after = writing.with_entries(TEXT.replace("\n", "\r\n"), "", two)
    assert after == writing.with_entries(TEXT, "", two).replace("\n", "\r\n")


@pytest.mark.parametrize(
    "text",
    [
        'entry = [{branch = "one"}, {branch = "two"}]\n',
        'stack = [{name = "a", entry = [{branch = "one"}]}]\n',
        '[[stack]]\nname = "a"\nentry = [{branch = "one"}]\n',
    ],
)
def test_an_inline_array_is_refused(text: str) -> None:
    """An inline array cannot be changed entry by entry; the error shows the form to use instead."""
    with pytest.raises(UsageError, match="inline array"):
        writing.require_tables(text)
