"""Explain errors of the file system: a full disk, no permission, a directory that was removed."""

from __future__ import annotations

import contextlib
import errno
import os
import shlex
import sys
from collections.abc import Iterator
from pathlib import Path

from trunkline.domain.errors import ExternalError, UsageError
from trunkline.system.files import owned

_OF_FILE_SYSTEM = frozenset({
    errno.EACCES, errno.EPERM, errno.EROFS, errno.ENOSPC, errno.EDQUOT, errno.EIO, errno.EFBIG,
    errno.EEXIST, errno.ENOTDIR, errno.EISDIR, errno.ELOOP, errno.ENAMETOOLONG, errno.ENOTEMPTY, errno.EBUSY,
    errno.EMFILE, errno.ENFILE, errno.ENOMEM, errno.ESTALE, errno.ENXIO, errno.ENOLCK,
})  # fmt: skip
"""Errors of a file system that no code of ours can prevent.

No permission, read-only, full, broken, stale, a limit on sizes, files or memory, a link in a circle, or a file
where a directory belongs.
"""


@contextlib.contextmanager
def explained() -> Iterator[None]:
    """Turn an error of the file system within the context into one that names the path.

    Raises:
        UsageError: the current directory was removed.
        ExternalError: a path cannot be read or written.
    """
    try:
        yield
    except OSError as error:
        if error.errno == errno.ENOENT and error.filename is None:  # of os.getcwd or tempfile.gettempdir
            if _is_here():
                raise ExternalError(
                    "a temporary file cannot be written", why=str(error.strerror), next_command='df "${TMPDIR:-/tmp}"'
                ) from error
            raise UsageError(
                "the current directory was removed",
                why="a run removes the work tree of its conflict at the end, for example",
                next_command="cd CHECKOUT",
            ) from error
        if error.errno not in _OF_FILE_SYSTEM:
            raise
        if not isinstance(error.filename, str | bytes):
            raise _unwritten(error) from error
        path = Path(os.fsdecode(error.filename))
        raise ExternalError(
            f"{path} cannot be read or written",
            why=f"the file system reports: {error.strerror}",
            next_command=_command_after(error, path),
        ) from error


def _command_after(error: OSError, path: Path) -> str:
    """Return the command that shows or mends the place of an error."""
    if error.errno in {errno.EACCES, errno.EPERM}:
        ours = [each for each in (path, *path.parents) if "trunkline" in each.parts]
        with contextlib.suppress(OSError):
            theirs = next((each for each in reversed(ours) if each.lstat().st_uid != os.geteuid()), None)
            if theirs is not None:
                return owned(theirs)
    command = "df" if error.errno in {errno.ENOSPC, errno.EDQUOT} else "ls -ld"
    return f"{command} {shlex.quote(str(path.parent))}"


def _is_here() -> bool:
    """Return whether the current directory exists."""
    try:
        os.getcwd()  # noqa: PTH109 -- as gettempdir calls it
    except OSError:
        return False
    return True


def _unwritten(error: OSError) -> ExternalError:
    """Return the error for a write whose file the system does not name: of the output, or of a temporary file."""
    what = "standard output or a temporary file cannot be written"
    try:
        sys.stdout.flush()
    except OSError:
        what = "standard output cannot be written"
        os.dup2(os.open(os.devnull, os.O_WRONLY), 1)  # otherwise Python tries again when it ends
    return ExternalError(what, why=f"the system reports: {error.strerror}")
