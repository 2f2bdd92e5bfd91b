"""Option `init --track`: let git track a stack.toml that it has ignored so far."""

from __future__ import annotations

import shlex
from pathlib import Path

import msgspec

from trunkline.config import location, reading, trust, validation, writing
from trunkline.context.loading import checkout
from trunkline.domain.command import task_command
from trunkline.domain.errors import UsageError


class TrackedFile(msgspec.Struct, frozen=True):
    """A stack.toml that git tracks, or will track.

    Attributes:
        path: the file; for trunk's file, which may be in no work tree, its name.
        source: the place, if it is not the work tree.
        remote: the remote of its stacks.
        trunk: the branch on which it counts for everybody.
        is_tracked: git tracked it before.
    """

    path: Path
    source: str
    remote: str
    trunk: str
    is_tracked: bool


def track(cwd: Path | None = None, *, dry_run: bool = False) -> TrackedFile | None:
    """Remove the existing stack.toml from `.git/info/exclude`; return None if there is none.

    The file stays where it is; its owner commits it.

    Args:
        cwd: a directory inside the checkout.
        dry_run: change nothing.

    Raises:
        UsageError: it is invalid, or outside of the work trees.
    """
    git = checkout(cwd)
    found = location.locate(git, git.cwd)
    if found is None:
        return None
    stack = validation.stacks_of(found, entries=False)[0]
    path = found.path.absolute()
    is_tracked = found.of_trunk or trust.is_tracked(git, path)
    if not is_tracked:
        tops = {git.cwd, location.main_work_tree(git) or git.cwd}
        if path.parent not in tops:
            raise UsageError(
                f"{path} is not at the top of a work tree, so git cannot track it",
                why=found.source,
                next_command=f"cp {shlex.quote(str(path))} {shlex.quote(str(git.cwd))}/{reading.FILE_NAME}"
                f" && unset {location.VARIABLE}   # then: {task_command('init', '--track')}",
            )
        if not dry_run:
            for each in (path, path.parent / writing.SCHEMA_PATH):
                location.keep_untracked(git, each, untracked=False)
            trust.confirm(git, found)
    return TrackedFile(path, found.source, stack.remote, stack.trunk, is_tracked)
