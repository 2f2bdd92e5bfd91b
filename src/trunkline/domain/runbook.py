"""What a landing would do, foreseen: its plan, what the entries above would meet, what a push would set going."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from trunkline.domain.checklist import Line
    from trunkline.domain.commits import Commit
    from trunkline.domain.merge_choice import MergeChoice
    from trunkline.domain.names import Oid, PrNumber
    from trunkline.domain.snapshot import CiState, MergeMethod, PullRequest
    from trunkline.domain.stack import Entry, Stack
    from trunkline.domain.step import Plan


@dataclass(frozen=True)
class Replay:
    """The replay of the entry's own commits, done in memory.

    Attributes:
        base: what they go onto, and as people write it.
        fork: the fork point, and where it is from.
        own: the entry's own commits, oldest first.
        remote: the remote branch's tip; None: the remote has none.
        conflict: the commit that conflicts, and in which files; None: none does.
        over_base: how many commits the branch has over its base, the parent's included.
    """

    base: Oid
    base_name: str
    fork: Oid
    about: str
    own: tuple[Commit, ...]
    remote: Oid | None
    conflict: tuple[Commit, tuple[str, ...]] | None
    over_base: int


@dataclass(frozen=True)
class Above:
    """An entry above, restacked on what the landing leaves: what it would meet, in a line."""

    entry: Entry
    pr: PullRequest | None
    description: str
    here: bool


@dataclass(frozen=True)
class GateLine:
    """A gate as the runbook names it: its name and its command, variables in front."""

    name: str
    command: str


@dataclass(frozen=True)
class Runbook:
    """One entry's landing, with the facts of now.

    Attributes:
        stack, entry, pr: which.
        plan: the steps, as `rebase` would do them.
        merged: the merged pull requests below, and how each was merged; bottom first.
        ci: whether CI works, and the annotation that shows it does not.
        replay: what would be replayed onto what.
        gates: what would be run.
        above: the entries above, bottom first.
        effects: what a push would set going: checks, approvals.
        note: the note as it would be if every gate and check passed.
        lines: the checklist as it stands now.
        made: the day, ISO 8601.
        merges: how `land` would merge each open entry, bottom first.
    """

    stack: Stack
    entry: Entry
    pr: PullRequest
    plan: Plan
    merged: tuple[tuple[PullRequest, MergeMethod], ...]
    ci: tuple[CiState, str]
    replay: Replay
    gates: tuple[GateLine, ...]
    above: tuple[Above, ...]
    effects: tuple[str, ...]
    note: str
    lines: tuple[Line, ...]
    made: str
    merges: tuple[tuple[PrNumber, MergeChoice], ...] = ()
