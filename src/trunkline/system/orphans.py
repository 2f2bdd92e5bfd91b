"""Processes that a program leaves behind when it ends: named, then ended. Linux only; elsewhere none is found."""

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
_ROUNDS = 20  # each ends the children of those that ended in the one before
_SHOWN = 100
_DEAD = frozenset({"Z", "X", "x"})  # proc_pid_stat(5)
_OURS: set[int] = set()
_ADOPTERS: set[int] = set()  # a process that is forked off one is none


class _Process(NamedTuple):
    """A line of /proc/PID/stat.

    Attributes:
        pid: its number.
        state: a letter.
        parent: its parent's number.
        group: its process group.
    """

    pid: int
    state: str
    parent: int
    group: int


def adopt() -> None:
    """Become the parent of whatever our children leave behind, so that `end_orphans` finds what left its group."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(_PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)
        _ADOPTERS.add(os.getpid())


def spare_children() -> None:
    """Register the children that this process has now: what begins next did not leave them (a cache server, say)."""
    if os.getpid() in _ADOPTERS:
        _OURS.update(each.pid for each in _processes() if each.parent == os.getpid())


def ours(pid: int) -> None:
    """Register a process that we started ourselves: it is left alone."""
    _OURS.add(pid)


def end_orphans(leader: int | None) -> tuple[str, ...]:
    """End what a child left behind; return the command lines.

    Args:
        leader: the number of the child's process group; None: it may be another's by now.
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
    # A process that adopts nobody may have children that other code started.
    adopted = process.parent == os.getpid() and os.getpid() in _ADOPTERS and process.pid not in _OURS
    return process.group == leader or adopted


def _processes() -> Iterator[_Process]:
    if sys.platform != "linux":
        return
    for name in os.listdir("/proc"):  # noqa: PTH208 -- hundreds, and only their names
        if name.isdigit():
            with contextlib.suppress(OSError, ValueError, IndexError):
                # The second field is the program's name in parentheses, and may hold anything.
                fields = Path("/proc", name, "stat").read_text(errors="replace").rpartition(")")[2].split()
                yield _Process(int(name), fields[0], int(fields[1]), int(fields[2]))


def _command_line(pid: int) -> str:
    try:
        words = Path("/proc", str(pid), "cmdline").read_bytes().split(b"\0")
    except OSError:
        return ""
    return b" ".join(words).decode("utf-8", "replace").strip()[:_SHOWN]
