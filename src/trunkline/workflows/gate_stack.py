"""Gates every entry of a stack, bottom first, in one work tree whose caches each entry hands to the next."""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass, replace

from trunkline.adapters import refs
from trunkline.adapters.git import Git
from trunkline.domain.names import Oid, branch_ref, short
from trunkline.domain.receipt import GateOutcome, Verdict
from trunkline.domain.stack import Entry, Stack
from trunkline.gates.run import gate_commit, gate_names
from trunkline.workflows.context import Listener


@dataclass(frozen=True)
class GatedEntry:
    """One row of the table.

    Attributes:
        entry: the entry.
        commit: its tip, the local branch's before the remote's; None: the branch is neither here nor fetched.
        outcomes: gate name -> what became of it.
        seconds: how long the entry took.
    """

    entry: Entry
    commit: Oid | None
    outcomes: Mapping[str, GateOutcome]
    seconds: float = 0.0

    @property
    def passed(self) -> bool:
        """Every gate passed; an entry that is not here has nothing to pass."""
        return all(outcome.verdict is Verdict.PASSED for outcome in self.outcomes.values())


def gate_stack(git: Git, stack: Stack, tell: Listener, *, fresh: bool = False) -> tuple[GatedEntry, ...]:
    """Gate each entry's tip; a failure stops nothing, since the table is what is asked for.

    Args:
        git: the user's checkout.
        stack: the stack.
        tell: who is told.
        fresh: run every gate, whatever the receipts say.
    """
    rows = []
    for entry in stack.entries:
        row = GatedEntry(entry, _tip(git, stack, entry), {})
        if row.commit is None:
            tell.progress(f"#{entry.pr} {entry.branch} is not here")
        else:
            tell.progress(f"#{entry.pr} {entry.branch} at {short(row.commit)}")
            started = time.monotonic()
            watch = Watch(tell)
            outcomes = gate_commit(
                git.cwd, row.commit, stack.gates, fresh=fresh, progress=watch.ended, began=watch.began,
                say=tell.progress,
            )  # fmt: skip
            found = {outcome.gate: outcome for outcome in outcomes}
            row = replace(row, outcomes=found, seconds=time.monotonic() - started)
        rows.append(row)
    return tuple(rows)


class Watch:
    """Tells a listener which gates run and what became of each."""

    def __init__(self, tell: Listener) -> None:
        self._tell = tell
        self._running: dict[str, float] = {}

    def began(self, name: str) -> None:
        """A gate's session began."""
        self._running[name] = time.monotonic()
        self._tell.running(self._running)

    def ended(self, outcome: GateOutcome) -> None:
        """A gate has its verdict."""
        self._running.pop(outcome.gate, None)
        self._tell.running(self._running)
        how = "receipt" if outcome.reused else f"{outcome.seconds:.1f}s"
        why = f": {outcome.diagnosis or outcome.cure}" if outcome.verdict is not Verdict.PASSED else ""
        self._tell.progress(f"{outcome.gate:7} {outcome.verdict.value} ({how}){why}")


def names(stack: Stack) -> tuple[str, ...]:
    """Return the table's columns."""
    return gate_names(stack.gates)


def _tip(git: Git, stack: Stack, entry: Entry) -> Oid | None:
    for ref in (branch_ref(entry.branch), refs.tracking_ref(stack.remote, entry.branch)):
        if found := refs.read_refs(git, ref).get(ref):
            return found
    return None
