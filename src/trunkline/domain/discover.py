"""Which stacks the open pull requests of a repository form, by base and head alone."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass
from enum import Enum
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from trunkline.domain.names import PrNumber


@dataclass(frozen=True)
class OpenPullRequest:
    """An open pull request, as far as its place in a stack is concerned.

    Attributes:
        cross_repository: its head is in another repository, a fork on GitHub; landing would have to push there.
    """

    number: PrNumber
    title: str
    base: str
    head: str
    draft: bool = False
    cross_repository: bool = False


class LeftOut(Enum):
    """Why an open pull request is in no stack."""

    FOREIGN = "its head is in another repository, where landing would have to push"
    TRUNK = "its head is trunk itself"
    SAME_HEAD = "another open pull request has the same head"
    CYCLE = "its base leads back to its own head"
    ELSEWHERE = "its base is neither trunk nor the head of an open pull request"
    BESIDE = "it sits beside a longer stack on the same base, and a stack does not branch"
    ALONE = "it sits on trunk alone"


@dataclass(frozen=True)
class Found:
    """The stacks, each bottom first, and what is in none with the reason."""

    stacks: tuple[tuple[OpenPullRequest, ...], ...]
    left_out: Mapping[PrNumber, LeftOut]


def discover(pull_requests: Sequence[OpenPullRequest], trunk: str, *, alone: bool = False) -> Found:
    """Find the stacks that sit on trunk.

    Each pull request that sits on trunk is the bottom of one stack. Where several sit on the same entry, the stack
    goes on with the longest branch, the lowest number where they are equal: an entry in two stacks would be
    rebased and pushed twice.

    Args:
        pull_requests: the open ones, in any order.
        trunk: the branch that stacks land on.
        alone: a pull request on trunk that nothing sits on counts as a stack, though there are longer ones.
    """
    left_out = _unfit(pull_requests, trunk)
    fit = sorted((pr for pr in pull_requests if pr.number not in left_out), key=lambda pr: pr.number)
    children = defaultdict[str, list[OpenPullRequest]](list)
    for pr in fit:
        children[pr.base].append(pr)
    stacks = [_longest(bottom, children) for bottom in children[trunk]]
    if not alone and any(len(stack) > 1 for stack in stacks):
        left_out |= {stack[0].number: LeftOut.ALONE for stack in stacks if len(stack) == 1}
        stacks = [stack for stack in stacks if len(stack) > 1]
    placed = {pr.number for stack in stacks for pr in stack}
    left_out |= {pr.number: _why(pr, fit, trunk) for pr in fit if pr.number not in placed | left_out.keys()}
    return Found(tuple(stacks), left_out)


def _unfit(pull_requests: Sequence[OpenPullRequest], trunk: str) -> dict[PrNumber, LeftOut]:
    """Return what can be in no stack whatever it sits on; afterwards a head names one pull request."""
    unfit: dict[PrNumber, LeftOut] = {}
    heads: set[str] = set()
    for pr in sorted(pull_requests, key=lambda pr: pr.number):
        # A fork's branch may be called as one of ours is, trunk included: it is judged before its name is.
        if pr.cross_repository:
            unfit[pr.number] = LeftOut.FOREIGN
        elif pr.head == trunk:
            unfit[pr.number] = LeftOut.TRUNK
        elif pr.head in heads:
            unfit[pr.number] = LeftOut.SAME_HEAD
        else:
            heads.add(pr.head)
    return unfit


def _longest(
    bottom: OpenPullRequest, children: Mapping[str, Sequence[OpenPullRequest]]
) -> tuple[OpenPullRequest, ...]:
    """Return the longest branch from `bottom` up, level by level: a stack may be deeper than Python recurses."""
    below: dict[PrNumber, OpenPullRequest] = {}
    tops = [bottom]
    while level := [(child, pr) for pr in tops for child in children.get(pr.head, ())]:
        below |= {child.number: pr for child, pr in level}
        tops = [child for child, _ in level]
    branches = [_down(top, below) for top in tops]
    return min(branches, key=lambda branch: [pr.number for pr in branch])


def _down(top: OpenPullRequest, below: Mapping[PrNumber, OpenPullRequest]) -> tuple[OpenPullRequest, ...]:
    """Return the branch that ends in `top`, bottom first."""
    branch = [top]
    while parent := below.get(branch[-1].number):
        branch.append(parent)
    return tuple(reversed(branch))


def _why(pr: OpenPullRequest, fit: Sequence[OpenPullRequest], trunk: str) -> LeftOut:
    """Follow the bases down from a pull request that is in no stack, and say where they lead."""
    by_head = {other.head: other for other in fit}
    seen: set[str] = set()
    base = pr.base
    while base != trunk:
        if base in seen:
            return LeftOut.CYCLE
        if base not in by_head:
            return LeftOut.ELSEWHERE
        seen.add(base)
        base = by_head[base].base
    return LeftOut.BESIDE
