"""Let merges see the `.gitattributes` of the commit that is merged onto, whatever happens to be checked out.

`git merge-tree` reads attributes from the work tree and the index (git 2.39), `git rebase` from the commit it rebases
onto, since that is checked out meanwhile. A branch that sets `*.rs merge=union` must not decide how another entry is
merged. So each merge runs in a scratch work tree that holds the attribute files of one tree and nothing else.
`--attr-source` does the same from git 2.41 on; one way for every version is simpler.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import shutil
import tempfile
from collections.abc import Mapping
from pathlib import Path

from trunkline.domain.errors import ExternalError
from trunkline.domain.names import Oid, oid
from trunkline.git.git import Git
from trunkline.system.files import private_directory

_NAME = b".gitattributes"
_PATHSPEC = ":(glob)**/.gitattributes"
_REGULAR = (b"100644", b"100755")


def in_tree(git: Git, tree: Oid) -> Mapping[bytes, Oid]:
    """Return the attribute files of a tree: path -> blob. Links are none, as git treats them.

    Raises:
        ExternalError: git's output cannot be parsed.
    """
    known = git.attributes
    if tree not in known:
        try:
            known[tree] = _changed_since(git, *next(iter(known.items())), tree) if known else _listed(git, tree)
        except (ValueError, IndexError) as error:
            raise ExternalError("git's listing of a tree cannot be parsed", why=repr(error)) from error
    return known[tree]


def _listed(git: Git, tree: Oid) -> dict[bytes, Oid]:
    found = {}
    for line in git.query("ls-tree", "-r", "-z", "--full-tree", "--end-of-options", tree).stdout.split(b"\0"):
        about, _, path = line.partition(b"\t")
        if path.rpartition(b"/")[2] == _NAME and about.split()[0] in _REGULAR:
            found[path] = oid(about.split()[2].decode())
    return found


def _changed_since(git: Git, before: Oid, files: Mapping[bytes, Oid], tree: Oid) -> dict[bytes, Oid]:
    """Return a tree's attribute files from those of another tree: only what differs is read."""
    found = dict(files)
    done = git.query("diff-tree", "-r", "-z", "--no-renames", "--end-of-options", before, tree, "--", _PATHSPEC)
    fields = iter(done.stdout.split(b"\0"))
    for about, path in zip(fields, fields, strict=False):
        _, mode, _, blob, _ = about.split(b" ")
        found.pop(path, None)
        if mode in _REGULAR:
            found[path] = oid(blob.decode())
    return found


def seen_from(git: Git, tree: Oid) -> tuple[Git, dict[str, str]]:
    """Return the repository seen from a scratch work tree with a tree's attribute files, and its environment.

    The scratch work trees are kept in the state directory, one for each set of attribute files.
    """
    files = in_tree(git, tree)
    place = _scratch(git, files)
    git_dir = git.fact("rev-parse", "--path-format=absolute", "--git-dir").path
    environment = {
        "GIT_DIR": str(git_dir),
        "GIT_WORK_TREE": str(place),
        "GIT_INDEX_FILE": str(place / ".git-index-of-no-tree"),  # absent: attributes are read from an index too
    }
    return git.at(place), environment


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
        with contextlib.suppress(FileExistsError, OSError):  # another process was faster: the same content
            made.rename(place)
    finally:
        shutil.rmtree(made, ignore_errors=True)
    return place
