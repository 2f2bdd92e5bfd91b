"""Find the local branches that can begin a stack."""

from __future__ import annotations

from collections.abc import Collection

from trunkline.domain.local_stack import bases
from trunkline.domain.names import BranchName, branch_name, oid
from trunkline.git import refs
from trunkline.git.git import Git


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
    if git.resolve("HEAD") is None:  # a branch without a commit
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
