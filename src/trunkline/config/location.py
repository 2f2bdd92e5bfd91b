"""Find the stack.toml that a task uses, and the path of a new one. Trust is checked later (`trust.py`)."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from pathlib import Path

from msgspec.structs import replace

from trunkline.config import reading, trust
from trunkline.config.reading import FILE_NAME, StackText
from trunkline.git.git import Git
from trunkline.system.files import replace_bytes

VARIABLE = "TRUNKLINE_STACK_FILE"


def locate(git: Git, start: Path) -> StackText | None:
    """Return the stack.toml of a task that runs in a directory; None if there is none.

    The first of these counts: the file that TRUNKLINE_STACK_FILE names; the directory and those above it, up to
    the top of the work tree (a file above that may belong to another user); for a linked work tree, the main one;
    trunk's tracked file.

    Args:
        git: the checkout, at its top.
        start: a directory inside it.

    Raises:
        UsageError: it cannot be read, or is not TOML.
    """
    if named := os.environ.get(VARIABLE):
        return replace(reading.read(Path(named)), source=f"stack.toml is {named}, as {VARIABLE} says")
    for path, source in _paths(git, start):
        if os.path.lexists(path):  # a directory or a broken link is an error, not skipped
            return replace(reading.read(path), source=source)
    return trust.trunks_own(git)


def _paths(git: Git, start: Path) -> Iterator[tuple[Path, str]]:
    for folder in (start, *start.parents):
        yield folder / FILE_NAME, ""
        if folder == git.cwd:
            break
    main = main_work_tree(git)
    if main is not None and main != git.cwd:
        yield main / FILE_NAME, f"stack.toml is that of the main work tree, {main}"


def main_work_tree(git: Git) -> Path | None:
    """Return the top of the main work tree; None: the repository is bare, or a submodule."""
    common = git.common_dir()
    return common.parent if common.name == ".git" else None


def new_place(git: Git, *, track: bool) -> Path:
    """Return the path of a new stack.toml: in the main work tree, where every branch and work tree finds it.

    Args:
        git: the checkout, at its top.
        track: the file shall be committed: it goes into the current work tree.
    """
    if named := os.environ.get(VARIABLE):
        return Path(os.path.abspath(named))  # noqa: PTH100 -- a link is the user's choice
    return (git.cwd if track else main_work_tree(git) or git.cwd) / FILE_NAME


def keep_untracked(git: Git, path: Path, *, untracked: bool) -> bool:
    """Add a file to `.git/info/exclude`, or remove it; return whether that file changed.

    Args:
        git: the checkout.
        path: the file; one outside of every work tree is not listed.
        untracked: it is to be listed: `git status` does not show it, and `git add --all` leaves it out.
    """
    top = next((each for each in (git.cwd, main_work_tree(git)) if each and path.is_relative_to(each)), None)
    if top is None:
        return False
    pattern = "/" + re.sub(r"([*?\[\\]| $)", r"\\\1", path.relative_to(top).as_posix())
    listed = git.query("rev-parse", "--path-format=absolute", "--git-path", "info/exclude").path
    before = listed.read_bytes() if listed.exists() else b""
    lines = before.splitlines()
    if (os.fsencode(pattern) in lines) == untracked:
        return False
    kept = [*lines, os.fsencode(pattern)] if untracked else [line for line in lines if line != os.fsencode(pattern)]
    listed.parent.mkdir(exist_ok=True)
    replace_bytes(listed.resolve(), b"".join(line + b"\n" for line in kept))
    return True
