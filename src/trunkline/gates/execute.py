"""Runs one gate to its verdict: on a clean tree, in an environment of its own, with one job of the pool."""

from __future__ import annotations

import datetime as dt
import fcntl
import hashlib
import platform
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path

from trunkline.adapters import bwrap, cargo, signing, sources, worktrees
from trunkline.adapters.cargo import CompilerError, Tools
from trunkline.adapters.git import Git
from trunkline.adapters.receipts import Store
from trunkline.adapters.worktrees import Slot
from trunkline.domain.names import Oid
from trunkline.domain.receipt import GateOutcome, Receipt, Toolchain, Verdict
from trunkline.domain.stack import GateSettings
from trunkline.gates import diagnosis, proof
from trunkline.gates.catalogue import SCCACHE, Gate
from trunkline.gates.jobserver import inherited, pool, token
from trunkline.kernel import logged
from trunkline.kernel.files import private_directory
from trunkline.kernel.proc import Completed

_DIAGNOSIS_SECONDS = 600.0


@dataclass(frozen=True)
class Ground:
    """Where gates run: a slot at a commit.

    Attributes:
        git: the repository.
        slot: the work tree, held.
        root: the Cargo workspace's directory inside it.
        run: the run's own directory: the job pool, logs.
        settings: the `[gates]` table: which receipts count, the key that signs them.
        executor: what runs the gates here: nox, dask or actions.
        on_line: told each line that a gate prints.
    """

    git: Git
    slot: Slot
    root: str
    run: Path
    settings: GateSettings = field(default_factory=GateSettings)
    executor: str = "nox"
    on_line: Callable[[bytes], None] | None = None

    @property
    def cwd(self) -> Path:
        """Where gates run."""
        return self.slot.tree / self.root

    @property
    def tree(self) -> Oid:
        """The tree gated."""
        return self.git.tree(self.slot.commit)


def tools_for(tree: Path, root: str, *, sandbox: bool) -> Tools:
    """Return what is installed as seen from a tree; what reads its files runs in the sandbox, where one is on."""
    return Tools(tree / root, sources.wrap_for(tree, sandbox=sandbox))


def lacking(gate: Gate, tools: Tools) -> str:
    """Return the command that installs what a gate lacks here, its sandbox included, or ""."""
    # The sandbox first: without it, nothing may look at the tree.
    return (bwrap.lacking() if gate.sandbox else "") or tools.lacking(gate.argv, gate.needs)


def keep(git: Git, sign: str, receipt: Receipt, log: bytes, say: Callable[[str], None]) -> Path:
    """Keep a receipt and its log, signed where a key is named; return where the log is.

    Args:
        git: the repository.
        sign: the key, or "".
        receipt: what is kept.
        log: its log.
        say: told why it is not signed.
    """
    path = Store(git.state_dir()).write(receipt, log)
    if sign and (problem := signing.sign(path, sign)):
        say(f"the receipt is not signed: {problem}")
    return path.with_name(receipt.log)


def execute(
    ground: Ground, gate: Gate, *, fresh: bool, toolchain: Toolchain | None, say: Callable[[str], None]
) -> GateOutcome:
    """Run one gate, or find it proven already.

    Args:
        ground: where.
        gate: what.
        fresh: run it whatever the receipts say.
        toolchain: what compiles, where whoever asks has looked: then it has also found no receipt and no lack.
        say: told what a person should know beside the verdict.
    """
    if toolchain is None:
        tools = tools_for(ground.slot.tree, ground.root, sandbox=gate.sandbox)
        if cure := lacking(gate, tools):
            return GateOutcome(gate.name, Verdict.UNAVAILABLE, command=gate.typed, cure=cure)
        toolchain = tools.toolchain(gate.argv)
        query = proof.query_now(gate, ground.tree, toolchain, cargo.outer_config(ground.slot.tree))
        known = None if fresh else proof.known_receipts(ground.git, ground.tree, ground.settings, say)
        if known is not None and (outcome := proof.reusable(known, query, gate)):
            return outcome
    query = proof.query_now(gate, ground.tree, toolchain, cargo.outer_config(ground.slot.tree))
    with (ground.slot.path / f"{gate.group}.lock").open("a+") as lock:
        # The group's order before a job of the pool, so that a gate that waits never holds a token.
        fcntl.flock(lock, fcntl.LOCK_EX)
        outcome = _run(ground, gate, toolchain, say)
    return proof.confirmed(proof.known_receipts(ground.git, ground.tree, ground.settings), query, outcome)


@dataclass(frozen=True)
class _Attempt:
    """What one run of a gate's command left.

    Attributes:
        done: how it ended; its output is in `log`.
        log: what it printed.
        error: the first compiler error, where it failed for one.
    """

    done: Completed
    log: bytes
    error: CompilerError | None = None

    @property
    def text(self) -> str:
        """What it printed, as text."""
        return self.log.decode("utf-8", "replace")

    @property
    def ended(self) -> bool:
        """It came to an end of its own."""
        return not self.done.timed_out and self.done.returncode >= 0


def _run(ground: Ground, gate: Gate, toolchain: Toolchain, say: Callable[[str], None]) -> GateOutcome:
    if strange := worktrees.leftovers(ground.git, ground.slot):
        # Another gate wrote here, and others may still be at work: the next run begins with a clean tree.
        why, cure = diagnosis.changed_sources(strange)
        return GateOutcome(gate.name, Verdict.FAILED, command=gate.typed, diagnosis=f"not run: {why}", cure=cure)
    if gate.env.get("RUSTC_WRAPPER") == SCCACHE:
        cargo.start_cache(ground.cwd)
    started = dt.datetime.now(dt.timezone.utc)
    log = private_directory(ground.run / "logs") / f"{gate.name}.log"
    attempt, attempts = _attempt(ground, gate, log, {}), 1
    if attempt.ended and attempt.done.returncode != gate.expects and diagnosis.is_compiler_crash(attempt.text):
        attempt, attempts = _attempt(ground, gate, log, {"RUSTC_WRAPPER": ""}), 2
    written = worktrees.leftovers(ground.git, ground.slot)
    digest = hashlib.sha256(attempt.log).hexdigest()
    receipt = Receipt(
        gate=gate.name,
        commit=ground.slot.commit,
        tree=ground.tree,
        argv=gate.argv,
        env=proof.gate_environment(gate),
        passed_through=tuple(name for name in cargo.PASSED_THROUGH if name in cargo.environment({})),
        toolchain=toolchain,
        lock_sha256=_sha256(ground.cwd / "Cargo.lock"),
        sandbox=bwrap.NAME if gate.sandbox else "none",
        started=started.isoformat(timespec="milliseconds"),
        seconds=round(attempt.done.seconds, 3),
        exit_code=attempt.done.returncode,
        log=f"{digest[:32]}.log",
        log_sha256=digest,
        attempts=attempts,
        config_sha256=cargo.outer_config(ground.slot.tree),
        expects=gate.expects,
        lacked=_lacked(gate, attempt, written),
        summary=diagnosis.ran(attempt.text) if gate.must_run and attempt.done.returncode == gate.expects else "",
        cpu_seconds=round(attempt.done.cpu_seconds, 3),
        executor=ground.executor,
        host=platform.node(),
    )
    if attempt.ended or attempt.done.timed_out:
        log = keep(ground.git, ground.settings.sign, receipt, attempt.log, say)
    return replace(_judged(ground, gate, attempt, receipt, written), log=str(log))


def _lacked(gate: Gate, attempt: _Attempt, written: tuple[str, ...]) -> str:
    """Return why a run is no pass whatever its exit code; it leaves a receipt, so that no older pass hides it."""
    if attempt.done.timed_out:
        return diagnosis.overdue(attempt.text, gate.timeout)
    if attempt.done.returncode != gate.expects:
        return ""
    return diagnosis.not_run(attempt.text, gate.must_run) or (
        diagnosis.changed_sources(written)[0] if written else ""
    )


def _judged(ground: Ground, gate: Gate, attempt: _Attempt, receipt: Receipt, written: tuple[str, ...]) -> GateOutcome:
    verdict, why, cure = Verdict.PASSED, "", ""
    if attempt.done.timed_out:
        verdict, why = Verdict.TIMED_OUT, diagnosis.overdue(attempt.text, gate.timeout)
    elif attempt.done.returncode < 0:
        verdict, why = Verdict.INTERRUPTED, f"ended by signal {-attempt.done.returncode}"
    elif attempt.done.returncode != gate.expects:
        verdict = Verdict.FAILED
        why, cure = diagnosis.diagnose(attempt.text, attempt.error, ground.cwd)
        if gate.expects:
            why = f"exit code {attempt.done.returncode}, expected {gate.expects}" + (f": {why}" if why else "")
    elif receipt.lacked:
        verdict, why = Verdict.FAILED, receipt.lacked
        cure = diagnosis.changed_sources(written)[1] if written else ""
    return GateOutcome(
        gate.name, verdict, receipt.seconds, gate.typed, receipt.toolchain.name, why, cure, sandbox=receipt.sandbox,
        summary=receipt.summary, started=receipt.started, cpu_seconds=receipt.cpu_seconds,
    )  # fmt: skip


def _attempt(ground: Ground, gate: Gate, log: Path, extra: Mapping[str, str]) -> _Attempt:
    target = ground.slot.target(gate.group)
    with pool(ground.run) as own:
        fifo = Path(inherited() or own)
        with token(fifo) as jobs:
            env = cargo.environment({
                **proof.gate_environment(gate), **jobs, "CARGO_TARGET_DIR": str(target), **extra,
            })  # fmt: skip
            if gate.sandbox:
                sources.fetch(gate.argv, tree=ground.slot.tree, cwd=ground.cwd, env=env)
            argv = _as_asked(ground, gate, gate.argv, fifo)
            done = logged.run_logged(
                argv, cwd=ground.cwd, env=env, timeout=gate.timeout, log=log, on_line=ground.on_line
            )
            attempt = _Attempt(done, log.read_bytes())
            asking = cargo.asking_why(gate.argv)
            if not attempt.ended or done.returncode == gate.expects or not asking:
                return attempt
            again = _as_asked(ground, gate, asking, fifo)
            seconds = min(gate.timeout, _DIAGNOSIS_SECONDS)
            return _Attempt(done, attempt.log, cargo.first_error(again, cwd=ground.cwd, env=env, timeout=seconds))


def _as_asked(ground: Ground, gate: Gate, argv: tuple[str, ...], fifo: Path) -> tuple[str, ...]:
    """Return a command as it is run: inside the sandbox, where that is asked for."""
    if not gate.sandbox:
        return argv
    target = private_directory(ground.slot.target(gate.group))
    return bwrap.View(ground.slot.tree, writable=(target, fifo)).wrap(argv, ground.cwd)


def _sha256(path: Path) -> str:
    try:
        return hashlib.sha256(path.read_bytes()).hexdigest()
    except OSError:
        return ""
