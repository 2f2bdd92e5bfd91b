"""Name the current and former heads of entries, from refs that are read once for the whole stack."""

from __future__ import annotations

from collections.abc import Mapping

from trunkline.domain.names import Oid, branch_ref
from trunkline.domain.snapshot import PullRequest
from trunkline.domain.stack import Entry, Stack
from trunkline.git import local_refs, refs
from trunkline.git.git import Git


def refs_of(git: Git, stack: Stack) -> dict[str, Oid]:
    """Return the refs that hold tips of trunk and of the entries, now or earlier, from one git process.

    They are the local branches, the tracking branches, and all backups, by full name.
    """
    branches = [stack.trunk, *(entry.branch for entry in stack.entries)]
    names = [name for each in branches for name in (branch_ref(each), refs.tracking_ref(stack.remote, each))]
    return refs.read_refs(git, *names, f"{local_refs.BACKUPS}/")


def heads_of(known: Mapping[str, Oid], remote: str, entry: Entry, pr: PullRequest | None) -> tuple[Oid, ...]:
    """Return the current and former heads of an entry: local, remote, on GitHub, backups.

    Args:
        known: the refs of the stack (`refs_of`).
        remote: the stack's remote.
        entry: the entry.
        pr: its pull request, if it is known.
    """
    names = (branch_ref(entry.branch), refs.tracking_ref(remote, entry.branch))
    pr_heads = (pr.head_oid, *pr.historical_heads) if pr else ()
    found = (*(known[name] for name in names if name in known), *pr_heads)
    return tuple(dict.fromkeys((*found, *local_refs.backups_among(known, entry.branch))))
