"""Run the gates of a commit that no receipt proves, with the executor of stack.toml.

The local executor runs all sessions in parallel in one nox.
"""

from __future__ import annotations

import contextlib
import json
import re
import shutil
import signal
import sys
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from pathlib import Path

import msgspec

from trunkline.domain.errors import ExternalError, UsageError
from trunkline.domain.names import Oid
from trunkline.domain.receipt import GateOutcome, Toolchain, Verdict
from trunkline.domain.reuse import Reuse
from trunkline.domain.stack import GateSettings
from trunkline.gates import actions, execute, preflight, proof, request, slots
from trunkline.gates.catalogue import Gate, catalogue
from trunkline.gates.executor import Executor, GateJob, Outcomes, not_run
from trunkline.gates.jobserver import inherited, pool
from trunkline.git import failures, lfs, signing, submodules
from trunkline.git.git import Git
from trunkline.system import installing, process
from trunkline.system.logged_process import Logged, Stream, begin_logged

LOCAL = "local"
"""The executor that runs gates with nox on this machine."""
_MARGIN_SECONDS = 600.0
_BEGINS = re.compile(rb"Running session gates\(([^)]+)\)")  # nox's own line


def gate_commit(  # noqa: PLR0913 -- the fields of a GateJob, most with defaults
    top: Path,
    commit: Oid,
    settings: GateSettings,
    *,
    only: Collection[str] = (),
    reuse: Reuse = Reuse.ALL,
    progress: Callable[[GateOutcome], None] = lambda _: None,
    began: Callable[[str], None] = lambda _: None,
    say: Callable[[str], None] = lambda _: None,
    printed: Callable[[str, str], None] = lambda _gate, _line: None,
    compiled: Callable[[str, int], None] = lambda _gate, _units: None,
    on_stopped: Callable[[tuple[GateOutcome, ...]], None] = lambda _: None,
) -> tuple[GateOutcome, ...]:
    """Run a stack's gates on a commit and return all outcomes, in the order of the gates.

    Args:
        top: the top of the user's checkout, which stays as it is.
        commit: the commit; the verdicts are about exactly its tree.
        settings: the `[gates]` table.
        only: names of the gates to run; empty: all.
        reuse: the results of earlier runs that may be reused.
        progress: receives each outcome.
        began: receives each gate's name when its session starts.
        say: receives messages for the user besides the verdicts, for example ignored receipts.
        printed: receives a gate's last line, if it runs elsewhere.
        compiled: receives a gate's name and the number of its compiled units now and then.
        on_stopped: receives the gates that cannot pass, before the first one runs; may raise.

    Raises:
        UsageError: the commit has no Cargo workspace in `[gates] root`.
        ExternalError: nox itself failed.
    """
    git = Git(top)
    gates = tuple(gate for gate in catalogue(settings) if not only or gate.name in only)
    job = GateJob(
        git, commit, gates, settings, reuse, progress, began, say,
        printed=printed, on_stopped=on_stopped, compiled=compiled,
    )  # fmt: skip
    (found,) = run_gate_jobs([job])
    return found


def run_gate_jobs(gate_jobs: Sequence[GateJob]) -> list[tuple[GateOutcome, ...]]:
    """Run gate jobs with the executor of their settings; return the outcomes of each.

    Args:
        gate_jobs: jobs of one repository with the same settings, bottom entry first.

    Raises:
        UsageError: a commit has no Cargo workspace in `[gates] root`, the executor is not
            installed, or the file of signers is missing.
        Refused: `[gates] root` of a commit contains a symbolic link.
        ExternalError: the executor failed.
    """
    if not gate_jobs:
        return []
    for gate_job in gate_jobs:
        slots.refuse_links(gate_job.git, gate_job.commit, gate_job.settings.root)
    if signing.demanded(gate_jobs[0].settings):
        signing.signers_of(gate_jobs[0].git, gate_jobs[0].settings)  # fail now, not after minutes of gates
    found = _executor(gate_jobs[0].settings)(gate_jobs)
    return [
        tuple(outcomes.get(gate.name) or not_run(gate, "") for gate in gate_job.gates)
        for gate_job, outcomes in zip(gate_jobs, found, strict=True)
    ]


def _executor(settings: GateSettings) -> Executor:
    """Return the executor; optional ones are imported on use.

    Raises:
        UsageError: it is not installed.
    """
    if settings.executor == "actions":
        return actions.run_gate_jobs
    if settings.executor == LOCAL:
        return _run_all_locally
    with installing.needing("cluster", 'stack.toml: gates.executor = "dask" needs Dask'):
        from trunkline.gates import dask_executor  # noqa: PLC0415 -- of an extra, and its import takes a second
    return dask_executor.run_gate_jobs


def _run_all_locally(gate_jobs: Sequence[GateJob]) -> list[Outcomes]:
    """Run gates in nox sessions on this machine; check all commits before the first gate runs."""
    prepared: list[_Prepared | None] = [None for _ in gate_jobs]
    if len(gate_jobs) > 1:
        for number, gate_job in enumerate(gate_jobs):
            # Of two commits with the same tree, the first one leaves receipts for the second.
            if gate_job.tree not in {each.tree for each in gate_jobs[:number]}:
                with slots.slot(gate_job.git, gate_job.commit) as slot:
                    prepared[number] = _prepare(gate_job, slot, gate_job.known_receipts())
    return [_run_locally(gate_job, each) for gate_job, each in zip(gate_jobs, prepared, strict=True)]


class _Prepared(msgspec.Struct, frozen=True):
    """A commit's gates, checked before the first one runs.

    Attributes:
        found: the outcomes of gates that need not run or cannot pass.
        missing: the other gates.
        toolchains: gate -> its toolchain.
    """

    found: Outcomes
    missing: tuple[Gate, ...]
    toolchains: Mapping[str, Toolchain]


def _prepare(gate_job: GateJob, slot: slots.Slot, known: proof.Known | None) -> _Prepared:
    """Check a commit's gates; `gate_job.on_stopped` receives those that cannot pass.

    Raises:
        UsageError: the commit has no Cargo workspace in `[gates] root`.
    """
    git, settings = gate_job.git, gate_job.settings
    _require_workspace(slot.tree / settings.root, settings)
    for path, why in submodules.missing(slot.tree):
        gate_job.say(f"the submodule {path} could not be checked out for gates: {why}")
    if lfs.is_missing(git, gate_job.commit):
        gate_job.say(
            f"files of the commit are in Git LFS: without git-lfs, gates see pointers to them: {failures.LFS_INSTALL}"
        )
    if known is not None and any(each.receipt.missing for each in known.receipts):
        known = gate_job.known_receipts()  # the checkout may have fetched a submodule
    tools = execute.tools_for(slot.tree, settings.root, sandbox=settings.sandbox)
    found = preflight.proven(known, gate_job.gates, gate_job.tree, tools) if known is not None else {}
    missing = [gate for gate in gate_job.gates if gate.name not in found]
    stopped = preflight.stopped_gates(missing, tools, preflight.place_of(slot, settings.root))
    gate_job.on_stopped(tuple(stopped.values()))
    missing = [gate for gate in missing if gate.name not in stopped]
    toolchains = {gate.name: tools.toolchain(gate.argv) for gate in missing}
    return _Prepared(found | stopped, tuple(missing), toolchains)


def _run_locally(gate_job: GateJob, prepared: _Prepared | None) -> Outcomes:
    """Run the gates of one commit, and check them first unless that is done."""
    gate_job.starts()
    git, settings = gate_job.git, gate_job.settings
    with contextlib.ExitStack() as stack:
        server, known = None, None
        if prepared is None:
            known = gate_job.known_receipts()
            server = (
                stack.enter_context(_fork_server(git)) if known is None or _something_runs(gate_job, known) else None
            )
        slot = stack.enter_context(slots.slot(git, gate_job.commit))
        prepared = prepared or _prepare(gate_job, slot, known)
        found = dict(prepared.found)
        for outcome in found.values():
            gate_job.progress(outcome)
        if prepared.missing:
            run_request = request.Request(
                str(git.cwd), settings.root, prepared.missing, gate_job.commit, gate_job.reuse,
                settings.strict, prepared.toolchains, str(git.common_dir()), gate_job.tree,
                request.trust_of(settings),
            )  # fmt: skip
            found.update(_nox(server or stack.enter_context(_fork_server(git)), run_request, gate_job))
    return found


def _something_runs(gate_job: GateJob, known: proof.Known) -> bool:
    """Return whether a gate has to run with any toolchain, because it has no receipt."""
    return any(proof.reusable(known, proof.query_of(gate, gate_job.tree), gate) is None for gate in gate_job.gates)


def _require_workspace(root: Path, settings: GateSettings) -> None:
    if not (root / "Cargo.toml").is_file():
        raise UsageError(
            "the commit has no Cargo workspace to gate",
            why=f"there is no {settings.root}/Cargo.toml in it".replace("./", ""),
            next_command="${EDITOR:-vi} stack.toml   # [gates] root names the workspace's directory",
        )


class _ForkServer(msgspec.Struct, frozen=True):
    """The fork server, which imports what the sessions need while the caller prepares the run.

    Attributes:
        run: the run's directory.
        logged: the process.
    """

    run: Path
    logged: Logged


@contextlib.contextmanager
def _fork_server(git: Git) -> Iterator[_ForkServer]:
    run = request.new_run(git.common_dir())
    joined = {"MAKEFLAGS": f"--jobserver-auth=fifo:{inherited()}"} if inherited() else {}
    env = {**process.own_environment(), **joined, "NO_COLOR": "1", "PYTHONUNBUFFERED": "1"}
    env.pop("FORCE_COLOR", None)  # nox refuses to start with both
    argv = [sys.executable, "-m", "trunkline.gates.forkserver", str(run)]
    # Not in the checkout: Python would import modules from it.
    started = begin_logged(argv, cwd=run, env=env, log=run / "nox.log", stop=signal.SIGINT)
    with pool(run), started as logged:
        yield _ForkServer(run, logged)
    if not request.is_written(run):
        shutil.rmtree(run, ignore_errors=True)


def _nox(server: _ForkServer, run_request: request.Request, gate_job: GateJob) -> dict[str, GateOutcome]:
    """Run the sessions of the requested gates in parallel, and collect their outcomes."""
    run = server.run
    request.write(run, run_request)
    found: dict[str, GateOutcome] = {}

    def collect(line: bytes = b"") -> None:
        if match := _BEGINS.search(line):
            gate_job.began(match[1].decode())
        for gate in run_request.gates:
            outcome = None if gate.name in found else _left(run, gate.name)
            if outcome is not None:
                found[gate.name] = outcome
                gate_job.progress(outcome)

    def sort(_stream: Stream, line: bytes) -> bytes:
        if (units := request.reported_units(line)) is None:
            return line
        gate_job.compiled(*units)
        return b""

    seconds = sum(gate.timeout for gate in run_request.gates) + _MARGIN_SECONDS
    done = server.logged.finish(seconds, stdin=b"go\n", on_line=collect, sort=sort)
    collect()
    if not found:
        text = (run / "nox.log").read_text(encoding="utf-8", errors="replace")
        raise ExternalError("nox ran no gate", command=done.command_line, stderr=text, next_command="nox -s gates")
    if all(outcome.verdict is Verdict.PASSED for outcome in found.values()):
        shutil.rmtree(run, ignore_errors=True)  # the logs of passed gates are stored with their receipts
    return found


def _left(run: Path, name: str) -> GateOutcome | None:
    try:
        return GateOutcome.from_json(json.loads((run / f"{name}.json").read_bytes()))
    except FileNotFoundError:
        return None
    except (OSError, ValueError):
        return GateOutcome(name, Verdict.INTERRUPTED, diagnosis="its outcome cannot be read")
