"""What the journal remembers of an entry: the rebases it went through, and the gates that could not run."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from trunkline.context.project import Context
from trunkline.domain.names import Oid, oid
from trunkline.domain.step import StepName
from trunkline.git import history
from trunkline.state import journal


def last_onto(context: Context, tip: Oid) -> Mapping[str, Any] | None:
    """Return the facts of the rebase that `tip` came from, newest first; None: no rebase of ours."""
    for facts in _ontos(context):
        new = context.git.resolve(str(facts.get("new")))
        if new is not None and history.is_ancestor(context.git, new, tip):
            return facts
    return None


def replays(context: Context, tip: Oid) -> tuple[Mapping[str, Any], ...]:
    """Return the facts of the rebases that led from what the remote had to `tip`, newest first; empty: there is none.

    Several, where an entry was rebased again before it was pushed. Rebases that wrote no commits are passed over.
    """
    found: list[Mapping[str, Any]] = []
    for facts in _ontos(context):
        new = context.git.resolve(str(facts.get("new"))) if facts.get("mapped") else None
        if new is None or not history.is_ancestor(context.git, new, tip):
            continue
        if found and facts.get("remote") != found[0].get("remote"):
            break
        found.append(facts)
        if facts["tip"] == facts.get("remote"):
            break
        tip = oid(str(facts["tip"]))
    return tuple(found)


def base_of(context: Context, tip: Oid) -> Oid | None:
    """Return the base that the journal has for exactly this tip of the entry's branch."""
    for facts in _ontos(context):
        if facts.get("new") == tip:
            return context.git.resolve(str(facts.get("base")))
    return None


def planned_remote(context: Context, tip: Oid) -> Oid | None:
    """Return the remote tip that was seen when `tip`, or what it grew from, was planned; None: never planned."""
    facts = last_onto(context, tip)
    seen = facts.get("remote") if facts else None
    return context.git.resolve(str(seen)) if seen else None


def unavailable(context: Context, tip: Oid, kind: str) -> dict[str, str]:
    """Return what the newest run on this commit could not run, each with its cure.

    Args:
        context: where.
        tip: the commit.
        kind: of the record that says so: `gated` for gates, `checked` for checks.
    """
    for run in journal.runs(context.state):
        for record in reversed(run.records):
            if record.kind == kind and record.data.get("commit") == tip:
                return {str(name): str(fix) for name, fix in dict(record.data.get("unavailable", {})).items()}
    return {}


def accepted(context: Context, tip: Oid) -> frozenset[str]:
    """Return the gates and checks whose verdict the newest runs on this commit accepted by name."""
    found: dict[str, frozenset[str]] = {}
    for run in journal.runs(context.state):
        for record in reversed(run.records):
            if record.kind in {"gated", "checked"} and record.data.get("commit") == tip:
                found.setdefault(record.kind, frozenset(map(str, record.data.get("accepted", ()))))
        if len(found) == len(("gated", "checked")):
            break
    return frozenset().union(*found.values())


def _ontos(context: Context) -> Iterator[Mapping[str, Any]]:
    for run in journal.runs(context.state):
        for record in reversed(run.records):
            facts = record.data.get("facts")
            ours = (
                record.kind in {"done", "adopted"} and record.step == StepName.ONTO.value and isinstance(facts, dict)
            )
            if ours and isinstance(facts, dict) and facts.get("branch") == context.entry.branch:
                yield facts
