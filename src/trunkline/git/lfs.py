"""Find out whether a tree uses Git LFS and whether git-lfs is installed."""

from __future__ import annotations

import shutil

from trunkline.domain.names import Oid
from trunkline.git.git import Git


def is_used(git: Git, tree: Oid | str) -> bool:
    """Return whether an attributes file of a tree applies the filter `lfs`."""
    specs = (":(top,glob)**/.gitattributes",)
    arguments = ("grep", "--quiet", "--fixed-strings", "-e", "filter=lfs", tree, "--", *specs)
    return git.query(*arguments, ok=(0, 1)).returncode == 0


def is_missing(git: Git, tree: Oid | str) -> bool:
    """Return whether a tree needs git-lfs and it is not installed."""
    return shutil.which("git-lfs") is None and is_used(git, tree)
