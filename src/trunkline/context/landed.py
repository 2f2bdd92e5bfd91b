"""Detect pull requests whose changes are in trunk, although GitHub shows no merge into trunk.

Somebody may have applied the changes to trunk, or merged another branch that contains them. GitHub
shows the pull request as closed, or as merged into the branch of the entry below. It counts as
landed if merging its head into trunk changes nothing, or if a pull request that was merged into trunk
contained its head: that one may have taken some of the changes back.
"""

from __future__ import annotations

from collections.abc import Sequence

from msgspec.structs import replace

from trunkline.domain.names import Oid
from trunkline.domain.snapshot import PrState, PullRequest, Snapshot
from trunkline.domain.stack import Stack
from trunkline.git import history, replay
from trunkline.git.git import Git


def recognised(git: Git, stack: Stack, snapshot: Snapshot, trunk: Oid) -> Snapshot:
    """Return a snapshot in which pull requests that landed otherwise are merged into trunk.

    A closed one has no date of a merge.

    Args:
        git: the repository; pull requests whose head is missing stay as they are.
        stack: the stack.
        snapshot: the response of GitHub.
        trunk: trunk's tip, present here.
    """
    into_trunk = [pr for pr in snapshot.pull_requests.values() if pr is not None and _is_in(git, pr, stack, trunk)]
    found = {
        pr.number: replace(pr, state=PrState.MERGED, base=stack.trunk, merge_commit=commit)
        for pr in snapshot.pull_requests.values()
        if pr is not None
        and _is_elsewhere(pr, stack)
        and (commit := _landed_with(git, pr, trunk) or _contained_in(git, pr, into_trunk)) is not None
    }
    if not found:
        return snapshot
    return replace(snapshot, pull_requests={**snapshot.pull_requests, **found})


def _is_elsewhere(pr: PullRequest, stack: Stack) -> bool:
    """Return whether a pull request is closed, or merged into another branch than trunk."""
    return pr.state is PrState.CLOSED or (pr.state is PrState.MERGED and pr.base != stack.trunk)


def _is_in(git: Git, pr: PullRequest, stack: Stack, trunk: Oid) -> bool:
    """Return whether a pull request was merged into trunk, and its head and merge commit are present."""
    if pr.state is not PrState.MERGED or pr.base != stack.trunk or pr.merge_commit is None:
        return False
    return not history.missing(git, [pr.head_oid, pr.merge_commit, trunk]) and history.is_ancestor(
        git, pr.merge_commit, trunk
    )


def _contained_in(git: Git, pr: PullRequest, merged: Sequence[PullRequest]) -> Oid | None:
    """Return the merge commit of one of several pull requests that contained this one's head; None: none did."""
    if history.missing(git, [pr.head_oid]):
        return None
    return next((each.merge_commit for each in merged if history.is_ancestor(git, pr.head_oid, each.head_oid)), None)


def _landed_with(git: Git, pr: PullRequest, trunk: Oid) -> Oid | None:
    """Return the first commit of trunk with all changes of a pull request; None if there is none."""
    if history.missing(git, [pr.head_oid, trunk]):
        return None
    merge = pr.merge_commit
    if merge is not None and not history.missing(git, [merge]) and history.is_ancestor(git, merge, trunk):
        return merge
    base = history.merge_base(git, trunk, pr.head_oid)
    if base is None or not _holds(git, trunk, pr.head_oid, base):
        return None
    line = git.cached_query(
        "rev-list", "--first-parent", "--reverse", "--end-of-options", f"{base}..{trunk}"
    ).text.split()
    line = line or [trunk]
    low, high = 0, len(line) - 1
    while low < high:  # binary search for the first commit of trunk that contains the changes
        middle = (low + high) // 2
        low, high = (low, middle) if _holds(git, Oid(line[middle]), pr.head_oid, base) else (middle + 1, high)
    return Oid(line[low])


def _holds(git: Git, trunk: Oid, head: Oid, base: Oid) -> bool:
    if base == head:
        return history.is_ancestor(git, head, trunk)
    merge = replay.three_way(git, base=base, ours=trunk, theirs=head)
    return not merge.conflicts and merge.tree == git.tree(trunk)
