"""Read the repository's work trees, and the uncommitted changes of one."""

from __future__ import annotations

from pathlib import Path

import msgspec

from trunkline.git.git import Git
from trunkline.system import process


class WorkTree(msgspec.Struct, frozen=True):
    """One of the repository's work trees: its path and the branch checked out in it, if any."""

    path: Path
    branch: str


def work_trees(git: Git) -> tuple[WorkTree, ...]:
    """Return the repository's work trees, the main one first."""
    found = []
    for block in git.query("worktree", "list", "--porcelain", "-z").text.split("\0\0"):
        fields = dict(line.partition(" ")[::2] for line in block.split("\0") if line)
        if "worktree" in fields and "bare" not in fields:
            branch = fields.get("branch", "").removeprefix("refs/heads/")
            found.append(WorkTree(process.path_of(fields["worktree"]), branch))
    return tuple(found)


def changed_paths(git: Git) -> tuple[str, ...]:
    """Return tracked paths of the work tree with uncommitted changes, staged or not, each in one line."""
    output = git.query("status", "--porcelain=v1", "-z", "--untracked-files=no", "--ignore-submodules=none").text
    parts = iter(output.split("\0"))
    paths = []
    for part in parts:
        if part:
            paths.append(part[3:].replace("\n", "\\n"))
            if part[0] in "RC":
                next(parts, None)  # the old name of a rename follows
    return tuple(paths)
