"""Native stacks: what links the open entries, and how they decide where a stack continues."""

from __future__ import annotations

import pytest

from trunkline.domain.discover import OpenPullRequest, discover
from trunkline.domain.names import PrNumber, pr_number
from trunkline.domain.native import Link, LinkPlan, Member, NativeStack, place_of, plan_link


def numbers(*given: int) -> tuple[PrNumber, ...]:
    """Return pull request numbers."""
    return tuple(pr_number(number) for number in given)


def stack(number: int, *members: int, merged: tuple[int, ...] = (), closed: tuple[int, ...] = ()) -> NativeStack:
    """Return a native stack on main."""
    return NativeStack(
        number,
        "main",
        tuple(Member(pr_number(m), m not in {*merged, *closed}, m in merged) for m in members),
    )


@pytest.mark.parametrize(
    ("wanted", "stacks", "expected"),
    [
        ((1,), (), LinkPlan(Link.NONE)),
        ((1, 2, 3), (), LinkPlan(Link.CREATE, numbers=numbers(1, 2, 3))),
        ((1, 2, 3), (stack(9, 1, 2, 3),), LinkPlan(Link.LINKED, 9)),
        ((2, 3), (stack(9, 1, 2, 3, merged=(1,)),), LinkPlan(Link.LINKED, 9)),
        ((1, 2, 3), (stack(9, 1, 2), stack(8, 5, 6)), LinkPlan(Link.EXTEND, 9, numbers(3))),
        ((1, 2, 3), (stack(9, 1, 3, 2),), LinkPlan(Link.REBUILD, numbers=numbers(1, 2, 3), dissolve=(9,))),
        ((1, 2, 3), (stack(9, 1, 2), stack(8, 3, 4)), LinkPlan(Link.REBUILD, 0, numbers(1, 2, 3), (9, 8))),
        ((1, 2), (stack(9, 1, 2, 3),), LinkPlan(Link.REBUILD, numbers=numbers(1, 2), dissolve=(9,))),
        ((1, 3), (stack(9, 1, 2, closed=(2,)),), LinkPlan(Link.REBUILD, numbers=numbers(1, 3), dissolve=(9,))),
        ((3,), (stack(9, 3, 4),), LinkPlan(Link.REBUILD, dissolve=(9,))),
        (tuple(range(1, 102)), (), LinkPlan(Link.TOO_MANY, numbers=numbers(*range(1, 102)))),
        ((2, 3), (stack(9, 1, merged=(1,)),), LinkPlan(Link.CREATE, numbers=numbers(2, 3))),
    ],
)
def test_what_links_the_entries(wanted: tuple[int, ...], stacks: tuple[NativeStack, ...], expected: LinkPlan) -> None:
    """Create, extend, leave, or dissolve and create again, by what GitHub has."""
    assert plan_link(numbers(*wanted), stacks) == expected


def test_place_and_group() -> None:
    """The position counts merged members; a merge takes only the open ones."""
    found = stack(9, 1, 2, 3, merged=(1,))
    place = place_of((found,), pr_number(3))
    assert (str(place), place_of((found,), pr_number(4))) == ("3 of 3 in native stack 9", None)
    assert found.upto(pr_number(3)) == numbers(2, 3)


def test_a_native_stack_decides_where_a_stack_continues() -> None:
    """Two pull requests on one base: the one in the native stack is taken, though the other branch is longer."""
    pulls = [
        OpenPullRequest(pr_number(n), f"PR {n}", base, f"b{n}")
        for n, base in ((1, "main"), (2, "b1"), (3, "b1"), (4, "b2"))
    ]
    assert [pr.number for pr in discover(pulls, "main").stacks[0]] == [1, 2, 4]
    found = discover(pulls, "main", native=(stack(9, 1, 3),))
    assert [pr.number for pr in found.stacks[0]] == [1, 3]
