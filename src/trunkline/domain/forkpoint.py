"""Where an entry's own commits begin: decided from evidence, never guessed.

The only place where fork points are decided. Pure: everything it needs is in `Evidence`; the rules are those of
docs/fork-points.md. What goes wrong without them: git-rebase(1) of a squash-merged parent replays the parent's
commits; taking the boundary from a stale branch does the same (github/gh-stack#512), and throwing a recorded
base away replays old commits as success (github/gh-stack#471).
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from enum import Enum

from trunkline.domain.commits import Commit, CommitSet
from trunkline.domain.errors import Refused, UsageError
from trunkline.domain.names import Oid, short


class Source(Enum):
    """Where a fork point comes from, most trusted first."""

    TRUNK = "merge base with trunk"
    JOURNAL = "our journal"
    PARENT_IN_TRUNK = "parent is in trunk"
    PARENT_HEAD = "parent's head"
    PARENT_GREW = "where the parent went on"
    PARENT_HISTORY = "parent's force-push history"
    MATCH = "message and patch match"
    GIVEN = "--fork-point"


class Standing(Enum):
    """What validation says of a candidate."""

    VALID = "valid"
    UNCONFIRMED = "valid, but a person must confirm it"
    NOT_ANCESTOR = "not an ancestor of the branch"
    TOO_NEW = "too new: it would drop work"
    TOO_OLD = "too old: it would replay the parent"


@dataclass(frozen=True)
class ParentHead:
    """A commit that an entry below, or what the branch was based on, had as its head at some time.

    Attributes:
        name: whose head it was: `#518`, or a branch.
        oid: the commit.
        current: it is the head now (`refs/pull/N/head`: what was merged); else it is from the history of pushes.
        met: its merge base with the child, where the branch was never force-pushed: it can only have grown since the
            child left it, so everything up to there is the parent's; None: it was, or that is not known.
    """

    name: str
    oid: Oid
    current: bool
    met: Oid | None = None


@dataclass(frozen=True)
class Evidence:
    """What was seen.

    Attributes:
        trunk: M, the tip of the fetched base.
        child: C, the entry's tip as planned.
        merge_base: B0, merge-base(M, C).
        chain: the commits of B0..C, oldest first, every commit after its parents.
        heads: heads of the entries below, nearest entry first.
        heads_in_trunk: those of them that are ancestors of M.
        merged: P0, the commits of those heads (of merged entries: what was merged), patch ids included.
        known: P, those and the commits of all historical heads.
        recorded: the base that our journal has for exactly this tip.
        base_holds_parents: B0 contains the merge commit of every entry below: the branch was rebased since.
    """

    trunk: Oid
    child: Oid
    merge_base: Oid
    chain: tuple[Commit, ...]
    heads: tuple[ParentHead, ...] = ()
    heads_in_trunk: frozenset[Oid] = frozenset()
    merged: CommitSet = field(default_factory=CommitSet)
    known: CommitSet = field(default_factory=CommitSet)
    recorded: Oid | None = None
    base_holds_parents: bool = False


@dataclass(frozen=True)
class Candidate:
    """One source's answer and what validation says of it."""

    source: Source
    oid: Oid
    about: str
    standing: Standing
    own: tuple[Commit, ...] = ()
    disputed: tuple[Commit, ...] = ()

    @property
    def usable(self) -> bool:
        """It passed validation, perhaps only for a person's yes."""
        return self.standing in {Standing.VALID, Standing.UNCONFIRMED}


@dataclass(frozen=True)
class ForkPoint:
    """The decision: the last commit below the entry's own, and all that was weighed.

    Attributes:
        oid: the fork point.
        source: what decided.
        about: the same for people: "head of #518".
        own: the entry's own commits, oldest first.
        candidates: every source's answer.
    """

    oid: Oid
    source: Source
    about: str
    own: tuple[Commit, ...]
    candidates: tuple[Candidate, ...]


def decide(evidence: Evidence, *, given: Oid | None = None) -> ForkPoint:
    """Return the fork point.

    Args:
        evidence: what was seen.
        given: what `--fork-point` says; it settles an ambiguity, but is never decisive against the evidence.

    Raises:
        Refused: the sources disagree, or only an unconfirmed one is left; the evidence is laid out.
        UsageError: `given` does not lie between the merge base and the entry's head.
    """
    graph = _Graph(evidence)
    candidates = _candidates(evidence, graph)
    if given is not None:
        return _settled(graph, candidates, given)
    usable = [candidate for candidate in candidates if candidate.usable and candidate.source is not Source.MATCH]
    # A likeness alone decides nothing, and disputes nothing: own commits that look like the parent's have already
    # made every other candidate "too old".
    if len({candidate.oid for candidate in usable}) != 1 or usable[0].standing is not Standing.VALID:
        raise _ambiguous(evidence, candidates)
    chosen = usable[0]
    return ForkPoint(chosen.oid, chosen.source, chosen.about, chosen.own, candidates)


class _Graph:
    """The chain as a graph: what lies below a fork point, what follows it."""

    def __init__(self, evidence: Evidence) -> None:
        self.evidence = evidence
        self.by_oid = {commit.oid: commit for commit in evidence.chain}

    def below(self, fork: Oid) -> frozenset[Oid] | None:
        """Return the chain's commits up to and with `fork`; None when the child does not contain it that way."""
        if fork == self.evidence.merge_base:
            return frozenset()
        if fork not in self.by_oid or fork == self.evidence.child:
            return None
        found: set[Oid] = set()
        todo = [fork]
        while todo:
            oid = todo.pop()
            if oid in self.by_oid and oid not in found:
                found.add(oid)
                todo.extend(self.by_oid[oid].parents)
        return frozenset(found)

    def own(self, below: frozenset[Oid]) -> tuple[Commit, ...]:
        return tuple(commit for commit in self.evidence.chain if commit.oid not in below)

    def judge(self, source: Source, oid: Oid, about: str) -> Candidate:
        below = self.below(oid)
        if below is None:
            return Candidate(source, oid, about, Standing.NOT_ANCESTOR)
        own = self.own(below)
        known = self.evidence.known
        # A likeness waits for a person anyway, so a reworded and changed version of a parent's commit counts.
        held = known.holds_version_of if source is Source.MATCH else known.holds
        dropped = tuple(c for c in self.evidence.chain if c.oid in below and not held(c))
        if dropped and source is not Source.JOURNAL:
            return Candidate(source, oid, about, Standing.TOO_NEW, own, dropped)
        replayed = tuple(commit for commit in own if self.evidence.merged.holds(commit))
        if replayed:
            return Candidate(source, oid, about, Standing.TOO_OLD, own, replayed)
        return Candidate(source, oid, about, *self._confirmed(source, oid, own))

    def _confirmed(
        self, source: Source, oid: Oid, own: tuple[Commit, ...]
    ) -> tuple[Standing, tuple[Commit, ...], tuple[Commit, ...]]:
        """Ask a person where only history, or only a likeness, says that the last commit below is the parent's.

        A head in the force-push history may hold commits of the child that were pushed to the parent's branch by
        mistake. When the merged parent holds no version of the topmost commit below, nothing else tells them apart.
        """
        if source is Source.MATCH:
            return Standing.UNCONFIRMED, own, ()
        top = self.by_oid.get(oid)
        if source is Source.PARENT_HISTORY and top and not self.evidence.merged.holds_version_of(top):
            return Standing.UNCONFIRMED, own, (top,)
        return Standing.VALID, own, ()


def _candidates(evidence: Evidence, graph: _Graph) -> tuple[Candidate, ...]:
    found = []
    if evidence.base_holds_parents:
        found.append(graph.judge(Source.TRUNK, evidence.merge_base, Source.TRUNK.value))
    if evidence.recorded is not None:
        found.append(graph.judge(Source.JOURNAL, evidence.recorded, "recorded when we last moved it"))
    current = [head for head in evidence.heads if head.current]
    in_trunk = [head for head in current if head.oid in evidence.heads_in_trunk]
    if in_trunk:
        about = f"head of {in_trunk[0].name} is in trunk"
        found.append(graph.judge(Source.PARENT_IN_TRUNK, evidence.merge_base, about))
    found += [
        graph.judge(Source.PARENT_HEAD, head.oid, f"head of {head.name}")
        for head in current
        if head.oid not in evidence.heads_in_trunk
    ]
    grown = [head for head in current if head.met not in {None, head.oid, evidence.merge_base}]
    found += [
        graph.judge(Source.PARENT_GREW, head.met, f"{head.name} went on from there") for head in grown if head.met
    ]
    if historical := _maximal(graph, [head for head in evidence.heads if not head.current]):
        found.append(graph.judge(Source.PARENT_HISTORY, historical.oid, f"an earlier head of {historical.name}"))
    if matched := _matching_prefix(evidence):
        found.append(graph.judge(Source.MATCH, matched.oid, "last commit that matches the parent's"))
    return tuple(found)


def _maximal(graph: _Graph, heads: Iterable[ParentHead]) -> ParentHead | None:
    """Return the head that leaves the fewest own commits, of those that the child contains."""
    contained = [(len(below), head) for head in heads if (below := graph.below(head.oid))]
    return max(contained, key=lambda pair: pair[0])[1] if contained else None


def _matching_prefix(evidence: Evidence) -> Commit | None:
    last = None
    for commit in evidence.chain:
        if not evidence.merged.holds_version_of(commit) or commit.oid == evidence.child:
            break
        last = commit
    return last


def _settled(graph: _Graph, candidates: tuple[Candidate, ...], given: Oid) -> ForkPoint:
    below = graph.below(given)
    if below is None:
        raise UsageError(
            f"--fork-point {short(given)} is not between the branch's merge base with trunk and its head",
            why=f"the branch holds {len(graph.evidence.chain)} commits above {short(graph.evidence.merge_base)}",
        )
    known = any(candidate.oid == given for candidate in candidates if candidate.source is not Source.MATCH)
    held = graph.evidence.known.holds_version_of
    dropped = [commit for commit in graph.evidence.chain if commit.oid in below and not held(commit)]
    if dropped and not known:
        raise Refused(
            f"--fork-point {short(given)} would drop {len(dropped)} commits that no evidence gives to the parent",
            why=_listed(dropped),
        )
    return ForkPoint(given, Source.GIVEN, "given, and backed by the evidence", graph.own(below), candidates)


def _ambiguous(evidence: Evidence, candidates: tuple[Candidate, ...]) -> Refused:
    lines = [
        f"{candidate.source.value:28} {short(candidate.oid)}  {candidate.standing.value}"
        + (f", leaves {len(candidate.own)} commits" if candidate.own else "")
        + (f"  <- disputes {_listed(candidate.disputed[:3])}" if candidate.disputed else "")
        for candidate in candidates
    ]
    offered: dict[Oid, Candidate] = {c.oid: c for c in candidates if c.standing is not Standing.NOT_ANCESTOR}
    return Refused(
        "STOP fork-point-ambiguous: nothing was changed",
        why=f"where the own commits of {short(evidence.child)} begin is not certain:\n" + "\n".join(lines),
        next_command=tuple(
            f"invoke onto --fork-point {oid}   # keeps the last {len(c.own)} commits" for oid, c in offered.items()
        )
        or ("git log --oneline --graph " + f"{short(evidence.merge_base)}..{short(evidence.child)}",),
    )


def _listed(commits: Iterable[Commit]) -> str:
    return "; ".join(f'{short(commit.oid)} "{commit.subject}" by {commit.author_name}' for commit in commits)
