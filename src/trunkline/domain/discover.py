"""Find the stacks that a repository's open pull requests form, from their bases and heads."""

from __future__ import annotations

from collections import defaultdict
from enum import Enum
from itertools import pairwise
from typing import TYPE_CHECKING

import msgspec
from msgspec.structs import replace

from trunkline.domain.names import ZERO_OID, Oid
from trunkline.domain.native import stack_of

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from trunkline.domain.names import BranchName, PrNumber
    from trunkline.domain.native import NativeStack
    from trunkline.domain.stack import Entry


class OpenPullRequest(msgspec.Struct, frozen=True):
    """An open pull request, with the fields that determine its place in a stack.

    Attributes:
        cross_repository: its head is in a fork, to which a landing would have to push.
        earlier_bases: its former bases, oldest first.
    """

    number: PrNumber
    title: str
    base: str
    head: str
    head_oid: Oid = ZERO_OID
    cross_repository: bool = False
    earlier_bases: tuple[str, ...] = ()


class MergedPullRequest(msgspec.Struct, frozen=True):
    """A merged pull request that open ones may still build on."""

    number: PrNumber
    title: str
    head: str
    head_oid: Oid


class LeftOut(Enum):
    """The reason why an open pull request is in no stack."""

    FOREIGN = "its head is in another repository, where landing would have to push"
    TRUNK = "its head is trunk itself"
    SAME_HEAD = "another open pull request has the same head"
    CYCLE = "its base leads back to its own head"
    ELSEWHERE = "its base is neither trunk nor the head of an open pull request"
    BESIDE = "it sits beside a longer stack on the same base, and a stack does not branch"
    ALONE = "it sits on trunk alone"


class Discovery(msgspec.Struct, frozen=True):
    """The stacks, each bottom first, and the other pull requests with the reason."""

    stacks: tuple[tuple[OpenPullRequest, ...], ...]
    left_out: Mapping[PrNumber, LeftOut]


def discover(
    pull_requests: Sequence[OpenPullRequest], trunk: str, *, alone: bool = False, native: Sequence[NativeStack] = ()
) -> Discovery:
    """Find the stacks that are based on trunk.

    Each pull request based on trunk is the bottom of one stack. If several are based on the same
    entry, the stack continues with the one above it in GitHub's native stack; else with the longest
    branch, or with the lowest number if they are equally long. An entry in two stacks would be
    rebased and pushed twice.

    Args:
        pull_requests: the open ones, in any order.
        trunk: the branch that stacks are merged into.
        alone: a single pull request on trunk counts as a stack even if there are longer ones.
        native: GitHub's native stacks.
    """
    left_out = _unfit(pull_requests, trunk)
    fit = sorted((pr for pr in pull_requests if pr.number not in left_out), key=lambda pr: pr.number)
    children = _children(fit, native)
    stacks = [_longest(bottom, children) for bottom in children[trunk]]
    if not alone and any(len(stack) > 1 for stack in stacks):
        left_out |= {stack[0].number: LeftOut.ALONE for stack in stacks if len(stack) == 1}
        stacks = [stack for stack in stacks if len(stack) > 1]
    placed = {pr.number for stack in stacks for pr in stack}
    left_out |= {pr.number: _why(pr, fit, trunk) for pr in fit if pr.number not in placed | left_out.keys()}
    return Discovery(tuple(stacks), left_out)


def _children(
    fit: Sequence[OpenPullRequest], native: Sequence[NativeStack]
) -> defaultdict[str, list[OpenPullRequest]]:
    """Return the pull requests by base; of several, the next one in a native stack alone."""
    children = defaultdict[str, list[OpenPullRequest]](list)
    for pr in fit:
        children[pr.base].append(pr)
    for below in fit:
        stack = stack_of(native, below.number)
        rest = stack.open[stack.open.index(below.number) + 1 :] if stack and below.number in stack.open else ()
        if following := [pr for pr in children.get(below.head, ()) if pr.number == next(iter(rest), None)]:
            children[below.head] = following
    return children


def _unfit(pull_requests: Sequence[OpenPullRequest], trunk: str) -> dict[PrNumber, LeftOut]:
    """Return the pull requests that can be in no stack; among the rest, heads are unique.

    Of several with the same head, the one based on trunk or on another head is kept, then the
    lowest number.
    """
    unfit: dict[PrNumber, LeftOut] = {}
    heads: set[str] = set()
    bases = {trunk, *(pr.head for pr in pull_requests if not pr.cross_repository)}
    for pr in sorted(pull_requests, key=lambda pr: (pr.base not in bases, pr.number)):
        # A fork's branch can have the name of one of ours, even trunk's, so forks are excluded
        # first.
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
    """Return the longest branch from `bottom` up, without recursion, which a deep stack exceeds."""
    below: dict[PrNumber, OpenPullRequest] = {}
    tops = [bottom]
    while level := [(child, pr) for pr in tops for child in children.get(pr.head, ())]:
        below |= {child.number: pr for child, pr in level}
        tops = [child for child, _ in level]
    branches = [_down(top, below) for top in tops]
    return min(branches, key=lambda branch: [pr.number for pr in branch])


def chain_to(pull_requests: Sequence[OpenPullRequest], trunk: str, top: PrNumber) -> tuple[OpenPullRequest, ...]:
    """Return the stack that ends in a pull request, bottom first; () if it is not based on trunk."""
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
    pull_requests: Sequence[OpenPullRequest],
    trunk: str,
    declared: Sequence[Entry],
    native: Sequence[NativeStack] = (),
) -> tuple[OpenPullRequest, ...]:
    """Return a declared stack as it is on GitHub: its own entries, then the longest branch above.

    Args:
        pull_requests: the open ones.
        trunk: the branch that stacks are merged into.
        declared: the entries of stack.toml.
        native: GitHub's native stacks.
    """
    numbers = {entry.pr for entry in declared}
    chains = [chain_to(pull_requests, trunk, entry.pr) for entry in declared]
    best = max(chains, key=lambda chain: sum(pr.number in numbers for pr in chain), default=())
    if not best:
        return ()
    unfit = _unfit(pull_requests, trunk)
    fit = [pr for pr in sorted(pull_requests, key=lambda pr: pr.number) if pr.number not in unfit]
    return (*best, *_longest(best[-1], _children(fit, native))[1:])


def beside(
    pull_requests: Sequence[OpenPullRequest], stack: Sequence[OpenPullRequest]
) -> tuple[tuple[OpenPullRequest, OpenPullRequest], ...]:
    """Return the pull requests based on an entry beside its next entry, each paired with that one."""
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
    """Return the merged pull requests that a stack's bottom entry still builds on, lowest first.

    Without them, an entry whose parent was squash-merged would seem to own its parent's commits.

    Args:
        bottom: the lowest open entry.
        merged: candidates.
        contained: the commits of the bottom entry that trunk lacks, newest first.
    """
    depth = {commit: index for index, commit in enumerate(contained)}
    found = {pr.number: (depth[pr.head_oid], pr) for pr in merged if pr.head_oid in depth}
    # A parent that was amended later is not contained, but GitHub records the entry's former base.
    for index, base in enumerate(reversed(bottom.earlier_bases)):
        for pr in merged:
            if pr.head == base and pr.number not in found:
                found[pr.number] = (index - len(bottom.earlier_bases), pr)
    return tuple(pr for _, pr in sorted(found.values(), key=lambda each: each[0], reverse=True))


def with_bases(pull_requests: Sequence[OpenPullRequest], bases: Mapping[str, str]) -> tuple[OpenPullRequest, ...]:
    """Return the pull requests with the bases that another tool records, if these are open heads.

    Args:
        pull_requests: the open ones, as GitHub shows them.
        bases: bases by branch.
    """
    heads = {pr.head for pr in pull_requests if not pr.cross_repository}

    def moved(pr: OpenPullRequest) -> OpenPullRequest:
        base = bases.get(pr.head)
        return replace(pr, base=base) if base in heads - {pr.head} and base is not None else pr

    return tuple(pr if pr.cross_repository else moved(pr) for pr in pull_requests)


class DifferenceKind(Enum):
    """The kind of a difference between a declared stack and GitHub."""

    ADDED = "is new on GitHub"
    CLOSED = "was closed on GitHub"
    GONE = "is neither open nor merged on GitHub"
    RENAMED = "has another branch"
    RETARGETED = "left the stack"
    FOREIGN = "comes from a fork"
    MOVED = "sits elsewhere"
    LANDED = "has landed"


class Difference(msgspec.Struct, frozen=True):
    """One difference, with its message; the number is None for a branch without a pull request."""

    kind: DifferenceKind
    number: PrNumber | None
    message: str


class OnGitHub(msgspec.Struct, frozen=True):
    """A declared stack as GitHub shows it.

    Attributes:
        stack: its open pull requests, bottom first.
        merged: numbers of merged ones; a merged entry below an open one stays: its head is
            evidence.
        closed: numbers of pull requests closed without a merge.
        elsewhere: numbers of open ones outside this stack.
    """

    stack: tuple[OpenPullRequest, ...]
    merged: frozenset[PrNumber]
    closed: frozenset[PrNumber] = frozenset()
    elsewhere: Mapping[PrNumber, OpenPullRequest] = msgspec.field(default_factory=dict)


def differences(declared: Sequence[Entry], github: OnGitHub) -> tuple[Difference, ...]:
    """Return the differences between a declared stack and GitHub: removals first, then bottom first."""
    known = {entry.pr: entry for entry in declared}
    numbers = [pr.number for pr in github.stack]
    found = [
        _departure(entry, github) for entry in declared if entry.pr not in numbers and entry.pr not in github.merged
    ]
    for index, pr in enumerate(github.stack):
        if pr.number not in known:
            message = f"#{pr.number} {pr.head} {DifferenceKind.ADDED.value}, {_place(github.stack, index)}"
            found.append(Difference(DifferenceKind.ADDED, pr.number, message))
        elif known[pr.number].branch != pr.head:
            message = f"#{pr.number} has branch {pr.head} on GitHub, {known[pr.number].branch} in the file"
            found.append(Difference(DifferenceKind.RENAMED, pr.number, message))
    common = [entry.pr for entry in declared if entry.pr in numbers]
    wanted = [number for number in numbers if number in known]
    if common != wanted:
        first = next(ours for ours, theirs in zip(common, wanted, strict=True) if ours != theirs)
        order = " ".join(f"#{number}" for number in wanted)
        found.append(Difference(DifferenceKind.MOVED, first, f"the order on GitHub is {order}"))
    return tuple(found)


def _departure(entry: Entry, github: OnGitHub) -> Difference:
    """Return why a declared entry is no longer in the stack."""
    if (now := github.elsewhere.get(entry.pr)) is not None and now.cross_repository:
        message = f"{entry.full_label} comes from a fork: its branch cannot be pushed, so it is in no stack"
        return Difference(DifferenceKind.FOREIGN, entry.pr, message)
    if now is not None:
        message = f"{entry.full_label} targets {now.base} on GitHub: it is no longer in this stack"
        return Difference(DifferenceKind.RETARGETED, entry.pr, message)
    kind = DifferenceKind.CLOSED if entry.pr in github.closed else DifferenceKind.GONE
    return Difference(kind, entry.pr, f"{entry.full_label} {kind.value}")


def _place(stack: Sequence[OpenPullRequest], index: int) -> str:
    """Return the position of a new entry in words: between two entries, or on top."""
    below = f"#{stack[index - 1].number}" if index else stack[0].base
    return f"between {below} and #{stack[index + 1].number}" if index + 1 < len(stack) else f"on top of {below}"


def mended_order(
    declared: Sequence[Entry], stack: Sequence[OpenPullRequest], merged: frozenset[PrNumber]
) -> tuple[PrNumber, ...]:
    """Return the numbers that a declared stack should have, in GitHub's order.

    Merged entries keep their place above the entry that was below them.
    """
    order = [pr.number for pr in stack]
    before: PrNumber | None = None
    for entry in declared:
        if entry.pr in merged and entry.pr not in order:
            order.insert(order.index(before) + 1 if before in order and before is not None else 0, entry.pr)
        before = entry.pr
    return tuple(order)


def unnumbered(declared: Sequence[Entry], submitted: Sequence[Entry]) -> tuple[Difference, ...]:
    """Return a difference for each entry without a number whose branch has a pull request.

    Args:
        declared: the entries of stack.toml.
        submitted: the entries with the number of their pull request.
    """
    lacking = {entry.branch for entry in declared if entry.number is None}
    return tuple(
        Difference(DifferenceKind.ADDED, entry.pr, f"{entry.full_label} has no number in the file")
        for entry in submitted
        if entry.branch in lacking
    )


def with_unsubmitted(entries: Sequence[Entry], declared: Sequence[Entry]) -> tuple[Entry, ...]:
    """Return entries with those that have no pull request yet, each above the entry that was below it.

    Args:
        entries: the entries with a pull request, in their new order.
        declared: the entries of stack.toml, in their old order.
    """
    found = list(entries)
    below: BranchName | None = None
    for entry in declared:
        branches = [each.branch for each in found]
        if entry.number is None and entry.branch not in branches:
            found.insert(branches.index(below) + 1 if below in branches and below is not None else 0, entry)
        below = entry.branch
    return tuple(found)


def _why(pr: OpenPullRequest, fit: Sequence[OpenPullRequest], trunk: str) -> LeftOut:
    """Follow the bases down from a pull request that is in no stack, and return the reason."""
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
