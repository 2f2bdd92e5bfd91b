"""Files that survive a kill: replaced whole, appended durably, owned by us."""

from __future__ import annotations

import contextlib
import os
import stat
import tempfile
from pathlib import Path

from trunkline.domain.errors import Refused


def private_directory(path: Path) -> Path:
    """Create `path` (and what is missing above it) with mode 0700 and return it.

    Raises:
        Refused: it is a symlink, not a directory, or belongs to another user (promises, fault 56).
    """
    path.mkdir(mode=0o700, parents=True, exist_ok=True)
    info = path.lstat()
    if not stat.S_ISDIR(info.st_mode):
        raise Refused(f"{path} is not a directory", why="a symlink or a file stands where our state belongs")
    if info.st_uid != os.geteuid():
        raise Refused(f"{path} belongs to user {info.st_uid}", why="our state must be ours alone")
    if info.st_mode & 0o077:
        path.chmod(0o700)
    return path


def sync(path: Path) -> None:
    """Make a file's content, or a directory's entries, durable (rename and create need the latter, fsync(2))."""
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def replace_bytes(path: Path, content: bytes) -> None:
    """Write `content` beside `path`, make it durable, then rename it over `path`."""
    handle, name = tempfile.mkstemp(prefix=f".{path.name}.", dir=path.parent)
    try:
        with os.fdopen(handle, "wb") as stream:
            stream.write(content)
            stream.flush()
            os.fsync(stream.fileno())
        Path(name).replace(path)
    except BaseException:
        with contextlib.suppress(FileNotFoundError):
            Path(name).unlink()
        raise
    sync(path.parent)


def append_line(path: Path, line: bytes) -> None:
    """Append one line with one write and one fsync; the file is created 0600 and never followed as a link.

    Raises:
        OSError: the line did not become durable; nothing that depends on it may happen.
    """
    created = not path.exists()
    handle = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
    try:
        data = line + b"\n"
        if os.write(handle, data) != len(data):
            raise OSError(f"short write to {path}")
        os.fsync(handle)
    finally:
        os.close(handle)
    if created:
        sync(path.parent)
