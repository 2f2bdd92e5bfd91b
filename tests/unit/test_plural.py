"""A number and its noun agree: counts in messages are made by `count_of`."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from trunkline.domain.words import count_of, listed_briefly

SOURCE = Path(__file__).parents[2] / "src/trunkline"
NOUNS = (
    "receipts|entries|files|commits|gates|checks|tests|settings|branches|lines|threads|conflicts|commit statuses"
    "|statuses|pull requests|steps|runs|stacks|members|packages|warnings|signatures|tasks|keys|machines|toolchains"
    "|features|requests|refs|tags|places|toolchains|workers|jobs|functions|hunks|notes|seconds|minutes|days"
)
COUNTED = re.compile(rf"\{{(?:len\([^}}]*\)|count|own|number|total|found\.[a-z]+)\}} (?:more |of )?(?:{NOUNS})\b")
IN_TEMPLATE = re.compile(rf"\| (?:length|count) \}}\}} (?:more |own )?(?:{NOUNS})\b")
ALWAYS_SEVERAL = ("if len(", "{len(found)} runs begin with", "names {len(f", "if count == 1", "raise InternalError(")


@pytest.mark.parametrize("count", [0, 1, 2])
def test_a_count_and_its_noun(count: int) -> None:
    """One is one."""
    assert count_of(count, "commit") == f"{count} commit{'' if count == 1 else 's'}"
    assert count_of(count, "entry", "entries") == f"{count} {'entry' if count == 1 else 'entries'}"


def test_no_message_counts_by_itself() -> None:
    """`{len(x)} gates` says "1 gates" one day."""
    wrong = [
        f"{path.relative_to(SOURCE)}: {line.strip()}"
        for path in sorted(SOURCE.rglob("*.py"))
        for line in path.read_text().splitlines()
        if COUNTED.search(line) and not any(allowed in line for allowed in ALWAYS_SEVERAL)
    ]
    assert wrong == []


def test_no_template_counts_by_itself() -> None:
    """`{{ x | length }} commits` says "1 commits" one day; the filter `commits` does not."""
    wrong = [
        f"{path.relative_to(SOURCE)}: {found[0]}"
        for path in sorted(SOURCE.rglob("*.j2"))
        for found in IN_TEMPLATE.finditer(path.read_text())
    ]
    assert wrong == []


@pytest.mark.parametrize(("items", "listed"), [("ab", "a, b"), ("abc", "a, b, c"), ("abcde", "a, b, c and 2 more")])
def test_a_long_list_ends_with_the_number_of_the_others(items: str, listed: str) -> None:
    """Three items are listed."""
    assert listed_briefly(items) == listed
