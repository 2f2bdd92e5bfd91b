"""Locate trunkline's directories outside the checkout, and lock the registration of work trees."""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import os
from collections.abc import Iterator
from pathlib import Path

from trunkline.git.git import Git
from trunkline.system.files import private_directory


def state_home() -> Path:
    """Return TRUNKLINE_STATE_DIR, else a directory under XDG_STATE_HOME."""
    named = os.environ.get("TRUNKLINE_STATE_DIR")
    if named:
        return Path(named)
    base = os.environ.get("XDG_STATE_HOME")
    return (Path(base) if base else Path.home() / ".local" / "state") / "trunkline"


def work_dir(common_dir: Path) -> Path:
    """Return the directory of one repository's work trees; stable, because caches hold its path."""
    name = common_dir.parent.name if common_dir.name == ".git" else common_dir.name
    digest = hashlib.sha256(os.fsencode(common_dir.resolve())).hexdigest()[:12]
    return private_directory(private_directory(state_home()) / f"{name}-{digest}")


@contextlib.contextmanager
def registration_lock(git: Git) -> Iterator[None]:
    """Hold the lock under which work trees of the repository are added and pruned.

    A prune removes what another process has just begun to add and not yet locked (git's
    builtin/worktree.c, add_worktree; seen in 1 of 72 parallel runs).
    """
    with (work_dir(git.common_dir()) / "registering").open("a+") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield
