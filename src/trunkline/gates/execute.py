"""Runs one gate to its verdict: on a clean tree, in an environment of its own, with one job of the pool."""

from __future__ import annotations

import contextlib
import datetime as dt
import fcntl
import hashlib
import json
import platform
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path, PurePosixPath

from trunkline.domain.cause import Cause, CauseId
from trunkline.domain.coverage import Sources
from trunkline.domain.flags import NO_FLAGS
from trunkline.domain.names import Oid
from trunkline.domain.receipt import GateOutcome, Receipt, Toolchain, Verdict
from trunkline.domain.stack import GateSettings
from trunkline.gates import diagnosis, libtest, proof, test_counts
from trunkline.gates.catalogue import SCCACHE, Gate
from trunkline.gates.invalidation import Reset
from trunkline.gates.jobserver import Token, inherited, pool, token
from trunkline.gates.refusal import Place
from trunkline.gates.slots import Slot, refuse_links
from trunkline.gates.workplace import Workplace
from trunkline.git import signing, submodules
from trunkline.git.git import Git
from trunkline.rust import bubblewrap, cargo, sources, target_directory, units
from trunkline.rust.cargo import Tools
from trunkline.rust.cargo_output import CargoOutput, reporting
from trunkline.rust.rustflags import FlagsUnknown
from trunkline.state.receipt_store import Store, sources_name
from trunkline.system import logged_process
from trunkline.system.files import private_directory, read_regular
from trunkline.system.process import Completed

_DIAGNOSIS_SECONDS = 600.0
_LONGEST_LOCK = 1 << 27  # bytes; a link to a device never ends


@dataclass(frozen=True)
class GateWorkspace:
    """Where gates run: a slot at a commit.

    Attributes:
        git: the repository.
        slot: the work tree, held.
        root: the Cargo workspace's directory inside it.
        run: the run's own directory: the job pool, logs.
        settings: the `[gates]` table: which receipts count, the key that signs them.
        executor: what runs the gates here: nox, dask or actions.
        on_line: told each line that a gate prints.
        least: how much is made anew in any case.
        on_units: receives how many units of the gate's command are compiled, fresh ones too, whenever that changes.
    """

    git: Git
    slot: Slot
    root: str
    run: Path
    settings: GateSettings = field(default_factory=GateSettings)
    executor: str = "nox"
    on_line: Callable[[bytes], None] | None = None
    least: Reset = Reset.SOME
    on_units: Callable[[int], None] = lambda _: None

    def __post_init__(self) -> None:
        """See that the gates run inside the tree (`worktrees.refuse_links`)."""
        refuse_links(self.git, self.slot.commit, self.root)

    @property
    def cwd(self) -> Path:
        """Where gates run."""
        return self.slot.tree / self.root

    @property
    def tree(self) -> Oid:
        """The tree gated."""
        return self.git.tree(self.slot.commit)

    @property
    def workplace(self) -> Workplace:
        """The work tree of the gate's group."""
        return Workplace(self.git, self.slot, self.root)

    @property
    def place(self) -> Place:
        """Where gates run, for what is said of failures."""
        return Place(self.slot.tree, self.root, self.cwd / "target", submodules.missing(self.slot.tree))


def tools_for(tree: Path, root: str, *, sandbox: bool) -> Tools:
    """Return what is installed as seen from a tree; what reads its files runs in the sandbox, where one is on."""
    return Tools(tree / root, sources.wrap_for(tree, sandbox=sandbox))


def missing(gate: Gate, tools: Tools) -> Cause | None:
    """Return what a gate needs and does not find here, its sandbox included; None: nothing."""
    # The sandbox first: without it, nothing may look at the tree.
    if gate.sandbox and (fix := bubblewrap.missing_tool()):
        return Cause(CauseId.SANDBOX, "the sandbox does not work on this machine", "sandbox", fix)
    return tools.missing(gate.argv, gate.needs)


def unavailable(gate: Gate, cause: Cause) -> GateOutcome:
    """Return the outcome of a gate that cannot run here."""
    return GateOutcome(gate.name, Verdict.UNAVAILABLE, command=gate.command_line).because(cause)


def failed(gate: Gate, cause: Cause) -> GateOutcome:
    """Return the outcome of a gate that fails before its command runs."""
    return GateOutcome(gate.name, Verdict.FAILED, command=gate.command_line).because(cause)


def with_flags(gate: Gate, tree: Path, root: str) -> Gate:
    """Return a gate with the flags that are in force for it in a tree.

    Raises:
        FlagsUnknown: cargo does not come so far as to say.
    """
    env = {name: value for name, value in proof.gate_environment(gate).items() if name not in gate.joins}
    return gate.under(sources.flags_in_force(gate.argv, env, tree=tree, cwd=tree / root, sandbox=gate.sandbox))


def keep(git: Git, sign: str, receipt: Receipt, log: bytes, say: Callable[[str], None], read: bytes = b"") -> Path:
    """Keep a receipt and its log, signed where a key is named; return where the log is.

    Args:
        git: the repository.
        sign: the key, or "".
        receipt: what is kept.
        log: its log.
        say: told why it is not signed.
        read: what the gate read of its tree, where that is known.
    """
    path = Store(git.state_dir()).write(receipt, log, read)
    if sign and (problem := signing.sign(path, sign)):
        say(f"the receipt is not signed: {problem}")
    return path.with_name(receipt.log)


def execute(
    ground: GateWorkspace, gate: Gate, *, fresh: bool, toolchain: Toolchain | None, say: Callable[[str], None]
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
        if cause := missing(gate, tools):
            return unavailable(gate, cause)
        toolchain = tools.toolchain(gate.argv)
        query = proof.query_now(gate, ground.tree, toolchain, cargo.outer_config(ground.slot.tree))
        known = None if fresh else proof.known_receipts(ground.git, ground.tree, ground.settings, say)
        if known is not None and (outcome := proof.reusable(known, query, gate)):
            return outcome
    query = proof.query_now(gate, ground.tree, toolchain, cargo.outer_config(ground.slot.tree))
    with (ground.slot.path / f"{gate.group}.lock").open("a+") as lock:
        # The group's order before a job of the pool, so that a gate that waits never holds a token.
        fcntl.flock(lock, fcntl.LOCK_EX)
        own = replace(ground, slot=ground.slot.of(gate.group))
        own.workplace.bring(gate, toolchain, f"{ground.run}", least=ground.least, strict=ground.settings.strict)
        try:
            gate = with_flags(gate, own.slot.tree, own.root)
        except FlagsUnknown as unknown:
            own.workplace.leave()
            return failed(gate, diagnosis.unknown_flags(unknown, own.place))
        if gate.flags != gate.under(NO_FLAGS).flags:
            say(f"{gate.name}: flags in force: {gate.flags}")
        outcome = _run(own, gate, toolchain, say)
    return proof.confirmed(proof.known_receipts(ground.git, ground.tree, ground.settings), query, outcome)


@dataclass(frozen=True)
class _Attempt:
    """What one run of a gate's command left.

    Attributes:
        done: how it ended; its output is in `log`.
        log: what it printed.
        output: the same, sorted: cargo's words, the compilers', the programs'.
    """

    done: Completed
    log: bytes
    output: CargoOutput

    @property
    def text(self) -> str:
        """What it printed, as text."""
        return self.log.decode("utf-8", "replace")

    @property
    def ended(self) -> bool:
        """It came to an end of its own."""
        return not self.done.timed_out and self.done.returncode >= 0


def _run(ground: GateWorkspace, gate: Gate, toolchain: Toolchain, say: Callable[[str], None]) -> GateOutcome:
    if gate.env.get("RUSTC_WRAPPER") == SCCACHE:
        cargo.start_cache(ground.cwd)
    started = dt.datetime.now(dt.timezone.utc)
    log = private_directory(ground.run / "logs") / f"{gate.name}.log"
    attempt, attempts = _attempt(ground, gate, log, {}), 1
    if attempt.ended and attempt.done.returncode != gate.expects and diagnosis.is_compiler_crash(attempt.output):
        attempt, attempts = _attempt(ground, gate, log, {"RUSTC_WRAPPER": ""}), 2
    written = _written(ground)
    if attempt.ended:
        ground.workplace.leave()
    digest = hashlib.sha256(attempt.log).hexdigest()
    cause = _cause(ground, gate, attempt, written)
    read = _read(ground, gate, attempt)
    receipt = Receipt(
        gate=gate.name,
        commit=ground.slot.commit,
        tree=ground.tree,
        argv=gate.argv,
        env=proof.gate_environment(gate),
        passed_through=tuple(name for name in cargo.PASSED_THROUGH if name in cargo.environment({})),
        toolchain=toolchain,
        lock_sha256=_sha256(ground.cwd / "Cargo.lock"),
        sandbox=bubblewrap.NAME if gate.sandbox else "none",
        started=started.isoformat(timespec="milliseconds"),
        seconds=round(attempt.done.seconds, 3),
        exit_code=attempt.done.returncode,
        log=f"{digest[:32]}.log",
        log_sha256=digest,
        attempts=attempts,
        config_sha256=cargo.outer_config(ground.slot.of("").tree),
        expects=gate.expects,
        lacked=_lacked(gate, attempt, cause),
        summary=libtest.ran(attempt.text) if gate.must_run and attempt.done.returncode == gate.expects else "",
        cpu_seconds=round(attempt.done.cpu_seconds, 3),
        executor=ground.executor,
        host=platform.node(),
        flags=gate.flags,
        failure=cause.to_json(gate.name) if cause else {},
        tests=test_counts.tests_run(gate.argv, attempt.output),
        sources=sources_name(read) if read else "",
        units=attempt.output.units,
    )
    if attempt.ended or attempt.done.timed_out:
        log = keep(ground.git, ground.settings.sign, receipt, attempt.log, say, read)
    return replace(_judged(gate, attempt, receipt, cause), log=str(log))


def _written(ground: GateWorkspace) -> tuple[str, ...]:
    """Return the sources that were written to; a Cargo.lock that the commit does not have is none of them."""
    paths = ground.workplace.written()
    lock = str(PurePosixPath(ground.root, "Cargo.lock"))
    if lock in paths and not ground.git.cached_query("ls-tree", ground.tree, "--", lock).text:
        return tuple(path for path in paths if path != lock)
    return paths


def _read(ground: GateWorkspace, gate: Gate, attempt: _Attempt) -> bytes:
    """Return what a gate read of its tree, as it is kept; b"": its command does not say."""
    output, named = attempt.output, test_counts.units_run(gate.argv, attempt.output)
    if not (output.artifacts or named):
        return b""
    programs = [name for name, tests in output.tests if tests]
    found = units.sources_of(output.artifacts, output.scripts, programs, ground.slot.tree, ground.cwd)
    found |= Sources({}, named)
    return json.dumps(found.to_json(), sort_keys=True).encode() + b"\n"


def _lacked(gate: Gate, attempt: _Attempt, cause: Cause | None) -> str:
    """Return why a run is no pass whatever its exit code; it leaves a receipt, so that no older pass hides it."""
    if attempt.done.timed_out:
        return diagnosis.overdue(attempt.output.last, gate.timeout)
    return cause.text if cause is not None and attempt.done.returncode == gate.expects else ""


def _judged(gate: Gate, attempt: _Attempt, receipt: Receipt, cause: Cause | None) -> GateOutcome:
    outcome = GateOutcome(
        gate.name, Verdict.PASSED, receipt.seconds, gate.command_line, receipt.toolchain.name,
        sandbox=receipt.sandbox,
        summary=receipt.summary, started=receipt.started, cpu_seconds=receipt.cpu_seconds, tests=receipt.tests,
        sources=receipt.sources, attempts=receipt.attempts, left=attempt.done.left,
    )  # fmt: skip
    if attempt.done.timed_out:
        why = diagnosis.overdue(attempt.output.last, gate.timeout)
        return replace(outcome, verdict=Verdict.TIMED_OUT, diagnosis=why)
    if attempt.done.returncode < 0:
        return replace(outcome, verdict=Verdict.INTERRUPTED, diagnosis=f"ended by signal {-attempt.done.returncode}")
    return replace(outcome, verdict=Verdict.FAILED).because(cause) if cause else outcome


def _cause(ground: GateWorkspace, gate: Gate, attempt: _Attempt, written: tuple[str, ...]) -> Cause | None:
    """Return why a gate that came to its end did not pass; None: it did, or came to none."""
    if not attempt.ended:
        return None
    if (code := attempt.done.returncode) != gate.expects:
        cause = diagnosis.explain(gate.argv, attempt.output, ground.place)
        if gate.expects:
            cause = replace(cause, text=f"exit code {code}, expected {gate.expects}: {cause.text}")
        return cause
    if lacked := libtest.not_run(attempt.text, gate.must_run):
        return Cause(CauseId.NO_TEST, lacked)
    return diagnosis.changed_sources(written, ground.place) if written else None


def _attempt(ground: GateWorkspace, gate: Gate, log: Path, extra: Mapping[str, str]) -> _Attempt:
    with pool(ground.run) as own, token(Path(inherited() or own)) as job:
        against = target_directory.overrides(ground.slot.tree, ground.root)
        env = cargo.environment({**against, **proof.gate_environment(gate), **gate.joined, **extra})
        if gate.sandbox:
            sources.fetch(gate.argv, tree=ground.slot.tree, cwd=ground.cwd, env=env)
        done, output = _done(ground, gate, log, env, job)
        attempt = _Attempt(done, log.read_bytes(), output)
        again = cargo.diagnosis_command(gate.argv)
        if not attempt.ended or done.returncode == gate.expects or not again:
            return attempt
        seconds = min(gate.timeout, _DIAGNOSIS_SECONDS)
        asked = cargo.diagnose(_as_asked(ground, gate, again), cwd=ground.cwd, env=env, timeout=seconds)
        return _Attempt(done, attempt.log, asked or output)


def _done(
    ground: GateWorkspace, gate: Gate, log: Path, env: Mapping[str, str], job: Token
) -> tuple[Completed, CargoOutput]:
    """Run a gate's command; of tests, first what compiles them, with the job pool, then the tests, without it.

    In a sandbox, code that is not part of compiling gets a copy of cargo's directories: what it writes there is gone
    when the next gate begins, so no test can make another tree's build look up to date.
    """
    log.unlink(missing_ok=True)
    compiling, spent = cargo.compiling(gate.argv), 0.0
    left_before: tuple[str, ...] = ()
    compiled = 0
    if compiling:
        done, output = _command(ground, gate, compiling, log, env, job, gate.timeout)
        if done.returncode or done.timed_out:
            return done, output
        spent, left_before, compiled = done.seconds, done.left, output.units
        ground.workplace.go_on()
    exposed = gate.sandbox and not cargo.only_compiles(gate.argv)
    with ground.workplace.private_copy() if exposed else contextlib.nullcontext():
        left = max(gate.timeout - spent, 0.0)
        done, output = _command(ground, gate, gate.argv, log, env, None if compiling else job, left)
    output.units = max(output.units, compiled)  # the second command of nextest does not say
    return replace(done, seconds=spent + done.seconds, left=(*left_before, *done.left)), output


def _command(
    ground: GateWorkspace,
    gate: Gate,
    command: tuple[str, ...],
    log: Path,
    env: Mapping[str, str],
    job: Token | None,
    seconds: float,
) -> tuple[Completed, CargoOutput]:
    argv = reporting(command)
    output = CargoOutput(structured=argv != command)

    def sort(stream: logged_process.Stream, line: bytes) -> bytes:
        before, kept = output.units, output.parse_line(stream, line)
        if output.units != before:
            ground.on_units(output.units)
        return kept

    done = logged_process.run_logged(
        _as_asked(ground, gate, argv), cwd=ground.cwd, env={**env, **(job.variables if job else {})}, timeout=seconds,
        log=log, on_line=ground.on_line, sort=sort, pass_fds=(job.handle,) if job else (),
    )  # fmt: skip
    return done, output


def _as_asked(ground: GateWorkspace, gate: Gate, argv: tuple[str, ...]) -> tuple[str, ...]:
    """Return a command as it is run: inside the sandbox, where that is asked for."""
    if not gate.sandbox:
        return argv
    writable = tuple(private_directory(each) for each in ground.workplace.directories())
    return bubblewrap.View(ground.slot.tree, writable=writable).wrap(argv, ground.cwd)


def _sha256(path: Path) -> str:
    try:
        return hashlib.sha256(read_regular(path, _LONGEST_LOCK)).hexdigest()
    except OSError:
        return ""
