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
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from concurrent.futures import CancelledError
from dataclasses import asdict, dataclass, field, replace
from typing import Any

from distributed import Client, KilledWorker, LocalCluster, wait
from distributed.comm.core import CommClosedError
from distributed.security import Security

from trunkline import __version__
from trunkline.adapters import history
from trunkline.adapters.git import Git
from trunkline.domain.errors import OutsideFailed, UsageError
from trunkline.domain.names import Oid, oid, short
from trunkline.domain.receipt import GateOutcome, Receipt, Toolchain, Verdict, failure_of
from trunkline.domain.stack import GateSettings
from trunkline.gates import proof, worker
from trunkline.gates.catalogue import Gate
from trunkline.gates.jobserver import jobs
from trunkline.gates.order import Brought, Order, Outcomes, accepted, not_run

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
        missing: gate -> what it needs and finds on none of them, as `Cause.to_json` returns it.
        config: a hash of cargo's configuration outside the tree, there.
    """

    order: Order
    key: str
    client: Client
    workers: tuple[str, ...]
    hosts: Mapping[str, str]
    toolchains: Mapping[str, Toolchain]
    missing: Mapping[str, Mapping[str, str]]
    config: str


@dataclass
class _Watch:
    """What the workers tell while they work: which gate of which order began where."""

    orders: Mapping[int, Order]
    times: collections.Counter[tuple[int, str]] = field(default_factory=collections.Counter)
    why: dict[tuple[int, str], str] = field(default_factory=dict)

    def __call__(self, event: tuple[float, Mapping[str, Any]]) -> None:
        """Take one event."""
        told = event[1]
        order, gate = self.orders[int(told["number"])], str(told["gate"])
        if "line" in told:
            order.printed(gate, str(told["line"]))
            return
        key = int(told["number"]), gate
        if "failed" in told:
            self.why[key] = str(told["failed"])
            return
        self.times[key] += 1
        if self.times[key] > 1:
            order.say(f"{gate} runs again, on {told['host']}: {self.why.pop(key, 'the worker that had it is gone')}")
        order.began(gate)


def run_orders(orders: Sequence[Order]) -> list[Outcomes]:
    """Gate commits on the cluster's workers, side by side; return the outcomes of each by gate, receipts kept here.

    Raises:
        UsageError: a worker has another trunkline, or none has a slot for gates.
        OutsideFailed: the scheduler cannot be reached, or is gone.
    """
    first = orders[0]
    with _speaking(first.settings):
        client = _client(first.settings, first.say)
        found: list[Outcomes] = []
        jobs = []
        for number, (order, fleet) in enumerate(zip(orders, _fleets(client, orders), strict=True)):
            known = None if order.fresh else proof.known_receipts(order.git, order.tree, order.settings, order.say)
            answered = {gate.name: outcome for gate in order.gates if (outcome := _known(gate, fleet, known))}
            found.append(answered)
            order.starts()
            for outcome in answered.values():
                order.progress(outcome)
            jobs += [_Job(fleet, gate, number) for gate in order.gates if gate.name not in answered]
        _run(client, jobs, found)
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
    """Return the connection, kept for the process."""
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
        if address.startswith("tls://") and not Security().get_connection_args("client").get("ssl_context"):
            raise UsageError(
                f"Dask has no certificates to reach {address} with",
                why="its configuration names none: distributed.comm.tls, or DASK_DISTRIBUTED__COMM__TLS__CA_FILE",
                next_command="${EDITOR:-vi} ~/.config/dask/distributed.yaml",
            )
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


def _fleets(client: Client, orders: Sequence[Order]) -> list[Fleet]:
    """Bring the commits to every worker that has a slot for gates, and see that they would gate them alike."""
    first = orders[0]
    key = _key(first.git, first.commit)
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
    heads = {address: told["heads"] for address, told in abouts.items()}
    _send(client, first.git, key, [order.commit for order in orders], heads)
    hosts = {address: str(told["host"]) for address, told in abouts.items()}
    surveyed: dict[str, Fleet] = {}
    fleets = []
    for order in orders:
        choosing = _choosing_toolchains(order)
        if choosing not in surveyed:
            surveyed[choosing] = _surveyed(client, order, key, hosts)
        fleets.append(replace(surveyed[choosing], order=order))
    return fleets


def _choosing_toolchains(order: Order) -> str:
    """Return what of a commit decides which toolchain compiles it (rustup's book, "Overrides"): asked once for all.

    Raises:
        UsageError: it has no Cargo workspace.
    """
    folders = {"", f"{order.settings.root}/".removeprefix("./")}
    files = [f"{folder}{name}" for folder in sorted(folders) for name in ("rust-toolchain", "rust-toolchain.toml")]
    manifest = f"{order.settings.root}/Cargo.toml".removeprefix("./")
    listed = order.git.query("ls-tree", "-z", order.commit, "--", manifest, *files).text.split("\0")
    if not any(line.endswith(f"\t{manifest}") for line in listed):
        raise UsageError("the commit has no Cargo workspace to gate", next_command="${EDITOR:-vi} stack.toml")
    return "\n".join(line for line in listed if line and not line.endswith(f"\t{manifest}"))


def _surveyed(client: Client, order: Order, key: str, hosts: Mapping[str, str]) -> Fleet:
    """Ask each worker what would compile the commit's gates there; most decide."""
    asked = [asdict(gate) for gate in order.gates]
    surveys = client.run(worker.survey, key, order.commit, order.settings.root, asked, workers=list(hosts))
    would = {a: json.dumps([told["gates"], told["config"]], sort_keys=True) for a, told in surveys.items()}
    ((chosen, _),) = collections.Counter(would.values()).most_common(1)
    taken = [address for address, each in would.items() if each == chosen]
    for address, host in hosts.items():
        if address not in taken:
            order.say(f"the worker on {host} ({address}) has other toolchains: no gate runs there")
    found, config = json.loads(chosen)
    return Fleet(
        order,
        key,
        client,
        tuple(sorted(taken)),
        hosts,
        {name: Toolchain(each["rustc"], each["cargo"]) for name, each in found.items() if not each["missing"]},
        {name: failure_of(each["missing"]) for name, each in found.items() if each["missing"]},
        config,
    )


def _send(client: Client, git: Git, key: str, commits: Sequence[Oid], heads: Mapping[str, Collection[str]]) -> None:
    """Send commits to each worker: a pack of what it lacks; workers that lack the same get the same."""
    lacking: dict[frozenset[str], list[str]] = {}
    absent = history.missing(git, sorted({oid(name) for has in heads.values() for name in has}))
    for address, has in heads.items():
        lacking.setdefault(frozenset(has) - absent, []).append(address)
    for has, addresses in lacking.items():
        wanted = [commit for commit in dict.fromkeys(commits) if commit not in has]
        sent = pack(git, wanted, has) if wanted else b""
        client.run(worker.receive, key, list(dict.fromkeys(commits)), sent, workers=addresses)


def pack(git: Git, commits: Sequence[Oid], has: Collection[str]) -> bytes:
    """Return a thin pack of what commits need beyond what is there; a bundle would need a ref of the user's."""
    wanted = "".join([*(f"{commit}\n" for commit in commits), *(f"^{each}\n" for each in sorted(has))])
    return git.query(
        "pack-objects", "--revs", "--thin", "--stdout", "--quiet", "--delta-base-offset", stdin=wanted.encode()
    ).stdout


def _known(gate: Gate, fleet: Fleet, known: proof.Known | None) -> GateOutcome | None:
    if missing := fleet.missing.get(gate.name):
        return GateOutcome(gate.name, Verdict.UNAVAILABLE, command=gate.typed).with_failure(missing)
    if known is None:
        return None
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


def _run(client: Client, jobs: Sequence[_Job], found: list[Outcomes]) -> None:
    """Submit the gates and collect them as they come, one a slot."""
    topic = f"gates-{secrets.token_hex(6)}"
    client.subscribe_topic(topic, _Watch({job.number: job.fleet.order for job in jobs}))
    waiting = {_submitted(job, jobs, topic): job for job in jobs}
    try:
        while waiting:
            _wait(client, waiting)
            for future in [each for each in waiting if each.done()]:
                job = waiting.pop(future)
                outcome = _collected(job, future)
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
        worker.run, fleet.key, order.commit, order.settings.root, asdict(job.gate), fresh=order.fresh,
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


def _cancel(client: Client, jobs: Collection[_Job], topic: str, waiting: list[Any]) -> None:
    """Take back what waits, and end what runs, on whichever worker."""
    with contextlib.suppress(Exception):  # the scheduler may be what is gone: then its workers end by themselves
        client.cancel(waiting, force=True)
        for key, workers in {(job.fleet.key, job.fleet.workers) for job in jobs}:
            client.run(worker.end, key, topic, workers=list(workers))


def _collected(job: _Job, future: Any) -> GateOutcome:
    fleet, gate = job.fleet, job.gate
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
