"""Our directories outside the user's checkout, and the lock under which work trees are registered."""

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
    """Return where our work trees are: TRUNKLINE_STATE_DIR, else under XDG_STATE_HOME."""
    named = os.environ.get("TRUNKLINE_STATE_DIR")
    if named:
        return Path(named)
    base = os.environ.get("XDG_STATE_HOME")
    return (Path(base) if base else Path.home() / ".local" / "state") / "trunkline"


def work_dir(common_dir: Path) -> Path:
    """Return the directory of one repository's work trees; stable, since caches are keyed by absolute paths."""
    name = common_dir.parent.name if common_dir.name == ".git" else common_dir.name
    digest = hashlib.sha256(os.fsencode(common_dir.resolve())).hexdigest()[:12]
    return private_directory(private_directory(state_home()) / f"{name}-{digest}")


@contextlib.contextmanager
def registering(git: Git) -> Iterator[None]:
    """Add and prune the repository's work trees alone.

    A prune takes away what another process has just begun to add, before that has locked it (git's
    builtin/worktree.c, add_worktree; seen with runs side by side, 1 of 72).
    """
    with (work_dir(git.common_dir()) / "registering").open("a+") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield
