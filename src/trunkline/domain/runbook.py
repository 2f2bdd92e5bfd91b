"""The prediction of a landing: its plan, the entries above, and the consequences of a push."""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec

if TYPE_CHECKING:
    from trunkline.domain.checklist import Line
    from trunkline.domain.commits import Commit
    from trunkline.domain.merge_choice import MergeChoice
    from trunkline.domain.names import Oid, PrNumber
    from trunkline.domain.snapshot import CiState, MergeMethod, PullRequest
    from trunkline.domain.stack import Entry, Stack
    from trunkline.domain.step import Plan


class Replay(msgspec.Struct, frozen=True):
    """The replay of the entry's own commits, computed in memory.

    Attributes:
        base: the new base, with its name.
        fork: the fork point, with its origin.
        own: the entry's own commits, oldest first.
        remote: the remote branch's tip; None if there is none.
        conflict: the commit that conflicts, with the files; None if there is none.
        over_base: the number of commits over the base, including the parent's.
        warnings: what the user should know, such as a revert of an entry below.
    """

    base: Oid
    base_name: str
    fork: Oid
    about: str
    own: tuple[Commit, ...]
    remote: Oid | None
    conflict: tuple[Commit, tuple[str, ...]] | None
    over_base: int
    warnings: tuple[str, ...] = ()


class Above(msgspec.Struct, frozen=True):
    """A prediction, in one line, for an entry above after the landing."""

    entry: Entry
    pr: PullRequest | None
    description: str
    has_branch: bool


class GateLine(msgspec.Struct, frozen=True):
    """A gate in the runbook: its name, and its command with variables."""

    name: str
    command: str


class Runbook(msgspec.Struct, frozen=True):
    """The predicted landing of one entry.

    Attributes:
        stack, entry, pr: the entry.
        plan: the steps of `rebase`.
        merged: the merged pull requests below with their merge methods, bottom first.
        ci: whether CI works, with the annotation if it does not.
        replay: the predicted replay.
        gates: the gates that would run.
        above: the entries above, bottom first.
        effects: consequences of a push: checks, approvals.
        note: the note if every gate and check passes.
        lines: the current checklist.
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
