"""Where the stack.toml of a checkout is: the file that counts, before anybody has trusted it."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

from trunkline.adapters import stacktext, trust
from trunkline.adapters.git import Git
from trunkline.adapters.stacktext import FILE_NAME, StackText

VARIABLE = "TRUNKLINE_STACK_FILE"


def locate(git: Git, start: Path) -> StackText | None:
    """Return the stack.toml that a task in a directory means; None: there is none anywhere.

    Looked for in this order: the file that TRUNKLINE_STACK_FILE names; the directory and those above it, up to the
    top of the work tree (beyond, it may be anybody's); the main work tree, from a linked one; trunk's tracked file.

    Args:
        git: the checkout, seen from its top.
        start: a directory inside it.

    Raises:
        UsageError: it cannot be read, or is not TOML.
    """
    if named := os.environ.get(VARIABLE):
        return stacktext.read(Path(named))
    found = next((path for path in _paths(git, start) if os.path.lexists(path)), None)  # even no file
    return trust.trunks_own(git) if found is None else stacktext.read(found)


def _paths(git: Git, start: Path) -> Iterator[Path]:
    for folder in (start, *start.parents):
        yield folder / FILE_NAME
        if folder == git.cwd:
            break
    common = git.common_dir()
    if common.name == ".git":
        yield common.parent / FILE_NAME
