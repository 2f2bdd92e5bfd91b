"""Find and kill processes that a program leaves behind when it exits. Linux only.

No-op elsewhere.
"""

from __future__ import annotations

import contextlib
import ctypes
import os
import signal
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

_PR_SET_CHILD_SUBREAPER = 36  # prctl(2), linux/prctl.h
_ROUNDS = 20  # each round kills the children of those killed in the round before
_SHOWN = 100
_DEAD = frozenset({"Z", "X", "x"})  # proc_pid_stat(5)
_REGISTERED: set[int] = set()
_SUBREAPERS: set[int] = set()  # process ids; a forked child of a subreaper is none


class _Process(NamedTuple):
    """Fields of /proc/PID/stat.

    Attributes:
        pid: process id.
        state: a letter.
        parent: process id of the parent.
        group: process group.
    """

    pid: int
    state: str
    parent: int
    group: int


def become_subreaper() -> None:
    """Make this process the subreaper of its descendants; `end_orphans` needs that."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(_PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)
        _SUBREAPERS.add(os.getpid())


def register_children() -> None:
    """Register the current children, so that they are not taken for orphans of the next program.

    A compiler cache server is an example.
    """
    if os.getpid() in _SUBREAPERS:
        _REGISTERED.update(each.pid for each in _processes() if each.parent == os.getpid())


def register(pid: int) -> None:
    """Register a process that we started: it is not killed."""
    _REGISTERED.add(pid)


def end_orphans(leader: int | None) -> tuple[str, ...]:
    """Kill the processes that a child left behind; return their command lines.

    Args:
        leader: the child's process group; None: the number may already belong to another group.
    """
    names: dict[int, str] = {}
    for _ in range(_ROUNDS):
        left = [each for each in _processes() if _is_left(each, leader)]
        if not left:
            break
        for each in left:
            names.setdefault(each.pid, _command_line(each.pid))
            with contextlib.suppress(ProcessLookupError, PermissionError):
                os.kill(each.pid, signal.SIGKILL)
            with contextlib.suppress(ChildProcessError):
                os.waitpid(each.pid, 0)
    return tuple(dict.fromkeys(name for name in names.values() if name))


def _is_left(process: _Process, leader: int | None) -> bool:
    if process.pid in {leader, os.getpid()} or process.state in _DEAD:
        return False
    # A process that is no subreaper may have children that other code started.
    adopted = process.parent == os.getpid() and os.getpid() in _SUBREAPERS and process.pid not in _REGISTERED
    return process.group == leader or adopted


def _processes() -> Iterator[_Process]:
    names = os.listdir("/proc") if sys.platform == "linux" else []  # noqa: PTH208 -- hundreds, only their names
    for name in names:
        if name.isdigit():
            with contextlib.suppress(OSError, ValueError, IndexError):
                # The second field is the program's name in parentheses, and may contain any
                # character.
                fields = _stat(name).rpartition(b")")[2].split()
                yield _Process(int(name), fields[0].decode(), int(fields[1]), int(fields[2]))


def _stat(pid: str) -> bytes:
    """Read /proc/PID/stat: this runs for each process of the machine, and pathlib takes four times as long."""
    descriptor = os.open(f"/proc/{pid}/stat", os.O_RDONLY | os.O_CLOEXEC)
    try:
        return os.read(descriptor, 4096)
    finally:
        os.close(descriptor)


def _command_line(pid: int) -> str:
    """Return a process's command line, or its name in brackets; "" if it has ended.

    The command line is empty while the kernel replaces the program (execve(2)), and where a program
    has cleared its own.
    """
    process = Path("/proc", str(pid))
    try:
        words = process.joinpath("cmdline").read_bytes().split(b"\0")
        text = b" ".join(words).decode("utf-8", "replace").strip()[:_SHOWN]
        return text or f"[{process.joinpath('comm').read_text(encoding='utf-8', errors='replace').strip()}]"
    except OSError:
        return ""
