"""A new entry as data: its place, its commit, and the state of the checkout before it is created."""

from __future__ import annotations

import msgspec

from trunkline.domain.names import BranchName, Oid


class AddedEntry(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A new entry of the stack.

    Attributes:
        branch: its branch.
        below: the branch of the entry right below; "": it is the bottom one.
        title: its title in stack.toml.
        commit: the commit that its branch is created at; None: the branch exists.
        came_from: the branch that was checked out; "": HEAD was detached.
        head: the commit that was checked out.
        index: the tree of the index before.
        staged: a commit with the files of the checkout that `commit` takes in.
    """

    branch: BranchName
    below: str
    title: str = ""
    commit: Oid | None = None
    came_from: str = ""
    head: Oid | None = None
    index: Oid | None = None
    staged: Oid | None = None


def title_of(message: str) -> str:
    """Return the first line of a commit message."""
    return message.strip().partition("\n")[0].strip()
