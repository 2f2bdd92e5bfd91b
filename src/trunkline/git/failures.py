"""Errors of git commands: what failed, why, and the next command."""

from __future__ import annotations

import re
import shlex
import shutil
from pathlib import Path

from trunkline.domain import sign_in
from trunkline.domain.errors import ExternalError, NotSignedIn, TransientError, TrunklineError, UsageError
from trunkline.system.process import Completed
from trunkline.system.retry import is_transient

_OWNER = re.compile(r"detected dubious ownership in repository at '(.*)'")
_NO_ROOM = re.compile(r"No space left on device|Disk quota exceeded")
_OF_FILE_SYSTEM = re.compile(
    rf"(?:{_NO_ROOM.pattern}|Read-only file system|Permission denied|Input/output error|Stale file handle"
    r"|Resource temporarily unavailable|Cannot allocate memory|Too many open files)\)?\.?$",
    re.MULTILINE,
)
"""The words of errno(3), with which git ends a line about a system call that failed (`die_errno`)."""
LFS_INSTALL = "sudo apt-get install git-lfs && git lfs install"
"""The command that installs Git LFS; git-lfs.com has the packages of other systems."""


def no_repository(cwd: Path, done: Completed) -> UsageError:
    """Return the error of a directory in which git finds no repository, or one that it does not use.

    Args:
        cwd: the directory.
        done: the git command that failed there.
    """
    if (of_another := _OWNER.search(done.error_text)) is not None:
        return UsageError(
            f"{cwd} is in a repository that belongs to another user",
            why=f"{of_another[0]}; git uses it only if you say so, because its owner can change what git runs",
            next_command=f"git config --global --add safe.directory {shlex.quote(of_another[1])}",
        )
    return UsageError(
        f"{cwd} is not in a git repository",
        why=f"{next(iter(done.error_text.splitlines()), '')}\nrun it in the checkout of your Rust workspace".lstrip(),
        next_command="cd CHECKOUT   # if there is none yet: gh repo clone OWNER/NAME",
    )


def failure(done: Completed, *, network: bool) -> TrunklineError:
    """Return the error of a git command that failed.

    Args:
        done: the finished command, without the options of every call.
        network: it contacted the remote.
    """
    what = f"git {done.argv[1]} failed"
    if "git-lfs" in done.error_text and shutil.which("git-lfs") is None:
        return ExternalError(
            f"{what}: files are in Git LFS, and git-lfs is not installed",
            why="the repository's attributes send them through its filter", command=done.command_line,
            stderr=done.error_text, next_command=LFS_INSTALL,
        )  # fmt: skip
    if network and (rejected := sign_in.rejection(done.error_text)):
        return NotSignedIn(
            rejected.what, why=what, command=done.command_line, stderr=done.error_text, next_command=rejected.commands
        )
    # git's own errors exit with 1, 128 or 129 (git(1)); any other code means that it crashed.
    of_system = network or _OF_FILE_SYSTEM.search(done.error_text)
    kind: type[TrunklineError] = UsageError if done.returncode in {1, 128, 129} and not of_system else ExternalError
    if network and is_transient(done.error_text):
        kind = TransientError
    why, full = f"exit code {done.returncode}", _NO_ROOM.search(done.error_text)
    return kind(what, why=why, command=done.command_line, stderr=done.error_text, next_command="df ." if full else ())
