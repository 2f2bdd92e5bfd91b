"""Read the user's index as a tree, and set it to one. The work tree is never touched."""

from __future__ import annotations

import shutil
import tempfile
from pathlib import Path

from trunkline.domain.errors import Refused, UsageError
from trunkline.domain.names import Oid, oid
from trunkline.git.git import Git
from trunkline.state.lock import RepositoryLock


def staged_tree(git: Git) -> Oid:
    """Return the tree of the index.

    Raises:
        Refused: the index has unmerged files.
    """
    return _written(git, {})


def tree_with_all(git: Git) -> Oid:
    """Return the tree of the index after `git add --update`, which is not run on the index itself.

    Raises:
        Refused: the index has unmerged files.
    """
    path = git.query("rev-parse", "--path-format=absolute", "--git-path", "index").path
    with tempfile.TemporaryDirectory(prefix="trunkline-index-") as made:
        copy = Path(made) / "index"
        if path.exists():
            shutil.copyfile(path, copy)
        env = {"GIT_INDEX_FILE": str(copy)}
        git.query("add", "--update", "--", ":/", env=env)
        return _written(git, env)


def tree_with(git: Git, base: Oid, rows: bytes) -> Oid:
    """Return a tree with some other entries; it is written, and no index of the user's changes.

    Args:
        git: the repository.
        base: the tree, or a commit.
        rows: "mode blob TAB path NUL" for each entry; mode 0 removes it (git-update-index(1)).
    """
    with tempfile.TemporaryDirectory(prefix="trunkline-index-") as made:
        env = {"GIT_INDEX_FILE": str(Path(made) / "index")}
        git.query("read-tree", base, env=env)
        git.query("update-index", "-z", "--index-info", stdin=rows, env=env)
        return oid(git.query("write-tree", env=env).text)


def set_to(git: Git, lock: RepositoryLock, tree: Oid) -> None:
    """Set the index to a tree; files of the work tree stay as they are."""
    git.mutate(lock, "read-tree", tree, display="git add --update")
    git.mutate(lock, "update-index", "-q", "--refresh", ok=(0, 1))


def _written(git: Git, env: dict[str, str]) -> Oid:
    if unmerged := git.query("diff", "--name-only", "--diff-filter=U", "-z", env=env).text:
        names = ", ".join(name for name in unmerged.split("\0") if name)
        raise Refused(
            "the index has unmerged files",
            why=f"{names}; nothing was changed",
            next_command="git status",
        )
    try:
        return oid(git.query("write-tree", env=env).text)
    except UsageError as error:
        raise Refused(
            "the index cannot be written as a tree",
            why=error.why,
            stderr=error.stderr,
            next_command="git status",
        ) from error
