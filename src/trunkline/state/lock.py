"""Lock a repository: only one run at a time may mutate it.

The lock is a flock on a file below the git common directory. The kernel releases it when its holder
dies. The file is never deleted: otherwise two runs could lock two different files of the same name.
Its content is information only.
"""

from __future__ import annotations

import contextlib
import datetime as dt
import fcntl
import json
import os
import shlex
from collections.abc import Iterator
from contextvars import ContextVar
from pathlib import Path
from typing import TextIO

import msgspec

from trunkline.domain.command import task_command
from trunkline.domain.errors import ExternalError, InternalError, Refused
from trunkline.system.files import private_directory


class RepositoryLock(msgspec.Struct, frozen=True):
    """Proof that the repository is locked by this run; every mutation takes it as an argument.

    Attributes:
        state: the state directory that the lock protects (`<git-common-dir>/trunkline`).
        run: the id of the run that holds the lock.
    """

    state: Path
    run: str


_dry_run: ContextVar[bool] = ContextVar("dry_run", default=False)


@contextlib.contextmanager
def prevent_locking() -> Iterator[None]:
    """Make every attempt to lock fail within the context: a dry run must not mutate."""
    token = _dry_run.set(True)
    try:
        yield
    finally:
        _dry_run.reset(token)


@contextlib.contextmanager
def hold(state: Path, *, run: str) -> Iterator[RepositoryLock]:
    """Lock the repository whose state directory is `state`.

    Raises:
        Refused: another run holds the lock; the error names its process and start time.
        InternalError: this is a dry run.
    """
    if _dry_run.get():
        raise InternalError("a dry run tried to change the repository", why="nothing was changed")
    info_file = state / "lease.json"
    with _opened(state) as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise Refused(
                "another trunkline run holds this repository",
                why=_holder(info_file),
                next_command=task_command("log"),
            ) from None
        except OSError as error:
            raise ExternalError(
                "the repository cannot be locked, so nothing was done",
                why=f"the file system of {state} reports: {error.strerror}; without a lock, two runs could"
                " overwrite each other's work",
                next_command=f"df {shlex.quote(str(state))}",
            ) from error
        since = dt.datetime.now(dt.timezone.utc).isoformat(timespec="seconds")
        with contextlib.suppress(OSError):  # information only; the flock is what counts
            info_file.write_text(
                json.dumps({"pid": os.getpid(), "since": since, "run": run}) + "\n", encoding="utf-8"
            )
        yield RepositoryLock(state=state, run=run)


def _opened(state: Path) -> TextIO:
    try:
        private_directory(state)
        return open(state / "lease.lock", "a", encoding="utf-8", opener=_private)
    except OSError as error:
        raise ExternalError(
            "the repository's state cannot be written, so nothing was done",
            why=str(error),
            next_command=f"ls -ld {shlex.quote(str(state))}",
        ) from error


def _private(path: str, flags: int) -> int:
    return os.open(path, flags | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)


def _holder(info_file: Path) -> str:
    try:
        holder = json.loads(info_file.read_text(encoding="utf-8"))
        return f"run {holder['run']}, process {holder['pid']}, since {holder['since']}"
    except (OSError, ValueError, KeyError, TypeError):
        return "it has not said who it is"
