"""Read the user's index as a tree, and set it to one. The work tree is never touched."""

from __future__ import annotations

import contextlib
import shutil
import tempfile
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

from trunkline.domain.errors import Refused, UsageError
from trunkline.domain.names import Oid, oid
from trunkline.git import trees
from trunkline.git.git import Git
from trunkline.git.obstacles import marked_paths
from trunkline.git.trees import Entry
from trunkline.state.lock import RepositoryLock


def staged_tree(git: Git) -> Oid:
    """Return the tree of the index.

    Raises:
        Refused: the index has unmerged files.
    """
    with _copy(git) as env:
        return _written(git, env)


def tree_with_all(git: Git) -> Oid:
    """Return the tree of the index after `git add --update`, which is not run on the index itself.

    Raises:
        Refused: the index has unmerged files.
    """
    with _copy(git) as env:
        git.scratch("add", "--update", "--", ":/", env=env)
        return _written(git, env)


@contextlib.contextmanager
def _copy(git: Git) -> Iterator[dict[str, str]]:
    """Yield an environment with a copy of the index: `git write-tree` would lock the index and write to it."""
    path = git.query("rev-parse", "--path-format=absolute", "--git-path", "index").path
    with tempfile.TemporaryDirectory(prefix="trunkline-index-") as made:
        copy = Path(made) / "index"
        if path.exists():
            shutil.copyfile(path, copy)
        yield {"GIT_INDEX_FILE": str(copy)}


@contextlib.contextmanager
def of_commit(git: Git, *, everything: bool) -> Iterator[tuple[dict[str, str], Callable[[], Oid]]]:
    """Yield an environment for a hook with the index of a commit, and a function that returns its tree.

    Args:
        git: the checkout.
        everything: a temporary index with all changes of tracked files, instead of the index itself.
    """
    if everything:
        with _copy(git) as env:
            git.scratch("add", "--update", "--", ":/", env=env)
            yield env, lambda: _written(git, env)
    else:
        path = git.query("rev-parse", "--path-format=absolute", "--git-path", "index").path
        yield {"GIT_INDEX_FILE": str(path)}, lambda: staged_tree(git)


def tree_with(git: Git, base: Oid, rows: bytes) -> Oid:
    """Write a tree with some other entries and return it; the user's index stays as it is.

    Args:
        git: the repository.
        base: the tree, or a commit.
        rows: "mode blob TAB path NUL" for each entry; mode 0 removes it (git-update-index(1)).
    """
    with tempfile.TemporaryDirectory(prefix="trunkline-index-") as made:
        env = {"GIT_INDEX_FILE": str(Path(made) / "index")}
        git.scratch("read-tree", base, env=env)
        git.scratch("update-index", "-z", "--index-info", stdin=rows, env=env)
        return oid(git.scratch("write-tree", env=env).text)


def change(git: Git, lock: RepositoryLock, *, held: Oid, wanted: Oid) -> None:
    """Change the index from a tree to another; files of the work tree stay as they are.

    The entries of other paths are not written, which keeps their flags: `git read-tree` would clear
    those of a sparse checkout, and the next `git add --update` would delete every file outside it.
    """
    differing = trees.changed(git, held, wanted)
    marked = {path: flag for path, flag in marked_paths(git).items() if path in differing}
    entries = {path: after for path, (_, after) in differing.items()}
    set_entries(git, lock, entries, marked, shown="git add --update")
    git.mutate(lock, "update-index", "-q", "--refresh", ok=(0, 1))


def put_back(git: Git, lock: RepositoryLock, *, held: Oid, wanted: Oid) -> None:
    """Change the index from a tree to another, if it has the first one and git still has the second one."""
    if held == wanted or staged_tree(git) != held:
        return
    if git.query("cat-file", "-e", f"{wanted}^{{tree}}", ok=(0, 1, 128)).returncode == 0:
        change(git, lock, held=held, wanted=wanted)


def set_entries(
    git: Git,
    lock: RepositoryLock,
    entries: Mapping[bytes, Entry | None],
    marked: Mapping[bytes, str],
    *,
    shown: str = "",
) -> None:
    """Set index entries; None removes the entry. Sparse-checkout paths keep their flag.

    Args:
        git: the checkout.
        lock: proof that the caller holds the repository lock.
        entries: path -> mode and object.
        marked: the index flags of these paths.
        shown: the equivalent command; "": housekeeping, not echoed.
    """
    if not entries:
        return
    none = b"0 " + b"0" * {"sha1": 40, "sha256": 64}[git.object_format()]
    lines = [none + b"\t" + path for path, entry in entries.items() if entry is None]
    lines += [b"%s %s\t%s" % (entry[0], entry[1].encode(), path) for path, entry in entries.items() if entry]
    stdin = b"".join(line + b"\0" for line in lines)
    git.mutate(lock, "update-index", "-z", "--index-info", stdin=stdin, shown=shown)
    sparse = [path for path, entry in entries.items() if entry and marked.get(path) == "skip-worktree"]
    if sparse:
        stdin = b"".join(path + b"\0" for path in sparse)
        git.mutate(lock, "update-index", "-z", "--skip-worktree", "--stdin", stdin=stdin)


def refuse_unfinished(git: Git, *, task: str) -> None:
    """Check that no merge, cherry-pick, revert or rebase is in progress in this checkout.

    Raises:
        Refused: it is, so what is staged is not yet a change of one commit.
    """
    command = unfinished(git.query("rev-parse", "--absolute-git-dir").path)
    if command:
        raise Refused(
            f"git is in the middle of a {command} in your checkout",
            why=f"{task} would take what it staged for changes of yours; nothing was changed",
            next_command=(f"git {command} --continue", f"git {command} --abort"),
        )


def unfinished(git_dir: Path) -> str:
    """Return the command that the user began in a checkout and has not finished, as `cherry-pick`; "" if none.

    It may have changed no file: `git cherry-pick` stops at a commit that became empty.

    Args:
        git_dir: the git directory of the checkout.
    """
    return next((command for name, command in _UNFINISHED if (git_dir / name).exists()), "")


_UNFINISHED = (
    ("MERGE_HEAD", "merge"), ("CHERRY_PICK_HEAD", "cherry-pick"), ("REVERT_HEAD", "revert"),
    ("rebase-merge", "rebase"), ("rebase-apply/applying", "am"), ("rebase-apply", "rebase"),
)  # fmt: skip
"""Files in the git directory of a checkout, and the command that each shows to be in progress."""


def _written(git: Git, env: dict[str, str]) -> Oid:
    if unmerged := git.query("diff", "--name-only", "--diff-filter=U", "-z", env=env).text:
        names = ", ".join(name for name in unmerged.split("\0") if name)
        raise Refused(
            "the index has unmerged files",
            why=f"{names}; nothing was changed",
            next_command="git status",
        )
    try:
        return oid(git.scratch("write-tree", env=env).text)
    except UsageError as error:
        raise Refused(
            "the index cannot be written as a tree",
            why=error.why,
            stderr=error.stderr,
            next_command="git status",
        ) from error
