"""Count the entries that can be merged as they are: `python tests/replay/as_is.py [--size N] REPOSITORY...`.

A stack is N consecutive commits of the first-parent line of HEAD, one for each entry. The lowest is merged by squash,
then the next one as it is, if that merges cleanly to the tree that replaying its own commit gives; else it is
rewritten. The lowest entry of each stack needs nothing and is not counted.
"""

from __future__ import annotations

import argparse
from collections import Counter
from pathlib import Path

from trunkline.domain.names import Oid, oid
from trunkline.git import replay
from trunkline.git.git import Git


def line(git: Git, most: int) -> list[Oid]:
    """Return the newest single-parent commits of the first-parent line, oldest first, root excluded."""
    listed = git.query("rev-list", "--first-parent", "--no-merges", "--min-parents=1", f"--max-count={most}", "HEAD")
    return [oid(each) for each in reversed(listed.lines)]


def outcomes(git: Git, commits: list[Oid]) -> Counter[str]:
    """Land a stack of consecutive commits and count how each entry above the lowest is merged."""
    counts = Counter[str]()
    trunk = oid(git.query("rev-parse", f"{commits[0]}^").text)
    for number, commit in enumerate(commits):
        merged = replay.automatic_merge(git, trunk, commit)
        if number and merged.conflicts:
            counts["rewritten: conflict"] += 1
        elif number:
            same = merged.tree == git.tree(commit)
            counts["as it is" if same else "rewritten: another result"] += 1
        trunk = replay.commit_of_tree(git, git.tree(commit), trunk)
    return counts


def main() -> None:
    """Print the counts and the share for each repository."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--size", type=int, default=5, help="entries of a stack")
    parser.add_argument("--commits", type=int, default=1000, help="the newest commits to use")
    parser.add_argument("repositories", nargs="+", type=Path)
    given = parser.parse_args()
    for source in given.repositories:
        git = Git(source)
        commits, counts = line(git, given.commits), Counter[str]()
        for start in range(0, len(commits) - given.size + 1, given.size):
            stack = commits[start : start + given.size]
            parents = [git.query("rev-parse", f"{each}^").text for each in stack[1:]]
            if parents == [str(each) for each in stack[:-1]]:
                counts += outcomes(git, stack)
        share = counts["as it is"] / max(sum(counts.values()), 1)
        print(source, *(f"{name}: {count}" for name, count in sorted(counts.items())), f"{share:.0%} as they are")


if __name__ == "__main__":
    main()
