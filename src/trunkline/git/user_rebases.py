"""Find branches that an unfinished `git rebase` of the user will move.

During a rebase HEAD is detached, and `git worktree list` names no branch. git itself refuses to
move such a branch (`git branch --force`, git-branch(1)), because the rebase could no longer write
its result.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Mapping
from pathlib import Path

from trunkline.git.git import Git

_STATES = ("rebase-merge", "rebase-apply")
"""State directories of a rebase, in the git directory of its work tree.

`git rebase --merge` and `--apply` create one each.
"""
_PREFIX = "refs/heads/"


def branches_in_rebase(git: Git) -> Mapping[str, Path]:
    """Return each branch that a rebase in progress will move, with the work tree of that rebase.

    `git rebase --update-refs` moves several: every third line of its file `update-refs` names one.
    """
    common, found = git.common_dir(), dict[str, Path]()
    for place in (common, *_linked(common)):
        for state in (place / name for name in _STATES):
            for ref in (*_lines(state / "head-name"), *_lines(state / "update-refs")[::3]):
                if ref.startswith(_PREFIX):
                    found[ref.removeprefix(_PREFIX)] = _work_tree(common, place)
    return found


def _linked(common: Path) -> Iterator[Path]:
    with contextlib.suppress(OSError):  # no directory: no linked work tree
        yield from sorted((common / "worktrees").iterdir())


def _work_tree(common: Path, place: Path) -> Path:
    if place == common:
        return common.parent
    return Path(next(iter(_lines(place / "gitdir")), str(place))).parent


def _lines(file: Path) -> list[str]:
    try:
        return file.read_text(encoding="utf-8", errors="surrogateescape").splitlines()
    except OSError:  # no such rebase, or it ended while we looked
        return []
