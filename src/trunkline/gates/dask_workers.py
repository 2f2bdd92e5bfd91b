"""The workers of a Dask cluster before a gate runs: who they are, what they have, the commits that they lack."""

from __future__ import annotations

import collections
import hashlib
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
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

_Reply = TypeVar("_Reply", bound=msgspec.Struct)

RESOURCE = "gate"
"""What a worker slot is called: `dask worker SCHEDULER --nthreads 1 --resources gate=1`."""


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

    order: GateJob
    key: str
    client: DataClient
    workers: tuple[str, ...]
    hosts: Mapping[str, str]
    toolchains: Mapping[str, Toolchain]
    missing: Mapping[str, Mapping[str, str]]
    config: str


def answers(
    client: DataClient, kind: type[_Reply], function: Callable[..., str], *arguments: object, workers: Sequence[str]
) -> dict[str, _Reply]:
    """Call a function on workers and return the answer of each.

    Raises:
        ExternalError: one failed, or answered something else.
    """
    try:
        texts = client.run(function, *arguments, workers=list(workers))
        found = {address: texts.get(address) for address in workers}
    except (OSError, CommClosedError):
        raise
    except Exception as error:
        # What came instead of an answer is not unpickled, so it is not known.
        raise ExternalError(
            "a worker could not be asked", why=type(error).__name__, next_command=task_command("continue")
        ) from error
    return {address: dask_replies.decoded(kind, text, address) for address, text in found.items()}


class _Worker(msgspec.Struct):
    resources: dict[str, float] = {}


class _Scheduler(msgspec.Struct):
    workers: dict[str, _Worker]


def _slots(client: DataClient) -> list[str]:
    """Return the addresses of the workers that run gates.

    Raises:
        ExternalError: the scheduler says something else than a scheduler does.
    """
    try:
        found = msgspec.convert(client.scheduler_info(n_workers=-1), _Scheduler)
    except msgspec.ValidationError as error:
        raise ExternalError("the scheduler does not tell its workers", why=str(error)) from None
    return [address for address, each in found.workers.items() if each.resources.get(RESOURCE)]


def fleets_of(client: DataClient, orders: Sequence[GateJob]) -> list[Fleet]:
    """Bring the commits to every worker that has a slot for gates, and see that they would gate them alike."""
    first = orders[0]
    key = _key(first.git, first.commit)
    slots = _slots(client)
    if not slots:
        raise UsageError(
            "no worker has a slot for gates",
            why=f"a worker that runs gates says so when it starts, as the resource {RESOURCE!r}",
            next_command=f"dask worker {first.settings.scheduler} --nthreads 1 --resources {RESOURCE}=1",
        )
    abouts = answers(client, dask_replies.About, dask_worker.about, key, workers=slots)
    for address, about in abouts.items():
        if about.version != __version__:
            raise UsageError(
                f"the worker {address} on {about.host} has trunkline {about.version}, this is {__version__}",
                next_command=f"pip install trunkline=={__version__}   # on {about.host}",
            )
    heads = {address: about.heads for address, about in abouts.items()}
    _send(client, first.git, key, [order.commit for order in orders], heads)
    hosts = {address: about.host for address, about in abouts.items()}
    surveyed: dict[str, Fleet] = {}
    fleets = []
    for order in orders:
        choosing = _choosing_toolchains(order)
        if choosing not in surveyed:
            surveyed[choosing] = _surveyed(client, order, key, hosts)
        fleets.append(replace(surveyed[choosing], order=order))
    return fleets


def _choosing_toolchains(order: GateJob) -> str:
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


def _surveyed(client: DataClient, order: GateJob, key: str, hosts: Mapping[str, str]) -> Fleet:
    """Ask each worker what would compile the commit's gates there; most decide."""
    asked = [asdict(gate) for gate in order.gates]
    root = order.settings.root
    surveys = answers(
        client, dask_replies.Survey, dask_worker.survey, key, order.commit, root, asked, workers=list(hosts)
    )
    would = {address: msgspec.json.encode(survey) for address, survey in surveys.items()}
    ((chosen, _),) = collections.Counter(would.values()).most_common(1)
    taken = [address for address, each in would.items() if each == chosen]
    for address, host in hosts.items():
        if address not in taken:
            order.say(f"the worker on {host} ({address}) has other toolchains: no gate runs there")
    survey = surveys[taken[0]]
    if missing := [gate.name for gate in order.gates if gate.name not in survey.gates]:
        raise ExternalError(f"the workers say nothing of {', '.join(missing)}", next_command=task_command("continue"))
    return Fleet(
        order,
        key,
        client,
        tuple(sorted(taken)),
        hosts,
        {name: Toolchain(each.rustc, each.cargo) for name, each in survey.gates.items() if not each.missing},
        {name: failure_of(each.missing) for name, each in survey.gates.items() if each.missing},
        survey.config,
    )


def foreseen(fleet: Fleet, gates: Collection[Gate]) -> dict[str, GateOutcome]:
    """Return the gates that cannot pass, as one of the workers finds before anything is compiled.

    Raises:
        ExternalError: it failed, or answered something else.
    """
    if not gates:
        return {}
    asked, root = [asdict(gate) for gate in gates], fleet.order.settings.root
    first = fleet.workers[:1]
    (answer,) = answers(
        fleet.client,
        dask_replies.ReplayPreview,
        dask_worker.preview_replay,
        fleet.key,
        fleet.order.commit,
        root,
        asked,
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
    """Send commits to each worker: a pack of what it lacks; workers that lack the same get the same."""
    missing_tool: dict[frozenset[str], list[str]] = {}
    absent = history.missing(git, sorted({oid(name) for has in heads.values() for name in has}))
    for address, has in heads.items():
        missing_tool.setdefault(frozenset(has) - absent, []).append(address)
    for has, addresses in missing_tool.items():
        wanted = [commit for commit in dict.fromkeys(commits) if commit not in has]
        sent = pack(git, wanted, has) if wanted else b""
        wanted_now = list(dict.fromkeys(commits))
        answers(client, dask_replies.Received, dask_worker.receive, key, wanted_now, sent, workers=addresses)


def pack(git: Git, commits: Sequence[Oid], has: Collection[str]) -> bytes:
    """Return a thin pack of what commits need beyond what is there; a bundle would need a ref of the user's."""
    wanted = "".join([*(f"{commit}\n" for commit in commits), *(f"^{each}\n" for each in sorted(has))])
    return git.query(
        "pack-objects", "--revs", "--thin", "--stdout", "--quiet", "--delta-base-offset", stdin=wanted.encode()
    ).stdout


def _key(git: Git, commit: Oid) -> str:
    """Return the repository's name on workers, by its first commit: clones of the same history share a mirror."""
    common = git.common_dir()
    root = git.query("rev-list", "--first-parent", "--max-parents=0", commit).text
    digest = hashlib.sha256(root.encode()).hexdigest()[:12]
    name = (common.parent if common.name == ".git" else common).name
    return f"{''.join(char if char.isalnum() or char in '._-' else '-' for char in name)[:40]}-{digest}"
