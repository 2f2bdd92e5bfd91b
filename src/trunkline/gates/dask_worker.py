"""Functions that run in a Dask worker: mirror the repository, list toolchains, run gates.

gates/dask_executor.py calls them; results are JSON (gates/dask_replies.py). A worker needs
trunkline, git and the toolchains, but no clone: commits arrive as git packs.
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
from trunkline.domain.statement import statement_of
from trunkline.gates import execute as gate_execution
from trunkline.gates import preflight, slots
from trunkline.gates.catalogue import Gate
from trunkline.gates.dask_replies import packed, returning_json
from trunkline.gates.gate_workspace import GateWorkspace
from trunkline.gates.invalidation import Reset
from trunkline.gates.jobserver import inherited, pool
from trunkline.gates.outer_settings import outer_settings
from trunkline.git.git import Git
from trunkline.state.receipt_store import Store
from trunkline.system import logged_process
from trunkline.system.files import private_directory

_KEY = re.compile(r"[A-Za-z0-9._-]{1,100}")
_TAIL_SECONDS, _TAIL_LENGTH = 1.0, 200
_HELD: dict[str, IO[str]] = {}
_OPEN = contextlib.ExitStack()


@returning_json
def worker_info(key: str) -> dict[str, Any]:
    """Return this worker's version and host, and the commits of a repository that it has.

    Args:
        key: the repository's name, valid as a file name.
    """
    git = _mirror(key)
    heads = git.query("for-each-ref", "--format=%(objectname)", "refs/trunkline/sent").text.split()
    return {"version": __version__, "host": platform.node(), "heads": heads}


@returning_json
def receive(key: str, commits: Sequence[str], pack: bytes) -> dict[str, Any]:
    """Store commits, sent as a thin pack of the objects that this worker lacks; b"": none.

    Raises:
        TrunklineError: the pack is damaged, or its base objects are missing.
    """
    git = _mirror(key)
    if pack:
        git.scratch("index-pack", "--stdin", "--fix-thin", "--strict", stdin=pack)
        git.query("rev-list", "--quiet", "--objects", *commits, "--not", "--all")
    # Private refs of the mirror keep the commits, and list them for the next run.
    lines = "".join(f"update refs/trunkline/sent/{commit} {commit}\n" for commit in commits)
    git.scratch("update-ref", "--stdin", stdin=lines.encode())
    return {}


@returning_json
def survey(key: str, commit: str, root: str, gates: Sequence[dict[str, Any]]) -> dict[str, Any]:
    """Return for each gate the toolchain, or the prerequisite that this worker lacks."""
    git = _mirror(key)
    with slots.slot(git, Oid(commit)) as slot:
        found = {}
        for gate in map(Gate.from_json, gates):
            tools = gate_execution.tools_for(slot.tree, root, sandbox=gate.sandbox)
            cause = gate_execution.missing(gate, tools)
            toolchain = Toolchain("", "") if cause else tools.toolchain(gate.argv)
            missing = cause.to_json(gate.name) if cause else {}
            found[gate.name] = {"missing": missing, "rustc": toolchain.rustc, "cargo": toolchain.cargo}
        return {"gates": found, "config": outer_settings(git, git.tree(Oid(commit)))}


@returning_json
def preview_gates(key: str, commit: str, root: str, gates: Sequence[dict[str, Any]]) -> dict[str, Any]:
    """Return the outcomes of the gates that cannot pass on a commit on this worker."""
    with slots.slot(_mirror(key), Oid(commit)) as slot:
        stopped = preflight.in_slot([Gate.from_json(each) for each in gates], slot, root)
    return {"stopped": {name: outcome.to_json() for name, outcome in stopped.items()}}


@returning_json
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
    """Run one gate on a commit; return its outcome, receipt and log.

    Args:
        key: the repository.
        commit: a commit that this worker has.
        root: the Cargo workspace's directory inside it.
        gate: the gate.
        least: a `Reset`: the least part of the build output to rebuild; above the minimum, this
            worker's receipts are ignored too.
        strict: see GateSettings.
        topic: the topic for progress events.
        number: the number of the gate job in the run.
    """
    _join_the_hosts_pool()
    worker, requested = get_worker(), Gate.from_json(gate)
    about_gate = {"gate": requested.name, "number": number}
    worker.log_event(topic, {**about_gate, "worker": worker.address, "host": platform.node()})
    git = _mirror(key)
    said: list[str] = []
    run = private_directory(_runs(git, topic) / str(number))
    tail = _ThrottledLine(lambda line: worker.log_event(topic, {**about_gate, "line": line}))
    units = _ThrottledNumber(lambda count: worker.log_event(topic, {**about_gate, "units": count}))
    try:
        with slots.slot(git, Oid(commit)) as slot:
            workspace = GateWorkspace(
                git, slot, root, run, GateSettings(strict=strict), "dask", tail, Reset(least), units
            )  # fmt: skip
            outcome = gate_execution.execute(
                workspace, requested, fresh=least > Reset.SOME, toolchain=None, say=said.append
            )
            receipt, log = _evidence(git, slot.commit, outcome)
    except TrunklineError as error:
        outcome, receipt, log = GateOutcome(requested.name, Verdict.INTERRUPTED, diagnosis=str(error)), None, b""
    except Exception as error:  # Dask retries or gives up; either way report the error to the run
        worker.log_event(topic, {**about_gate, "failed": f"{type(error).__name__}: {error}"})
        raise
    return _reply(outcome, receipt, log, said)


def _reply(outcome: GateOutcome, receipt: Receipt | None, log: bytes, said: list[str]) -> dict[str, Any]:
    """Return the result of a gate as JSON values, which `dask_replies` reads."""
    return {
        "outcome": outcome.to_json(),
        "receipt": statement_of(receipt) if receipt else None,
        "log": packed(log or _read(Path(outcome.log))),
        "host": platform.node(),
        "said": said,
    }


class _ThrottledLine:
    """Sends the last line of a gate's log at most once a second, for display.

    Args:
        send: receives the line.
    """

    def __init__(self, send: Callable[[str], None]) -> None:
        self._send = send
        self._sent = float("-inf")

    def __call__(self, line: bytes) -> None:
        """Send a line, unless the last one was sent less than a second ago."""
        if line.strip() and time.monotonic() - self._sent >= _TAIL_SECONDS:
            self._sent = time.monotonic()
            self._send(line.decode("utf-8", "replace").strip()[:_TAIL_LENGTH])


class _ThrottledNumber:
    """Sends a number at most once a second.

    Args:
        send: receives the number.
    """

    def __init__(self, send: Callable[[int], None]) -> None:
        self._send = send
        self._sent = float("-inf")

    def __call__(self, number: int) -> None:
        """Send a number, unless the last one was sent less than a second ago."""
        if time.monotonic() - self._sent >= _TAIL_SECONDS:
            self._sent = time.monotonic()
            self._send(number)


@returning_json
def end(key: str, topic: str) -> dict[str, Any]:
    """Terminate the running gates of one run on this worker; return their number."""
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
    """Return this worker's mirror of a repository, created on first use.

    Workers of one host are numbered: each takes the first number that no living worker holds. So it
    finds the caches of its predecessor.
    """
    if not _KEY.fullmatch(key):
        raise ValueError(f"not a key: {key!r}")
    path = _own_directory() / f"{key}.git"
    if not (path / "HEAD").is_file():
        path.mkdir(exist_ok=True)
        Git(path).scratch("init", "--quiet", "--bare", ".")
    return Git(path, git_dir=".")


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
    """Share one jobserver among the workers of a host, as among the sessions of one nox."""
    if not inherited():
        base = private_directory(private_directory(slots.state_home()) / "workers")
        fifo = _OPEN.enter_context(pool(base / "pool"))
        os.environ["MAKEFLAGS"] = f"--jobserver-auth=fifo:{fifo}"
