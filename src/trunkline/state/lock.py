"""The lease: the exclusive right to mutate one repository.

A flock on a file under the git common dir that is never unlinked (fault 32), so a dead holder blocks nobody and
two runs can never hold two different files of the same name. The text inside is information only.
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
from dataclasses import dataclass
from pathlib import Path
from typing import TextIO

from trunkline.domain.command import task_command
from trunkline.domain.errors import ExternalError, InternalError, Refused
from trunkline.system.files import private_directory


@dataclass(frozen=True)
class RepositoryLock:
    """Proof that we hold the repository: every mutation takes it as an argument.

    Attributes:
        state: the state directory that the lease guards (`<git-common-dir>/trunkline`).
        run: the id of the run that holds it.
    """

    state: Path
    run: str


_dry_run: ContextVar[bool] = ContextVar("dry_run", default=False)


@contextlib.contextmanager
def refusing() -> Iterator[None]:
    """Refuse every lease while the context lasts: whatever a dry run calls, it cannot mutate the repository."""
    token = _dry_run.set(True)
    try:
        yield
    finally:
        _dry_run.reset(token)


@contextlib.contextmanager
def hold(state: Path, *, run: str) -> Iterator[RepositoryLock]:
    """Hold the lease of the repository whose state directory is `state`.

    Raises:
        Refused: another run holds it; says which process, since when, doing what.
        InternalError: this is a dry run.
    """
    if _dry_run.get():
        raise InternalError("a dry run was about to change the repository", why="nothing was changed")
    about = state / "lease.json"
    with _opened(state) as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise Refused(
                "another trunkline run holds this repository",
                why=_holder(about),
                next_command=task_command("log"),
            ) from None
        since = dt.datetime.now(dt.timezone.utc).isoformat(timespec="seconds")
        with contextlib.suppress(OSError):  # information only; the lock is what counts
            about.write_text(json.dumps({"pid": os.getpid(), "since": since, "run": run}) + "\n", encoding="utf-8")
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


def _holder(about: Path) -> str:
    try:
        held = json.loads(about.read_text(encoding="utf-8"))
        return f"run {held['run']}, process {held['pid']}, since {held['since']}"
    except (OSError, ValueError, KeyError, TypeError):
        return "it has not said who it is"
