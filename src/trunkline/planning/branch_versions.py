"""Compare the commits of a local branch with those of a diverged remote branch, one by one.

The remote branch may hold the same commits with other ids: a colleague restacked the branch, or
GitHub rebased it ("Update with rebase", or the server-side rebase of a stack).
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Sequence

import msgspec
from msgspec import structs

from trunkline.context.earlier_tips import EarlierTips
from trunkline.domain.commits import Commit
from trunkline.domain.names import EntryKey, Oid, branch_ref
from trunkline.domain.snapshot import PullRequest
from trunkline.domain.stack import Entry, Stack
from trunkline.git import history, refs
from trunkline.git.git import Git
from trunkline.planning.commit_matching import match
from trunkline.planning.known_heads import heads_of, refs_of
from trunkline.planning.update_merge import is_clean_merge


class Versions(msgspec.Struct, frozen=True):
    """The relation of a branch's local commits to those of the remote branch.

    Attributes:
        local_only: local commits without a version on the remote, oldest first.
        remote_only: remote commits without a version in the local branch, oldest first.
        parent: the parent of the first of these; None if there is none, or if one is a merge.
        pushed: every local commit was on the remote at some time.
        put_back: the user pushed another tip after the local one, and then moved the branch back.
        changed: remote commits whose version in the local branch has another change, oldest first.
        other_versions: each side only has other versions of the other's commits (somebody amended one), apart
            from merges without changes of their own on the remote.
    """

    local_only: tuple[Commit, ...]
    remote_only: tuple[Commit, ...]
    parent: Oid | None
    pushed: bool
    put_back: bool = False
    changed: tuple[Commit, ...] = ()
    other_versions: bool = False

    @property
    def diverged(self) -> bool:
        """The local branch holds work that taking the remote's version would replace."""
        return bool(self.local_only) and (not self.pushed or self.put_back)


def compare(
    git: Git,
    stack: Stack,
    entry: Entry,
    pull: Callable[[EntryKey], PullRequest | None],
    *,
    ours: Oid,
    theirs: Oid,
    trunk: Sequence[Oid],
    earlier: EarlierTips,
) -> Versions:
    """Compare the local and the remote side of an entry's branch; see `related`.

    Args:
        git: the repository.
        stack: the stack.
        entry: the entry.
        pull: returns the pull request of an entry as GitHub shows it.
        ours: the local tip.
        theirs: the remote tip.
        trunk: the known tips of trunk.
        earlier: former tips of branches.
    """
    known_refs = refs_of(git, stack)
    heads = [head for each in stack.below(entry) for head in heads_of(known_refs, stack.remote, each, pull(each.key))]
    excluded = _present(git, [*trunk, *heads], theirs)
    mine = history.with_patch_ids(git, history.reachable(git, [ours], [theirs, *excluded]))
    others = history.with_patch_ids(git, history.reachable(git, [theirs], [ours, *excluded]))
    once = once_pushed(earlier, stack.remote, entry, pull(entry.key))
    pushed = {commit.oid for commit in history.reachable(git, _present(git, once, theirs), [theirs, *excluded])}
    put_back = _put_back(git, entry, ours, pushed.union(once))
    found = related(mine, others, pushed=pushed, put_back=put_back)
    clean = all(is_clean_merge(git, commit) for commit in found.remote_only if found.other_versions)
    return structs.replace(found, other_versions=found.other_versions and clean)


def related(mine: Sequence[Commit], others: Sequence[Commit], *, pushed: Collection[Oid], put_back: bool) -> Versions:
    """Relate the commits of a local branch to those of the remote branch.

    A commit that was pushed before may have another content on the remote: somebody resolved a
    conflict or amended it. A commit that was never pushed counts as present on the remote only with
    the same change, author and message.

    Args:
        mine: the local commits that the remote branch does not contain, oldest first, with patch ids.
        others: the remote commits that the local branch does not contain, likewise.
        pushed: the local commits that were on the remote at some time.
        put_back: see `Versions`.
    """
    known = {commit.oid: commit for commit in others}
    version_of = {name: known[partner] for name, (partner, _) in match(mine, others).items()}

    def is_kept(commit: Commit) -> bool:
        if len(commit.parents) != 1:
            return commit.oid in pushed
        if commit.oid not in version_of:
            return False
        version = version_of[commit.oid]
        return commit.oid in pushed or (commit.same_as(version) and commit.patch_id == version.patch_id)

    local_only = tuple(commit for commit in mine if not is_kept(commit))
    rest = mine[mine.index(local_only[0]) :] if local_only else ()
    linear = bool(rest) and all(len(commit.parents) == 1 for commit in rest)
    versions = {version.oid for version in version_of.values()}
    matched = [(commit, version_of[commit.oid]) for commit in mine if commit.oid in version_of]
    same = {version.oid for commit, version in matched if commit.patch_id == version.patch_id}
    remote_only = tuple(commit for commit in others if commit.oid not in versions)
    return Versions(
        local_only,
        remote_only,
        rest[0].parents[0] if linear else None,
        pushed=all(each.oid in pushed for each in mine),
        put_back=put_back,
        changed=tuple(commit for commit in others if commit.oid in versions - same),
        other_versions=all(len(commit.parents) > 1 for commit in remote_only) and len(matched) == len(mine),
    )


class Removed(msgspec.Struct, frozen=True):
    """The local commits that the remote branch held once and was force-pushed without.

    Attributes:
        commits: oldest first.
        is_settled: the local branch has nothing else, and the user did not move it back to them: the
            remote's version is taken.
    """

    commits: tuple[Commit, ...]
    is_settled: bool


def removed(git: Git, entry: Entry, once: Sequence[Oid], *, ours: Oid, theirs: Oid) -> Removed:
    """Find the commits that others removed from a remote branch, and that the local one still has.

    Args:
        git: the repository.
        entry: the entry.
        once: the tips that the remote branch had (`once_pushed`).
        ours: the local tip, which contains the remote tip.
        theirs: the remote tip.
    """
    reached = history.reachable(git, history.present(git, once), [theirs])
    held = {commit.oid for commit in reached}
    ahead = history.reachable(git, [ours], [theirs])
    found = tuple(commit for commit in ahead if commit.oid in held)
    return Removed(found, bool(found) and len(found) == len(ahead) and not _put_back(git, entry, ours, once))


def once_pushed(earlier: EarlierTips, remote: str, entry: Entry, pr: PullRequest | None) -> tuple[Oid, ...]:
    """Return the tips that the remote branch had, as GitHub and the tracking branch show."""
    tracking = earlier.values_of(refs.tracking_ref(remote, entry.branch))
    return (*(pr.historical_heads if pr else ()), *tracking)


def _put_back(git: Git, entry: Entry, ours: Oid, pushed: Collection[Oid]) -> bool:
    """Return whether the local branch was moved back to its tip from another tip that was pushed."""
    tips = history.moves_of(git, branch_ref(entry.branch))
    if ours not in tips[1:]:
        return False
    oldest = len(tips) - 1 - tips[::-1].index(ours)
    return any(tip != ours and tip in pushed for tip in tips[:oldest])


def _present(git: Git, names: Iterable[Oid], theirs: Oid) -> list[Oid]:
    """Return the commits that exist in this repository and do not contain the remote tip."""
    return [name for name in history.present(git, names) if not history.is_ancestor(git, theirs, name)]
