"""Runs gates on Dask workers (extra `cluster`): commits travel as packs, receipts and logs come back.

Dask schedules, moves results, notices dead workers and retries (https://distributed.dask.org); what is ours is what
travels and what may be believed: a receipt from another toolchain than the run's is never taken.
"""

from __future__ import annotations

import atexit
import collections
import contextlib
import json
import secrets
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from concurrent.futures import CancelledError
from dataclasses import asdict, dataclass, field
from typing import Any

import msgspec
from distributed import wait
from distributed.comm.core import CommClosedError

from trunkline.domain.command import task_command
from trunkline.domain.errors import ExternalError, TrunklineError
from trunkline.domain.names import short
from trunkline.domain.receipt import GateOutcome, Receipt, Verdict
from trunkline.domain.stack import GateSettings
from trunkline.domain.words import count_of
from trunkline.gates import dask_replies, dask_worker, proof
from trunkline.gates.catalogue import Gate
from trunkline.gates.dask_client import DataClient, connect, require_encryption
from trunkline.gates.dask_local import local_cluster
from trunkline.gates.dask_workers import RESOURCE, Fleet, answers, fleets_of, foreseen
from trunkline.gates.executor import GateJob, Outcomes, RemoteResult, accepted, not_run
from trunkline.gates.invalidation import least
from trunkline.gates.jobserver import jobs

_LOOK_SECONDS = 1.0
_RETRIES = 2


@dataclass
class _Watch:
    """What the workers tell while they work: which gate of which order began where."""

    orders: Mapping[int, GateJob]
    times: collections.Counter[tuple[int, str]] = field(default_factory=collections.Counter)
    why: dict[tuple[int, str], str] = field(default_factory=dict)

    def __call__(self, event: tuple[float, Mapping[str, Any]]) -> None:
        """Take one event; what is none of ours is left out."""
        try:
            message = msgspec.convert(event[1], dask_replies.GateEvent)
        except (msgspec.ValidationError, TypeError, IndexError):
            return
        order = self.orders.get(message.number)
        if order is None or all(gate.name != message.gate for gate in order.gates):
            return
        if message.line is not None:
            order.printed(message.gate, message.line)
            return
        if message.units is not None:
            order.compiled(message.gate, message.units)
            return
        key = message.number, message.gate
        if message.failed is not None:
            self.why[key] = message.failed
            return
        self.times[key] += 1
        if self.times[key] > 1:
            why = self.why.get(key, "the worker that had it is gone")
            order.say(f"{message.gate} runs again, on {message.host}: {why}")
        order.began(message.gate)


def run_orders(orders: Sequence[GateJob]) -> list[Outcomes]:
    """Gate commits on the cluster's workers, side by side; return the outcomes of each by gate, receipts kept here.

    Raises:
        UsageError: a worker has another trunkline, or none has a slot for gates.
        ExternalError: the scheduler cannot be reached, or is gone.
    """
    first = orders[0]
    with _speaking(first.settings):
        client = _client(first.settings, first.say)
        fleets = fleets_of(client, orders)
        found = [_prepared(fleet) for fleet in fleets]
        jobs = []
        for number, (order, fleet) in enumerate(zip(orders, fleets, strict=True)):
            order.starts()
            for outcome in found[number].values():
                order.progress(outcome)
            jobs += [_Job(fleet, gate, number) for gate in order.gates if gate.name not in found[number]]
        _run(client, jobs, found)
        return found


@contextlib.contextmanager
def _speaking(settings: GateSettings) -> Iterator[None]:
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
    """Return the connection, kept for the process.

    Raises:
        Refused: the scheduler would be reached without TLS.
    """
    address = settings.scheduler
    if address:
        require_encryption(address, insecure=settings.insecure, say=say)
    held = _CLIENTS.get(address)
    if held is not None and held.status == "running":
        return held
    client = connect(address) if address else _on_the_spot(settings.workers or jobs())
    atexit.register(client.close)
    _CLIENTS[address] = client
    return client


def _on_the_spot(count: int) -> DataClient:
    """Return a connection to workers of this machine, which end with this process."""
    ends = contextlib.ExitStack()
    atexit.register(ends.close)
    cluster = ends.enter_context(local_cluster(count, RESOURCE))
    client = connect(cluster.address, cluster.security)
    client.wait_for_workers(count)
    return client


def _prepared(fleet: Fleet) -> Outcomes:
    """Return the outcomes of the gates that need not run, or will not pass; the order receives the latter."""
    order = fleet.order
    known = None if order.fresh else proof.known_receipts(order.git, order.tree, order.settings, order.say)
    stopped = {
        gate.name: GateOutcome(gate.name, Verdict.UNAVAILABLE, command=gate.command_line).with_failure(missing)
        for gate in order.gates
        if (missing := fleet.missing.get(gate.name))
    }
    able = [gate for gate in order.gates if gate.name not in stopped]
    reused = {gate.name: outcome for gate in able if known and (outcome := _known(gate, fleet, known))}
    stopped |= foreseen(fleet, [gate for gate in able if gate.name not in reused])
    order.foreseen(tuple(stopped.values()))
    return reused | stopped


def _known(gate: Gate, fleet: Fleet, known: proof.Known) -> GateOutcome | None:
    query = proof.query_now(gate, fleet.order.tree, fleet.toolchains[gate.name], fleet.config)
    return proof.reusable(known, query, gate)


@dataclass(frozen=True)
class _Job:
    """One gate of one order.

    Attributes:
        fleet: where.
        gate: what.
        number: the order's, bottom entry first.
    """

    fleet: Fleet
    gate: Gate
    number: int


def _run(client: DataClient, jobs: Sequence[_Job], found: list[Outcomes]) -> None:
    """Submit the gates and collect them as they come, one a slot."""
    topic = f"gates-{secrets.token_hex(6)}"
    watch = _Watch({job.number: job.fleet.order for job in jobs})
    client.subscribe_topic(topic, watch)
    waiting = {_submitted(job, jobs, topic): job for job in jobs}
    try:
        while waiting:
            _wait(client, waiting)
            for future in [each for each in waiting if each.done()]:
                job = waiting.pop(future)
                outcome = _collected(job, future, watch)
                found[job.number][job.gate.name] = outcome
                job.fleet.order.progress(outcome)
    except BaseException:
        _cancel(client, jobs, topic, list(waiting))
        raise
    finally:
        with contextlib.suppress(Exception):  # a scheduler that is gone has no topics
            client.unsubscribe_topic(topic)


def _submitted(job: _Job, jobs: Sequence[_Job], topic: str) -> Any:
    fleet, order = job.fleet, job.fleet.order
    everybody = fleet.workers == tuple(sorted(fleet.hosts))
    return fleet.client.submit(
        dask_worker.run, fleet.key, order.commit, order.settings.root, asdict(job.gate),
        least=int(least(fresh=order.fresh, clean=order.clean)), strict=order.settings.strict,
        topic=topic, number=job.number, pure=False, key=f"{job.gate.name}-{short(order.commit)}-{topic}",
        resources={RESOURCE: 1}, retries=_RETRIES, priority=-job.number,
        workers=[_home(job, jobs)] if everybody else list(fleet.workers), allow_other_workers=everybody,
    )  # fmt: skip


def _home(job: _Job, jobs: Sequence[_Job]) -> str:
    """Return the worker where a gate goes while that lives and others have no less to do.

    Gates of one group compile alike, so they share a directory; of successive entries too. Where there are more
    workers than groups, the stack is cut into so many stretches of successive entries, side by side.
    """
    workers = job.fleet.workers
    groups = list(dict.fromkeys(each.gate.group for each in jobs))
    lanes = max(1, len(workers) // len(groups))
    entries = max(each.number for each in jobs) + 1
    lane = job.number * lanes // entries
    return workers[(lane * len(groups) + groups.index(job.gate.group)) % len(workers)]


def _wait(client: DataClient, waiting: Collection[Any]) -> None:
    """Wait until one of them is done, or a moment.

    Raises:
        ExternalError: the connection to the scheduler is lost, and Dask gave up connecting again.
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
    """Take back what waits, and end what runs, on whichever worker."""
    with contextlib.suppress(Exception):  # the scheduler may be what is gone: then its workers end by themselves
        client.cancel(waiting, force=True)
        for key, workers in {(job.fleet.key, job.fleet.workers) for job in jobs}:
            answers(client, dask_replies.Ended, dask_worker.end, key, topic, workers=workers)


def _collected(job: _Job, future: Any, watch: _Watch) -> GateOutcome:
    fleet, gate = job.fleet, job.gate
    if future.status == "error":
        why = watch.why.get((job.number, gate.name), "each worker that ran it died")
        return not_run(gate, f"no worker brought it to an end: {why}")
    try:
        ran = dask_replies.decoded(dask_replies.Ran, future.result(), "that ran it")
        receipt = None if ran.receipt is None else Receipt.from_statement(ran.receipt)
        brought = RemoteResult(GateOutcome.from_json(ran.outcome), receipt, ran.log, ran.host)
    except TrunklineError as error:
        return not_run(gate, str(error))
    except Exception as error:  # noqa: BLE001 -- whatever a worker of another making answers has a verdict, too
        return not_run(gate, f"its worker answered no outcome: {error}")
    for line in ran.said:
        fleet.order.say(f"{gate.name} on {ran.host}: {line}")
    return accepted(fleet.order, gate, brought, fleet.toolchains[gate.name])
