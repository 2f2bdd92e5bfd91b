"""Runs of commits: lines in which each commit sits on the one before it."""

from __future__ import annotations

import itertools
from collections.abc import Sequence

from trunkline.domain.commits import Commit


def is_line(commits: Sequence[Commit]) -> bool:
    """Return whether there are commits, and each one's only parent is the one before it."""
    linear = all(len(commit.parents) == 1 for commit in commits)
    return bool(commits) and linear and all(one.oid == two.parents[0] for one, two in itertools.pairwise(commits))


def without_empty_top(commits: Sequence[Commit]) -> Sequence[Commit]:
    """Return the commits without the empty ones at the end, which a squash does not account for."""
    count = len(commits)
    while count and not commits[count - 1].patch_id and len(commits[count - 1].parents) == 1:
        count -= 1
    return commits[:count]


def lines(commits: Sequence[Commit]) -> list[list[Commit]]:
    """Split commits, oldest first, into lines in which each commit sits on the one before it."""
    lines: list[list[Commit]] = []
    for commit in commits:
        line = next((line for line in lines if commit.parents[:1] == (line[-1].oid,)), None)
        if line is None:
            lines.append([commit])
        else:
            line.append(commit)
    return lines
