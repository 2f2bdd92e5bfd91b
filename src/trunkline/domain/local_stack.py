"""Pull requests that the local branches of a repository would make: names, bases and own commits."""

from __future__ import annotations

from collections.abc import Collection, Mapping

import msgspec

from trunkline.domain.names import BranchName, Oid, PrNumber, pr_number


class LocalPull(msgspec.Struct, frozen=True):
    """A pull request made of a local branch.

    Attributes:
        number: its number.
        branch: its head branch.
        base: the branch that it sits on.
        title: its title.
    """

    number: PrNumber
    branch: BranchName
    base: BranchName
    title: str


class LocalStack(msgspec.Struct, frozen=True):
    """The part of a clone that a simulated GitHub serves.

    Attributes:
        slug: `owner/name` of the repository, from its remote.
        trunk: the branch that stacks land on.
        objects: the clone's object directory; objects are borrowed, not copied.
        refs: full ref name -> object id, trunk included.
        pulls: the pull requests, each after the one that it sits on.
        checked_out: the branch to check out.
        stack_toml: the text of a stack.toml that is not part of trunk; "" for none.
    """

    slug: str
    trunk: BranchName
    objects: str
    refs: Mapping[str, Oid]
    pulls: tuple[LocalPull, ...]
    checked_out: BranchName
    stack_toml: str = ""


def bases(trunk: BranchName, own: Mapping[BranchName, Collection[Oid]]) -> dict[BranchName, BranchName]:
    """Return the base of each branch with commits of its own, each branch after its base.

    A branch sits on the branch whose commits above trunk are the most of those that it contains. Of
    two branches with the same tip, only the first by name counts. A branch without commits above
    trunk is left out.

    Args:
        trunk: the name of trunk.
        own: branch -> its commits above trunk.
    """
    found: dict[BranchName, BranchName] = {}
    sets = {branch: frozenset(commits) for branch, commits in own.items()}
    for branch in sorted(sets, key=lambda each: (len(sets[each]), each)):
        commits = sets[branch]
        if not commits or any(sets[other] == commits for other in found):
            continue
        below = [other for other in found if sets[other] < commits]
        found[branch] = max(below, key=lambda other: len(sets[other]), default=trunk)
    return found


def numbered(branches: Collection[BranchName], known: Mapping[BranchName, PrNumber]) -> dict[BranchName, PrNumber]:
    """Return a number for each branch: that of stack.toml, else the next free one from 1.

    Args:
        branches: the branches, each after its base.
        known: the numbers that stack.toml gives.
    """
    taken = max(known.values(), default=0)
    new = [branch for branch in branches if branch not in known]
    return {**known, **{branch: pr_number(taken + place) for place, branch in enumerate(new, 1)}}
