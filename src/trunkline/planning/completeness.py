"""Find refs whose history is incomplete in this repository, and the command that repairs each."""

from __future__ import annotations

import shlex
from collections.abc import Iterator
from pathlib import PurePosixPath

from trunkline.domain.health import Finding, Health
from trunkline.domain.names import Oid, branch_ref
from trunkline.domain.stack import Stack
from trunkline.git import history, local_refs, refs
from trunkline.git.git import Git

_SHOWN = 5


def broken_refs(git: Git, stack: Stack) -> tuple[tuple[str, Oid], ...]:
    """Return the refs of a stack with missing objects, each with its tip.

    Checked refs: local and tracking branches, trunk, pull request heads, backups and notes. One
    `git rev-list` process checks all of them if nothing is missing.
    """
    branches = (stack.trunk, *(entry.branch for entry in stack.entries))
    names = [ref for branch in branches for ref in (branch_ref(branch), refs.tracking_ref(stack.remote, branch))]
    tips = refs.read_refs(git, *names, f"{refs.EVIDENCE}/", f"{local_refs.BACKUPS}/", "refs/notes/trunkline")
    if not tips or history.connectivity(git, tips.values(), excluding=()).returncode == 0:
        return ()
    return tuple((ref, tip) for ref, tip in tips.items() if history.connectivity(git, [tip], excluding=()).returncode)


def findings(git: Git, stack: Stack) -> Iterator[Finding]:
    """Yield a finding for each incomplete ref of a stack, with the command that fetches the rest."""
    broken = broken_refs(git, stack)
    for ref, _ in broken[:_SHOWN]:
        message = f"{ref} is not complete: a part of what it reaches is missing here"
        yield Finding("history", message, Health.ERROR, _fix(stack, ref))
    if len(broken) > _SHOWN:
        yield Finding("history", f"{len(broken) - _SHOWN} more refs are not complete", Health.ERROR, "git fsck")


def _fix(stack: Stack, ref: str) -> str:
    """Return the command that fetches the missing objects of a ref."""
    if ref.startswith(f"{refs.EVIDENCE}/"):
        number = PurePosixPath(ref).parts[-2]
        return f"git fetch --refetch {shlex.quote(stack.remote)} +refs/pull/{number}/head:{ref}"
    return f"git fetch --refetch {shlex.quote(stack.remote)}"
