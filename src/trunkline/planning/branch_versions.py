"""Compare the local commits of a branch with the remote's one by one, where each side has some that the other lacks.

Others rewrite branches too: "Update with rebase" and the server-side rebase of a stack on GitHub, or a colleague's
restack. The remote then holds the same commits with other ids.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from trunkline.domain.commits import Commit
from trunkline.domain.names import Oid, PrNumber, branch_ref
from trunkline.domain.snapshot import PullRequest
from trunkline.domain.stack import Entry, Stack
from trunkline.git import history, refs
from trunkline.git.git import Git
from trunkline.planning.fork_point import match


@dataclass(frozen=True)
class Versions:
    """How the local commits of a branch relate to the remote's.

    Attributes:
        missing_tool: the local commits of which the remote has no version, oldest first.
        above: the commit that the first of these sits on; None: there is none, or a merge is among them.
        pushed: everything local was on the remote once.
    """

    missing_tool: tuple[Commit, ...]
    above: Oid | None
    pushed: bool


def compare(
    git: Git,
    stack: Stack,
    entry: Entry,
    pulls: Mapping[PrNumber, PullRequest | None],
    *,
    ours: Oid,
    theirs: Oid,
    trunk: Sequence[Oid],
) -> Versions:
    """Compare the two sides of an entry's branch.

    A commit that was pushed once may have another content on the remote: whoever rebased it resolved a conflict, or
    amended it. One that was never pushed has a version there only with the same change, author and message.

    Args:
        git: the repository.
        stack: the stack.
        entry: the entry.
        pulls: what GitHub says of the stack's pull requests.
        ours: the local tip.
        theirs: the remote's.
        trunk: trunk's tips, as far as known.
    """
    upon = [*trunk]
    upon += [head for below in stack.below(entry) for head in _heads(git, stack, below, pulls.get(below.pr))]
    upon = _present(git, upon, theirs)
    mine = history.with_patch_ids(git, history.reachable(git, [ours], [theirs, *upon]))
    others = history.with_patch_ids(git, history.reachable(git, [theirs], [ours, *upon]))
    tracking = refs.tracking_ref(stack.remote, entry.branch)
    pr = pulls.get(entry.pr)
    once = [*(pr.historical_heads if pr else ()), *history.reflog_of(git, tracking)]
    pushed = {commit.oid for commit in history.reachable(git, _present(git, once, theirs), [theirs, *upon])}
    pairs = match(mine, others)
    known = {commit.oid: commit for commit in others}

    def has_version(commit: Commit) -> bool:
        if len(commit.parents) != 1:
            return commit.oid in pushed
        if commit.oid not in pairs:
            return False
        other = known[pairs[commit.oid][0]]
        return commit.oid in pushed or (commit.same_as(other) and commit.patch_id == other.patch_id)

    missing_tool = tuple(commit for commit in mine if not has_version(commit))
    rest = mine[mine.index(missing_tool[0]) :] if missing_tool else ()
    linear = bool(rest) and all(len(commit.parents) == 1 for commit in rest)
    return Versions(missing_tool, rest[0].parents[0] if linear else None, all(each.oid in pushed for each in mine))


def _heads(git: Git, stack: Stack, entry: Entry, pr: PullRequest | None) -> list[Oid]:
    """Return the heads of an entry below, here, on GitHub and in our backups."""
    here = refs.read_refs(git, branch_ref(entry.branch), refs.tracking_ref(stack.remote, entry.branch))
    seen = (pr.head_oid, *pr.historical_heads) if pr else ()
    return [*here.values(), *seen, *refs.backups_of(git, entry.branch)]


def _present(git: Git, names: Iterable[Oid], theirs: Oid) -> list[Oid]:
    """Return those of the commits that are here and do not contain the remote's side."""
    wanted = list(dict.fromkeys(names))
    absent = history.missing(git, wanted)
    return [name for name in wanted if name not in absent and not history.is_ancestor(git, theirs, name)]
