"""Queries to the journals about an entry: its replays, and the gates that could not run."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from pathlib import Path

from trunkline.context.scope import Scope
from trunkline.domain import records
from trunkline.domain.names import BranchName, Oid
from trunkline.domain.replayed import Replayed
from trunkline.git import history
from trunkline.state import journal


def last_replay(scope: Scope, tip: Oid) -> Replayed | None:
    """Return the newest replay that led to `tip`; None if there is none."""
    for replayed in all_replays(scope):
        new = scope.git.resolve(replayed.new)
        if new is not None and history.is_ancestor(scope.git, new, tip):
            return replayed
    return None


def replays(scope: Scope, tip: Oid) -> tuple[Replayed, ...]:
    """Return the replays that led from the remote tip to `tip`, newest first.

    There are several if an entry was rebased again before it was pushed. Replays without new
    commits are left out.
    """
    found: list[Replayed] = []
    for replayed in all_replays(scope):
        new = scope.git.resolve(replayed.new) if replayed.mapped else None
        if new is None or not history.is_ancestor(scope.git, new, tip):
            continue
        if found and replayed.remote != found[0].remote:
            break
        found.append(replayed)
        if replayed.tip == replayed.remote:
            break
        tip = replayed.tip
    return tuple(found)


def base_of(scope: Scope, tip: Oid) -> Oid | None:
    """Return the base in the journal for exactly this tip of the entry's branch."""
    for replayed in all_replays(scope):
        if replayed.new == tip:
            return scope.git.resolve(replayed.base)
    return None


def planned_remote(scope: Scope, tip: Oid) -> Oid | None:
    """Return the remote tip observed when `tip`, or its origin, was planned; None if never planned."""
    replayed = last_replay(scope, tip)
    return scope.git.resolve(replayed.remote) if replayed is not None and replayed.remote else None


def is_shortened(scope: Scope, ours: Oid, theirs: Oid) -> bool:
    """Return whether a run took commits off the entry's branch that its remote branch still has.

    The local branch is then an ancestor of the remote one without being behind: a commit was
    dropped, or moved to another entry.

    Args:
        scope: the entry.
        ours: the local branch.
        theirs: the remote branch, which contains it.
    """
    newest = next((replayed for replayed in all_replays(scope) if replayed.new == ours), None)
    return newest is not None and newest.remote == theirs


def left_out(made: Iterable[Replayed]) -> frozenset[Oid]:
    """Return the commits that replays left out of their entry: skipped by a person, or emptied and dropped."""
    return frozenset(name for replayed in made for name in (*replayed.skipped, *replayed.dropped))


def confirmed(made: Iterable[Replayed]) -> frozenset[Oid]:
    """Return the commits that were in question, and that answers kept as the entry's own."""
    return frozenset(name for replayed in made for name in replayed.confirmed)


def made_onto(scope: Scope, merge: Oid) -> tuple[Oid, ...]:
    """Return the commits that replays of the entry onto a trunk with this merge commit made."""
    git = scope.git
    return tuple(
        new
        for replayed in all_replays(scope)
        if (base := git.resolve(replayed.base)) is not None and history.is_ancestor(git, merge, base)
        for _old, new in replayed.mapped
    )


def unavailable(state: Path, tip: Oid, kind: type[records.Verdicts]) -> dict[str, str]:
    """Return the gates that the newest run on this commit could not run, each with its fix.

    Args:
        state: the repository's state directory.
        tip: the commit.
        kind: the record that has it, of gates or of checks.
    """
    for run in journal.runs(state):
        for record in reversed(run.records):
            if isinstance(record, kind) and record.commit == tip:
                return dict(record.unavailable)
    return {}


def accepted(state: Path, tip: Oid) -> frozenset[str]:
    """Return the gates and checks that the newest runs on this commit waived by name."""
    found: dict[type, frozenset[str]] = {}
    for run in journal.runs(state):
        for record in reversed(run.records):
            if isinstance(record, records.Verdicts) and record.commit == tip:
                found.setdefault(type(record), frozenset(record.accepted))
        if len(found) == len((records.GateVerdicts, records.CheckVerdicts)):
            break
    return frozenset().union(*found.values())


def all_replays(scope: Scope) -> Iterator[Replayed]:
    """Yield the entry's replays, newest first, from the journals of this repository."""
    return replays_of(journal.runs(scope.state), scope.entry.branch)


def replays_of(runs: Iterable[journal.Run], branch: BranchName) -> Iterator[Replayed]:
    """Yield the replays of a branch, newest first.

    Args:
        runs: the runs, newest first.
        branch: the branch.
    """
    for run in runs:
        for record in reversed(run.records):
            match record:
                case records.StepDone(replayed=Replayed() as replayed) | records.Adopted(replayed=replayed):
                    if replayed.branch == branch:
                        yield replayed
                case _:
                    pass
