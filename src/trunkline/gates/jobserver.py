"""Share one jobserver among all running gates, so that N cores are used and never oversubscribed.

The protocol is GNU make's (make 4.4, "POSIX Jobserver Interaction"): a fifo with one byte per job.
Each cargo also runs one job outside the pool, so a gate first takes a token and returns it at its
end.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import re
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path

import msgspec

from trunkline.system.files import private_directory

_FDS = re.compile(r"--jobserver-(?:auth|fds)=(\d+),(\d+)")
_FIFO = re.compile(r"--jobserver-auth=fifo:(\S+)")


def inherited() -> str:
    """Return the path of the pool of a surrounding `make -j`, or "".

    make before 4.4 passes file descriptors, and only to recipes marked `+`. nox closes them, so
    they are named through /proc, where any process of this user can open the same pipe.
    """
    flags = os.environ.get("MAKEFLAGS", "")
    if match := _FIFO.search(flags):
        return match[1]
    match = _FDS.search(flags)
    if match and sys.platform == "linux":
        try:
            fcntl.fcntl(int(match[1]), fcntl.F_GETFD)
        except OSError:
            return ""  # a recipe without `+`: make closed them
        return f"/proc/{os.getpid()}/fd/{match[1]}"
    return ""


def jobs() -> int:
    """Return the number of parallel jobs: the processors available to this process."""
    if sys.platform == "linux":
        return len(os.sched_getaffinity(0))
    else:  # noqa: RET505 -- mypy treats platform checks as branches
        return os.cpu_count() or 1


@contextlib.contextmanager
def pool(directory: Path) -> Iterator[Path]:
    """Join the pool in a run's directory; the first member creates it, the last one ends it."""
    private_directory(directory)
    fifo = directory / "jobs"
    with (directory / "jobs.init").open("a+") as init, (directory / "jobs.used").open("a+") as used:
        fcntl.flock(init, fcntl.LOCK_EX)
        first = True
        try:
            fcntl.flock(used, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            first = False
        if first:
            fifo.unlink(missing_ok=True)
            os.mkfifo(fifo, 0o600)
        handle = os.open(fifo, os.O_RDWR | os.O_CLOEXEC)
        try:
            if first:
                os.write(handle, b"+" * jobs())
            fcntl.flock(used, fcntl.LOCK_SH)
            fcntl.flock(init, fcntl.LOCK_UN)
            yield fifo
        finally:
            os.close(handle)


class Token(msgspec.Struct, frozen=True):
    """A job taken from the pool.

    Attributes:
        variables: the variables that announce the pool to cargo.
        handle: the file descriptor that cargo must inherit.
    """

    variables: Mapping[str, str]
    handle: int


@contextlib.contextmanager
def token(fifo: Path) -> Iterator[Token]:
    """Hold one job within the context.

    The pool is announced as cargo does for its build scripts: by a file descriptor, because make
    before 4.4, which build scripts run, fails if MAKEFLAGS names a fifo; and in a variable that
    only cargo reads.
    """
    opened = os.open(fifo, os.O_RDWR | os.O_CLOEXEC)
    # At least 10, because shells use single-digit descriptors themselves (dash: 0 to 9).
    handle = fcntl.fcntl(opened, fcntl.F_DUPFD_CLOEXEC, 10)
    os.close(opened)
    try:
        taken = os.read(handle, 1)
        try:
            flags = f"-j{jobs()} --jobserver-fds={handle},{handle} --jobserver-auth={handle},{handle}"
            yield Token({"CARGO_MAKEFLAGS": flags}, handle)
        finally:
            os.write(handle, taken)
    finally:
        os.close(handle)
