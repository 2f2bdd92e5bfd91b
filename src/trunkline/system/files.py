"""Read and write files safely: atomic replacement, durable appends, no links."""

from __future__ import annotations

import contextlib
import errno
import os
import shlex
import shutil
import stat
import tempfile
from pathlib import Path, PurePosixPath
from typing import BinaryIO

from trunkline.domain.errors import Refused


def private_directory(path: Path) -> Path:
    """Create a directory (and its parents) with mode 0700 and return it.

    Raises:
        Refused: it is a symbolic link, not a directory, belongs to another user, or every user
            could replace it.
    """
    path.mkdir(mode=0o700, parents=True, exist_ok=True)
    _refuse_open_parents(path)
    info = path.lstat()
    if not stat.S_ISDIR(info.st_mode):
        raise Refused(f"{path} is not a directory", why="a symlink or a file stands where our state belongs")
    if info.st_uid != os.geteuid():
        raise Refused(
            f"{path} belongs to user {info.st_uid}", why="our state must be ours alone", next_command=owned(path)
        )
    if info.st_mode & 0o077:
        path.chmod(0o700)
    return path


def owned(path: Path) -> str:
    """Return the command for a directory of our state that belongs to another user.

    One of root's is given to the user: `sudo` has made it. One of anybody else is shown: its content may be forged.
    """
    name = shlex.quote(str(path))
    return f'sudo chown -R "$(id -un)" {name}' if path.lstat().st_uid == 0 else f"ls -la {name}"


def refuse_file_of_others(path: Path) -> None:
    """Refuse a file that says what runs, if another user owns it, or every user could write or replace it.

    Raises:
        Refused: the error has the command that shows or closes it.
    """
    info, name = path.stat(), shlex.quote(str(path))
    if info.st_uid not in {os.geteuid(), 0}:
        raise Refused(
            f"{path} belongs to user {info.st_uid}", why="it says what runs here", next_command=f"ls -l {name}"
        )
    if info.st_mode & stat.S_IWOTH:
        raise Refused(
            f"{path} can be written by every user", why="it says what runs here", next_command=f"chmod o-w {name}"
        )
    for each in (path, path.resolve()):
        _refuse_open_parents(each)


def _refuse_open_parents(path: Path) -> None:
    """Refuse a path below a world-writable directory, unless that is sticky, as /tmp is."""
    for parent in path.absolute().parents:
        mode = parent.stat().st_mode
        if mode & stat.S_IWOTH and not mode & stat.S_ISVTX:
            raise Refused(
                f"{parent} can be written by every user",
                why=f"another user could put a directory of theirs in the place of {path}",
                next_command=f"chmod o-w {shlex.quote(str(parent))}",
            )


def write_inside(top: Path, name: PurePosixPath, content: bytes) -> Path:
    """Atomically write a file below a directory, creating directories, and return its path.

    Raises:
        Refused: a directory on the path is a symbolic link; a branch could point it anywhere.
    """
    folder = top
    for part in name.parts[:-1]:
        folder = folder / part
        if folder.is_symlink():
            raise Refused(
                f"{folder} is a link, and nothing is written behind it",
                why="another user may have chosen where it leads",
                next_command=f"ls -l {shlex.quote(str(folder))}",
            )
        folder.mkdir(exist_ok=True)
    replace_bytes(folder / name.name, content)
    return folder / name.name


def sync(path: Path) -> None:
    """Make a file's content or a directory's entries durable.

    A rename or a new file needs an fsync of its directory (fsync(2)).
    """
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


_ODD_KINDS = (
    (stat.S_ISDIR, "a directory"), (stat.S_ISFIFO, "a FIFO"), (stat.S_ISCHR, "a device"), (stat.S_ISBLK, "a device"),
    (stat.S_ISSOCK, "a socket"),
)  # fmt: skip


LONGEST = 1 << 27
"""The most bytes to read of a file that others may have replaced: a link to a device would never end."""


def read_regular(path: Path, limit: int) -> bytes:
    """Return the content of a regular file, following links; never block on a FIFO or a device.

    Args:
        path: the file.
        limit: the most bytes to accept.

    Raises:
        OSError: it cannot be read, is no regular file, or is too large.
    """
    with open_regular(path) as stream:
        return _limited(stream, limit)


def open_regular(path: Path) -> BinaryIO:
    """Open a regular file for reading, following links; never block on a FIFO or a device.

    Raises:
        OSError: it cannot be read, or is no regular file.
    """
    return _regular(os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_NOCTTY | os.O_CLOEXEC))


def read_inside(top: Path, name: PurePosixPath, limit: int) -> bytes:
    """Return the content of a regular file below a directory, following no links.

    Args:
        top: the directory.
        name: the path below it, without `..`.
        limit: the most bytes to accept.

    Raises:
        OSError: see `read_regular`; or the path contains a link.
    """
    assert not name.is_absolute(), "the path is below top"  # noqa: S101 -- the callers' schema says so
    assert ".." not in name.parts, "the path is below top"  # noqa: S101 -- as above
    folder = os.open(top, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        for part in name.parts[:-1]:
            inner = os.open(part, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC, dir_fd=folder)
            os.close(folder)
            folder = inner
        flags = os.O_RDONLY | os.O_NONBLOCK | os.O_NOCTTY | os.O_NOFOLLOW | os.O_CLOEXEC
        with _regular(os.open(name.name, flags, dir_fd=folder)) as stream:
            return _limited(stream, limit)
    except OSError as error:
        if error.errno in {errno.ELOOP, errno.ENOTDIR, errno.EMLINK}:
            raise OSError(error.errno, "a part of the path is a link or no directory") from None
        raise
    finally:
        os.close(folder)


def _regular(handle: int) -> BinaryIO:
    mode = os.fstat(handle).st_mode
    if not stat.S_ISREG(mode):
        os.close(handle)
        raise OSError(next((f"it is {kind}" for test, kind in _ODD_KINDS if test(mode)), "it is no regular file"))
    return os.fdopen(handle, "rb")


def _limited(stream: BinaryIO, limit: int) -> bytes:
    content = stream.read(limit + 1)
    if len(content) > limit:
        raise OSError(f"it has more than {limit} bytes")
    return content


def replace_bytes(path: Path, content: bytes) -> None:
    """Replace a file atomically: write a temporary file, fsync it, rename it."""
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
    """Append one line with one write and one fsync; create the file with mode 0600, follow no link.

    Raises:
        OSError: the line may not be durable; the caller must not go on.
    """
    created = not path.exists()
    handle = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
    try:
        data = line + b"\n"
        try:
            written = os.write(handle, data)
            os.fsync(handle)
        except OSError as error:  # of a handle, it does not name the file
            raise OSError(error.errno, error.strerror, str(path)) from error
        if written != len(data):
            raise OSError(errno.ENOSPC, "short write", str(path))
    finally:
        os.close(handle)
    if created:
        sync(path.parent)


def remove_tree(path: Path) -> None:
    """Remove a file, a link or a directory tree with read-only directories; missing is no error.

    Raises:
        OSError: something could not be removed.
    """
    if path.is_symlink() or not path.is_dir():
        path.unlink(missing_ok=True)
        return
    try:
        shutil.rmtree(path)
    except OSError:
        make_accessible(path)
        shutil.rmtree(path)


def make_accessible(path: Path, kept: frozenset[str] = frozenset()) -> None:
    """Set mode 0700 on a directory and every directory below it; links are not followed.

    Args:
        path: a directory.
        kept: paths of directories to leave as they are.
    """
    path.chmod(0o700)
    for entry in os.scandir(path):
        if entry.is_dir(follow_symlinks=False) and entry.path not in kept:
            make_accessible(Path(entry.path), kept)
