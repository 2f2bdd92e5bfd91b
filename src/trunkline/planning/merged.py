"""Decide whether an entry below was merged into trunk, and by which method."""

from __future__ import annotations

import shlex

from trunkline.context.view import View
from trunkline.domain.command import task_command
from trunkline.domain.errors import Refused
from trunkline.domain.names import Oid, oid, short
from trunkline.domain.reverts import Reverted, reverted_by
from trunkline.domain.snapshot import MergeMethod, PrState, PullRequest
from trunkline.domain.stack import Entry
from trunkline.git import history
from trunkline.git.git import Git


def merged_below(view: View, entry: Entry) -> tuple[PullRequest, MergeMethod]:
    """Return an entry's merged pull request and its merge method.

    GitHub must show it as MERGED into trunk, and the fetched trunk must contain the merge commit.

    Raises:
        Refused: it is open or closed, or its merge commit is not in trunk.
        UsageError: GitHub has no such pull request.
    """
    pr = view.known(entry.pr)
    if pr.state is PrState.OPEN:
        raise Refused(
            f"{entry.label} below is not merged yet",
            why=f"it is {'a draft' if pr.draft else 'open'}: {pr.url}",
            next_command=task_command("rebase", "--pr", entry.key)
            if pr.draft
            else task_command("status", comment=f"shows what {entry.label} waits for"),
        )
    if pr.state is PrState.CLOSED:
        raise Refused(
            f"{entry.label} below was closed without being merged",
            why=f"so {view.stack.trunk} does not hold what {view.entry.label} builds on: {pr.url}",
            next_command=task_command("rescue", "--pr", entry.key),
        )
    merge = pr.merge_commit
    if merge is None or pr.base != view.stack.trunk:
        raise merged_elsewhere(view, entry, pr)
    if not history.is_ancestor(view.git, merge, view.world.trunk):
        raise Refused(
            f"{entry.label} is merged as {short(merge)}, but {view.tracking} does not contain that commit",
            why=f"{view.tracking} is at {short(view.world.trunk)}: it was rewound, or lags behind",
            next_command=f"git log --oneline {shlex.quote(view.tracking)}",
        )
    return pr, merge_method(view.git, pr, merge)


def is_part_of(view: View, entry: Entry) -> bool:
    """Return whether another entry's pull request was merged into the branch of this one: it lands with it."""
    return lands_with(view.world.snapshot.pr(entry.key), view.entry)


def lands_with(pr: PullRequest | None, entry: Entry) -> bool:
    """Return whether a pull request was merged into the branch of an entry."""
    return pr is not None and pr.state is PrState.MERGED and pr.base == entry.branch


def merged_elsewhere(view: View, entry: Entry, pr: PullRequest) -> Refused:
    """Return the error for a pull request that was merged into another branch than trunk."""
    trunk, below = view.stack.trunk, view.stack.below(entry)
    holder = next((each for each in below if each.branch == pr.base and _is_open(view, each)), None)
    command: str
    if holder is not None:
        why = f"it went into {pr.base}, and lands with {holder.label}"
        command = task_command("land", "--up-to", holder.key)
    elif pr.merge_commit is not None:
        why = f"it went into {pr.base}, and {trunk} does not hold its changes; a new pull request can bring them"
        command = shlex.join(("gh", "pr", "create", "--base", trunk, "--head", entry.branch))
    else:
        why, command = "GitHub names no merge commit", task_command("open", "--pr", pr.number)
    return Refused(f"{entry.label} was not merged into {trunk}", why=why, next_command=command)


def _is_open(view: View, entry: Entry) -> bool:
    return entry.number is None or view.known(entry.pr).state is PrState.OPEN


def merge_method(git: Git, pr: PullRequest, merge: Oid) -> MergeMethod:
    """Derive the merge method of a pull request from its commits: GitHub does not record it.

    Two parents: a merge commit. The last commit's own author and message: a rebase. Otherwise a
    squash, for which GitHub writes a new message with `(#N)`.
    """
    if len(pr.merge_parents) > 1:
        return MergeMethod.MERGE
    if not history.has_object(git, pr.head_oid):
        return MergeMethod.SQUASH
    head, merged = history.read_commits(git, [pr.head_oid, merge])
    kept = (head.author, head.message.strip()) == (merged.author, merged.message.strip())
    return MergeMethod.REBASE if kept else MergeMethod.SQUASH


def reverted_below(view: View) -> tuple[Reverted, ...]:
    """Return the merged entries directly below that trunk reverted; the entry may need their changes.

    Raises:
        Refused: see `merged_below`.
    """
    found, trunk = [], view.world.trunk
    for entry in view.stack.below(view.entry):
        if is_part_of(view, entry):
            continue
        pr, _ = merged_below(view, entry)
        if pr.merge_commit is None:
            continue
        span = f"{pr.merge_commit}..{trunk}"
        listed = view.git.cached_query(
            "rev-list", "--topo-order", "--fixed-strings", "--grep=everts ", "--end-of-options", span
        ).text.split()
        commits = history.read_commits(view.git, [oid(name) for name in listed])
        by = reverted_by(commits, view.repository.slug, merge=pr.merge_commit, number=pr.number)
        if by is not None:
            found.append(Reverted(pr.number, by))
    return tuple(found)
