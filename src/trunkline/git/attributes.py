"""Give each merge the `.gitattributes` of the commit that is merged onto.

`git merge-tree` reads attributes from the work tree and the index (git 2.39). `git rebase` reads
them from the commit that it rebases onto, because that commit is checked out meanwhile. The
attributes of the checkout are wrong: a branch that sets `*.rs merge=union` must not decide how
another entry is merged. So each merge runs in a scratch work tree that holds the attribute files of
one tree and nothing else. `--attr-source` does the same from git 2.41 on; one implementation for
every version is simpler.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import shutil
import tempfile
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

from trunkline.domain.errors import ExternalError
from trunkline.domain.names import Oid, oid
from trunkline.git.git import Git
from trunkline.system.files import private_directory

_NAME = b".gitattributes"
_PATHSPEC = ":(glob)**/.gitattributes"
_REGULAR = (b"100644", b"100755")


def files_in_tree(git: Git, tree: Oid) -> Mapping[bytes, Oid]:
    """Return the attribute files of a tree: path -> blob.

    Symbolic links are skipped, as git skips them.

    Raises:
        ExternalError: git's output cannot be parsed.
    """
    load(git, [tree])
    return git.attributes[tree]


def load(git: Git, trees: Iterable[Oid]) -> None:
    """Load the attribute files of several trees; `files_in_tree` then needs no process for them.

    Raises:
        ExternalError: git's output cannot be parsed.
    """
    known = git.attributes
    unread = [tree for tree in dict.fromkeys(trees) if tree not in known]
    try:
        if unread and not known:
            first = unread.pop(0)
            known[first] = _listed(git, first)
        if unread:
            found = _changed_since(git, *next(iter(known.items())), unread)
            known.update((tree, found[tree]) for tree in unread)
    except (ValueError, LookupError) as error:
        raise ExternalError("git's listing of a tree cannot be parsed", why=repr(error)) from error


def inherit(git: Git, merged: Oid, onto: Oid, changed: Mapping[bytes, tuple[object, object]]) -> None:
    """Note that a merged tree has the attribute files of the tree that a change was merged onto.

    Args:
        git: the repository.
        merged: the tree of a merge without a conflict.
        onto: the tree merged onto, whose attribute files are loaded.
        changed: the paths that the other side changed, with both entries. Nothing is noted if one
            is an attribute file, or was deleted: a directory that was moved takes files along.
    """
    if all(new is not None and path.rpartition(b"/")[2] != _NAME for path, (_, new) in changed.items()):
        git.attributes.setdefault(merged, git.attributes[onto])


def _listed(git: Git, tree: Oid) -> dict[bytes, Oid]:
    found = {}
    for line in git.query("ls-tree", "-r", "-z", "--full-tree", "--end-of-options", tree).stdout.split(b"\0"):
        about, _, path = line.partition(b"\t")
        if path.rpartition(b"/")[2] == _NAME and about.split()[0] in _REGULAR:
            found[path] = oid(about.split()[2].decode())
    return found


def _changed_since(
    git: Git, before: Oid, files: Mapping[bytes, Oid], trees: Sequence[Oid]
) -> dict[Oid, dict[bytes, Oid]]:
    """Return the attribute files of trees, given those of another tree, by reading the differences.

    `git diff-tree --stdin` writes a line with both trees before each difference, and the difference
    itself as fields that end with NUL (git-diff-tree(1)).
    """
    pairs = "".join(f"{before} {tree}\n" for tree in trees).encode()
    done = git.query("diff-tree", "--stdin", "-r", "-z", "--no-renames", "--", _PATHSPEC, stdin=pairs)
    found: dict[Oid, dict[bytes, Oid]] = {}
    changed = dict(files)
    fields = iter(done.stdout.split(b"\0"))
    for field in fields:
        *headers, about = field.split(b"\n")
        for header in headers:
            found[oid(header.split()[1].decode())] = changed = dict(files)
        if about:
            _, mode, _, blob, _ = about.split(b" ")
            path = next(fields, b"")
            changed.pop(path, None)
            if mode in _REGULAR:
                changed[path] = oid(blob.decode())
    return found


def scratch_repository(git: Git, tree: Oid) -> tuple[Git, dict[str, str]]:
    """Return the repository with a scratch work tree of attribute files, and the environment.

    The scratch work trees are kept in the state directory, one for each set of attribute files.
    """
    files = files_in_tree(git, tree)
    place = _scratch(git, files)
    git_dir = git.cached_query("rev-parse", "--path-format=absolute", "--git-dir").path
    environment = {
        "GIT_WORK_TREE": str(place),
        "GIT_INDEX_FILE": str(place / ".git-index-of-no-tree"),  # missing: no attributes come from an index
    }
    return git.at(place, str(git_dir)), environment


def _scratch(git: Git, files: Mapping[bytes, Oid]) -> Path:
    listing = b"".join(b"%s %s\0" % (blob.encode(), path) for path, blob in sorted(files.items()))
    parent = git.state_dir() / "attributes"
    place = parent / hashlib.sha256(listing).hexdigest()
    if place.is_dir():
        return place
    private_directory(git.state_dir())
    private_directory(parent)
    made = Path(tempfile.mkdtemp(prefix=".new-", dir=parent))
    try:
        for path, blob in files.items():
            target = made / os.fsdecode(path)
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_bytes(git.query("cat-file", "blob", blob).stdout)
        with contextlib.suppress(FileExistsError, OSError):  # another process created it first, with the same content
            made.rename(place)
    finally:
        shutil.rmtree(made, ignore_errors=True)
    return place
