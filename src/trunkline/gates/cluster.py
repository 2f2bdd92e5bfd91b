"""Runs gates on Dask workers (extra `cluster`): commits travel as packs, receipts and logs come back.

Dask schedules, moves results, notices dead workers and retries (https://distributed.dask.org); what is ours is what
travels and what may be believed: a receipt from another toolchain than the run's is never taken.
"""

from __future__ import annotations

import atexit
import collections
import contextlib
import hashlib
import json
import logging
import secrets
from collections.abc import Callable, Collection, Iterator, Mapping
from concurrent.futures import CancelledError
from dataclasses import asdict, dataclass, field, replace
from typing import Any

from distributed import Client, KilledWorker, LocalCluster, wait
from distributed.comm.core import CommClosedError

from trunkline import __version__
from trunkline.adapters.git import Git
from trunkline.adapters.receipts import Store
from trunkline.domain.errors import OutsideFailed, UsageError
from trunkline.domain.names import Oid, short
from trunkline.domain.receipt import GateOutcome, Receipt, Toolchain, Verdict
from trunkline.domain.stack import GateSettings
from trunkline.gates import execute, worker
from trunkline.gates.catalogue import Gate
from trunkline.gates.jobserver import jobs
from trunkline.gates.order import Brought, Order, accepted, not_run

RESOURCE = "gate"
"""What a worker slot is called: `dask worker SCHEDULER --nthreads 1 --resources gate=1`."""
_LOOK_SECONDS = 1.0
_RETRIES = 2
_LOCAL = "127.0.0.1", "localhost", "[::1]"


@dataclass(frozen=True)
class Fleet:
    """A commit, and the workers that gate it alike.

    Attributes:
        order: what is asked.
        key: the repository's name on workers.
        client: the connection.
        workers: their addresses.
        hosts: address -> host name.
        toolchains: gate -> what compiles for it on every one of them.
        cures: gate -> what it lacks on every one of them.
        config: a hash of cargo's configuration outside the tree, there.
    """

    order: Order
    key: str
    client: Client
    workers: tuple[str, ...]
    hosts: Mapping[str, str]
    toolchains: Mapping[str, Toolchain]
    cures: Mapping[str, str]
    config: str


@dataclass
class _Watch:
    """What the workers tell while they work: which gate began where."""

    began: Callable[[str], None]
    say: Callable[[str], None]
    times: collections.Counter[str] = field(default_factory=collections.Counter)

    def __call__(self, event: tuple[float, Mapping[str, Any]]) -> None:
        """Take one event."""
        gate, host = str(event[1]["gate"]), str(event[1]["host"])
        self.times[gate] += 1
        if self.times[gate] > 1:
            self.say(f"{gate} runs again, on {host}: the worker that had it died")
        self.began(gate)


def gate_commit(order: Order) -> dict[str, GateOutcome]:
    """Gate a commit on the cluster's workers and return the outcomes by gate; receipts are kept here.

    Raises:
        UsageError: a worker has another trunkline, or none has a slot for gates.
        OutsideFailed: the scheduler cannot be reached, or is gone.
    """
    with _speaking(order.settings):
        fleet = _fleet(_client(order.settings, order.say), order)
        known = () if order.fresh else execute.sound_receipts(Store(order.git.state_dir()), order.tree, order.say)
        found: dict[str, GateOutcome] = {}
        for gate in order.gates:
            outcome = _known(gate, fleet, known)
            if outcome is not None:
                found[gate.name] = outcome
                order.progress(outcome)
        found.update(_run(fleet, [gate for gate in order.gates if gate.name not in found]))
        return found


@contextlib.contextmanager
def _speaking(settings: GateSettings) -> Iterator[None]:
    try:
        yield
    except (OSError, CommClosedError) as error:
        raise OutsideFailed(
            f"the scheduler {settings.scheduler or 'of this machine'} does not answer",
            why=str(error) or type(error).__name__,
            next_command=f"dask scheduler   # or, in stack.toml: [gates] executor = {json.dumps('local')}",
        ) from error


_CLIENTS: dict[str, Client] = {}


def _client(settings: GateSettings, say: Callable[[str], None]) -> Client:
    """Return the connection, kept for the process: the entries of a stack are gated one after the other."""
    address = settings.scheduler
    for name in list(logging.root.manager.loggerDict):
        if name.partition(".")[0] in {"distributed", "asyncio"}:
            logging.getLogger(name).setLevel(logging.CRITICAL)  # what people should know of it, we say
    held = _CLIENTS.get(address)
    if held is not None and held.status == "running":
        return held
    if address:
        if address.startswith("tcp://") and not any(local in address for local in _LOCAL):
            say(f"{address} is neither encrypted nor authenticated: see TLS in Dask's documentation")
        client = Client(address)  # waits as long as Dask is configured to
    else:
        cluster = LocalCluster(
            n_workers=settings.workers or jobs(), threads_per_worker=1, processes=True, dashboard_address=None,
            resources={RESOURCE: 1}, silence_logs="CRITICAL", host="127.0.0.1",
        )  # fmt: skip
        atexit.register(cluster.close)
        client = Client(cluster)
    atexit.register(client.close)
    _CLIENTS[address] = client
    return client


def _fleet(client: Client, order: Order) -> Fleet:
    """Bring the commit to every worker that has a slot for gates, and see that they would gate it alike."""
    git, commit, say = order.git, order.commit, order.say
    key = _key(git, commit)
    slots = [address for address, each in client.scheduler_info(n_workers=-1)["workers"].items()
             if each.get("resources", {}).get(RESOURCE)]  # fmt: skip
    if not slots:
        raise UsageError(
            "no worker has a slot for gates",
            why=f"a worker that runs gates says so when it starts, as the resource {RESOURCE!r}",
            next_command=f"dask worker {client.scheduler.address} --nthreads 1 --resources {RESOURCE}=1",
        )
    abouts = client.run(worker.about, key, workers=slots)
    for address, told in abouts.items():
        if told["version"] != __version__:
            raise UsageError(
                f"the worker {address} on {told['host']} has trunkline {told['version']}, this is {__version__}",
                next_command=f"pip install trunkline=={__version__}   # on {told['host']}",
            )
    _send(client, git, key, commit, {address: told["heads"] for address, told in abouts.items()})
    asked = [asdict(gate) for gate in order.gates]
    surveys = client.run(worker.survey, key, commit, order.settings.root, asked, workers=slots)
    if not all(told["workspace"] for told in surveys.values()):
        raise UsageError("the commit has no Cargo workspace to gate", next_command="${EDITOR:-vi} stack.toml")
    would = {a: json.dumps([told["gates"], told["config"]], sort_keys=True) for a, told in surveys.items()}
    ((chosen, _),) = collections.Counter(would.values()).most_common(1)
    taken = [address for address, each in would.items() if each == chosen]
    for address in slots:
        if address not in taken:
            say(f"the worker on {abouts[address]['host']} ({address}) has other toolchains: no gate runs there")
    found, config = json.loads(chosen)
    return Fleet(
        order,
        key,
        client,
        tuple(sorted(taken)),
        {address: told["host"] for address, told in abouts.items()},
        {name: Toolchain(each["rustc"], each["cargo"]) for name, each in found.items() if not each["cure"]},
        {name: each["cure"] for name, each in found.items() if each["cure"]},
        config,
    )


def _send(client: Client, git: Git, key: str, commit: Oid, heads: Mapping[str, Collection[str]]) -> None:
    """Send the commit to each worker: a pack of what it lacks; workers that lack the same get the same."""
    lacking: dict[frozenset[str], list[str]] = {}
    for address, has in heads.items():
        here = frozenset(name for name in has if git.query("cat-file", "-e", name, ok=(0, 1, 128)).returncode == 0)
        lacking.setdefault(here, []).append(address)
    for has, addresses in lacking.items():
        sent = b"" if commit in has else pack(git, commit, has)
        client.run(worker.receive, key, commit, sent, workers=addresses)


def pack(git: Git, commit: Oid, has: Collection[str]) -> bytes:
    """Return a thin pack of what a commit needs beyond what is there; a bundle would need a ref of the user's."""
    wanted = "".join([f"{commit}\n", *(f"^{each}\n" for each in sorted(has))])
    return git.query(
        "pack-objects", "--revs", "--thin", "--stdout", "--quiet", "--delta-base-offset", stdin=wanted.encode()
    ).stdout


def _known(gate: Gate, fleet: Fleet, known: execute.KnownReceipts) -> GateOutcome | None:
    if cure := fleet.cures.get(gate.name):
        return GateOutcome(gate.name, Verdict.UNAVAILABLE, command=gate.typed, cure=cure)
    asked = replace(
        execute.asked_of(gate, fleet.order.tree), toolchain=fleet.toolchains[gate.name], config_sha256=fleet.config
    )  # fmt: skip
    return execute.proof(known, asked, gate)


def _run(fleet: Fleet, gates: Collection[Gate]) -> dict[str, GateOutcome]:
    """Submit the gates and collect them as they come, one a slot."""
    order, topic = fleet.order, f"gates-{secrets.token_hex(6)}"
    fleet.client.subscribe_topic(topic, _Watch(order.began, order.say))
    waiting = _submitted(fleet, gates, topic)
    found = {}
    try:
        while waiting:
            _wait(fleet.client, waiting)
            for future in [each for each in waiting if each.done()]:
                gate = waiting.pop(future)
                found[gate.name] = _collected(fleet, future, gate)
                order.progress(found[gate.name])
    except BaseException:
        _cancel(fleet, topic, list(waiting))
        raise
    finally:
        with contextlib.suppress(Exception):  # a scheduler that is gone has no topics
            fleet.client.unsubscribe_topic(topic)
    return found


def _submitted(fleet: Fleet, gates: Collection[Gate], topic: str) -> dict[Any, Gate]:
    order = fleet.order
    groups = list(dict.fromkeys(gate.group for gate in gates))
    waiting = {}
    everybody = fleet.workers == tuple(sorted(fleet.hosts))
    for gate in gates:
        # A group's gates, of whichever entry, go where its directory is warm, while there is such a worker.
        home = fleet.workers[groups.index(gate.group) % len(fleet.workers)]
        future = fleet.client.submit(
            worker.run, fleet.key, order.commit, order.settings.root, asdict(gate), fresh=order.fresh, topic=topic,
            pure=False, key=f"{gate.name}-{short(order.commit)}-{topic}", resources={RESOURCE: 1}, retries=_RETRIES,
            workers=[home] if everybody else list(fleet.workers), allow_other_workers=everybody,
        )  # fmt: skip
        waiting[future] = gate
    return waiting


def _wait(client: Client, waiting: Collection[Any]) -> None:
    """Wait until one of them is done, or a moment.

    Raises:
        OutsideFailed: the connection to the scheduler is lost, and Dask gave up connecting again.
    """
    lost = client.status not in {"running", "connecting"}
    try:
        wait(list(waiting), timeout=_LOOK_SECONDS, return_when="FIRST_COMPLETED")
    except TimeoutError:
        pass
    except CancelledError:
        lost = True
    if lost:
        raise OutsideFailed(
            "the scheduler is gone", why=f"{len(waiting)} gates had no verdict yet", next_command="invoke continue"
        )


def _cancel(fleet: Fleet, topic: str, waiting: list[Any]) -> None:
    """Take back what waits, and end what runs, on whichever worker."""
    with contextlib.suppress(Exception):  # the scheduler may be what is gone: then its workers end by themselves
        fleet.client.cancel(waiting, force=True)
        fleet.client.run(worker.end, fleet.key, topic, workers=list(fleet.workers))


def _collected(fleet: Fleet, future: Any, gate: Gate) -> GateOutcome:
    try:
        told = future.result()
    except KilledWorker as error:
        return not_run(gate, f"each worker that ran it died, {error.last_worker.address} last")
    except Exception as error:  # noqa: BLE001 -- whatever a worker of another making raises has a verdict, too
        return not_run(gate, f"{error}")
    for line in told["said"]:
        fleet.order.say(f"{gate.name} on {told['host']}: {line}")
    receipt = None if told["receipt"] is None else Receipt.from_statement(told["receipt"])
    brought = Brought(GateOutcome.from_json(told["outcome"]), receipt, bytes(told["log"]), str(told["host"]))
    return accepted(fleet.order, gate, brought, fleet.toolchains[gate.name])


def _key(git: Git, commit: Oid) -> str:
    """Return the repository's name on workers, by its first commit: clones of the same history share a mirror."""
    common = git.common_dir()
    root = git.query("rev-list", "--first-parent", "--max-parents=0", commit).text
    digest = hashlib.sha256(root.encode()).hexdigest()[:12]
    name = (common.parent if common.name == ".git" else common).name
    return f"{''.join(char if char.isalnum() or char in '._-' else '-' for char in name)[:40]}-{digest}"
