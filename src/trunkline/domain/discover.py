"""Which stacks the open pull requests of a repository form, by base and head alone."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass, field, replace
from enum import Enum
from itertools import pairwise
from typing import TYPE_CHECKING

from trunkline.domain.names import ZERO_OID, Oid

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from trunkline.domain.names import PrNumber
    from trunkline.domain.stack import Entry


@dataclass(frozen=True)
class OpenPullRequest:
    """An open pull request, as far as its place in a stack is concerned.

    Attributes:
        cross_repository: its head is in another repository, a fork on GitHub; landing would have to push there.
        earlier_bases: what it targeted before, oldest first.
    """

    number: PrNumber
    title: str
    base: str
    head: str
    head_oid: Oid = ZERO_OID
    cross_repository: bool = False
    earlier_bases: tuple[str, ...] = ()


@dataclass(frozen=True)
class MergedPullRequest:
    """A merged pull request that open ones may still stand on."""

    number: PrNumber
    title: str
    head: str
    head_oid: Oid


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
    """Return what can be in no stack whatever it sits on; afterwards a head names one pull request.

    Of several with one head, that which sits on trunk or on another's head is meant; then the lowest number.
    """
    unfit: dict[PrNumber, LeftOut] = {}
    heads: set[str] = set()
    bases = {trunk, *(pr.head for pr in pull_requests if not pr.cross_repository)}
    for pr in sorted(pull_requests, key=lambda pr: (pr.base not in bases, pr.number)):
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


def chain_to(pull_requests: Sequence[OpenPullRequest], trunk: str, top: PrNumber) -> tuple[OpenPullRequest, ...]:
    """Return the stack that ends in a pull request, bottom first; (): its bases do not lead to trunk."""
    unfit = _unfit(pull_requests, trunk)
    by_head = {pr.head: pr for pr in pull_requests if pr.number not in unfit}
    found = [pr for pr in by_head.values() if pr.number == top]
    while found and found[-1].base != trunk:
        below = by_head.get(found[-1].base)
        if below is None or below in found:
            return ()
        found.append(below)
    return tuple(reversed(found))


def grown(
    pull_requests: Sequence[OpenPullRequest], trunk: str, declared: Sequence[Entry]
) -> tuple[OpenPullRequest, ...]:
    """Return what a declared stack is on GitHub: through its own entries where it branches, then the longest way up.

    Args:
        pull_requests: the open ones.
        trunk: the branch that stacks land on.
        declared: the entries of stack.toml.
    """
    numbers = {entry.pr for entry in declared}
    chains = [chain_to(pull_requests, trunk, entry.pr) for entry in declared]
    best = max(chains, key=lambda chain: sum(pr.number in numbers for pr in chain), default=())
    if not best:
        return ()
    unfit = _unfit(pull_requests, trunk)
    children = defaultdict[str, list[OpenPullRequest]](list)
    for pr in sorted(pull_requests, key=lambda pr: pr.number):
        if pr.number not in unfit:
            children[pr.base].append(pr)
    return (*best, *_longest(best[-1], children)[1:])


def beside(
    pull_requests: Sequence[OpenPullRequest], stack: Sequence[OpenPullRequest]
) -> tuple[tuple[OpenPullRequest, OpenPullRequest], ...]:
    """Return the pull requests that sit on an entry of a stack beside the next one, each with that one."""
    above = {below.head: pr for below, pr in pairwise(stack)}
    numbers = {pr.number for pr in stack}
    return tuple((pr, above[pr.base]) for pr in pull_requests if pr.base in above and pr.number not in numbers)


def _down(top: OpenPullRequest, below: Mapping[PrNumber, OpenPullRequest]) -> tuple[OpenPullRequest, ...]:
    """Return the branch that ends in `top`, bottom first."""
    branch = [top]
    while parent := below.get(branch[-1].number):
        branch.append(parent)
    return tuple(reversed(branch))


def merged_below(
    bottom: OpenPullRequest, merged: Sequence[MergedPullRequest], contained: Sequence[Oid]
) -> tuple[MergedPullRequest, ...]:
    """Return the merged pull requests that a stack's bottom entry still stands on, lowest first.

    Without them, an entry whose parent was squash-merged would be taken to own its parent's commits.

    Args:
        bottom: the lowest open entry.
        merged: candidates.
        contained: the commits of the bottom entry that trunk lacks, newest first.
    """
    depth = {commit: index for index, commit in enumerate(contained)}
    found = {pr.number: (depth[pr.head_oid], pr) for pr in merged if pr.head_oid in depth}
    # One that was amended after the entry branched off is not contained; but GitHub knows what the entry targeted.
    for index, base in enumerate(reversed(bottom.earlier_bases)):
        for pr in merged:
            if pr.head == base and pr.number not in found:
                found[pr.number] = (index - len(bottom.earlier_bases), pr)
    return tuple(pr for _, pr in sorted(found.values(), key=lambda each: each[0], reverse=True))


def with_bases(pull_requests: Sequence[OpenPullRequest], bases: Mapping[str, str]) -> tuple[OpenPullRequest, ...]:
    """Return the pull requests sitting on what another tool says, where that is the head of an open one.

    Args:
        pull_requests: the open ones, as GitHub has them.
        bases: branch -> the branch that it sits on.
    """
    heads = {pr.head for pr in pull_requests if not pr.cross_repository}

    def moved(pr: OpenPullRequest) -> OpenPullRequest:
        base = bases.get(pr.head)
        return replace(pr, base=base) if base in heads - {pr.head} and base is not None else pr

    return tuple(pr if pr.cross_repository else moved(pr) for pr in pull_requests)


class Change(Enum):
    """How a declared stack differs from what GitHub has."""

    ADDED = "is new on GitHub"
    CLOSED = "was closed on GitHub"
    GONE = "is neither open nor merged on GitHub"
    RENAMED = "has another branch"
    RETARGETED = "left the stack"
    MOVED = "sits elsewhere"


@dataclass(frozen=True)
class Difference:
    """One difference; `message` says it for people."""

    change: Change
    number: PrNumber
    message: str


@dataclass(frozen=True)
class OnGitHub:
    """What GitHub has of a declared stack.

    Attributes:
        stack: its open pull requests, bottom first.
        merged: numbers of merged ones; a merged entry below an open one stays: its head is evidence.
        closed: numbers that were closed without a merge.
        elsewhere: open ones that do not sit in this stack.
    """

    stack: tuple[OpenPullRequest, ...]
    merged: frozenset[PrNumber]
    closed: frozenset[PrNumber] = frozenset()
    elsewhere: Mapping[PrNumber, OpenPullRequest] = field(default_factory=dict)


def differences(declared: Sequence[Entry], github: OnGitHub) -> tuple[Difference, ...]:
    """Say how a declared stack differs from what GitHub has: what left it first, then the rest bottom first."""
    known = {entry.pr: entry for entry in declared}
    numbers = [pr.number for pr in github.stack]
    found = [
        _departure(entry, github) for entry in declared if entry.pr not in numbers and entry.pr not in github.merged
    ]
    for index, pr in enumerate(github.stack):
        if pr.number not in known:
            message = f"#{pr.number} {pr.head} {Change.ADDED.value}, {_place(github.stack, index)}"
            found.append(Difference(Change.ADDED, pr.number, message))
        elif known[pr.number].branch != pr.head:
            message = f"#{pr.number} has branch {pr.head} on GitHub, {known[pr.number].branch} in the file"
            found.append(Difference(Change.RENAMED, pr.number, message))
    common = [entry.pr for entry in declared if entry.pr in numbers]
    wanted = [number for number in numbers if number in known]
    if common != wanted:
        first = next(ours for ours, theirs in zip(common, wanted, strict=True) if ours != theirs)
        order = " ".join(f"#{number}" for number in wanted)
        found.append(Difference(Change.MOVED, first, f"the order on GitHub is {order}"))
    return tuple(found)


def _departure(entry: Entry, github: OnGitHub) -> Difference:
    """Return why a declared entry is not in the stack any more."""
    if (now := github.elsewhere.get(entry.pr)) is not None:
        message = f"#{entry.pr} {entry.branch} targets {now.base} on GitHub: it is not in this stack any more"
        return Difference(Change.RETARGETED, entry.pr, message)
    change = Change.CLOSED if entry.pr in github.closed else Change.GONE
    return Difference(change, entry.pr, f"#{entry.pr} {entry.branch} {change.value}")


def _place(stack: Sequence[OpenPullRequest], index: int) -> str:
    """Return where in a stack a new entry is: inserted between two, or on top."""
    below = f"#{stack[index - 1].number}" if index else stack[0].base
    return f"between {below} and #{stack[index + 1].number}" if index + 1 < len(stack) else f"on top of {below}"


def mended_order(
    declared: Sequence[Entry], stack: Sequence[OpenPullRequest], merged: frozenset[PrNumber]
) -> tuple[PrNumber, ...]:
    """Return the numbers that a declared stack is to hold: GitHub's order; what is merged stays above what it was."""
    order = [pr.number for pr in stack]
    before: PrNumber | None = None
    for entry in declared:
        if entry.pr in merged and entry.pr not in order:
            order.insert(order.index(before) + 1 if before in order and before is not None else 0, entry.pr)
        before = entry.pr
    return tuple(order)


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
