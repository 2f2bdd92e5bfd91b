"""Move the user's checkout from one commit to another, and restore it after a kill.

Uncommitted edits and untracked files are kept: `git/obstacles.py` checks every path that a move
would touch before it starts. After a kill during a move, only the paths that differ between the two
commits are restored. `git read-tree --reset` would restore the whole work tree, and would also
revert files marked `--assume-unchanged`.
"""

from __future__ import annotations

import contextlib
import os
import stat
from collections.abc import Mapping, Sequence
from enum import Enum
from pathlib import Path

import msgspec

from trunkline.domain.command import task_command
from trunkline.domain.errors import Refused, TrunklineError, UsageError
from trunkline.domain.names import Oid, oid
from trunkline.git import index, obstacles, refs, trees
from trunkline.git.git import Git
from trunkline.git.obstacles import SUBMODULE, Changes, kept_below, marked_paths, mode_of, not_a_directory
from trunkline.git.trees import Entry
from trunkline.state.lock import RepositoryLock

_EXECUTABLE, _LINK = b"100755", b"120000"


def move(git: Git, lock: RepositoryLock, *, old: Oid, new: Oid, what: str) -> None:
    """Move the checkout and its index from one commit to another.

    Raises:
        Refused: a file of the user's is in the way, or git holds a lock; nothing was changed.
        ExternalError: git died, for example because the disk is full; what it had written is
            reverted.
    """
    obstacles.refuse(git, old, new, what=what)
    try:
        git.mutate(lock, "read-tree", "-m", "-u", "--end-of-options", old, new)
    except TrunklineError as error:
        with contextlib.suppress(TrunklineError):  # a full disk stops git halfway; the next run restores again
            put_back(git, lock, old=old, new=new)
        if not isinstance(error, UsageError):
            raise
        unlock = refs.unlocking(error.stderr)
        why = "another git, or one that died, holds a lock" if unlock else "git refuses"
        raise Refused(
            what,
            why=f"{why}; nothing was changed",
            command=error.command,
            stderr=error.stderr,
            next_command=(
                task_command("continue"),
                unlock or "git status",
            ),
        ) from error


def put_back(git: Git, lock: RepositoryLock, *, old: Oid, new: Oid) -> bool:
    """Restore a checkout that `move` left half moved; return whether anything was restored.

    Only paths that differ between the two commits are restored, and only if each of them is in a
    state that the move can have produced: identical to one of the commits, missing, or a prefix of
    the new content. Any other content belongs to the user; then nothing is restored.
    """
    half = _half_moved(git, old, new)
    if half is None:
        return False
    changes, marked = half.changes, half.marked
    index.set_entries(git, lock, {path: changes[path][0] for path in half.entries}, marked)
    for path in reversed(half.files):
        if changes[path][0] is None:
            _remove(git.cwd, path)
    restored = b"".join(path + b"\0" for path in half.files if changes[path][0] is not None)
    git.mutate(lock, "checkout-index", "-f", "-q", "-z", "--stdin", stdin=restored)
    git.mutate(lock, "update-index", "-q", "--refresh", ok=(0, 1, 128))  # 128: a git process that died left its lock
    return True


def is_half_moved(git: Git, *, old: Oid, new: Oid) -> bool:
    """Return whether `put_back` would restore anything."""
    return _half_moved(git, old, new) is not None


class _HalfMoved(msgspec.Struct, frozen=True):
    """Changes made by a move that stopped halfway.

    Attributes:
        changes: the paths that the move was to change.
        marked: the index flags of these paths.
        files: work tree paths that no longer match the old commit.
        entries: index paths that no longer match the old commit.
    """

    changes: Changes
    marked: Mapping[bytes, str]
    files: Sequence[bytes]
    entries: Sequence[bytes]


def _half_moved(git: Git, old: Oid, new: Oid) -> _HalfMoved | None:
    """Return the changes that a move has made so far; None: there are none, or a path matches neither commit."""
    changes = trees.changed(git, git.tree(old), git.tree(new))
    marked = {path: flag for path, flag in marked_paths(git).items() if path in changes}
    in_index, sides = _index_sides(git, changes), _file_sides(git, changes, marked)
    if _MatchedCommit.OTHER in {*in_index.values(), *sides.values()}:
        return None
    files = sorted(path for path, side in sides.items() if side is _MatchedCommit.NEW)
    entries = [path for path, side in in_index.items() if side is _MatchedCommit.NEW]
    return _HalfMoved(changes, marked, files, entries) if files or entries else None


class _MatchedCommit(Enum):
    """The commit that a path matches; a half-written file counts as new."""

    OLD = "old"
    NEW = "new"
    OTHER = "other"


def _index_sides(git: Git, changes: Changes) -> dict[bytes, _MatchedCommit]:
    """Return which commit the index matches at each path that differs."""
    entries: dict[bytes, Entry | None] = dict.fromkeys(changes)
    unmerged = set()
    for line in git.query("ls-files", "--stage", "-z").stdout.split(b"\0"):
        about, _, path = line.partition(b"\t")
        if path in changes:
            mode, name, stage = about.split()
            entries[path] = mode, oid(name.decode())
            unmerged |= {path} if stage != b"0" else set()
    return {
        path: _MatchedCommit.OTHER if path in unmerged else _side_of(entry, changes[path])
        for path, entry in entries.items()
    }


def _side_of(entry: Entry | None, sides: tuple[Entry | None, Entry | None]) -> _MatchedCommit:
    return (
        _MatchedCommit.OLD if entry == sides[0] else _MatchedCommit.NEW if entry == sides[1] else _MatchedCommit.OTHER
    )


def _file_sides(git: Git, changes: Changes, marked: Mapping[bytes, str]) -> dict[bytes, _MatchedCommit]:
    """Return which commit the work tree matches at each path that differs."""
    top = git.cwd
    found, files = {}, []
    for path, (before, after) in changes.items():
        above, submodule = not_a_directory(top, path), SUBMODULE in {each[0] for each in (before, after) if each}
        mode = mode_of(top, path) if above is None else None
        if above is not None and above not in changes:
            found[path] = _MatchedCommit.OTHER
        elif mode is not None and stat.S_ISREG(mode):
            files.append(path)
        elif mode is not None and stat.S_ISLNK(mode):
            found[path] = _side_of(_link(git, top, path), (before, after))
        elif mode is not None and (not stat.S_ISDIR(mode) or _is_users(top, path, changes, submodule=submodule)):
            found[path] = _MatchedCommit.OTHER
        else:  # missing, or a directory that only this move has created
            stays = before is None or submodule or marked.get(path) == "skip-worktree"
            found[path] = _MatchedCommit.OLD if stays else _MatchedCommit.NEW
    names = _hashed(git, files)
    for path in files:
        found[path] = _content_side(git, path, names[path], changes[path])
    return found


def _is_users(top: Path, path: bytes, changes: Changes, *, submodule: bool) -> bool:
    return not submodule and any(kept_below(top, path, changes))


def _link(git: Git, top: Path, path: bytes) -> Entry:
    target = os.fsencode((top / os.fsdecode(path)).readlink())
    return _LINK, oid(git.query("hash-object", "--no-filters", "--stdin", stdin=target).text)


def _hashed(git: Git, paths: Sequence[bytes]) -> dict[bytes, str]:
    """Return the object ids that files of the work tree would have, filters applied."""
    # `--stdin-paths` reads one path per line and unquotes lines that begin with a quote (git's
    # hash_stdin_paths), so other paths are hashed one by one.
    plain = [path for path in paths if b"\n" not in path and not path.startswith(b'"')]
    names = git.query("hash-object", "--stdin-paths", stdin=b"".join(path + b"\n" for path in plain)).lines
    found = dict(zip(plain, names, strict=True))
    return found | {
        path: git.query("hash-object", "--", os.fsdecode(path)).text for path in paths if path not in found
    }


def _content_side(git: Git, path: bytes, name: str, sides: tuple[Entry | None, Entry | None]) -> _MatchedCommit:
    """Return which commit a regular file matches, mode included.

    A file whose content is a prefix of a known version is half written and counts as new.
    """
    full = git.cwd / os.fsdecode(path)
    before, after = (each if each and each[0] not in {_LINK, SUBMODULE} else None for each in sides)
    executable = bool(full.stat().st_mode & stat.S_IXUSR)
    if before and before[1] == name and (executable == (before[0] == _EXECUTABLE) or not _has_modes(git)):
        return _MatchedCommit.OLD
    known = [each for each in (before, after) if each is not None]
    if any(each[1] == name for each in known):
        return _MatchedCommit.NEW
    content = full.read_bytes()
    written = (git.query("cat-file", "--filters", f"--path={os.fsdecode(path)}", each[1]).stdout for each in known)
    return _MatchedCommit.NEW if any(whole.startswith(content) for whole in written) else _MatchedCommit.OTHER


def _has_modes(git: Git) -> bool:
    return git.cached_query("config", "--type=bool", "--default=true", "--get", "core.fileMode").text == "true"


def _remove(top: Path, path: bytes) -> None:
    """Remove a file that the move created, and the directories that this leaves empty."""
    place = top / os.fsdecode(path)
    place.unlink()
    with contextlib.suppress(OSError):
        while (place := place.parent) != top:
            place.rmdir()
