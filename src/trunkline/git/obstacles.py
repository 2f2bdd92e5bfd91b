"""Find files of the user's that block a move of the checkout between two commits. Queries only.

`git read-tree -m -u` refuses to overwrite edited tracked files and untracked files. But it silently
overwrites ignored files, and files marked `--assume-unchanged` or `--skip-worktree`
(git-read-tree(1), git 2.34 and newer). So every path that a move would touch is checked first, and
a file of the user's refuses the move.
"""

from __future__ import annotations

import os
import shlex
import stat
from collections.abc import Collection, Iterator, Mapping
from pathlib import Path

import msgspec
from msgspec.structs import replace

from trunkline.domain.errors import Refused
from trunkline.domain.names import Oid
from trunkline.git import trees
from trunkline.git.git import Git
from trunkline.git.trees import Entry

SUBMODULE = b"160000"
_SHOWN = 5
Changes = Mapping[bytes, tuple[Entry | None, Entry | None]]


class Obstacle(msgspec.Struct, frozen=True):
    """A file of the user's that a move of the checkout would overwrite, remove or write into.

    Attributes:
        path: relative to the top of the work tree.
        kind: a description for people; "": not determined yet.
        replaced: the path that would replace it, if that is a different one.
    """

    path: bytes
    kind: str = ""
    replaced: bytes = b""

    def __str__(self) -> str:
        """Return the path and its kind, for people."""
        return f"{_text(self.path)} ({self.kind})"

    @property
    def fix_command(self) -> str:
        """The command that moves the file away."""
        name = shlex.quote(_text(self.path))
        if self.kind.startswith("marked "):
            return f"git update-index --no-{self.kind.removeprefix('marked ')} {name}"
        inner = self.path[len(self.replaced) :].replace(b"/", b".") if self.replaced else b""
        return f"mv -n {name} {shlex.quote(_text((self.replaced or self.path) + inner + b'.mine'))}"


def _text(path: bytes) -> str:
    return path.decode("utf-8", "surrogateescape")


def obstacles(git: Git, old: Oid, new: Oid) -> tuple[Obstacle, ...]:
    """Return the files that block moving this clean checkout between two commits.

    These are: untracked and ignored files at paths of the new commit, in directories that it
    replaces by a file, and where it needs a directory; files marked `--assume-unchanged` or
    existing ones marked `--skip-worktree`; symbolic links and nested repositories above a changed
    path. Edited tracked files are left to git, which refuses them.
    """
    changes = trees.changed(git, git.tree(old), git.tree(new))
    if not changes:
        return ()
    marked = marked_paths(git)
    found: dict[bytes, Obstacle] = {}
    for path, (before, after) in sorted(changes.items()):
        for each in _in_the_way(git.cwd, path, before, after, changes, marked):
            found.setdefault(each.path, each)
    return _with_kinds(git, tuple(found.values()))


def marked_paths(git: Git) -> dict[bytes, str]:
    """Return the index paths that git does not compare with the work tree, with their flag."""
    found = {}
    for line in git.query("ls-files", "-v", "-z").stdout.split(b"\0"):
        tag, _, path = line.partition(b" ")
        if tag.islower():
            found[path] = "assume-unchanged"
        elif tag == b"S":
            found[path] = "skip-worktree"
    return found


def _in_the_way(
    top: Path, path: bytes, before: Entry | None, after: Entry | None, changes: Changes, marked: Mapping[bytes, str]
) -> Iterator[Obstacle]:
    above = not_a_directory(top, path)
    if above is not None and above not in changes:
        yield Obstacle(above, "a link" if (top / os.fsdecode(above)).is_symlink() else "")
        return
    repository = _repository_above(top, path) if before is None else None
    if repository is not None:
        yield Obstacle(repository, "another repository")
        return
    mode, flag = mode_of(top, path) if above is None else None, marked.get(path)
    if flag == "assume-unchanged" or (flag and mode is not None):
        yield Obstacle(path, f"marked {flag}")
    elif mode is None or (after is not None and after[0] == SUBMODULE and stat.S_ISDIR(mode)):
        pass  # git leaves the directory of a submodule alone
    elif stat.S_ISDIR(mode):
        if after is not None:
            deleted = {other for other, sides in changes.items() if sides[0] is not None and sides[1] is None}
            yield from kept_below(top, path, deleted)
    elif before is None and not _differs_in_case(top, path, changes):
        yield Obstacle(path)


def mode_of(top: Path, path: bytes) -> int | None:
    """Return the mode of a path in the work tree; None: it does not exist."""
    try:
        return (top / os.fsdecode(path)).lstat().st_mode
    except (FileNotFoundError, NotADirectoryError):
        return None


def not_a_directory(top: Path, path: bytes) -> bytes | None:
    """Return the topmost file or symbolic link above a path; None: only directories, or missing."""
    for parent in _parents(path):
        mode = mode_of(top, parent)
        if mode is None:
            return None
        if not stat.S_ISDIR(mode):
            return parent
    return None


def _repository_above(top: Path, path: bytes) -> bytes | None:
    return next((parent for parent in _parents(path) if mode_of(top, parent + b"/.git") is not None), None)


def _parents(path: bytes) -> list[bytes]:
    parts = path.split(b"/")
    return [b"/".join(parts[:depth]) for depth in range(1, len(parts))]


def kept_below(top: Path, path: bytes, deleted: Collection[bytes]) -> Iterator[Obstacle]:
    """Yield everything in a directory that is not among the paths to be removed."""
    if mode_of(top, path + b"/.git") is not None:
        yield Obstacle(path, "another repository")
        return
    for entry in (top / os.fsdecode(path)).iterdir():
        inner = path + b"/" + os.fsencode(entry.name)
        if entry.is_dir() and not entry.is_symlink():
            yield from (replace(each, replaced=path) for each in kept_below(top, inner, deleted))
        elif inner not in deleted:
            yield Obstacle(inner, replaced=path)


def _differs_in_case(top: Path, path: bytes, changes: Changes) -> bool:
    """Return whether a new path is an old tracked path, on a case-insensitive file system."""
    for other, (before, _) in changes.items():
        if other != path and before is not None and other.lower() == path.lower():
            full, its = top / os.fsdecode(path), top / os.fsdecode(other)
            return mode_of(top, other) is not None and os.path.samestat(full.lstat(), its.lstat())
    return False


def _with_kinds(git: Git, found: tuple[Obstacle, ...]) -> tuple[Obstacle, ...]:
    """Set the kind of each file that has none: ignored or untracked."""
    unknown = b"".join(each.path + b"\0" for each in found if not each.kind)
    if not unknown:
        return found
    ignored = git.query("check-ignore", "-z", "--stdin", ok=(0, 1, 128), stdin=unknown).stdout.split(b"\0")
    return tuple(
        replace(each, kind=each.kind or ("ignored" if each.path in ignored else "untracked")) for each in found
    )


def refuse(git: Git, old: Oid, new: Oid, *, what: str) -> None:
    """Refuse a move that would touch a file of the user's.

    Args:
        git: the repository, used from the checkout.
        old: the commit that is checked out, without edits.
        new: the commit to check out.
        what: the first line of the error.

    Raises:
        Refused: a file is in the way; the error names it, and nothing was changed.
    """
    try:
        found = obstacles(git, old, new)
    except OSError as error:
        why = f"{error.filename}: {error.strerror}; your checkout and this branch are unchanged"
        raise Refused(what, why=why, next_command=f"ls -ld {shlex.quote(str(error.filename))}") from error
    if not found:
        return
    files = "1 file of yours is" if len(found) == 1 else f"{len(found)} files of yours are"
    listed = "\n".join(f"  {each}" for each in found[:_SHOWN])
    more = f"\n  and {len(found) - _SHOWN} more" if len(found) > _SHOWN else ""
    raise Refused(
        f"{what}: {files} in the way",
        why=f"{listed}{more}\nyour checkout and this branch are unchanged",
        next_command=tuple(each.fix_command for each in found[:_SHOWN]),
    )
