"""Decide which commits of a branch are an entry's own.

This is the only module that decides fork points. `decide` is a pure function of one `Evidence`
value; its rules are those of docs/fork-points.md. A match by object id always takes precedence over
a match by similarity (patch id, author, date, subject).
"""

from __future__ import annotations

import itertools
from collections import Counter
from collections.abc import Collection, Iterable, Sequence

from trunkline.domain.commits import Commit
from trunkline.domain.names import Oid
from trunkline.planning import commit_runs
from trunkline.planning.commit_matching import Likeness, certain_versions, match, nothing_similar
from trunkline.planning.fork_point_evidence import Evidence, Parent
from trunkline.planning.ownership import Answer, Classified, CommitClass, InvalidForkPointError, Ownership, Question

_DISPUTED = (CommitClass.REMOVED_FROM_TRUNK, CommitClass.VANISHED, CommitClass.LIKENESS)
"""The classes of the commits that a person is asked about."""


def decide(evidence: Evidence, *, given: Oid | None = None) -> Ownership:
    """Classify every commit of the chain.

    Args:
        evidence: the input.
        given: the fork point that a person chose; it settles questions and never overrules object
            ids.

    Raises:
        InvalidForkPointError: `given` would leave out own commits, or make a parent's commits own.
    """
    return _Decision(evidence).result(given)


class _Decision:
    """The state of one decision: the class of each commit so far, by object id."""

    def __init__(self, evidence: Evidence) -> None:
        self.evidence = evidence
        self.by_oid = {commit.oid: commit for commit in evidence.chain}
        self.found: dict[Oid, Classified] = {}
        self._by_identity()
        self._merges()
        self._vanished()
        self._likeness()
        self._answered_before()
        for commit in evidence.chain:
            self.found.setdefault(commit.oid, Classified(commit, CommitClass.OWN))

    def _by_identity(self) -> None:
        """Apply rules 1 and 5: commits in a parent's known heads, and commits removed from trunk."""
        ordered = [
            (parent, head)
            for current in (True, False)
            for parent in self.evidence.parents
            for head in parent.heads
            if head.current is current
        ]
        # Parents come before trunk, because a branch may once have been pushed to trunk by mistake.
        for parent, head in sorted(ordered, key=lambda pair: (pair[0].trunk, pair[1].moved_back)):
            kind = CommitClass.REMOVED_FROM_TRUNK if parent.trunk else CommitClass.PARENT
            for name in head.holds & self.by_oid.keys():
                self.found.setdefault(name, Classified(self.by_oid[name], kind, parent.name, head.oid))

    def _merges(self) -> None:
        """Apply rule 6: a merge without own commits on a second side is not an own commit."""
        for commit in self.evidence.chain:
            if commit.oid in self.found or len(commit.parents) < 2:  # noqa: PLR2004 -- a merge
                continue
            sides = sorted((self._unclaimed_below(parent) for parent in commit.parents), key=len)
            if all(side <= sides[-1] for side in sides):
                clean = commit.oid in self.evidence.clean_merges
                kind = CommitClass.MERGE if clean else CommitClass.HAND_MERGE
                self.found[commit.oid] = Classified(commit, kind)

    def _unclaimed_below(self, tip: Oid) -> frozenset[Oid]:
        return frozenset(
            name for name in self.below(tip) if name not in self.found or self.found[name].kind is CommitClass.OWN
        )

    def below(self, *tips: Oid) -> frozenset[Oid]:
        """Return the commits of the chain reachable from any of these, themselves included."""
        found: set[Oid] = set()
        todo = list(tips)
        while todo:
            name = todo.pop()
            if name in self.by_oid and name not in found:
                found.add(name)
                todo.extend(self.by_oid[name].parents)
        return frozenset(found)

    def _vanished(self) -> None:
        """Apply rule 2: commits that only an earlier head of a parent holds.

        The topmost such commits that the parent no longer has are classified as vanished, unless
        the base provably contains their change: the parent was squashed. Those that a person left
        out of the parent are the parent's. Those of a head that the branch was only moved back from
        stay own.
        """
        for parent in self.evidence.parents:
            if parent.trunk:
                continue
            current = frozenset[Oid]().union(*(head.holds for head in parent.heads if head.current))
            old = [
                each.commit
                for each in self._classified()
                if each.kind is CommitClass.PARENT and each.parent == parent.name and each.commit.oid not in current
            ]
            if not old:
                continue
            # Commits that another parent certainly has, and this one has no more, do not take part.
            others = self._others(parent) - {commit.oid for commit in parent.commits}
            kept = self._still_there(parent, others)
            # The branch may hold several versions of the parent, merged: a run ends below a kept commit of its own.
            below = self.below(*kept)
            gone = [commit for commit in old if commit.oid not in below]
            gone = [commit for run in commit_runs.lines(gone) for commit in self._unaccounted(parent, run)]
            moved_back = {head.oid for head in parent.heads if head.moved_back}
            left_out = self.evidence.left_out(parent) if gone else frozenset()
            for commit in gone:
                if commit.oid in left_out:
                    continue
                head = self.found[commit.oid].head
                if head in moved_back:
                    del self.found[commit.oid]
                elif len(commit.parents) < 2:  # noqa: PLR2004 -- a merge has no counterpart to match
                    self.found[commit.oid] = Classified(commit, CommitClass.VANISHED, parent.name, head)
        self._below_a_parent()

    def _still_there(self, parent: Parent, others: frozenset[Oid]) -> set[Oid]:
        """Return the commits of a parent's known heads that have a version among its commits now.

        Commits that the parent still has by object id take part, so that each matches only once. But the branch
        may hold several versions of the parent's commits: each head is then matched by itself.
        """
        held = frozenset[Oid]().union(*(head.holds for head in parent.heads)) - others
        known = [commit for commit in self.evidence.chain if commit.oid in held]
        found = set(match(known, parent.commits, self.evidence.similar))
        for head in parent.heads:
            version = [commit for commit in known if commit.oid in head.holds]
            found |= certain_versions(version, parent.commits)
        return found

    def _unaccounted(self, parent: Parent, run: Sequence[Commit]) -> Sequence[Commit]:
        """Return a run of vanished commits, without those whose change the parent provably contains."""
        changing = commit_runs.without_empty_top(run)
        if not commit_runs.is_line(changing):
            return run
        return run[len(changing) :] if self.evidence.superseded(changing, self._squashes(parent, changing)) else run

    def _squashes(self, parent: Parent, run: Sequence[Commit]) -> tuple[Oid, ...]:
        """Return the commits of a parent that may be a squash of a run, newest first.

        Later commits of the parent may change the same lines, so the base proves less. A change that the branch has
        twice (applied, reverted and applied again) proves nothing: the parent may contain the other one.
        """
        patches = Counter(commit.patch_id for commit in self.evidence.chain)
        if any(patches[commit.patch_id] > 1 for commit in run):
            return ()
        made = (commit for commit in reversed(parent.commits) if commit.oid not in self.by_oid)
        return tuple(commit.oid for commit in made if commit.patch_id not in patches)

    def _others(self, parent: Parent) -> frozenset[Oid]:
        """Return the commits that the current heads of other parents hold."""
        others = (each for each in self.evidence.parents if each is not parent and not each.trunk)
        return frozenset[Oid]().union(*(head.holds for each in others for head in each.heads if head.current))

    def _below_a_parent(self) -> None:
        """Give a vanished commit back to its parent if a parent certainly owns a commit above."""
        below = self.below(*(each.commit.oid for each in self._classified() if each.kind is CommitClass.PARENT))
        for each in tuple(self._classified()):
            if each.kind is CommitClass.VANISHED and each.commit.oid in below:
                self.found[each.commit.oid] = Classified(each.commit, CommitClass.PARENT, each.parent, each.head)

    def _likeness(self) -> None:
        """Apply rules 3 and 4: copies of a parent's commits at the bottom of the own commits.

        For a parent that was never force-pushed, the object ids are certain, and so they are for every
        parent below one whose current head the branch contains. Only exact copies of the commits
        that such a parent got later are left out without a question.
        """
        own = [commit for commit in self.evidence.chain if commit.oid not in self.found]
        bottom = own[:-1]  # an entry keeps at least one commit
        on_certain = False
        for parent in self.evidence.parents:
            if parent.trunk or not bottom:
                continue
            contained = any(head.holds for head in parent.heads)
            certain = on_certain or (contained and not parent.rewritten)
            on_certain = on_certain or (not parent.rewritten and self._sits_on(parent))
            if certain and all(commit.oid in self.by_oid for commit in parent.commits):
                continue
            run = self._matched_run(parent, bottom, exact=certain)
            absorbed = self.evidence.absorbed(run) if run else 0
            run = run[:absorbed] if certain else run
            for index, commit in enumerate(run):
                kind = CommitClass.COPY if index < absorbed else CommitClass.LIKENESS
                self.found[commit.oid] = Classified(commit, kind, parent.name)
            bottom = bottom[len(run) :]

    def _answered_before(self) -> None:
        """Keep the commits in question that an earlier answer kept."""
        disputed = [each.commit.oid for each in self._classified() if each.kind in _DISPUTED]
        for name in self.evidence.confirmed().intersection(disputed) if disputed else ():
            del self.found[name]

    def _sits_on(self, parent: Parent) -> bool:
        """Return whether the branch contains a parent's current head."""
        return any(head.current and head.oid in head.holds for head in parent.heads)

    def _matched_run(self, parent: Parent, bottom: Sequence[Commit], *, exact: bool) -> tuple[Commit, ...]:
        """Return the lowest own commits that are versions of the parent's commits.

        Commits that any parent holds by object id take part in the matching: an entry in between
        holds the commits of those below it, and each version may account for one commit only. So do
        those that landed with an entry in between.
        """
        claimed = [*parent.landed, *(each.commit for each in self._classified() if each.parent)]
        similar = nothing_similar if exact else self.evidence.similar
        pairs = match([*claimed, *bottom], parent.commits, similar)
        limit = Likeness.PATCH_AND_SUBJECT if exact else self._weakest(parent)
        run = tuple(itertools.takewhile(lambda each: each.oid in pairs and pairs[each.oid][1] <= limit, bottom))
        if exact:
            return run
        # An earlier head of the entry may have sat on this parent: what was its own stays its own.
        own = match(run, self.evidence.earlier(parent)) if run else {}
        return tuple(
            itertools.takewhile(lambda each: each.oid not in own or own[each.oid][1] >= pairs[each.oid][1], run)
        )

    def _weakest(self, parent: Parent) -> Likeness:
        """Return the weakest criterion by which an own commit may be a version of a parent's."""
        if not parent.rewritten:
            # Author and date alone are no evidence: one person, or one tool, can commit to two
            # branches within a second.
            return Likeness.AUTHOR_DATE_SUBJECT
        # A commit that a parent got from a branch that sits on it keeps its author and date. An equal
        # diff of another author is another commit.
        return Likeness.AUTHOR_DATE if any(head.holds for head in parent.heads) else Likeness.SIMILAR_DIFF

    def _classified(self) -> Iterable[Classified]:
        return (self.found[commit.oid] for commit in self.evidence.chain if commit.oid in self.found)

    def result(self, given: Oid | None) -> Ownership:
        """Return the decision, with open questions if it is not certain."""
        classes = tuple(self.found[commit.oid] for commit in self.evidence.chain)
        own = tuple(each.commit for each in classes if each.kind is CommitClass.OWN)
        questions = tuple(self._questions())
        answers = self._answers(own, questions) if questions else ()
        if given is not None:
            return self._settled(classes, own, given)
        fork = self._fork(own)
        return Ownership(own, fork, self._about(fork), classes, questions, answers)

    def _fork(self, own: Sequence[Commit]) -> Oid:
        if not own:
            return self.evidence.child
        first = own[0].parents
        return first[0] if first else self.evidence.merge_base

    def _about(self, fork: Oid) -> str:
        for current, text in ((True, "head of {}"), (False, "an earlier head of {}")):
            for parent in self.evidence.parents:
                if any(head.oid == fork and head.current is current for head in parent.heads) and not parent.trunk:
                    return text.format(parent.name)
        if fork == self.evidence.merge_base:
            return "merge base with trunk"
        found = self.found.get(fork)
        if found is not None and found.parent:
            tips = {head.oid for parent in self.evidence.parents for head in parent.heads if head.current}
            text = "{} went on from there" if found.head in tips else "the last commit of {}"
            return text.format(found.parent)
        return "below the first own commit"

    def _questions(self) -> Iterable[Question]:
        for kind in _DISPUTED:
            by_parent: dict[str, list[Commit]] = {}
            for each in self._classified():
                if each.kind is kind:
                    by_parent.setdefault(each.parent, []).append(each.commit)
            for parent, commits in by_parent.items():
                keep = commits[0].parents[0] if commits[0].parents else self.evidence.merge_base
                yield Question(kind, tuple(commits), parent, leave_out=commits[-1].oid, keep=keep)

    def _answers(self, own: Sequence[Commit], questions: Sequence[Question]) -> tuple[Answer, ...]:
        disputed = [commit for question in questions for commit in question.commits]
        found: dict[frozenset[Oid], Answer] = {}
        for cut in dict.fromkeys(cut for question in questions for cut in (question.keep, question.leave_out)):
            kept = self._kept(cut)
            if kept is None or not set(own) <= set(kept) <= {*own, *disputed}:
                continue
            out = tuple(commit for commit in disputed if commit not in kept)
            found.setdefault(frozenset(commit.oid for commit in kept), Answer(cut, kept, out))
        return tuple(sorted(found.values(), key=lambda answer: len(answer.own), reverse=True))

    def _kept(self, cut: Oid) -> tuple[Commit, ...] | None:
        """Return the own commits above a fork point; None if it is not on the branch."""
        if cut not in self.by_oid and cut != self.evidence.merge_base and cut not in self._roots():
            return None
        below = self.below(cut)
        fixed = {CommitClass.MERGE, CommitClass.HAND_MERGE, CommitClass.COPY, CommitClass.PARENT}
        return tuple(
            commit
            for commit in self.evidence.chain
            if commit.oid not in below and self.found[commit.oid].kind not in fixed
        )

    def _roots(self) -> Collection[Oid]:
        return {parent for commit in self.evidence.chain for parent in commit.parents if parent not in self.by_oid}

    def _settled(self, classes: tuple[Classified, ...], own: Sequence[Commit], given: Oid) -> Ownership:
        kept = self._kept(given)
        if kept is None:
            raise InvalidForkPointError
        below = self.below(given)
        drops = tuple(commit for commit in own if commit.oid in below)
        takes = tuple(
            each.commit for each in classes if each.kind is CommitClass.PARENT and each.commit.oid not in below
        )
        # A parent's commits above the cut are not taken over if the cut is beside them, as after a
        # merge.
        takes = tuple(commit for commit in takes if given in self.below_or_roots(commit))
        if drops or takes:
            raise InvalidForkPointError(drops, takes)
        names = {commit.oid for commit in kept}
        settled = tuple(
            Classified(each.commit, CommitClass.OWN) if each.commit.oid in names else each for each in classes
        )
        confirmed = tuple(each.commit.oid for each in classes if each.kind in _DISPUTED and each.commit.oid in names)
        return Ownership(kept, given, "given by --fork-point", settled, confirmed=confirmed)

    def below_or_roots(self, commit: Commit) -> frozenset[Oid]:
        """Return the commits below one, and their parents outside the chain."""
        below = self.below(commit.oid)
        return below | {parent for name in below for parent in self.by_oid[name].parents}
