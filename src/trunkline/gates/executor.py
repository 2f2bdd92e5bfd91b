"""The interface of executors: gate jobs in, outcomes out.

The executors are nox on this machine (`gates.run`), Dask workers (`gates.dask_executor`) and GitHub
Actions (`gates.actions`). Each returns the outcomes by gate, stores the receipts on this machine,
and gives equal verdicts.
"""

from __future__ import annotations

import hashlib
import shlex
from collections.abc import Callable, Sequence
from dataclasses import replace

import msgspec
from msgspec import structs

from trunkline.domain.names import Oid
from trunkline.domain.proof import concerns, mismatch
from trunkline.domain.receipt import GateOutcome, Receipt, Toolchain, Verdict
from trunkline.domain.reuse import Reuse
from trunkline.domain.stack import GateSettings
from trunkline.gates import execute, proof
from trunkline.gates.catalogue import Gate
from trunkline.git.git import Git


class GateJob(msgspec.Struct, frozen=True):
    """The gates of one commit, to be run.

    Attributes:
        git: the repository.
        commit: the commit; the verdicts are about exactly its tree.
        gates: the gates.
        settings: the `[gates]` table.
        reuse: the results of earlier runs that may be reused.
        progress: receives each outcome.
        began: receives each gate's name when it starts.
        say: receives messages for the user besides the verdicts.
        starts: called before the first gate starts.
        printed: receives a gate's name and its last line now and then, if it runs elsewhere.
        compiled: receives a gate's name and the number of its compiled units now and then.
        on_stopped: receives the gates that cannot pass, before the first one runs; may raise.
    """

    git: Git
    commit: Oid
    gates: tuple[Gate, ...]
    settings: GateSettings
    reuse: Reuse
    progress: Callable[[GateOutcome], None]
    began: Callable[[str], None]
    say: Callable[[str], None]
    starts: Callable[[], None] = lambda: None
    printed: Callable[[str, str], None] = lambda _gate, _line: None
    on_stopped: Callable[[tuple[GateOutcome, ...]], None] = lambda _: None
    compiled: Callable[[str, int], None] = lambda _gate, _units: None

    @property
    def tree(self) -> Oid:
        """The commit's tree."""
        return self.git.tree(self.commit)

    def known_receipts(self) -> proof.Known | None:
        """Return the receipts of the tree; None: none may be reused."""
        return proof.known_receipts(self.git, self.tree, self.settings, self.say) if self.reuse.receipts else None


Outcomes = dict[str, GateOutcome]
"""Gate -> its outcome."""
Executor = Callable[[Sequence[GateJob]], list[Outcomes]]
"""Runs gate jobs of one repository and one `[gates]` table, bottom entry first."""


class RemoteResult(msgspec.Struct, frozen=True):
    """Result of a gate that ran elsewhere.

    Attributes:
        outcome: its verdict there.
        receipt: its receipt; None: it did not finish.
        log: its log.
        host: the host.
    """

    outcome: GateOutcome
    receipt: Receipt | None
    log: bytes
    host: str


def accepted(gate_job: GateJob, gate: Gate, result: RemoteResult, toolchain: Toolchain | None) -> GateOutcome:
    """Validate the result of a gate that ran elsewhere, store its receipt, and return its outcome.

    Args:
        gate_job: the gate job.
        gate: the gate.
        result: the result.
        toolchain: the toolchain of this run; None: this receipt is the first.
    """
    receipt = result.receipt
    if result.outcome.gate != gate.name:
        return not_run(gate, f"{result.host} answered about another gate: {result.outcome.gate}")
    if receipt is None:
        if result.outcome.verdict is Verdict.PASSED:
            return not_run(gate, f"{result.host} says that it passed, and has no receipt")
        return replace(result.outcome, log="")
    if toolchain is not None and receipt.toolchain != toolchain:
        why = f"{result.host} compiled it with {receipt.toolchain.name}, the run is with {toolchain.name}"
        return not_run(gate, why)
    query = proof.query_of(gate, gate_job.tree)
    passed = result.outcome.verdict is Verdict.PASSED
    other = not concerns(query, receipt) or receipt.argv != query.argv or (passed and mismatch(query, receipt))
    if other or (passed and not receipt.passed):
        return not_run(gate, f"{result.host} ran something else: {shlex.join(receipt.argv)} on tree {receipt.tree}")
    log = result.log if hashlib.sha256(result.log).hexdigest() == receipt.log_sha256 else b""
    # The names of files are ours: the machine could name another receipt, and replace it. Its sources stay there.
    receipt = replace(receipt, log=f"{hashlib.sha256(log).hexdigest()[:32]}.log", sources="")
    path = execute.store_receipt(gate_job.git, gate_job.settings, receipt, log, gate_job.say)
    ran = structs.replace(query, toolchain=receipt.toolchain, config_sha256=receipt.config_sha256)
    known = proof.known_receipts(gate_job.git, gate_job.tree, gate_job.settings)
    return proof.confirmed(known, ran, replace(result.outcome, log=str(path), sources=""))


def not_run(gate: Gate, why: str) -> GateOutcome:
    """Return the outcome of a gate without a verdict."""
    return GateOutcome(gate.name, Verdict.INTERRUPTED, command=gate.command_line, diagnosis=why)
