"""Compare failed gates with the same gates on the base, to detect failures that were inherited."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping
from dataclasses import replace

from trunkline.context.view import View
from trunkline.domain.names import short
from trunkline.domain.receipt import GateOutcome, Verdict
from trunkline.gates.catalogue import catalogue
from trunkline.gates.proof import of_commit
from trunkline.planning.parents import Base, base_of

_FAILED = frozenset({Verdict.FAILED, Verdict.TIMED_OUT})


RunOnBase = Callable[[Base, Collection[str]], Iterable[GateOutcome]]
"""Runs some gates on a base, by name."""


def with_base(view: View, outcomes: Iterable[GateOutcome], run: RunOnBase | None = None) -> tuple[GateOutcome, ...]:
    """Return the outcomes, each failure compared with the same gate's outcome on the base.

    Args:
        view: the entry.
        outcomes: the outcomes of its gates.
        run: runs the failed gates that have no receipt on the base; None: they stay uncompared.
    """
    outcomes = tuple(outcomes)
    failed = [outcome.gate for outcome in outcomes if outcome.verdict in _FAILED]
    if not failed:
        return outcomes
    base = base_of(view)
    known = _known(view, base, failed)
    missing = [name for name in failed if name not in known]
    if run is not None and missing:
        known |= {outcome.gate: outcome for outcome in run(base, missing)}
    return tuple(_compared(outcome, base, known) if outcome.gate in failed else outcome for outcome in outcomes)


def _known(view: View, base: Base, names: Iterable[str]) -> dict[str, GateOutcome]:
    """Return the receipts of gates on the base's tree, without stale ones."""
    settings = view.stack.gates
    gates = [gate for gate in catalogue(settings) if gate.name in set(names)]
    found = of_commit(view.git, base.oid, settings, gates, view.machine)
    return {name: outcome for name, outcome in found.items() if outcome.verdict is not Verdict.STALE}


def _compared(outcome: GateOutcome, base: Base, known: Mapping[str, GateOutcome]) -> GateOutcome:
    on_base = known.get(outcome.gate)
    if on_base is None:
        return outcome
    at = f"{base.branch} ({short(base.oid)})"
    if on_base.verdict not in _FAILED:
        return replace(outcome, on_base=f"{on_base.words} on {at}")
    same = bool(outcome.cause_key) and outcome.cause_key == on_base.cause_key
    how = "for the same cause" if same else f"for another cause: {on_base.diagnosis}"
    return replace(outcome, on_base=f"also fails on {at}, {how}", inherited=same)
