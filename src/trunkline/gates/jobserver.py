"""One jobserver for all gates that run at once, so that N cores are full and never oversubscribed.

GNU make's protocol (make 4.4, "POSIX Jobserver Interaction"): a fifo with a byte for each job. Each cargo has one job
that no pool knows of, so a gate first takes a token and puts it back at its end ("token paid").
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import re
import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from trunkline.system.files import private_directory

_FDS = re.compile(r"--jobserver-(?:auth|fds)=(\d+),(\d+)")
_FIFO = re.compile(r"--jobserver-auth=fifo:(\S+)")


def inherited() -> str:
    """Return the path of the pool that `make -j` gave us, or "" where there is none.

    make before 4.4 hands down file descriptors, and only to recipes marked `+`; nox closes them, so they are named
    through /proc, where any process of ours can open the same pipe.
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
    """Return how many jobs may run at once: the processors we may use."""
    if sys.platform == "linux":
        return len(os.sched_getaffinity(0))
    else:  # noqa: RET505 -- mypy reads platform checks as branches
        return os.cpu_count() or 1


@contextlib.contextmanager
def pool(directory: Path) -> Iterator[Path]:
    """Join the pool in a run's directory, making it when nobody is in it; the tokens live as long as somebody is."""
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


@dataclass(frozen=True)
class Token:
    """A job that is held.

    Attributes:
        variables: the variables that tell a cargo of the pool.
        handle: the file descriptor that it must inherit.
    """

    variables: Mapping[str, str]
    handle: int


@contextlib.contextmanager
def token(fifo: Path) -> Iterator[Token]:
    """Hold one job while the context lasts.

    A cargo is told of the pool as it tells its own build scripts: by a file descriptor, since make before 4.4, which
    build scripts run, ends with an error where a fifo is named; and in a variable that only cargo looks for.
    """
    opened = os.open(fifo, os.O_RDWR | os.O_CLOEXEC)
    # A number that no shell on the way to cargo takes for a file of its own (dash knows 0 to 9).
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
