"""The input of a fork point's decision: the chain, and the known heads of its parents; `evidence.py` gathers it."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

import msgspec

from trunkline.domain.commits import Commit
from trunkline.domain.names import Oid
from trunkline.planning.commit_matching import nothing_similar


class KnownHead(msgspec.Struct, frozen=True):
    """A commit that was the tip of a parent's branch at some time.

    Attributes:
        oid: the commit.
        current: it is the tip now, or was the tip when the pull request was merged.
        holds: the commits of the evidence's chain that are reachable from it, itself included.
        moved_back: the local branch was only moved back from it, and then went on without it. So it
            may hold commits that were made on the wrong branch.
    """

    oid: Oid
    current: bool
    holds: frozenset[Oid]
    moved_back: bool = False


class Parent(msgspec.Struct, frozen=True):
    """A branch whose commits the entry may contain without owning them.

    Attributes:
        name: `#518`, or the branch's name if it belongs to no entry.
        heads: the known heads.
        commits: its own commits as they are now, or as they were merged, oldest first, with patch
            ids.
        rewritten: it was force-pushed at some time, or its history is unknown.
        trunk: this is trunk.
        landed: commits of its earlier heads that the branch and trunk both contain, with patch ids.
            Each accounts for its version among `commits`.
    """

    name: str
    heads: tuple[KnownHead, ...]
    commits: tuple[Commit, ...] = ()
    rewritten: bool = False
    trunk: bool = False
    landed: tuple[Commit, ...] = ()


def nothing_absorbed(_commits: Sequence[Commit]) -> int:
    """Return 0: the default of `Evidence.absorbed` without a repository."""
    return 0


def nothing_superseded(_commits: Sequence[Commit], _squashes: Sequence[Oid]) -> bool:
    """Return False: the default of `Evidence.superseded` without a repository."""
    return False


def nothing_earlier(_parent: Parent) -> Sequence[Commit]:
    """Return no commits: the default of `Evidence.earlier` without a repository."""
    return ()


def nothing_left_out(_parent: Parent) -> frozenset[Oid]:
    """Return no commits: the default of `Evidence.left_out` without a repository."""
    return frozenset()


def nothing_confirmed() -> frozenset[Oid]:
    """Return no commits: the default of `Evidence.confirmed` without a repository."""
    return frozenset()


@dataclass(frozen=True)
class Evidence:
    """All input of a decision.

    Attributes:
        child: the entry's head as planned.
        merge_base: the merge base of trunk and `child`.
        chain: the commits reachable from `child` and not from trunk, oldest first, each after its
            parents, with patch ids.
        parents: the entries below, nearest first, the pull requests whose branches were its base,
            and trunk.
        clean_merges: the merge commits of the chain whose tree is the automatic merge of their
            parents.
        absorbed: return how many leading commits of a list change nothing when merged into the
            base, as one change.
        superseded: return whether a list of commits changes files, and changes nothing when merged
            as one change into the base, or into one of the given commits below it.
        similar: pair commits of two lists by their diffs, as `git range-diff` does.
        earlier: return commits that are the entry's own whatever they are similar to: those of its
            earlier heads that contain a parent's head, and those that replays made; with patch ids.
        left_out: return the commits that a person left out of a parent, by `skip` for example.
        confirmed: return the commits that were in question before, and that an answer kept as own.
    """

    child: Oid
    merge_base: Oid
    chain: tuple[Commit, ...]
    parents: tuple[Parent, ...] = ()
    clean_merges: frozenset[Oid] = frozenset()
    absorbed: Callable[[Sequence[Commit]], int] = field(default=nothing_absorbed, compare=False)
    superseded: Callable[[Sequence[Commit], Sequence[Oid]], bool] = field(default=nothing_superseded, compare=False)
    similar: Callable[[Sequence[Commit], Sequence[Commit]], Mapping[Oid, Oid]] = field(
        default=nothing_similar, compare=False
    )
    earlier: Callable[[Parent], Sequence[Commit]] = field(default=nothing_earlier, compare=False)
    left_out: Callable[[Parent], frozenset[Oid]] = field(default=nothing_left_out, compare=False)
    confirmed: Callable[[], frozenset[Oid]] = field(default=nothing_confirmed, compare=False)
