"""Gates a commit: what receipts prove is not run again; the rest runs in one real nox, all sessions at once."""

from __future__ import annotations

import contextlib
import json
import re
import shutil
import signal
import sys
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from trunkline.domain.errors import ExternalError, UsageError
from trunkline.domain.names import Oid
from trunkline.domain.receipt import GateOutcome, Toolchain, Verdict
from trunkline.domain.stack import GateSettings
from trunkline.gates import execute, preflight, proof, request, slots
from trunkline.gates.catalogue import Gate, catalogue
from trunkline.gates.executor import Executor, GateJob, Outcomes, not_run
from trunkline.gates.jobserver import inherited, pool
from trunkline.git import lfs, signing, submodules
from trunkline.git.git import Git
from trunkline.system import process
from trunkline.system.logged_process import Logged, Stream, begin_logged

LOCAL = "local"
"""The executor that runs gates in a nox of this machine."""
_MARGIN_SECONDS = 600.0
_BEGINS = re.compile(rb"Running session gates\(([^)]+)\)")  # nox's own line


def gate_names(settings: GateSettings) -> tuple[str, ...]:
    """Return the names of a stack's gates, in order."""
    return tuple(gate.name for gate in catalogue(settings))


def evidenced(
    git: Git, commit: Oid, settings: GateSettings, surroundings: proof.Surroundings | None = None
) -> dict[str, GateOutcome]:
    """Return what receipts prove of a commit's tree, by gate; errors and the rest as of `proof.of_commit`."""
    return proof.of_commit(git, commit, settings, catalogue(settings), surroundings)


def gate_commit(  # noqa: PLR0913 -- what an Order is, with what most leave as it is
    top: Path,
    commit: Oid,
    settings: GateSettings,
    *,
    only: Collection[str] = (),
    fresh: bool = False,
    clean: bool = False,
    progress: Callable[[GateOutcome], None] = lambda _: None,
    began: Callable[[str], None] = lambda _: None,
    say: Callable[[str], None] = lambda _: None,
    printed: Callable[[str, str], None] = lambda _gate, _line: None,
    compiled: Callable[[str, int], None] = lambda _gate, _units: None,
    foreseen: Callable[[tuple[GateOutcome, ...]], None] = lambda _: None,
) -> tuple[GateOutcome, ...]:
    """Run a stack's gates on a commit and return every verdict, in the gates' order.

    Args:
        top: the top of the user's checkout; nothing in it is touched.
        commit: what is gated: exactly its tree.
        settings: the `[gates]` table.
        only: names of the gates to run; empty: all.
        fresh: run every gate, whatever the receipts say, the repository's own packages compiled anew.
        clean: the same, with nothing that was compiled before.
        progress: told each outcome as it comes.
        began: told each gate's name as its session begins.
        say: told what a person should know beside the verdicts: receipts that are ignored.
        printed: told what a gate printed last, where it runs elsewhere.
        compiled: receives a gate's name and how many of its units are compiled, now and then.
        foreseen: receives the gates that are known not to pass, before the first one runs; it may raise.

    Raises:
        UsageError: the commit has no Cargo workspace where `[gates] root` says.
        ExternalError: nox itself failed.
    """
    git = Git(top)
    gates = tuple(gate for gate in catalogue(settings) if not only or gate.name in only)
    (found,) = run_orders(
        [
            GateJob(
                git,
                commit,
                gates,
                settings,
                fresh or clean,
                progress,
                began,
                say,
                clean=clean,
                printed=printed,
                foreseen=foreseen,
                compiled=compiled,
            )
        ]
    )
    return found


def run_orders(orders: Sequence[GateJob]) -> list[tuple[GateOutcome, ...]]:
    """Run orders by the executor of their settings; return every verdict of each, in the gates' order.

    Args:
        orders: of one repository, with the same settings, bottom entry first.

    Raises:
        UsageError: a commit has no Cargo workspace where `[gates] root` says, the executor is not installed, or the
            file of signers is missing.
        Refused: in a commit, `[gates] root` leads through a link.
        ExternalError: what runs the gates failed.
    """
    if not orders:
        return []
    for order in orders:
        slots.refuse_links(order.git, order.commit, order.settings.root)
    if signing.demanded(orders[0].settings):
        signing.allowed_signers(orders[0].git, orders[0].settings)  # an error now, not after minutes of gates
    found = _executor(orders[0].settings)(orders)
    return [
        tuple(outcomes.get(gate.name) or not_run(gate, "") for gate in order.gates)
        for order, outcomes in zip(orders, found, strict=True)
    ]


def _executor(settings: GateSettings) -> Executor:
    """Return what runs the gates; what only some need is imported only then.

    Raises:
        UsageError: it is not installed.
    """
    if settings.executor == "actions":
        from trunkline.gates import actions  # noqa: PLC0415 -- gates that run here do without GitHub

        return actions.run_orders
    if settings.executor == LOCAL:
        return _locally
    try:
        from trunkline.gates import dask_executor  # noqa: PLC0415 -- optional, and a second of import
    except ModuleNotFoundError as missing:
        raise UsageError(
            'stack.toml: gates.executor = "dask" needs Dask', why=f"{missing.name} is not installed",
            next_command="pip install 'trunkline[cluster]'",
        ) from missing  # fmt: skip
    return dask_executor.run_orders


def _locally(orders: Sequence[GateJob]) -> list[Outcomes]:
    """Gate in sessions of nox on this machine; of several commits, all is looked at before the first one runs."""
    prepared: list[_Prepared | None] = [None for _ in orders]
    if len(orders) > 1:
        for number, order in enumerate(orders):
            # Of two commits with the same tree, the first one leaves receipts for the second.
            if order.tree not in {each.tree for each in orders[:number]}:
                with slots.slot(order.git, order.commit) as slot:
                    prepared[number] = _prepare(order, slot, _known(order))
    return [_here(order, each) for order, each in zip(orders, prepared, strict=True)]


@dataclass(frozen=True)
class _Prepared:
    """What is known of a commit's gates before the first one runs.

    Attributes:
        found: the outcomes of those that need not run, or will not pass.
        missing: the others.
        toolchains: gate -> what compiles for it.
    """

    found: Outcomes
    missing: tuple[Gate, ...]
    toolchains: Mapping[str, Toolchain]


def _known(order: GateJob) -> proof.Known | None:
    return None if order.fresh else proof.known_receipts(order.git, order.tree, order.settings, order.say)


def _prepare(order: GateJob, slot: slots.Slot, known: proof.Known | None) -> _Prepared:
    """Look at a commit's gates; `order.foreseen` receives those that will not pass.

    Raises:
        UsageError: the commit has no Cargo workspace where `[gates] root` says.
    """
    git, settings = order.git, order.settings
    _require_workspace(slot.tree / settings.root, settings)
    for path, why in submodules.missing(slot.tree):
        order.say(f"the submodule {path} could not be checked out for gates: {why}")
    if lfs.is_missing(git, order.commit):
        order.say(f"files of the commit are in Git LFS: without git-lfs, gates see pointers to them: {lfs.INSTALL}")
    tools = execute.tools_for(slot.tree, settings.root, sandbox=settings.sandbox)
    found = preflight.proven(known, order.gates, order.tree, slot, tools) if known is not None else {}
    missing = [gate for gate in order.gates if gate.name not in found]
    stopped = preflight.foreseen(missing, tools, preflight.place_of(slot, settings.root))
    order.foreseen(tuple(stopped.values()))
    missing = [gate for gate in missing if gate.name not in stopped]
    toolchains = {gate.name: tools.toolchain(gate.argv) for gate in missing}
    return _Prepared(found | stopped, tuple(missing), toolchains)


def _here(order: GateJob, prepared: _Prepared | None) -> Outcomes:
    """Gate one commit, looked at before or not."""
    order.starts()
    git, settings = order.git, order.settings
    with contextlib.ExitStack() as held:
        head, known = None, None
        if prepared is None:
            known = _known(order)
            head = held.enter_context(_head(git)) if known is None or _something_runs(order, known) else None
        slot = held.enter_context(slots.slot(git, order.commit))
        prepared = prepared or _prepare(order, slot, known)
        found = dict(prepared.found)
        for outcome in found.values():
            order.progress(outcome)
        if prepared.missing:
            asked = request.Request(
                str(git.cwd), settings.root, prepared.missing, order.commit, order.fresh, order.clean,
                settings.strict, prepared.toolchains, str(git.common_dir()), order.tree, request.trust_of(settings),
            )  # fmt: skip
            found.update(_nox(head or held.enter_context(_head(git)), asked, order))
    return found


def _something_runs(order: GateJob, known: proof.Known) -> bool:
    """Return whether a gate is bound to run: no receipt speaks for it, whatever would compile now."""
    return any(proof.reusable(known, proof.query_of(gate, order.tree), gate) is None for gate in order.gates)


def _require_workspace(root: Path, settings: GateSettings) -> None:
    if not (root / "Cargo.toml").is_file():
        raise UsageError(
            "the commit has no Cargo workspace to gate",
            why=f"there is no {settings.root}/Cargo.toml in it".replace("./", ""),
            next_command="${EDITOR:-vi} stack.toml   # [gates] root names the workspace's directory",
        )


@dataclass(frozen=True)
class _Head:
    """The process whose children the sessions will be, importing what they need while we look.

    Attributes:
        run: the run's directory.
        logged: the process.
    """

    run: Path
    logged: Logged


@contextlib.contextmanager
def _head(git: Git) -> Iterator[_Head]:
    run = request.new_run(git.common_dir())
    joined = {"MAKEFLAGS": f"--jobserver-auth=fifo:{inherited()}"} if inherited() else {}
    env = {**process.own_environment(), **joined, "NO_COLOR": "1", "PYTHONUNBUFFERED": "1"}
    env.pop("FORCE_COLOR", None)  # nox refuses to start with both
    argv = [sys.executable, "-m", "trunkline.gates.forkserver", str(run)]
    # Not in the checkout: Python would import what lies there.
    begun = begin_logged(argv, cwd=run, env=env, log=run / "nox.log", stop=signal.SIGINT)
    with pool(run), begun as logged:
        yield _Head(run, logged)
    if not request.is_written(run):
        shutil.rmtree(run, ignore_errors=True)


def _nox(head: _Head, asked: request.Request, order: GateJob) -> dict[str, GateOutcome]:
    """Run the sessions of the gates asked for, all at once, and collect the outcomes that they leave."""
    run = head.run
    request.write(run, asked)
    found: dict[str, GateOutcome] = {}

    def collect(line: bytes = b"") -> None:
        if match := _BEGINS.search(line):
            order.began(match[1].decode())
        for gate in asked.gates:
            outcome = None if gate.name in found else _left(run, gate.name)
            if outcome is not None:
                found[gate.name] = outcome
                order.progress(outcome)

    def sort(_stream: Stream, line: bytes) -> bytes:
        if (units := request.reported_units(line)) is None:
            return line
        order.compiled(*units)
        return b""

    seconds = sum(gate.timeout for gate in asked.gates) + _MARGIN_SECONDS
    done = head.logged.finish(seconds, stdin=b"go\n", on_line=collect, sort=sort)
    collect()
    if not found:
        text = (run / "nox.log").read_text(encoding="utf-8", errors="replace")
        raise ExternalError("nox ran no gate", command=done.command_line, stderr=text, next_command="nox -s gates")
    if all(outcome.verdict is Verdict.PASSED for outcome in found.values()):
        shutil.rmtree(run, ignore_errors=True)  # logs of what passed are with the receipts
    return found


def _left(run: Path, name: str) -> GateOutcome | None:
    try:
        return GateOutcome.from_json(json.loads((run / f"{name}.json").read_bytes()))
    except FileNotFoundError:
        return None
    except (OSError, ValueError):
        return GateOutcome(name, Verdict.INTERRUPTED, diagnosis="its outcome cannot be read")
