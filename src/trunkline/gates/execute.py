"""Run one gate and determine its verdict: in a clean tree and environment, with a job slot."""

from __future__ import annotations

import datetime as dt
import fcntl
import hashlib
import json
import os
import platform
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path, PurePosixPath

from msgspec import structs

from trunkline.domain.cause import Cause, CauseId
from trunkline.domain.coverage import Sources
from trunkline.domain.flags import NO_FLAGS
from trunkline.domain.proof import ReceiptQuery
from trunkline.domain.receipt import GateOutcome, Receipt, Toolchain, Verdict
from trunkline.domain.stack import GateSettings
from trunkline.gates import diagnosis, libtest, proof, test_counts
from trunkline.gates.attempt import Attempt, run_command
from trunkline.gates.catalogue import SCCACHE, Gate
from trunkline.gates.gate_workspace import GateWorkspace
from trunkline.gates.outer_settings import outer_settings
from trunkline.git import refs, signing, submodules
from trunkline.git.git import Git
from trunkline.rust import bubblewrap, build_places, cargo, outside_packages, sources, units
from trunkline.rust.cargo import Tools
from trunkline.rust.rustflags import FlagsUnknown
from trunkline.state.receipt_store import Store, sources_name
from trunkline.system.files import LONGEST, private_directory, read_regular

_LINK = "120000"
# These run gates on other machines, whose files and settings this one cannot compare.
_ELSEWHERE = frozenset({"dask", "actions"})


def tools_for(tree: Path, root: str, *, sandbox: bool) -> Tools:
    """Return the tools for a tree; programs that read its files run in the sandbox, if enabled."""
    return Tools(tree / root, sources.wrap_for(tree, sandbox=sandbox))


def missing(gate: Gate, tools: Tools) -> Cause | None:
    """Return the prerequisite that a gate lacks, the sandbox included; None: nothing."""
    # The sandbox first: without it, no program may read the tree.
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
    """Return a gate with the flags in force for it in a tree.

    Raises:
        FlagsUnknown: cargo fails before it passes flags.
    """
    env = {name: value for name, value in proof.gate_environment(gate).items() if name not in gate.joins}
    return gate.under(sources.flags_in_force(gate.argv, env, tree=tree, cwd=tree / root, sandbox=gate.sandbox))


def store_receipt(
    git: Git, settings: GateSettings, receipt: Receipt, log: bytes, say: Callable[[str], None], read: bytes = b""
) -> Path:
    """Store a receipt and its log, signed if there is a key; return the path of the log.

    Args:
        git: the repository.
        settings: the `[gates]` table, with the key if there is one.
        receipt: the receipt.
        log: its log.
        say: receives the reason if signing fails.
        read: the files that the gate read, if known.
    """
    receipt = replace(receipt, repository=refs.identity_of(git, settings.remote))
    path = Store(git.state_dir()).write(receipt, log, read)
    if (key := signing.key_of(git, settings)) and (problem := signing.sign(path, key)):
        say(f"the receipt is not signed: {problem}")
    return path.with_name(receipt.log)


def execute(
    workspace: GateWorkspace, gate: Gate, *, fresh: bool, toolchain: Toolchain | None, say: Callable[[str], None]
) -> GateOutcome:
    """Run one gate, unless a receipt proves it already.

    Args:
        workspace: the work tree.
        gate: the gate.
        fresh: ignore receipts.
        toolchain: its toolchain, if the caller has determined it; the caller has then also checked
            receipts and prerequisites.
        say: receives messages for the user besides the verdict.
    """
    if toolchain is None:
        tools = tools_for(workspace.slot.tree, workspace.root, sandbox=gate.sandbox)
        if cause := missing(gate, tools):
            return unavailable(gate, cause)
        toolchain = tools.toolchain(gate.argv)
        query = proof.query_now(gate, workspace.tree, toolchain, outer_settings(workspace.git, workspace.tree))
        known = None if fresh else proof.known_receipts(workspace.git, workspace.tree, workspace.settings, say)
        if known is not None and (outcome := proof.reusable(known, query, gate)):
            return outcome
    query = proof.query_now(gate, workspace.tree, toolchain, outer_settings(workspace.git, workspace.tree))
    with (workspace.slot.path / f"{gate.group}.lock").open("a+") as lock:
        # The group's lock before a job slot, so that a waiting gate never holds a token.
        fcntl.flock(lock, fcntl.LOCK_EX)
        own = structs.replace(workspace, slot=workspace.slot.of(gate.group))
        own.workplace.prepare(
            gate, toolchain, f"{workspace.run}", least=workspace.least, strict=workspace.settings.strict
        )
        if cause := _misplaced(own, gate):
            own.workplace.finish()
            return failed(gate, cause)
        try:
            gate = with_flags(gate, own.slot.tree, own.root)
        except FlagsUnknown as unknown:
            own.workplace.finish()
            return failed(gate, diagnosis.unknown_flags(unknown, own.place))
        if gate.flags != gate.under(NO_FLAGS).flags:
            say(f"{gate.name}: flags in force: {gate.flags}")
        outcome = _run(own, gate, query, say)
    return proof.confirmed(proof.known_receipts(workspace.git, workspace.tree, workspace.settings), query, outcome)


def _misplaced(workspace: GateWorkspace, gate: Gate) -> Cause | None:
    """Return the cause if a gate would build outside the work tree; None: it does not."""
    if link := build_places.linked(workspace.slot.tree, workspace.root):
        return diagnosis.linked_output(link)
    setting = build_places.outside(workspace.slot.tree, workspace.root, gate.argv, gate.env)
    return diagnosis.outside_output(gate.name, setting) if setting else None


def _run(workspace: GateWorkspace, gate: Gate, query: ReceiptQuery, say: Callable[[str], None]) -> GateOutcome:
    if gate.env.get("RUSTC_WRAPPER") == SCCACHE:
        cargo.start_cache(workspace.cwd)
    outside = _outside_before(workspace)
    started = dt.datetime.now(dt.timezone.utc)
    log = private_directory(workspace.run / "logs") / f"{gate.name}.log"
    attempt, attempts = run_command(workspace, gate, log, {}), 1
    if attempt.ended and attempt.done.returncode != gate.expects and diagnosis.is_compiler_crash(attempt.output):
        attempt, attempts = run_command(workspace, gate, log, {"RUSTC_WRAPPER": ""}), 2
    written = _modified_sources(workspace)
    if attempt.ended:
        workspace.workplace.finish()
    digest = hashlib.sha256(attempt.log).hexdigest()
    cause = _cause(workspace, gate, attempt, written)
    read = _read(workspace, gate, attempt)
    receipt = Receipt(
        gate=gate.name,
        commit=workspace.slot.commit,
        tree=workspace.tree,
        argv=gate.argv,
        env=proof.gate_environment(gate),
        passed_through=tuple(name for name in cargo.PASSED_THROUGH if name in cargo.environment({})),
        toolchain=query.toolchain or Toolchain("", ""),
        lock_sha256=_sha256(workspace.cwd / "Cargo.lock"),
        sandbox=bubblewrap.NAME if gate.sandbox else "none",
        started=started.isoformat(timespec="milliseconds"),
        seconds=round(attempt.done.seconds, 3),
        exit_code=attempt.done.returncode,
        log=f"{digest[:32]}.log",
        log_sha256=digest,
        attempts=attempts,
        config_sha256=query.config_sha256 or "",
        expects=gate.expects,
        lacked=_shortfall(gate, attempt, cause),
        summary=libtest.ran(attempt.text) if gate.must_run and attempt.done.returncode == gate.expects else "",
        cpu_seconds=round(attempt.done.cpu_seconds, 3),
        executor=workspace.executor,
        host=platform.node(),
        flags=gate.flags,
        failure=cause.to_json(gate.name) if cause else {},
        tests=test_counts.tests_run(gate.argv, attempt.output),
        sources=sources_name(read) if read else "",
        units=attempt.output.units,
        root=workspace.root,
        missing=tuple(path for path, _ in submodules.missing(workspace.slot.tree)),
        outside=outside | _read_outside(workspace, started),
    )
    if attempt.ended or attempt.done.timed_out:
        log = store_receipt(workspace.git, workspace.settings, receipt, attempt.log, say, read)
    return replace(_outcome(gate, attempt, receipt, cause), log=str(log))


def _outside_before(workspace: GateWorkspace) -> dict[str, str]:
    """Return the packages and files outside the work tree, in their state before the gate runs."""
    listed = workspace.git.cached_query("ls-tree", "-r", "-z", "--full-tree", workspace.tree)
    entries = (entry.partition("\t") for entry in os.fsdecode(listed.stdout).split("\0"))
    modes = {path: about.split(" ", 1)[0] for about, _, path in entries}
    manifests = [path for path in modes if PurePosixPath(path).name == "Cargo.toml"]
    links = [path for path, mode in modes.items() if mode == _LINK]
    top, root = workspace.slot.tree, workspace.root
    found = outside_packages.states(top, root, manifests, links)
    if workspace.executor in _ELSEWHERE:
        return found
    return outside_packages.linked(top, links) | outside_packages.vendored(top, root) | found


def _read_outside(workspace: GateWorkspace, started: dt.datetime) -> dict[str, str]:
    """Return the files outside the work tree that the compiler read; "" for one that changed during the run."""
    found = {}
    for path in workspace.workplace.read_outside() if workspace.executor not in _ELSEWHERE else ():
        try:
            touched = os.stat(path).st_ctime  # noqa: PTH116 -- many
        except OSError:
            touched = started.timestamp()
        found[path] = outside_packages.state_of(path) if touched < started.timestamp() else ""
    return found


def _modified_sources(workspace: GateWorkspace) -> tuple[str, ...]:
    """Return the modified sources; a Cargo.lock that the commit lacks does not count."""
    paths = workspace.workplace.modified_sources()
    lock = str(PurePosixPath(workspace.root, "Cargo.lock"))
    if lock in paths and not workspace.git.cached_query("ls-tree", workspace.tree, "--", lock).text:
        return tuple(path for path in paths if path != lock)
    return paths


def _read(workspace: GateWorkspace, gate: Gate, attempt: Attempt) -> bytes:
    """Return the files that a gate read, in stored form; b"": unknown for its command."""
    output, named = attempt.output, test_counts.units_run(gate.argv, attempt.output)
    if not (output.artifacts or named):
        return b""
    programs = [name for name, tests in output.tests if tests]
    found = units.sources_of(output.artifacts, output.scripts, programs, workspace.slot.tree, workspace.cwd)
    found |= Sources({}, named)
    return json.dumps(found.to_json(), sort_keys=True).encode() + b"\n"


def _shortfall(gate: Gate, attempt: Attempt, cause: Cause | None) -> str:
    """Return why a run does not count as a pass despite its exit code, or "".

    Such a run leaves a receipt, so that no older pass is used instead.
    """
    if attempt.done.timed_out:
        return diagnosis.overdue(attempt.output.last, gate.timeout)
    return cause.text if cause is not None and attempt.done.returncode == gate.expects else ""


def _outcome(gate: Gate, attempt: Attempt, receipt: Receipt, cause: Cause | None) -> GateOutcome:
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


def _cause(workspace: GateWorkspace, gate: Gate, attempt: Attempt, written: tuple[str, ...]) -> Cause | None:
    """Return the cause of a failed gate; None: it passed, or was interrupted."""
    if not attempt.ended:
        return None
    if (code := attempt.done.returncode) != gate.expects:
        cause = diagnosis.explain(gate.argv, attempt.output, workspace.place)
        if gate.expects:
            cause = structs.replace(cause, text=f"exit code {code}, expected {gate.expects}: {cause.text}")
        return cause
    if lacked := libtest.not_run(attempt.text, gate.must_run):
        return Cause(CauseId.NO_TEST, lacked)
    return diagnosis.changed_sources(gate.argv, written, workspace.place) if written else None


def _sha256(path: Path) -> str:
    try:
        return hashlib.sha256(read_regular(path, LONGEST)).hexdigest()
    except OSError:
        return ""
