"""What an executor is given: commits, their gates, and who is told. The one interface to whatever runs gates.

Executors: nox here (`gates.run`), Dask workers (`gates.cluster`), GitHub Actions (`gates.actions`). Each returns the
outcomes by gate, keeps the receipts here, and gives the same verdicts.
"""

from __future__ import annotations

import hashlib
import shlex
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

from trunkline.domain.names import Oid
from trunkline.domain.proof import concerns, mismatch
from trunkline.domain.receipt import GateOutcome, Receipt, Toolchain, Verdict
from trunkline.domain.stack import GateSettings
from trunkline.gates import execute, proof
from trunkline.gates.catalogue import Gate
from trunkline.git.git import Git


@dataclass(frozen=True)
class GateJob:
    """One commit's gates, to be run.

    Attributes:
        git: the repository.
        commit: what is gated: exactly its tree.
        gates: which gates.
        settings: the `[gates]` table.
        fresh: whatever receipts say, the repository's own packages compiled anew.
        progress: told each outcome as it comes.
        began: told each gate's name as it begins.
        say: told what a person should know beside the verdicts.
        starts: told when the first of them may begin.
        clean: nothing that was compiled before is used.
        printed: told a gate's name and what it printed last, now and then, where it runs elsewhere.
        compiled: receives a gate's name and how many of its units are compiled, now and then.
        foreseen: receives the gates that are known not to pass, before the first one runs; it may raise.
    """

    git: Git
    commit: Oid
    gates: tuple[Gate, ...]
    settings: GateSettings
    fresh: bool
    progress: Callable[[GateOutcome], None]
    began: Callable[[str], None]
    say: Callable[[str], None]
    starts: Callable[[], None] = lambda: None
    clean: bool = False
    printed: Callable[[str, str], None] = lambda _gate, _line: None
    foreseen: Callable[[tuple[GateOutcome, ...]], None] = lambda _: None
    compiled: Callable[[str, int], None] = lambda _gate, _units: None

    @property
    def tree(self) -> Oid:
        """The tree gated."""
        return self.git.tree(self.commit)


Outcomes = dict[str, GateOutcome]
"""By gate."""
Executor = Callable[[Sequence[GateJob]], list[Outcomes]]
"""Runs orders of one repository and one `[gates]` table, bottom entry first: one after the other, or side by side."""


@dataclass(frozen=True)
class RemoteResult:
    """What came back from where a gate ran.

    Attributes:
        outcome: its verdict there.
        receipt: what it proves; None: it did not run to its end.
        log: its log.
        host: where.
    """

    outcome: GateOutcome
    receipt: Receipt | None
    log: bytes
    host: str


def accepted(order: GateJob, gate: Gate, brought: RemoteResult, toolchain: Toolchain | None) -> GateOutcome:
    """Return the outcome of a gate that ran elsewhere, its receipt kept here; what does not fit is not believed.

    Args:
        order: what was asked.
        gate: which gate.
        brought: what came back.
        toolchain: what compiles in this run; None: its receipt is the first to say.
    """
    receipt = brought.receipt
    if receipt is None:
        if brought.outcome.verdict is Verdict.PASSED:
            return not_run(gate, f"{brought.host} says that it passed, and has no receipt")
        return replace(brought.outcome, log="")
    if toolchain is not None and receipt.toolchain != toolchain:
        why = f"{brought.host} compiled it with {receipt.toolchain.name}, the run is with {toolchain.name}"
        return not_run(gate, why)
    query = proof.query_of(gate, order.tree)
    passed = brought.outcome.verdict is Verdict.PASSED
    other = not concerns(query, receipt) or receipt.argv != query.argv or (passed and mismatch(query, receipt))
    if other or (passed and not receipt.passed):
        return not_run(gate, f"{brought.host} ran something else: {shlex.join(receipt.argv)} on tree {receipt.tree}")
    log = brought.log if hashlib.sha256(brought.log).hexdigest() == receipt.log_sha256 else b""
    path = execute.keep(order.git, order.settings.sign, receipt, log, order.say)
    ran = replace(query, toolchain=receipt.toolchain, config_sha256=receipt.config_sha256)
    known = proof.known_receipts(order.git, order.tree, order.settings)
    return proof.confirmed(known, ran, replace(brought.outcome, log=str(path)))


def not_run(gate: Gate, why: str) -> GateOutcome:
    """Return the outcome of a gate that has no verdict."""
    return GateOutcome(gate.name, Verdict.INTERRUPTED, command=gate.command_line, diagnosis=why)
