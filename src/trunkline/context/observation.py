"""Observe pull requests on GitHub, refs on the remote, and local branches.

Missing objects are fetched; no ref moves.
"""

from __future__ import annotations

import contextlib
from collections.abc import Mapping, Sequence
from pathlib import Path

import msgspec

from trunkline.domain.errors import ExternalError, UsageError
from trunkline.domain.names import BranchName, Oid, branch_ref
from trunkline.domain.snapshot import LocalState, PrState, PullRequest, Snapshot
from trunkline.domain.stack import Entry, Stack
from trunkline.git import history, index, refs, work_trees
from trunkline.git.git import Git
from trunkline.git.user_rebases import branches_in_rebase
from trunkline.git.work_trees import WorkTree


class World(msgspec.Struct, frozen=True):
    """One observation: pull requests on GitHub, refs on the remote, and the local branches.

    Attributes:
        snapshot: the stack's pull requests.
        trunk: the remote's trunk tip.
        remote_refs: tips by full ref name, of trunk, the entry's branch and the pull requests'
            heads.
        branches: the branches of all entries, local and on the remote.
    """

    snapshot: Snapshot
    trunk: Oid
    remote_refs: Mapping[str, Oid]
    branches: Mapping[BranchName, LocalState]


def no_trunk(git: Git, stack: Stack) -> UsageError:
    """Return the error for a trunk that the remote does not have; it names the remote's default branch."""
    hint = f"   # set trunk to a branch of {stack.remote}"
    with contextlib.suppress(ExternalError):
        hint = f'   # trunk = "{refs.default_branch(git, stack.remote)[0]}" is the default branch of {stack.remote}'
    return UsageError(
        f"{stack.remote} has no branch {stack.trunk}",
        why="stack.toml names it as the trunk",
        next_command="${EDITOR:-vi} stack.toml" + hint,
    )


def observe_remote(git: Git, stack: Stack, entries: Sequence[Entry]) -> dict[str, Oid]:
    """Read the remote's refs for these entries with one `git ls-remote`; fetch missing objects.

    The refs are those of trunk, the entries, and the heads below them. All their objects are in
    this repository afterwards.

    Raises:
        UsageError: the remote has no trunk.
        ExternalError: the request to the remote failed, or objects are missing.
    """
    heads = [
        refs.pull_head(each.number) for each in (*stack.below(entries[-1]), entries[-1]) if each.number is not None
    ]
    branches = [branch_ref(each.branch) for each in entries]
    names = [branch_ref(stack.trunk), *branches, *heads]
    absent: frozenset[Oid] = frozenset()
    for _ in range(_LOOKS):
        found = refs.list_remote(git, stack.remote, names)
        if branch_ref(stack.trunk) not in found:
            raise no_trunk(git, stack)
        absent = history.missing(git, found.values())
        if absent:
            refs.fetch_objects(git, stack.remote, [name for name, tip in found.items() if tip in absent])
            absent = history.missing(git, found.values())
        if not absent:
            return found
        # A branch was pushed between the two requests: its new commits were fetched.
    raise refs.incomplete(git, stack.remote, absent)


def fetch_replaced_heads(git: Git, stack: Stack, snapshot: Snapshot, *, refused: set[Oid]) -> None:
    """Fetch the heads that force-pushes replaced, if they are missing here and decide whose commits a branch has.

    A branch that was not rebased since may contain commits of such a head, and only that head
    identifies their owner.

    Args:
        git: the repository.
        stack: the stack.
        snapshot: its pull requests.
        refused: the commits that the remote did not send before; those of this call are added.
    """
    pulls = [pr for entry in stack.entries if (pr := snapshot.pr(entry.key)) is not None]
    replaced = {head for pr in pulls for head in pr.historical_heads} - refused
    absent = history.missing(git, replaced) if replaced else frozenset()
    wanted = {
        head
        for index, pr in enumerate(pulls)
        for head in absent.intersection(pr.historical_heads)
        if not all(_contains(git, above, pr) for above in pulls[index + 1 :] if above.state is PrState.OPEN)
    }
    if wanted:
        refs.fetch_commits(git, stack.remote, sorted(wanted))
        refused |= history.missing(git, wanted)


def _contains(git: Git, above: PullRequest, below: PullRequest) -> bool:
    """Return whether the head of a pull request contains that of another; False if one is missing here."""
    heads = (below.head_oid, above.head_oid)
    return not history.missing(git, heads) and history.is_ancestor(git, *heads)


def disagree(git: Git, stack: Stack, entries: Sequence[Entry], snapshot: Snapshot, remote: Mapping[str, Oid]) -> bool:
    """Return whether GitHub and the remote describe two moments: somebody acted between the responses.

    Either an open pull request has no branch, or a head that this clone lacks; or trunk does not hold
    the merge of a merged one.

    Args:
        git: the repository, with the objects of the remote's refs.
        stack: the stack.
        entries: the entries whose branches were read from the remote.
        snapshot: the response of GitHub.
        remote: the remote's refs.
    """
    pulls = [(entry, snapshot.pr(entry.number)) for entry in entries if entry.number is not None]
    open_ = [
        (entry, pr.head_oid)
        for entry, pr in pulls
        if pr is not None and pr.state is PrState.OPEN and pr.head == entry.branch
    ]
    merges = [
        pr.merge_commit
        for _, pr in pulls
        if pr is not None and pr.state is PrState.MERGED and pr.base == stack.trunk and pr.merge_commit is not None
    ]
    if any(branch_ref(entry.branch) not in remote for entry, _ in open_):
        return True
    # A head that differs and is here is an older one: GitHub lags.
    newer = [head for entry, head in open_ if head != remote[branch_ref(entry.branch)]]
    if (newer or merges) and history.missing(git, [*newer, *merges]):
        return True
    # A fetch after the list of refs can bring the merge without moving the trunk that was listed.
    return bool(history.reachable(git, merges, [remote[branch_ref(stack.trunk)]]))


_LOOKS = 3
"""The maximum number of reads of the remote while its branches move."""


def local_state(git: Git, branch: BranchName) -> LocalState:
    """Return the state of one local branch, before it moves; see `local_states`."""
    return local_states(git, [branch], changes=False)[branch]


def local_states(git: Git, branches: Sequence[BranchName], *, changes: bool = True) -> dict[BranchName, LocalState]:
    """Return the state of local branches: tips, checkouts and uncommitted changes.

    Args:
        git: the user's checkout.
        branches: the branches.
        changes: also report uncommitted changes if none of these branches is checked out.
    """
    tips = refs.read_refs(git, *(branch_ref(branch) for branch in branches))
    top = git.cached_query("rev-parse", "--show-toplevel").text
    trees = work_trees.work_trees(git)
    holders = {tree.branch: str(tree.path) for tree in trees if str(tree.path) != top}
    current = next((tree.branch for tree in trees if str(tree.path) == top), "")
    rebases = branches_in_rebase(git)
    changed = work_trees.changed_paths(git) if changes or current in branches else ()
    begun = index.unfinished(_git_dir(git, trees)) if current in branches else ""

    def state(branch: BranchName) -> LocalState:
        tip, elsewhere = tips.get(branch_ref(branch)), holders.get(branch, "")
        rebasing, is_here = str(rebases.get(branch, "")), branch == current
        return LocalState(branch, tip, None, is_here, elsewhere, changed, rebasing, begun if is_here else "")

    return {branch: state(branch) for branch in branches}


def _git_dir(git: Git, trees: Sequence[WorkTree]) -> Path:
    """Return the git directory of this checkout; the main one's needs no process."""
    if trees and trees[0].path == git.cwd:
        return git.common_dir()
    return git.cached_query("rev-parse", "--absolute-git-dir").path
