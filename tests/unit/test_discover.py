"""The stacks of a repository, found from the bases and heads of its open pull requests."""

from __future__ import annotations

import pytest

from trunkline.domain.discover import Found, LeftOut, OpenPullRequest, discover
from trunkline.domain.names import PrNumber


def _pr(number: int, base: str, head: str, *, foreign: bool = False) -> OpenPullRequest:
    return OpenPullRequest(PrNumber(number), f"Title {number}", base, head, cross_repository=foreign)


def _numbers(found: Found) -> list[list[int]]:
    return [[pr.number for pr in stack] for stack in found.stacks]


@pytest.mark.parametrize(
    ("prs", "stacks", "left_out"),
    [
        pytest.param([], [], {}, id="nothing open"),
        pytest.param([_pr(3, "b", "c"), _pr(1, "main", "a"), _pr(2, "a", "b")], [[1, 2, 3]], {}, id="any order"),
        pytest.param([_pr(9, "main", "a"), _pr(2, "a", "b")], [[9, 2]], {}, id="numbers do not decide the order"),
        pytest.param(
            [_pr(1, "main", "a"), _pr(2, "a", "b"), _pr(3, "main", "x"), _pr(4, "x", "y")],
            [[1, 2], [3, 4]],
            {},
            id="two stacks",
        ),
        pytest.param([_pr(1, "main", "a"), _pr(2, "main", "b")], [[1], [2]], {}, id="nothing but single ones"),
        pytest.param(
            [_pr(1, "main", "a"), _pr(2, "a", "b"), _pr(3, "main", "x")],
            [[1, 2]],
            {3: LeftOut.ALONE},
            id="alone beside a stack",
        ),
        pytest.param(
            [_pr(1, "main", "a"), _pr(2, "a", "b"), _pr(3, "a", "c"), _pr(4, "c", "d")],
            [[1, 3, 4]],
            {2: LeftOut.BESIDE},
            id="branches: the longest goes on",
        ),
        pytest.param(
            [_pr(1, "main", "a"), _pr(3, "a", "c"), _pr(2, "a", "b")],
            [[1, 2]],
            {3: LeftOut.BESIDE},
            id="branches of one length: the lowest number goes on",
        ),
        pytest.param(
            [_pr(1, "main", "a"), _pr(2, "a", "b"), _pr(3, "d", "c"), _pr(4, "c", "d"), _pr(5, "d", "e")],
            [[1, 2]],
            {3: LeftOut.CYCLE, 4: LeftOut.CYCLE, 5: LeftOut.CYCLE},
            id="a cycle, and what sits on it",
        ),
        pytest.param([_pr(1, "a", "a")], [], {1: LeftOut.CYCLE}, id="its own base"),
        pytest.param(
            [_pr(1, "main", "a"), _pr(2, "a", "main")],
            [[1]],
            {2: LeftOut.TRUNK},
            id="trunk as a head: no endless walk",
        ),
        pytest.param(
            [_pr(1, "release", "a"), _pr(2, "a", "b")],
            [],
            {1: LeftOut.ELSEWHERE, 2: LeftOut.ELSEWHERE},
            id="on another branch than trunk",
        ),
        pytest.param(
            [_pr(1, "main", "a"), _pr(2, "main", "main", foreign=True), _pr(3, "main", "a", foreign=True)],
            [[1]],
            {2: LeftOut.FOREIGN, 3: LeftOut.FOREIGN},
            id="forks, with names that are ours",
        ),
        pytest.param(
            [_pr(2, "release", "a"), _pr(1, "main", "a"), _pr(3, "a", "b")],
            [[1, 3]],
            {2: LeftOut.SAME_HEAD},
            id="one head, two pull requests: the one that sits somewhere",
        ),
    ],
)
def test_discover(prs: list[OpenPullRequest], stacks: list[list[int]], left_out: dict[int, LeftOut]) -> None:
    """Every pull request is in exactly one stack, or left out with its reason."""
    found = discover(prs, "main")

    assert stacks == _numbers(found)
    assert left_out == found.left_out


def test_alone_when_asked_for() -> None:
    """A single pull request on trunk is a stack of one where the user wants all."""
    found = discover([_pr(1, "main", "a"), _pr(2, "a", "b"), _pr(3, "main", "x")], "main", alone=True)

    assert _numbers(found) == [[1, 2], [3]]
    assert not found.left_out


def test_deeper_than_python_recurses() -> None:
    """A stack of any depth is walked."""
    prs = [_pr(1, "main", "b1"), *(_pr(number, f"b{number - 1}", f"b{number}") for number in range(2, 3001))]

    assert [list(range(1, 3001))] == _numbers(discover(prs, "main"))
