"""Run gates on Dask workers (extra `cluster`): send commits as packs, receive receipts and logs.

Dask schedules, transfers results, detects dead workers and retries (https://distributed.dask.org).
This module decides what is sent and which results are accepted: a receipt with another toolchain
than the run's is rejected.
"""

from __future__ import annotations

import atexit
import collections
import contextlib
import json
import secrets
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from concurrent.futures import CancelledError
from dataclasses import dataclass, field
from typing import Any

import msgspec
from distributed import wait
from distributed.comm.core import CommClosedError

from trunkline.domain.command import task_command
from trunkline.domain.errors import ExternalError, TrunklineError
from trunkline.domain.names import short
from trunkline.domain.receipt import GateOutcome, Verdict
from trunkline.domain.stack import GateSettings
from trunkline.domain.statement import receipt_of
from trunkline.domain.words import count_of
from trunkline.gates import dask_replies, dask_worker, proof
from trunkline.gates.catalogue import Gate
from trunkline.gates.dask_client import DataClient, connect, require_encryption
from trunkline.gates.dask_local import local_cluster
from trunkline.gates.dask_workers import RESOURCE, WorkerGroup, call_workers, fleets_of, stopped_gates
from trunkline.gates.executor import GateJob, Outcomes, RemoteResult, accepted, not_run
from trunkline.gates.invalidation import LEAST
from trunkline.gates.jobserver import jobs

_LOOK_SECONDS = 1.0
_RETRIES = 2


@dataclass
class _GateEvents:
    """Progress events of the workers: which gate of which job started where."""

    gate_jobs: Mapping[int, GateJob]
    times: collections.Counter[tuple[int, str]] = field(default_factory=collections.Counter)
    why: dict[tuple[int, str], str] = field(default_factory=dict)

    def __call__(self, event: tuple[float, Mapping[str, Any]]) -> None:
        """Handle one event; ignore events of other senders."""
        try:
            message = msgspec.convert(event[1], dask_replies.GateEvent)
        except (msgspec.ValidationError, TypeError, IndexError):
            return
        gate_job = self.gate_jobs.get(message.number)
        if gate_job is None or all(gate.name != message.gate for gate in gate_job.gates):
            return
        if message.line is not None:
            gate_job.printed(message.gate, message.line)
            return
        if message.units is not None:
            gate_job.compiled(message.gate, message.units)
            return
        key = message.number, message.gate
        if message.failed is not None:
            self.why[key] = message.failed
            return
        self.times[key] += 1
        if self.times[key] > 1:
            why = self.why.get(key, "the worker that had it is gone")
            gate_job.say(f"{message.gate} runs again, on {message.host}: {why}")
        gate_job.began(message.gate)


def run_gate_jobs(gate_jobs: Sequence[GateJob]) -> list[Outcomes]:
    """Run gates of several commits on the cluster in parallel; store receipts, return outcomes.

    Raises:
        UsageError: a worker has another version of trunkline, or no worker runs gates.
        ExternalError: the scheduler cannot be reached, or died.
    """
    first = gate_jobs[0]
    with _scheduler_errors(first.settings):
        client = _client(first.settings, first.say)
        fleets = fleets_of(client, gate_jobs)
        found = [_prepared(fleet) for fleet in fleets]
        jobs = []
        for number, (gate_job, fleet) in enumerate(zip(gate_jobs, fleets, strict=True)):
            gate_job.starts()
            for outcome in found[number].values():
                gate_job.progress(outcome)
            jobs += [_Job(fleet, gate, number) for gate in gate_job.gates if gate.name not in found[number]]
        _run(client, jobs, found)
        return found


@contextlib.contextmanager
def _scheduler_errors(settings: GateSettings) -> Iterator[None]:
    try:
        yield
    except (OSError, CommClosedError) as error:
        raise ExternalError(
            f"the scheduler {settings.scheduler or 'of this machine'} does not answer",
            why=str(error) or type(error).__name__,
            next_command=f"dask scheduler   # or, in stack.toml: [gates] executor = {json.dumps('local')}",
        ) from error


_CLIENTS: dict[str, DataClient] = {}


def _client(settings: GateSettings, say: Callable[[str], None]) -> DataClient:
    """Return the connection, cached for the process.

    Raises:
        Refused: the connection would have no TLS.
    """
    address = settings.scheduler
    if address:
        require_encryption(address, insecure=settings.insecure, say=say)
    cached = _CLIENTS.get(address)
    if cached is not None and cached.status == "running":
        return cached
    client = connect(address) if address else _local_client(settings.workers or jobs())
    atexit.register(client.close)
    _CLIENTS[address] = client
    return client


def _local_client(count: int) -> DataClient:
    """Return a connection to local workers, which end with this process."""
    ends = contextlib.ExitStack()
    atexit.register(ends.close)
    cluster = ends.enter_context(local_cluster(count, RESOURCE))
    client = connect(cluster.address, cluster.security)
    client.wait_for_workers(count)
    return client


def _prepared(fleet: WorkerGroup) -> Outcomes:
    """Return outcomes of gates that need not run or cannot pass; report the latter to the job."""
    gate_job = fleet.gate_job
    known = gate_job.known_receipts()
    stopped = {
        gate.name: GateOutcome(gate.name, Verdict.UNAVAILABLE, command=gate.command_line).with_failure(missing)
        for gate in gate_job.gates
        if (missing := fleet.missing.get(gate.name))
    }
    able = [gate for gate in gate_job.gates if gate.name not in stopped]
    reused = {gate.name: outcome for gate in able if known and (outcome := _known(gate, fleet, known))}
    stopped |= stopped_gates(fleet, [gate for gate in able if gate.name not in reused])
    gate_job.on_stopped(tuple(stopped.values()))
    return reused | stopped


def _known(gate: Gate, fleet: WorkerGroup, known: proof.Known) -> GateOutcome | None:
    query = proof.query_now(gate, fleet.gate_job.tree, fleet.toolchains[gate.name], fleet.config)
    return proof.reusable(known, query, gate)


@dataclass(frozen=True)
class _Job:
    """One gate of one gate job.

    Attributes:
        fleet: the workers.
        gate: the gate.
        number: number of the gate job, bottom entry first.
    """

    fleet: WorkerGroup
    gate: Gate
    number: int


def _run(client: DataClient, jobs: Sequence[_Job], found: list[Outcomes]) -> None:
    """Submit the gates and collect their outcomes, one gate per worker slot."""
    topic = f"gates-{secrets.token_hex(6)}"
    events = _GateEvents({job.number: job.fleet.gate_job for job in jobs})
    client.subscribe_topic(topic, events)
    waiting = {_submitted(job, jobs, topic): job for job in jobs}
    try:
        while waiting:
            _wait(client, waiting)
            for future in [each for each in waiting if each.done()]:
                job = waiting.pop(future)
                outcome = _collected(job, future, events)
                found[job.number][job.gate.name] = outcome
                job.fleet.gate_job.progress(outcome)
    except BaseException:
        _cancel(client, jobs, topic, list(waiting))
        raise
    finally:
        with contextlib.suppress(Exception):  # a dead scheduler has no topics
            client.unsubscribe_topic(topic)


def _submitted(job: _Job, jobs: Sequence[_Job], topic: str) -> Any:
    fleet, gate_job = job.fleet, job.fleet.gate_job
    everybody = fleet.workers == tuple(sorted(fleet.hosts))
    return fleet.client.submit(
        dask_worker.run, fleet.key, gate_job.commit, gate_job.settings.root, msgspec.to_builtins(job.gate),
        least=int(LEAST[gate_job.reuse]), strict=gate_job.settings.strict,
        topic=topic, number=job.number, pure=False, key=f"{job.gate.name}-{short(gate_job.commit)}-{topic}",
        resources={RESOURCE: 1}, retries=_RETRIES, priority=-job.number,
        workers=[_home(job, jobs)] if everybody else list(fleet.workers), allow_other_workers=everybody,
    )  # fmt: skip


def _home(job: _Job, jobs: Sequence[_Job]) -> str:
    """Return the preferred worker of a gate, while that lives and others are not idle.

    Gates of one group share a target directory, also across entries. If there are more workers than
    groups, the stack is divided into ranges of entries that run in parallel.
    """
    workers = job.fleet.workers
    groups = list(dict.fromkeys(each.gate.group for each in jobs))
    lanes = max(1, len(workers) // len(groups))
    entries = max(each.number for each in jobs) + 1
    lane = job.number * lanes // entries
    return workers[(lane * len(groups) + groups.index(job.gate.group)) % len(workers)]


def _wait(client: DataClient, waiting: Collection[Any]) -> None:
    """Wait until one future is done, or for a moment.

    Raises:
        ExternalError: the connection to the scheduler is lost, and Dask gave up reconnecting.
    """
    lost = client.status not in {"running", "connecting"}
    try:
        wait(list(waiting), timeout=_LOOK_SECONDS, return_when="FIRST_COMPLETED")
    except TimeoutError:
        pass
    except CancelledError:
        lost = True
    if lost:
        raise ExternalError(
            "the scheduler is gone",
            why=f"{count_of(len(waiting), 'gate')} had no verdict yet",
            next_command=task_command("continue"),
        )


def _cancel(client: DataClient, jobs: Collection[_Job], topic: str, waiting: list[Any]) -> None:
    """Cancel queued gates and terminate running ones on all workers."""
    with contextlib.suppress(Exception):  # if the scheduler died, its workers end by themselves
        client.cancel(waiting, force=True)
        for key, workers in {(job.fleet.key, job.fleet.workers) for job in jobs}:
            call_workers(client, dask_replies.Ended, dask_worker.end, key, topic, workers=workers)


def _collected(job: _Job, future: Any, events: _GateEvents) -> GateOutcome:
    fleet, gate = job.fleet, job.gate
    if future.status == "error":
        why = events.why.get((job.number, gate.name), "each worker that ran it died")
        return not_run(gate, f"no worker finished it: {why}")
    try:
        ran = dask_replies.decoded(dask_replies.GateReply, future.result(), "that ran it")
        receipt = None if ran.receipt is None else receipt_of(ran.receipt)
        result = RemoteResult(GateOutcome.from_json(ran.outcome), receipt, ran.log, ran.host)
    except TrunklineError as error:
        return not_run(gate, str(error))
    except Exception as error:  # noqa: BLE001 -- whatever an incompatible worker returns must give a verdict
        return not_run(gate, f"its worker answered no outcome: {error}")
    for line in ran.said:
        fleet.gate_job.say(f"{gate.name} on {ran.host}: {line}")
    return accepted(fleet.gate_job, gate, result, fleet.toolchains[gate.name])
