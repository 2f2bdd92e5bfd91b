"""Stacks that other tools track in this repository: gh-stack's file, git-spice's ref. Read, never written."""

from __future__ import annotations

import json
from collections.abc import Mapping

import msgspec

from trunkline.git.git import Git

_GH_STACK = "gh-stack"
_SPICE = "refs/spice/data"


class Tracked(msgspec.Struct, frozen=True):
    """The order of branches in another tool.

    Attributes:
        tool: its name.
        bases: branch -> the branch that it sits on.
    """

    tool: str
    bases: Mapping[str, str]


def tracked_stacks(git: Git) -> tuple[Tracked, ...]:
    """Return the stacks that other tools track here; unreadable data is skipped."""
    found = (Tracked("gh-stack", _gh_stack(git)), Tracked("git-spice", _git_spice(git)))
    return tuple(each for each in found if each.bases)


def _gh_stack(git: Git) -> dict[str, str]:
    """Read `gh-stack` in the work tree's git directory (schema 1, as gh-stack 0.1 writes it), else the common one."""
    own = git.query("rev-parse", "--path-format=absolute", "--git-path", _GH_STACK).text
    bases: dict[str, str] = {}
    for path in dict.fromkeys((own, str(git.common_dir() / _GH_STACK))):
        try:
            with open(path, encoding="utf-8") as stream:  # noqa: PTH123 -- a path that git printed
                data = json.load(stream)
            if data["schemaVersion"] != 1:
                continue
            for stack in data["stacks"]:
                names = [str(stack["trunk"]["branch"]), *(str(each["branch"]) for each in stack["branches"])]
                bases.update(zip(names[1:], names, strict=False))
        except (OSError, ValueError, KeyError, TypeError, RecursionError):
            continue
    return bases


def _git_spice(git: Git) -> dict[str, str]:
    """Read `branches/NAME` in git-spice's ref: JSON with `base.name` (git-spice, guide/internals and recipes)."""
    listed = git.query("ls-tree", "-r", "-z", "--full-tree", "--name-only", _SPICE, "branches/", ok=(0, 128))
    if listed.returncode != 0:
        return {}
    bases: dict[str, str] = {}
    for path in filter(None, listed.text.split("\0")):
        try:
            data = json.loads(git.query("cat-file", "blob", f"{_SPICE}:{path}").stdout)
            bases[path.removeprefix("branches/")] = str(data["base"]["name"])
        except (ValueError, KeyError, TypeError, RecursionError):
            continue
    return bases
