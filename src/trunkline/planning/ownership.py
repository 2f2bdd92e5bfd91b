"""The result of a decision about a fork point: an entry's own commits, and what a person must decide."""

from __future__ import annotations

from enum import Enum

import msgspec

from trunkline.domain.commits import Commit
from trunkline.domain.names import Oid


class CommitClass(Enum):
    """The class of a commit of the branch; every commit has exactly one."""

    OWN = "own"
    PARENT = "a parent's, by object id"
    COPY = "a copy of a parent's commit that the base already holds"
    VANISHED = "a parent's earlier commit that the parent no longer has"
    LIKENESS = "similar to a parent's commit"
    REMOVED_FROM_TRUNK = "removed from trunk"
    MERGE = "a merge without content of its own"
    HAND_MERGE = "a merge that was resolved by hand"


class Classified(msgspec.Struct, frozen=True):
    """The class of one commit, with the parent and head that decide it (empty for an own commit)."""

    commit: Commit
    kind: CommitClass
    parent: str = ""
    head: Oid | None = None


class Question(msgspec.Struct, frozen=True):
    """Commits that a person must decide about.

    Attributes:
        kind: VANISHED, LIKENESS or REMOVED_FROM_TRUNK.
        commits: the commits, oldest first.
        parent: the parent that they may belong to.
        leave_out: the fork point that leaves them out.
        keep: the fork point that keeps them.
    """

    kind: CommitClass
    commits: tuple[Commit, ...]
    parent: str
    leave_out: Oid
    keep: Oid


class Answer(msgspec.Struct, frozen=True):
    """A fork point that `--fork-point` accepts, and the commits that it keeps."""

    oid: Oid
    own: tuple[Commit, ...]
    leaves_out: tuple[Commit, ...]


class Ownership(msgspec.Struct, frozen=True):
    """The result of a decision: an entry's own commits and its fork point.

    Attributes:
        own: the entry's own commits, oldest first; with open questions, without the commits in
            question.
        fork: the commit below the first own commit.
        about: the origin of the fork point in words: "head of #518".
        classes: the class of every commit of the chain, oldest first.
        questions: what a person must decide; empty when the decision is certain.
        answers: the fork points that `--fork-point` accepts, the lowest first; empty without
            questions.
        confirmed: own commits that were in question, and that the answer kept.
    """

    own: tuple[Commit, ...]
    fork: Oid
    about: str
    classes: tuple[Classified, ...]
    questions: tuple[Question, ...] = ()
    answers: tuple[Answer, ...] = ()
    confirmed: tuple[Oid, ...] = ()

    def of_kind(self, *kinds: CommitClass) -> tuple[Commit, ...]:
        """Return the commits of these classes, oldest first."""
        return tuple(each.commit for each in self.classes if each.kind in kinds)

    def roots(self) -> tuple[Oid, ...]:
        """Return the commits right below the entry's changes, oldest side first.

        There are several if a branch was merged into it ("Update branch"). Commits in question count as own.
        """
        kinds = {CommitClass.OWN, CommitClass.MERGE, CommitClass.HAND_MERGE}
        asked = frozenset(commit.oid for question in self.questions for commit in question.commits)
        mine = [each.commit for each in self.classes if each.kind in kinds or each.commit.oid in asked]
        inside = frozenset(commit.oid for commit in mine)
        return tuple(dict.fromkeys(name for commit in mine for name in commit.parents if name not in inside))


class InvalidForkPointError(Exception):
    """The fork point given by the user contradicts what object ids prove.

    Attributes:
        drops: own commits that it would leave out.
        takes: commits of a parent that it would make own.
    """

    def __init__(self, drops: tuple[Commit, ...] = (), takes: tuple[Commit, ...] = ()) -> None:
        super().__init__("the fork point contradicts the evidence")
        self.drops = drops
        self.takes = takes
