"""Runs one gate to its verdict: on a clean tree, in an environment of its own, with one job of the pool."""

from __future__ import annotations

import datetime as dt
import fcntl
import hashlib
import platform
from collections.abc import Callable, Collection, Iterable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path

from trunkline.adapters import bwrap, cargo, signing, sources, worktrees
from trunkline.adapters.cargo import CompilerError, Tools
from trunkline.adapters.git import Git
from trunkline.adapters.receipts import Store
from trunkline.adapters.worktrees import Slot
from trunkline.domain.names import Oid
from trunkline.domain.receipt import Asked, GateOutcome, Receipt, Toolchain, Verdict
from trunkline.gates import diagnosis
from trunkline.gates.catalogue import SCCACHE, Gate
from trunkline.gates.jobserver import inherited, pool, token
from trunkline.kernel import logged
from trunkline.kernel.files import private_directory
from trunkline.kernel.proc import Completed

# A verdict needs no debug info, and a cold run without it takes 94 s instead of 110 (measured, docs/gates.md).
# A wrapper that the user's cargo configuration names would stand between the compiler and its verdict; a gate whose
# own `env` names one has it, and its receipt says so.
_COMMON = {"CARGO_PROFILE_DEV_DEBUG": "0", "RUSTC_WRAPPER": ""}
_DIAGNOSIS_SECONDS = 600.0

KnownReceipts = Collection[tuple[Path, Receipt]]
"""Receipts of one tree, newest first, each with its path."""
Answer = Callable[[KnownReceipts, Asked, Gate], "GateOutcome | None"]
"""What receipts say to a question."""


@dataclass(frozen=True)
class Ground:
    """Where gates run: a slot at a commit.

    Attributes:
        git: the repository.
        slot: the work tree, held.
        root: the Cargo workspace's directory inside it.
        run: the run's own directory: the job pool, logs.
        sign: the key that signs receipts, or "".
        executor: what runs the gates here: nox, dask or actions.
        on_line: told each line that a gate prints.
    """

    git: Git
    slot: Slot
    root: str
    run: Path
    sign: str = ""
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


def gate_environment(gate: Gate) -> dict[str, str]:
    """Return the variables that a gate's receipt names: its own, and what all gates have in common."""
    return {**_COMMON, **gate.env}


def tools_for(tree: Path, root: str, *, sandbox: bool) -> Tools:
    """Return what is installed as seen from a tree; what reads its files runs in the sandbox, where one is on."""
    return Tools(tree / root, sources.wrap_for(tree, sandbox=sandbox))


def lacking(gate: Gate, tools: Tools) -> str:
    """Return the command that installs what a gate lacks here, its sandbox included, or ""."""
    # The sandbox first: without it, nothing may look at the tree.
    return (bwrap.lacking() if gate.sandbox else "") or tools.lacking(gate.argv, gate.needs)


def sound_receipts(store: Store, tree: Oid, say: Callable[[str], None]) -> KnownReceipts:
    """Return the receipts of a tree; a corrupt one proves nothing, and that is said."""
    found = []
    for path, receipt in store.read(tree):
        if isinstance(receipt, str):
            say(f"receipt {path.name} is ignored: {receipt}")
        else:
            found.append((path, receipt))
    return found


def proven(
    known: KnownReceipts, gate: Gate, tree: Oid, toolchain: Toolchain | None, work: Path | None
) -> GateOutcome | None:
    """Return the pass that a receipt proves of a gate on a tree; None: none does.

    Args:
        known: the tree's receipts.
        gate: which gate.
        tree: which tree.
        toolchain: what would compile now; None: whatever compiled then.
        work: the work tree that would be gated, whose surroundings configure cargo; None: however that was then.
    """
    config = None if work is None else cargo.outer_config(work)
    return proof(known, replace(asked_of(gate, tree), toolchain=toolchain, config_sha256=config), gate)


def asked_of(gate: Gate, tree: Oid) -> Asked:
    """Return what a receipt has to prove of a gate on a tree, whatever compiled and however cargo was configured."""
    env = gate_environment(gate)
    return Asked(gate.name, tree, gate.argv, env, sandboxed=gate.sandbox, expects=gate.expects)


def proof(known: KnownReceipts, asked: Asked, gate: Gate) -> GateOutcome | None:
    """Return the pass that the newest fitting receipt proves; None: none fits."""
    for path, receipt in known:
        if receipt.proves(asked):
            return GateOutcome(
                gate.name, Verdict.PASSED, receipt.seconds, gate.typed, receipt.toolchain.name,
                log=str(path.parent / receipt.log), reused=True, sandbox=receipt.sandbox,
                summary=receipt.summary, started=receipt.started, cpu_seconds=receipt.cpu_seconds,
            )  # fmt: skip
    return None


def of_tree(git: Git, tree: Oid, questions: Iterable[tuple[Asked, Gate]], answer: Answer) -> dict[str, GateOutcome]:
    """Return what the receipts of a tree answer to each question, by gate; what they do not answer is left out.

    Args:
        git: the repository.
        tree: which tree.
        questions: what is asked, and the gate that it is asked of.
        answer: `proof` or `evidence`.
    """
    known = sound_receipts(Store(git.state_dir()), tree, lambda _: None)
    found = ((gate.name, answer(known, asked, gate)) for asked, gate in questions)
    return {name: outcome for name, outcome in found if outcome is not None}


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


def evidence(known: KnownReceipts, asked: Asked, gate: Gate) -> GateOutcome | None:
    """Return what receipts say: the pass that one proves, else the newest failure; None: nothing ran to its end."""
    return proof(known, asked, gate) or _failure(known, asked, gate)


def _failure(known: KnownReceipts, asked: Asked, gate: Gate) -> GateOutcome | None:
    """Return the newest failure of exactly this command on this tree; its first error is read from its log."""
    for path, receipt in known:
        if not receipt.passed and (receipt.gate, receipt.tree, receipt.argv) == (asked.gate, asked.tree, asked.argv):
            log = path.parent / receipt.log
            try:
                text = log.read_text(encoding="utf-8", errors="replace")
            except OSError:
                text = ""
            why, cure = diagnosis.diagnose(text, None, log.parent)
            return GateOutcome(
                gate.name, Verdict.FAILED, receipt.seconds, gate.typed, receipt.toolchain.name,
                receipt.lacked or receipt.summary or why, cure, str(log), reused=True, sandbox=receipt.sandbox,
                summary=receipt.summary, started=receipt.started, cpu_seconds=receipt.cpu_seconds,
            )  # fmt: skip
    return None


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
    store = Store(ground.git.state_dir())
    if toolchain is None:
        tools = tools_for(ground.slot.tree, ground.root, sandbox=gate.sandbox)
        if cure := lacking(gate, tools):
            return GateOutcome(gate.name, Verdict.UNAVAILABLE, command=gate.typed, cure=cure)
        toolchain = tools.toolchain(gate.argv)
        known = () if fresh else sound_receipts(store, ground.tree, say)
        if outcome := proven(known, gate, ground.tree, toolchain, ground.slot.tree):
            return outcome
    with (ground.slot.path / f"{gate.group}.lock").open("a+") as lock:
        # The group's order before a job of the pool, so that a gate that waits never holds a token.
        fcntl.flock(lock, fcntl.LOCK_EX)
        return _run(ground, gate, toolchain, say)


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
        env=gate_environment(gate),
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
        lacked=diagnosis.not_run(attempt.text, gate.must_run) if attempt.done.returncode == gate.expects else "",
        summary=diagnosis.ran(attempt.text) if gate.must_run and attempt.done.returncode == gate.expects else "",
        cpu_seconds=round(attempt.done.cpu_seconds, 3),
        executor=ground.executor,
        host=platform.node(),
    )
    if attempt.ended and not written:
        log = keep(ground.git, ground.sign, receipt, attempt.log, say)
    return replace(_judged(ground, gate, attempt, receipt, written), log=str(log))


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
    elif written:
        verdict = Verdict.FAILED
        why, cure = diagnosis.changed_sources(written)
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
                **gate_environment(gate), **jobs, "CARGO_TARGET_DIR": str(target), **extra,
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
