"""The stacks of a repository, found from the bases and heads of its open pull requests."""

from __future__ import annotations

import pytest
from msgspec.structs import replace

from trunkline.domain.discover import (
    DifferenceKind,
    Discovery,
    LeftOut,
    OnGitHub,
    OpenPullRequest,
    beside,
    chain_to,
    differences,
    discover,
    grown,
)
from trunkline.domain.names import PrNumber, branch_name
from trunkline.domain.stack import Entry


def _pr(number: int, base: str, head: str, *, foreign: bool = False) -> OpenPullRequest:
    return OpenPullRequest(PrNumber(number), f"Title {number}", base, head, cross_repository=foreign)


def _numbers(found: Discovery) -> list[list[int]]:
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


def test_alone_on_request() -> None:
    """A single pull request on trunk is a stack of one where the user wants all."""
    found = discover([_pr(1, "main", "a"), _pr(2, "a", "b"), _pr(3, "main", "x")], "main", alone=True)

    assert _numbers(found) == [[1, 2], [3]]
    assert not found.left_out


def test_deeper_than_python_recurses() -> None:
    """A stack of any depth is walked."""
    prs = [_pr(1, "main", "b1"), *(_pr(number, f"b{number - 1}", f"b{number}") for number in range(2, 3001))]

    assert [list(range(1, 3001))] == _numbers(discover(prs, "main"))


def _declared(*heads: str) -> list[Entry]:
    """Return entries: `a` is #1, `b` is #2."""
    return [Entry(PrNumber(" abcdefgh".index(head)), branch_name(head), "") for head in heads]


def test_each_way_a_stack_changes_is_reported() -> None:
    """Inserted, appended, closed, never there, moved out of the stack, merged."""
    out = _pr(4, "release", "d")
    stack = (_pr(7, "main", "g"), _pr(2, "g", "b"), _pr(3, "b", "c"), _pr(8, "c", "h"))
    github = OnGitHub(
        stack, merged=frozenset({PrNumber(1)}), closed=frozenset({PrNumber(5)}), elsewhere={out.number: out}
    )
    found = differences(_declared("a", "b", "c", "d", "e", "f"), github)
    assert [(each.kind, each.message) for each in found] == [
        (DifferenceKind.RETARGETED, "#4 d targets release on GitHub: it is no longer in this stack"),
        (DifferenceKind.CLOSED, "#5 e was closed on GitHub"),
        (DifferenceKind.GONE, "#6 f is neither open nor merged on GitHub"),
        (DifferenceKind.ADDED, "#7 g is new on GitHub, between main and #2"),
        (DifferenceKind.ADDED, "#8 h is new on GitHub, on top of #3"),
    ]


def test_an_entry_that_comes_from_a_fork() -> None:
    """A landing cannot push its branch, whatever it targets."""
    fork = replace(_pr(2, "a", "b"), cross_repository=True)
    github = OnGitHub((_pr(1, "main", "a"),), merged=frozenset(), elsewhere={fork.number: fork})
    (found,) = differences(_declared("a", "b"), github)
    assert found.message == "#2 b comes from a fork: its branch cannot be pushed, so it is in no stack"


BRANCHING = [_pr(1, "main", "a"), _pr(2, "a", "b"), _pr(3, "a", "c"), _pr(4, "c", "d")]


def test_a_stack_that_branches_goes_on_through_its_own_entries() -> None:
    """Somebody else's longer branch beside an entry does not make that entry look deleted."""
    stack = grown(BRANCHING, "main", _declared("a", "b"))
    assert [pr.number for pr in stack] == [1, 2]
    assert [(pr.number, other.number) for pr, other in beside(BRANCHING, stack)] == [(3, 2)]
    assert [pr.number for pr in grown(BRANCHING, "main", _declared("a", "c"))] == [1, 3, 4]
    assert [pr.number for pr in grown(BRANCHING, "main", _declared("a"))] == [1, 3, 4]
    assert grown(BRANCHING, "main", _declared("f")) == ()


def test_the_stack_that_ends_in_a_pull_request() -> None:
    """Each branch of a forked stack can be selected as a stack of its own."""
    assert [pr.number for pr in chain_to(BRANCHING, "main", PrNumber(2))] == [1, 2]
    assert [pr.number for pr in chain_to(BRANCHING, "main", PrNumber(4))] == [1, 3, 4]
    assert chain_to(BRANCHING, "develop", PrNumber(4)) == ()
    assert chain_to([_pr(1, "b", "a"), _pr(2, "a", "b")], "main", PrNumber(1)) == ()
    assert chain_to(BRANCHING, "main", PrNumber(9)) == ()
