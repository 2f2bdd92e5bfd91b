"""The bases that local branches have, computed from the commits above trunk."""

from __future__ import annotations

import pytest

from trunkline.domain.local_stack import bases, numbered
from trunkline.domain.names import BranchName, Oid, PrNumber

Own = dict[str, str]


@pytest.mark.parametrize(
    ("own", "expected"),
    [
        ({"a": "1", "b": "12", "c": "123"}, {"a": "main", "b": "a", "c": "b"}),
        ({"a": "1", "b": "12", "c": "13"}, {"a": "main", "b": "a", "c": "a"}),
        ({"a": "1", "b": "2"}, {"a": "main", "b": "main"}),
        ({"merged": "", "same": "1", "again": "1"}, {"again": "main"}),
        ({"a": "12", "rewritten": "34"}, {"a": "main", "rewritten": "main"}),
        ({}, {}),
    ],
)
def test_a_branch_sits_on_the_largest_that_it_contains(own: Own, expected: Own) -> None:
    """A branch without own commits, or with the tip of another one, makes no pull request."""
    found = bases(BranchName("main"), {BranchName(name): [Oid(each) for each in ids] for name, ids in own.items()})
    assert found == expected


def test_numbers_of_stack_toml_stay() -> None:
    """The branches that it does not name get the numbers after them."""
    known = {BranchName("b"): PrNumber(519)}
    assert numbered([BranchName("a"), BranchName("b"), BranchName("c")], known) == {"a": 520, "b": 519, "c": 521}
