"""Directories that keep what a conflict's work tree held and a backup ref cannot hold. Only the user removes them."""

from __future__ import annotations

import os
import shutil
import tempfile
from pathlib import Path

from trunkline.engine import StepContext
from trunkline.gates import slots
from trunkline.git.git import Git
from trunkline.system.files import private_directory

_GITLINK = b"160000 "
_CACHE = b"Signature: 8a477f597d28d172789f06886806bc55"  # https://bford.info/cachedir/


def base(git: Git) -> Path:
    """Return the directory that holds the kept directories of a repository; it need not exist."""
    return slots.work_dir(git.common_dir()) / "kept"


def directories(git: Git) -> tuple[Path, ...]:
    """Return the directories that runs have kept."""
    place = base(git)
    return tuple(sorted(place.iterdir())) if place.is_dir() else ()


def make(git: Git, step_context: StepContext) -> Path:
    """Create a directory for files of a work tree that is about to be removed."""
    return Path(tempfile.mkdtemp(prefix=f"{step_context.lock.run}-", dir=private_directory(base(git))))


def is_cache(place: Path) -> bool:
    """Return whether a directory is marked as a cache, as cargo's target directory is."""
    try:
        return (place / "CACHEDIR.TAG").read_bytes().startswith(_CACHE)
    except OSError:
        return False


def move_submodules(git: Git, step_context: StepContext, path: Path) -> tuple[str, ...]:
    """Move submodules with work that no remote has out of a work tree; return a message for each.

    Git keeps the repository of a linked work tree's submodule with the work tree, and deletes both
    together. An empty directory stays, as of a submodule that is not initialised.

    Args:
        git: the repository.
        step_context: the step's arguments.
        path: the work tree.

    Raises:
        TrunklineError: git cannot read a submodule; nothing of that one was moved.
    """
    if not (path / ".git").is_file():
        return ()
    rows = git.at(path).query("ls-files", "--stage", "-z").stdout.split(b"\0")
    names = dict.fromkeys(os.fsdecode(row.partition(b"\t")[2]) for row in rows if row.startswith(_GITLINK))
    lines = []
    for name in names:
        if (path / name / ".git").exists() and _has_own_work(git.at(path / name)):
            place = make(git, step_context) / name
            _move(git, step_context, path / name, place)
            lines.append(f"submodule {name} has work that none of its remotes has; it is kept: {place}")
    return tuple(lines)


def move_modules(git: Git, step_context: StepContext, name: str) -> tuple[str, ...]:
    """Move the submodules' repositories of a work tree whose files are deleted; return a message for them.

    Args:
        git: the repository.
        step_context: the step's arguments.
        name: the name of the work tree.
    """
    modules = git.common_dir() / "worktrees" / name / "modules"
    if not modules.is_dir():
        return ()
    place = make(git, step_context) / "modules"
    shutil.move(modules, place)
    return (f"the repositories of the work tree's submodules are kept: {place}",)


def _has_own_work(git: Git) -> bool:
    """Return whether a submodule has commits that no remote has, or files that no commit has."""
    heads = ("HEAD",) if git.resolve("HEAD") is not None else ()
    if git.query("rev-list", "--max-count=1", "--all", "--reflog", *heads, "--not", "--remotes").text:
        return True
    rows = git.query("status", "--porcelain", "--ignored", "-z").stdout.split(b"\0")
    return any(row and not is_cache(git.cwd / os.fsdecode(row[3:])) for row in rows)


def _move(git: Git, step_context: StepContext, submodule: Path, place: Path) -> None:
    """Move a submodule; its repository first, so that a kill in between loses nothing."""
    repository = Path(git.at(submodule).query("rev-parse", "--absolute-git-dir").text)
    place.mkdir(parents=True)
    shutil.move(repository, place / ".git")
    git.mutate(
        step_context.lock, "config", "--file", str(place / ".git/config"), "--unset", "core.worktree", ok=(0, 5)
    )
    for each in submodule.iterdir():
        if each.name != ".git":
            shutil.move(each, place / each.name)
    if (submodule / ".git").is_file():
        (submodule / ".git").unlink()


__all__ = ["base", "directories", "is_cache", "make", "move_modules", "move_submodules"]
