"""Decide whether the local branch of a merged entry can be deleted."""

from __future__ import annotations

from typing import TypeGuard

from trunkline.domain.names import short
from trunkline.domain.snapshot import LocalState, PrState, PullRequest
from trunkline.git import history
from trunkline.git.git import Git


def is_merged(pr: PullRequest | None) -> TypeGuard[PullRequest]:
    """Return whether GitHub merged a pull request; one closed by hand does not count."""
    return pr is not None and pr.state is PrState.MERGED and bool(pr.merged_at)


def is_deletable(git: Git, pr: PullRequest | None, local: LocalState) -> bool:
    """Return whether the local branch of an entry exists, is merged whole, and is not in use."""
    return local.local is not None and is_merged(pr) and not reason_to_stay(git, pr, local)


def reason_to_stay(git: Git, pr: PullRequest, local: LocalState) -> str:
    """Return why the local branch of a merged entry is kept, or ""."""
    if local.local is not None and not history.is_ancestor(git, local.local, pr.head_oid):
        return f"it holds {short(local.local)}, which is not part of what was merged"
    return local.use
