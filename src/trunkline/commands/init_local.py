"""Command `init` without open pull requests: begin a stack with local branches."""

from __future__ import annotations

from collections.abc import Collection

from msgspec.structs import replace

from trunkline.commands.init import PullRequestStacks
from trunkline.domain.stack import Entry
from trunkline.planning import local_chain


def with_local(scan: PullRequestStacks, *, declared: Collection[str] = ()) -> PullRequestStacks:
    """Return the scan; if it has no stack, with the local branches up to the one that is checked out.

    They become entries without a pull request. A branch that has, or had, a pull request is left out.

    Args:
        scan: the stacks of the pull requests.
        declared: the branches of stack.toml, which are left out too.
    """
    if scan.stacks:
        return scan
    known = {*declared, *(pr.head for pr in scan.open), *(pr.head for pr in scan.listing.merged)}
    found = local_chain.chain(scan.git, scan.remote, scan.trunk, known)
    return replace(scan, stacks=(tuple(Entry(None, branch) for branch in found),)) if found else scan
