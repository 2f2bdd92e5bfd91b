"""Command `init` without open pull requests: begin a stack with local branches."""

from __future__ import annotations

from collections.abc import Collection

from msgspec.structs import replace

from trunkline.commands.init import PullRequestStacks
from trunkline.domain.local_stack import bases
from trunkline.domain.names import BranchName, branch_name, oid
from trunkline.domain.stack import Entry
from trunkline.git import refs
from trunkline.git.git import Git


def with_local(scan: PullRequestStacks, *, declared: Collection[str] = ()) -> PullRequestStacks:
    """Return what `init` has seen; without a stack, with the local branches up to the one that is checked out.

    They become entries without a pull request. A branch that has, or had, a pull request is left out.

    Args:
        scan: the stacks of the pull requests.
        declared: the branches of stack.toml, which are left out too.
    """
    if scan.stacks:
        return scan
    known = {*declared, *(pr.head for pr in scan.open), *(pr.head for pr in scan.listing.merged)}
    found = chain(scan.git, scan.remote, scan.trunk, known)
    return replace(scan, stacks=(tuple(Entry(None, branch) for branch in found),)) if found else scan


def chain(git: Git, remote: str, trunk: BranchName, known: Collection[str]) -> list[BranchName]:
    """Return the local branches from trunk up to the one that is checked out, bottom first.

    Args:
        git: the checkout.
        remote: the git remote.
        trunk: the branch that stacks are merged into.
        known: branches to leave out.
    """
    current, onto = refs.current_branch(git), refs.tracking_ref(remote, trunk)
    if not current or current in {trunk, *known} or refs.read_ref(git, onto) is None:
        return []
    chosen = ("--merged=HEAD", f"--no-merged={onto}", "--format=%(refname:lstrip=2)", "refs/heads/")
    names = [branch_name(line) for line in git.query("for-each-ref", *chosen).lines if line not in {trunk, *known}]
    listed = {name: git.query("rev-list", "--end-of-options", f"{onto}..refs/heads/{name}").lines for name in names}
    below = bases(trunk, {name: [oid(line) for line in lines] for name, lines in listed.items()})
    found = list[BranchName]()
    at = branch_name(current)
    while at in below:
        found.insert(0, at)
        at = below[at]
    return found
