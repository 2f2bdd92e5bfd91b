"""Prepare the workers of a Dask cluster: list them, send missing commits, compare toolchains."""

from __future__ import annotations

import collections
import hashlib
import shlex
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TypeVar

import msgspec
from distributed.comm.core import CommClosedError

from trunkline import __version__
from trunkline.domain.command import task_command
from trunkline.domain.errors import ExternalError, UsageError
from trunkline.domain.names import Oid, oid
from trunkline.domain.receipt import GateOutcome, Toolchain, Verdict, failure_of
from trunkline.gates import dask_replies, dask_worker
from trunkline.gates.catalogue import Gate
from trunkline.gates.dask_client import DataClient
from trunkline.gates.executor import GateJob
from trunkline.git import history
from trunkline.git.git import Git
from trunkline.system import installing

_Reply = TypeVar("_Reply", bound=msgspec.Struct)

RESOURCE = "gate"
"""The resource of a worker slot: `dask worker SCHEDULER --nthreads 1 --resources gate=1`."""


@dataclass(frozen=True)
class WorkerGroup:
    """A commit, and the workers that run its gates with the same toolchains.

    Attributes:
        gate_job: the gate job.
        key: the repository's name on workers.
        client: the connection.
        workers: their addresses.
        hosts: address -> host name.
        toolchains: gate -> its toolchain on all of the workers.
        missing: gate -> its missing prerequisite on all of the workers, as `Cause.to_json` returns
            it.
        config: a hash of cargo's configuration outside the tree on the workers.
    """

    gate_job: GateJob
    key: str
    client: DataClient
    workers: tuple[str, ...]
    hosts: Mapping[str, str]
    toolchains: Mapping[str, Toolchain]
    missing: Mapping[str, Mapping[str, str]]
    config: str


def call_workers(
    client: DataClient, kind: type[_Reply], function: Callable[..., str], *arguments: object, workers: Sequence[str]
) -> dict[str, _Reply]:
    """Call a function on workers and return the response of each.

    Raises:
        ExternalError: one failed, or its response is invalid.
    """
    try:
        texts = client.run(function, *arguments, workers=list(workers))
        found = {address: texts.get(address) for address in workers}
    except (OSError, CommClosedError):
        raise
    except Exception as error:
        # The response is not unpickled, so its content is unknown.
        raise ExternalError(
            "a worker could not be gate_tables", why=type(error).__name__, next_command=task_command("continue")
        ) from error
    return {address: dask_replies.decoded(kind, text, address) for address, text in found.items()}


class _Worker(msgspec.Struct):
    resources: dict[str, float] = {}


class _Scheduler(msgspec.Struct):
    workers: dict[str, _Worker]


def _slots(client: DataClient) -> list[str]:
    """Return the addresses of the workers that run gates.

    Raises:
        ExternalError: the scheduler's response is invalid.
    """
    try:
        found = msgspec.convert(client.scheduler_info(n_workers=-1), _Scheduler)
    except msgspec.ValidationError as error:
        raise ExternalError("the scheduler does not tell its workers", why=str(error)) from None
    return [address for address, each in found.workers.items() if each.resources.get(RESOURCE)]


def fleets_of(client: DataClient, gate_jobs: Sequence[GateJob]) -> list[WorkerGroup]:
    """Send the commits to every worker that runs gates; select equal toolchains."""
    first = gate_jobs[0]
    key = _key(first.git, first.commit)
    slots = _slots(client)
    if not slots:
        raise UsageError(
            "no worker has a slot for gates",
            why=f"a worker for gates is started with the resource {RESOURCE!r}",
            next_command=f"dask worker {first.settings.scheduler} --nthreads 1 --resources {RESOURCE}=1",
        )
    infos = call_workers(client, dask_replies.WorkerInfo, dask_worker.worker_info, key, workers=slots)
    for address, info in infos.items():
        if info.version != __version__:
            raise UsageError(
                f"the worker {address} on {info.host} has trunkline {info.version}, this is {__version__}",
                next_command=f"pip install {shlex.quote(installing.requirement())}   # on {info.host}",
            )
    heads = {address: info.heads for address, info in infos.items()}
    _send(client, first.git, key, [gate_job.commit for gate_job in gate_jobs], heads)
    hosts = {address: info.host for address, info in infos.items()}
    surveyed: dict[str, WorkerGroup] = {}
    fleets = []
    for gate_job in gate_jobs:
        choosing = _choosing_toolchains(gate_job)
        if choosing not in surveyed:
            surveyed[choosing] = _surveyed(client, gate_job, key, hosts)
        fleets.append(replace(surveyed[choosing], gate_job=gate_job))
    return fleets


def _choosing_toolchains(gate_job: GateJob) -> str:
    """Return the files of a commit that select its toolchain (rustup's book, "Overrides").

    Commits with equal files share one survey.

    Raises:
        UsageError: it has no Cargo workspace.
    """
    folders = {"", f"{gate_job.settings.root}/".removeprefix("./")}
    files = [f"{folder}{name}" for folder in sorted(folders) for name in ("rust-toolchain", "rust-toolchain.toml")]
    manifest = f"{gate_job.settings.root}/Cargo.toml".removeprefix("./")
    listed = gate_job.git.query("ls-tree", "-z", gate_job.commit, "--", manifest, *files).text.split("\0")
    if not any(line.endswith(f"\t{manifest}") for line in listed):
        raise UsageError("the commit has no Cargo workspace to gate", next_command="${EDITOR:-vi} stack.toml")
    return "\n".join(line for line in listed if line and not line.endswith(f"\t{manifest}"))


def _surveyed(client: DataClient, gate_job: GateJob, key: str, hosts: Mapping[str, str]) -> WorkerGroup:
    """Query each worker's toolchains for the commit's gates; the most common answer wins."""
    gate_tables = [msgspec.to_builtins(gate) for gate in gate_job.gates]
    root = gate_job.settings.root
    surveys = call_workers(
        client, dask_replies.Survey, dask_worker.survey, key, gate_job.commit, root, gate_tables, workers=list(hosts)
    )
    would = {address: msgspec.json.encode(survey) for address, survey in surveys.items()}
    ((chosen, _),) = collections.Counter(would.values()).most_common(1)
    taken = [address for address, each in would.items() if each == chosen]
    for address, host in hosts.items():
        if address not in taken:
            gate_job.say(f"the worker on {host} ({address}) has other toolchains: no gate runs there")
    survey = surveys[taken[0]]
    if missing := [gate.name for gate in gate_job.gates if gate.name not in survey.gates]:
        raise ExternalError(f"the workers say nothing of {', '.join(missing)}", next_command=task_command("continue"))
    return WorkerGroup(
        gate_job,
        key,
        client,
        tuple(sorted(taken)),
        hosts,
        {name: Toolchain(each.rustc, each.cargo) for name, each in survey.gates.items() if not each.missing},
        {name: failure_of(each.missing) for name, each in survey.gates.items() if each.missing},
        survey.config,
    )


def stopped_gates(fleet: WorkerGroup, gates: Collection[Gate]) -> dict[str, GateOutcome]:
    """Return the gates that cannot pass, as one worker finds before compilation.

    Raises:
        ExternalError: it failed, or its response is invalid.
    """
    if not gates:
        return {}
    gate_tables, root = [msgspec.to_builtins(gate) for gate in gates], fleet.gate_job.settings.root
    first = fleet.workers[:1]
    (answer,) = call_workers(
        fleet.client,
        dask_replies.GatePreview,
        dask_worker.preview_gates,
        fleet.key,
        fleet.gate_job.commit,
        root,
        gate_tables,
        workers=first,
    ).values()
    found = {}
    for gate in gates:
        if gate.name in answer.stopped:
            try:
                outcome = GateOutcome.from_json(answer.stopped[gate.name])
            except ValueError as error:
                raise ExternalError(
                    f"the worker {first[0]} answered no outcome",
                    why=str(error),
                    next_command=task_command("continue"),
                ) from None
            if outcome.gate == gate.name and outcome.verdict in {Verdict.FAILED, Verdict.UNAVAILABLE}:
                found[gate.name] = outcome
    return found


def _send(
    client: DataClient, git: Git, key: str, commits: Sequence[Oid], heads: Mapping[str, Collection[str]]
) -> None:
    """Send each worker a pack of the commits that it lacks.

    Workers that lack the same share one.
    """
    addresses_by_commits: dict[frozenset[str], list[str]] = {}
    absent = history.missing(git, sorted({oid(name) for has in heads.values() for name in has}))
    for address, has in heads.items():
        addresses_by_commits.setdefault(frozenset(has) - absent, []).append(address)
    for has, addresses in addresses_by_commits.items():
        wanted = [commit for commit in dict.fromkeys(commits) if commit not in has]
        sent = pack(git, wanted, has) if wanted else b""
        wanted_now = list(dict.fromkeys(commits))
        call_workers(client, dask_replies.Received, dask_worker.receive, key, wanted_now, sent, workers=addresses)


def pack(git: Git, commits: Sequence[Oid], has: Collection[str]) -> bytes:
    """Return a thin pack of commits, without what the receiver has.

    A bundle would need a ref in the user's repository.
    """
    wanted = "".join([*(f"{commit}\n" for commit in commits), *(f"^{each}\n" for each in sorted(has))])
    return git.query(
        "pack-objects", "--revs", "--thin", "--stdout", "--quiet", "--delta-base-offset", stdin=wanted.encode()
    ).stdout


def _key(git: Git, commit: Oid) -> str:
    """Return the repository's name on workers, which clones share: by its first commit."""
    common = git.common_dir()
    root = git.query("rev-list", "--first-parent", "--max-parents=0", commit).text
    digest = hashlib.sha256(root.encode()).hexdigest()[:12]
    name = (common.parent if common.name == ".git" else common).name
    return f"{''.join(char if char.isalnum() or char in '._-' else '-' for char in name)[:40]}-{digest}"
