"""Runs one gate to its verdict: on a clean tree, in an environment of its own, with one job of the pool."""

from __future__ import annotations

import datetime as dt
import fcntl
import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from trunkline.adapters import cargo, worktrees
from trunkline.adapters.git import Git
from trunkline.adapters.receipts import Store
from trunkline.adapters.worktrees import Slot
from trunkline.domain.names import Oid
from trunkline.domain.receipt import GateOutcome, Receipt, Toolchain, Verdict
from trunkline.gates.catalogue import Gate
from trunkline.gates.jobserver import inherited, pool, token
from trunkline.kernel import proc
from trunkline.kernel.files import private_directory

# A verdict needs no debug info, and a cold run without it takes 94 s instead of 110 (measured, docs/gates.md).
_CHEAPER = {"CARGO_PROFILE_DEV_DEBUG": "0"}


@dataclass(frozen=True)
class Ground:
    """Where gates run: a slot at a commit.

    Attributes:
        git: the repository.
        slot: the work tree, held.
        root: the Cargo workspace's directory inside it.
        run: the run's own directory: the job pool, logs.
    """

    git: Git
    slot: Slot
    root: str
    run: Path

    @property
    def cwd(self) -> Path:
        """Where gates run."""
        return self.slot.tree / self.root

    @property
    def tree(self) -> Oid:
        """The tree gated."""
        return self.git.tree(self.slot.commit)


def gate_environment(gate: Gate) -> dict[str, str]:
    """Return the variables that a gate's receipt names: its own, and what makes it cheaper."""
    return {**_CHEAPER, **gate.env}


def proven(store: Store, gate: Gate, tree: Oid, toolchain: Toolchain | None) -> GateOutcome | None:
    """Return the pass that a receipt proves of a gate on a tree; None: none does.

    Args:
        store: the receipts.
        gate: which gate.
        tree: which tree.
        toolchain: what would compile now; None: whatever compiled then.
    """
    for path, receipt in store.read(tree):
        if isinstance(receipt, str) or receipt.gate != gate.name:
            continue
        if receipt.proves(tree=tree, argv=gate.argv, env=gate_environment(gate), toolchain=toolchain):
            return GateOutcome(
                gate.name, Verdict.PASSED, receipt.seconds, gate.typed, receipt.toolchain.name,
                log=str(path.parent / receipt.log), reused=True, sandbox=receipt.sandbox,
            )  # fmt: skip
    return None


def execute(ground: Ground, gate: Gate, *, fresh: bool) -> GateOutcome:
    """Run one gate, or find it proven already.

    Args:
        ground: where.
        gate: what.
        fresh: run it whatever the receipts say.
    """
    cure = cargo.lacking(gate.argv, gate.needs, ground.cwd)
    if cure:
        return GateOutcome(gate.name, Verdict.UNAVAILABLE, command=gate.typed, cure=cure)
    store = Store(ground.git.state_dir())
    toolchain = cargo.toolchain(gate.argv, ground.cwd)
    if not fresh and (known := proven(store, gate, ground.tree, toolchain)):
        return known
    with (ground.slot.path / f"{gate.group}.lock").open("a+") as lock:
        # The group's order before a job of the pool, so that a gate that waits never holds a token.
        fcntl.flock(lock, fcntl.LOCK_EX)
        return _run(ground, gate, store, toolchain)


def _run(ground: Ground, gate: Gate, store: Store, toolchain: Toolchain) -> GateOutcome:
    before = worktrees.leftovers(ground.git, ground.slot)
    started = dt.datetime.now(dt.timezone.utc)
    log = private_directory(ground.run / "logs") / f"{gate.name}.log"
    done, attempts = _attempt(ground, gate, log, {}), 1
    content = log.read_bytes()
    if done.returncode and not done.timed_out and cargo.is_compiler_crash(content.decode("utf-8", "replace")):
        done, attempts = _attempt(ground, gate, log, {"RUSTC_WRAPPER": ""}), 2
        content = log.read_bytes()
    written = tuple(path for path in worktrees.leftovers(ground.git, ground.slot) if path not in before)
    digest = hashlib.sha256(content).hexdigest()
    receipt = Receipt(
        gate=gate.name,
        commit=ground.slot.commit,
        tree=ground.tree,
        argv=gate.argv,
        env=gate_environment(gate),
        passed_through=tuple(name for name in cargo.PASSED_THROUGH if name in cargo.environment({})),
        toolchain=toolchain,
        lock_sha256=_sha256(ground.cwd / "Cargo.lock"),
        sandbox="none",
        started=started.isoformat(timespec="milliseconds"),
        seconds=round(done.seconds, 3),
        exit_code=done.returncode,
        log=f"{digest[:32]}.log",
        log_sha256=digest,
        attempts=attempts,
    )
    if not (written or done.timed_out or done.returncode < 0):
        store.write(receipt, content)
    return _judged(gate, done, receipt, content.decode("utf-8", "replace"), written, log)


def _judged(
    gate: Gate, done: proc.Completed, receipt: Receipt, text: str, written: tuple[str, ...], log: Path
) -> GateOutcome:
    verdict, diagnosis, cure = Verdict.PASSED, "", ""
    if done.timed_out:
        verdict, diagnosis = Verdict.TIMED_OUT, f"it did not end within {gate.timeout:g} s"
    elif written:
        verdict, diagnosis = Verdict.FAILED, f"it wrote into its sources: {', '.join(written[:5])}"
    elif done.returncode < 0:
        verdict, diagnosis = Verdict.INTERRUPTED, f"ended by signal {-done.returncode}"
    elif done.returncode:
        verdict = Verdict.FAILED
        diagnosis, cure = cargo.diagnose(text)
    return GateOutcome(
        gate.name, verdict, receipt.seconds, gate.typed, receipt.toolchain.name, diagnosis, cure, str(log)
    )


def _attempt(ground: Ground, gate: Gate, log: Path, extra: Mapping[str, str]) -> proc.Completed:
    with pool(ground.run) as own, token(Path(inherited() or own)) as jobs:
        variables = {
            **gate_environment(gate),
            **jobs,
            "CARGO_TARGET_DIR": str(ground.slot.target(gate.group)),
            **extra,
        }
        return proc.run_logged(
            gate.argv, cwd=ground.cwd, env=cargo.environment(variables), timeout=gate.timeout, log=log
        )


def _sha256(path: Path) -> str:
    try:
        return hashlib.sha256(path.read_bytes()).hexdigest()
    except OSError:
        return ""
