"""Read what shell completion offers: names in stack.toml, branches, remotes and runs."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import msgspec

from trunkline.config import location
from trunkline.context.loading import checkout
from trunkline.state import journal


class Repository(msgspec.Struct, frozen=True):
    """The facts about the repository that need no request.

    Attributes:
        data: stack.toml, neither validated nor trusted; only its names are shown.
        branches: the local branches.
        remotes: the names of the remotes.
        runs: the ids of the runs, newest first.
    """

    data: Mapping[str, Any]
    branches: tuple[str, ...] = ()
    remotes: tuple[str, ...] = ()
    runs: tuple[str, ...] = ()

    @property
    def entries(self) -> list[Mapping[str, Any]]:
        """Every entry of every stack."""
        return [entry for stack in self.data.get("stack") or [self.data] for entry in stack.get("entry") or ()]


def read() -> Repository:
    """Return the facts about the repository of the current directory.

    Raises:
        TrunklineError: there is no repository, or stack.toml cannot be read.
    """
    git = checkout()
    found = location.locate(git, git.cwd)
    branches = git.query("for-each-ref", "--format=%(refname:short)", "refs/heads").lines
    runs = tuple(path.parent.name for path in journal.paths(git.state_dir()))
    return Repository({} if found is None else found.data, tuple(branches), tuple(git.query("remote").lines), runs)
