"""What a Dask worker does: keep a mirror of the repository, say what it has and lacks, run one gate at a time.

Every function here runs in a worker's process, called by gates/dask_executor.py; results are JSON
(gates/dask_replies.py). A
worker needs trunkline, git and the toolchain, and nothing of the repository: commits come as git packs.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import platform
import re
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import IO, Any

from distributed import get_worker

from trunkline import __version__
from trunkline.domain.errors import TrunklineError
from trunkline.domain.names import Oid
from trunkline.domain.receipt import GateOutcome, Receipt, Toolchain, Verdict
from trunkline.domain.stack import GateSettings
from trunkline.gates import execute as gate_execution
from trunkline.gates import preflight, slots
from trunkline.gates.catalogue import Gate
from trunkline.gates.dask_replies import answering, packed
from trunkline.gates.invalidation import Reset
from trunkline.gates.jobserver import inherited, pool
from trunkline.git.git import Git
from trunkline.rust import cargo
from trunkline.state.receipt_store import Store
from trunkline.system import logged_process
from trunkline.system.files import private_directory

_KEY = re.compile(r"[A-Za-z0-9._-]{1,100}")
_TAIL_SECONDS, _TAIL_LENGTH = 1.0, 200
_HELD: dict[str, IO[str]] = {}
_OPEN = contextlib.ExitStack()


@answering
def about(key: str) -> dict[str, Any]:
    """Return who this worker is, and which commits of a repository it has.

    Args:
        key: the repository, as a file name.
    """
    git = _mirror(key)
    heads = git.query("for-each-ref", "--format=%(objectname)", "refs/trunkline/sent").text.split()
    return {"version": __version__, "host": platform.node(), "heads": heads}


@answering
def receive(key: str, commits: Sequence[str], pack: bytes) -> dict[str, Any]:
    """Take commits, sent as a thin pack of what this worker lacks; b"": it lacks nothing.

    Raises:
        TrunklineError: the pack is not whole, or something that it builds on is not here.
    """
    git = _mirror(key)
    if pack:
        git.query("index-pack", "--stdin", "--fix-thin", "--strict", stdin=pack)
        git.query("rev-list", "--quiet", "--objects", *commits, "--not", "--all")
    # Refs of the mirror's own, which nobody else has: they keep the commits, and tell the next run what is here.
    lines = "".join(f"update refs/trunkline/sent/{commit} {commit}\n" for commit in commits)
    git.query("update-ref", "--stdin", stdin=lines.encode())
    return {}


@answering
def survey(key: str, commit: str, root: str, gates: Sequence[dict[str, Any]]) -> dict[str, Any]:
    """Return for each gate what would compile for it here and what it lacks; the commit is here."""
    git = _mirror(key)
    with slots.slot(git, Oid(commit)) as slot:
        found = {}
        for gate in map(Gate.from_json, gates):
            tools = gate_execution.tools_for(slot.tree, root, sandbox=gate.sandbox)
            cause = gate_execution.missing(gate, tools)
            toolchain = Toolchain("", "") if cause else tools.toolchain(gate.argv)
            missing = cause.to_json(gate.name) if cause else {}
            found[gate.name] = {"missing": missing, "rustc": toolchain.rustc, "cargo": toolchain.cargo}
        return {"gates": found, "config": cargo.outer_config(slot.tree)}


@answering
def preview_replay(key: str, commit: str, root: str, gates: Sequence[dict[str, Any]]) -> dict[str, Any]:
    """Return the outcomes of the gates that cannot pass here on a commit, which is here."""
    with slots.slot(_mirror(key), Oid(commit)) as slot:
        stopped = preflight.in_slot([Gate.from_json(each) for each in gates], slot, root)
    return {"stopped": {name: outcome.to_json() for name, outcome in stopped.items()}}


@answering
def run(
    key: str,
    commit: str,
    root: str,
    gate: dict[str, Any],
    *,
    least: int,
    strict: bool,
    topic: str,
    number: int,
) -> dict[str, Any]:
    """Run one gate on a commit; return its outcome, its receipt and its log.

    Args:
        key: the repository.
        commit: what is gated; it is here.
        root: the Cargo workspace's directory inside it.
        gate: what is run.
        least: how much is made anew in any case, as a `Reset`; then receipts of this worker's own do not count.
        strict: see GateSettings.
        topic: where it is told that the gate began.
        number: the order's among the run's.
    """
    _join_the_hosts_pool()
    worker, asked = get_worker(), Gate.from_json(gate)
    about_gate = {"gate": asked.name, "number": number}
    worker.log_event(topic, {**about_gate, "worker": worker.address, "host": platform.node()})
    git = _mirror(key)
    said: list[str] = []
    run = private_directory(_runs(git, topic) / str(number))
    tail = _Tail(lambda line: worker.log_event(topic, {**about_gate, "line": line}))
    units = _Seldom(lambda count: worker.log_event(topic, {**about_gate, "units": count}))
    try:
        with slots.slot(git, Oid(commit)) as slot:
            ground = gate_execution.GateWorkspace(
                git, slot, root, run, GateSettings(strict=strict), "dask", tail, Reset(least), units
            )  # fmt: skip
            outcome = gate_execution.execute(ground, asked, fresh=least > Reset.SOME, toolchain=None, say=said.append)
            receipt, log = _evidence(git, slot.commit, outcome)
    except TrunklineError as error:
        outcome, receipt, log = GateOutcome(asked.name, Verdict.INTERRUPTED, diagnosis=str(error)), None, b""
    except Exception as error:  # Dask runs it again, or gives up; whoever waits should know why
        worker.log_event(topic, {**about_gate, "failed": f"{type(error).__name__}: {error}"})
        raise
    return {
        "outcome": outcome.to_json(),
        "receipt": receipt.to_statement() if receipt else None,
        "log": packed(log or _read(Path(outcome.log))),
        "host": platform.node(),
        "said": said,
    }


class _Tail:
    """Sends the last line of a gate's log, at most once a second: what a person looks at, not the log.

    Args:
        send: takes it.
    """

    def __init__(self, send: Callable[[str], None]) -> None:
        self._send = send
        self._sent = float("-inf")

    def __call__(self, line: bytes) -> None:
        """Take a line."""
        if line.strip() and time.monotonic() - self._sent >= _TAIL_SECONDS:
            self._sent = time.monotonic()
            self._send(line.decode("utf-8", "replace").strip()[:_TAIL_LENGTH])


class _Seldom:
    """Sends a number at most once a second.

    Args:
        send: takes it.
    """

    def __init__(self, send: Callable[[int], None]) -> None:
        self._send = send
        self._sent = float("-inf")

    def __call__(self, number: int) -> None:
        """Take a number."""
        if time.monotonic() - self._sent >= _TAIL_SECONDS:
            self._sent = time.monotonic()
            self._send(number)


@answering
def end(key: str, topic: str) -> dict[str, Any]:
    """End the gates of one run that are at work here; return how many there were."""
    return {"count": logged_process.end_logged(_runs(_mirror(key), topic))}


def _evidence(git: Git, commit: Oid, outcome: GateOutcome) -> tuple[Receipt | None, bytes]:
    store = Store(git.state_dir())
    for path, receipt in store.read(git.tree(commit)):
        if isinstance(receipt, Receipt) and (receipt.gate, receipt.started) == (outcome.gate, outcome.started):
            return receipt, _read(path.with_name(receipt.log))
    return None, b""


def _read(path: Path) -> bytes:
    try:
        return path.read_bytes() if path.is_file() else b""
    except OSError:
        return b""


def _runs(git: Git, topic: str) -> Path:
    return private_directory(private_directory(slots.work_dir(git.cwd) / "runs") / topic)


def _mirror(key: str) -> Git:
    """Return this worker's own mirror, made when it is first asked for.

    Workers of one host are numbered: each takes the first number that no living one holds, so that it finds again the
    caches that the one before it left.
    """
    if not _KEY.fullmatch(key):
        raise ValueError(f"not a key: {key!r}")
    path = _own_directory() / f"{key}.git"
    if not (path / "HEAD").is_file():
        path.mkdir(exist_ok=True)
        Git(path).query("init", "--quiet", "--bare", ".")
    return Git(path)


def _own_directory() -> Path:
    base = private_directory(private_directory(slots.state_home()) / "workers")
    if "number" not in _HELD:
        for number in range(10_000):
            lock = (base / f"{number}.lock").open("a+")
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                lock.close()
                continue
            _HELD["number"] = lock
            break
    return private_directory(base / Path(_HELD["number"].name).stem)


def _join_the_hosts_pool() -> None:
    """Let the workers of one host share its cores: one jobserver for all of them, as for the sessions of one nox."""
    if not inherited():
        base = private_directory(private_directory(slots.state_home()) / "workers")
        fifo = _OPEN.enter_context(pool(base / "pool"))
        os.environ["MAKEFLAGS"] = f"--jobserver-auth=fifo:{fifo}"
