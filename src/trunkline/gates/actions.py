"""Runs gates on GitHub Actions: dispatches the workflow of `ci.workflow` by gh, watches it, collects its receipts.

The commit is lent to the remote under a ref of our own, since it may be on no branch of it yet; the ref is taken back
when the run has ended. A run that goes on when we stop is joined by whoever asks for the same gates of that commit.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from trunkline.config.reading import FILE_NAME
from trunkline.domain.command import task_command
from trunkline.domain.errors import ExternalError, Refused, TrunklineError, UsageError
from trunkline.domain.names import short
from trunkline.domain.receipt import GateOutcome, Receipt, Toolchain
from trunkline.gates import preflight, proof
from trunkline.gates.catalogue import Gate
from trunkline.gates.executor import GateJob, Outcomes, RemoteResult, accepted, not_run
from trunkline.git import refs
from trunkline.github.client import GitHub, repository_of
from trunkline.github.responses import NotFound
from trunkline.state.receipt_store import read_receipt
from trunkline.system.retry import sleep

WORKFLOW = "trunkline.yml"
"""The workflow's file name below .github/workflows; its inputs and artifacts are `report/gates.yml.j2`'s."""
_APPEARS = (0.5, 1.0, 2.0, 4.0, *[5.0] * 20)
"""Seconds between the questions where a dispatched run is: GitHub answers the dispatch before there is one."""
_LOOK = 5.0
"""Seconds between looks at a run: two requests each, of the 5,000 that GitHub allows an hour."""
_QUEUE = 3600.0
"""Seconds that a run may take beyond a gate's own: a queue for runners, machines that are made."""


def run_orders(orders: Sequence[GateJob]) -> list[Outcomes]:
    """Gate commits on GitHub Actions, side by side; return the outcomes of each by gate, receipts kept here.

    Raises:
        UsageError: the repository on GitHub has no such workflow.
        Refused: the workflow there is another, or Actions is off.
        ExternalError: GitHub failed, or a run takes too long; it goes on, and is joined by the next task.
    """
    runs = [_run_of(order) for order in orders]
    try:
        for run in runs:
            run.begin()
        ends = time.monotonic() + orders[0].settings.timeout + _QUEUE
        while going := [run for run in runs if not run.look()]:
            if time.monotonic() > ends:
                raise ExternalError(
                    "GitHub Actions takes too long",
                    why="what runs goes on, and the next task joins it",
                    next_command=(task_command("continue"), f"gh run view {going[0].number} --web"),
                )
            sleep(_LOOK)
    except (KeyboardInterrupt, Refused, UsageError):
        for run in runs:
            run.cancel()
        raise
    # Any other failure leaves runs and refs where they are: the next task joins them.
    return [run.found for run in runs]


def _run_of(order: GateJob) -> _Run:
    """Return an order's run: of what no receipt proves, and the commit itself does not keep from passing."""
    known = _known(order)
    missing = tuple(gate for gate in order.gates if gate.name not in known)
    stopped = preflight.refused_anywhere(order.git, order.commit, missing, order.settings.root)
    order.foreseen(tuple(stopped.values()))
    repository = repository_of(refs.remote_url(order.git, order.settings.remote, push=True))
    toolchains = {_asked_toolchain(gate): known[gate.name][1] for gate in order.gates if gate.name in known}
    return _Run(
        order,
        GitHub(repository, order.git.cwd, order.say),
        tuple(gate for gate in missing if gate.name not in stopped),
        toolchains,
        {name: outcome for name, (outcome, _) in known.items()} | stopped,
    )


def _require_stackfile(order: GateJob) -> None:
    """See that the commit brings stack.toml: a machine of GitHub's has no other, and would not know the gates.

    Raises:
        UsageError: it does not, as where stack.toml is not tracked.
    """
    if order.git.cached_query("ls-tree", "-z", "--name-only", order.commit, "--", FILE_NAME).text:
        return
    raise UsageError(
        f"{short(order.commit)} holds no {FILE_NAME}: GitHub Actions would not know its gates",
        why='executor = "actions" runs what the stack.toml of the commit says; yours is not in it; nothing was run',
        next_command=(
            f"git add --force {FILE_NAME}   # on {order.settings.trunk}; commit, push, rebase the stack",
            f"${{EDITOR:-vi}} {FILE_NAME}   # or take executor out",
        ),
    )


def _known(order: GateJob) -> dict[str, tuple[GateOutcome, Toolchain]]:
    """Return what receipts from Actions prove, if one toolchain compiled them: nobody here knows the one of now."""
    if order.fresh:
        return {}
    known = proof.known_receipts(order.git, order.tree, order.settings, order.say)
    found, toolchains = {}, set()
    for gate in order.gates:
        query = replace(proof.query_of(gate, order.tree), executor="actions")
        outcome, receipt = proof.reusable(known, query, gate), known.prove(query).known
        if outcome is not None and receipt is not None:
            found[gate.name] = outcome, receipt.receipt.toolchain
            toolchains.add((_asked_toolchain(gate), receipt.receipt.toolchain))
    return found if len(toolchains) == len({named for named, _ in toolchains}) else {}


def _asked_toolchain(gate: Gate) -> str:
    """Return the toolchain that a gate names, as rustup's `+1.89.0`; "": the one that is there."""
    return next((part for part in gate.argv[1:2] if part.startswith("+")), "")


_COMPLETED = "completed"


@dataclass(frozen=True)
class _WorkflowRun:
    """A workflow run, as REST has it."""

    number: int
    title: str
    status: str
    url: str

    @classmethod
    def of(cls, run: Mapping[str, Any]) -> _WorkflowRun:
        """Return it from REST's JSON."""
        return cls(int(run["id"]), str(run["display_title"]), str(run["status"]), str(run["html_url"]))


@dataclass(frozen=True)
class _Job:
    """A job of a workflow run, as REST has it; it has no conclusion while it runs."""

    number: int
    name: str
    status: str
    conclusion: str
    url: str

    @classmethod
    def of(cls, job: Mapping[str, Any]) -> _Job:
        """Return it from REST's JSON."""
        conclusion = str(job["conclusion"] or "")
        return cls(int(job["id"]), str(job["name"]), str(job["status"]), conclusion, str(job["html_url"]))


@dataclass
class _Run:
    """One run of the workflow.

    Attributes:
        order: what is asked.
        github: where.
        gates: those that it runs.
        toolchains: as gates name it -> what compiled for those that are known.
        found: the outcomes so far.
        begun: gates that began.
        number: GitHub's of the run; 0: it is not dispatched, or has ended.
        lent: the remote has the commit under a ref of ours.
    """

    order: GateJob
    github: GitHub
    gates: tuple[Gate, ...]
    toolchains: dict[str, Toolchain]
    found: Outcomes
    begun: set[str] = field(default_factory=set)
    number: int = 0
    lent: bool = False

    def begin(self) -> None:
        """Tell what is known; lend the commit, and dispatch or join the run of the rest."""
        order = self.order
        order.starts()
        for outcome in self.found.values():
            order.progress(outcome)
        if not self.gates:
            return
        _require_stackfile(self.order)
        self.lent = True
        refs.push_temporary_ref(order.git, order.settings.remote, order.commit)
        try:
            run = self._going() or self._dispatched()
        except NotFound as missing:
            raise UsageError(
                f"{self.github.repository.slug} has no workflow {WORKFLOW}",
                why=f"it is dispatched from {order.settings.trunk}, and must be there",
                next_command=task_command("ci.workflow", comment="then land that file"),
            ) from missing
        order.say(f"gates of {short(order.commit)} run on GitHub Actions: {run.url}")
        self.number = run.number

    def look(self) -> bool:
        """Collect each gate whose job has ended; say whether all have."""
        if self.number:
            self._collect(self.number)
        if ended := all(gate.name in self.found for gate in self.gates):
            self._take_back()
        return ended

    def cancel(self) -> None:
        """Cancel the run and take the commit back."""
        try:
            for run in self._runs() if self.lent else ():
                if run.status != _COMPLETED:
                    self.github.post(f"actions/runs/{run.number}/cancel", {}, arrived=lambda: False)
        except NotFound:
            pass  # there is no such workflow
        except TrunklineError as error:
            self.order.say(f"the run could not be cancelled: {error.what}")
        self._take_back()

    def _take_back(self) -> None:
        if self.lent:
            refs.delete_temporary_ref(self.order.git, self.order.settings.remote, self.order.commit)
        self.lent, self.number = False, 0

    @property
    def title(self) -> str:
        """What the run is called: the same gates of the same commit, the same name."""
        names = ",".join(gate.name for gate in self.gates)
        digest = hashlib.sha256(f"{self.order.commit} {names} {self.order.fresh}".encode()).hexdigest()[:12]
        return f"gates of {short(self.order.commit)} ({digest})"

    def _runs(self) -> tuple[_WorkflowRun, ...]:
        path = f"actions/workflows/{WORKFLOW}/runs?event=workflow_dispatch&per_page=50"
        runs = self.github.rest(path, lambda body: tuple(_WorkflowRun.of(each) for each in body["workflow_runs"]))
        return tuple(run for run in runs if run.title == self.title)

    def _going(self) -> _WorkflowRun | None:
        going = next((run for run in self._runs() if run.status != _COMPLETED), None)
        if going is not None:
            self.order.say("a run of the same gates is under way")
        return going

    def _dispatched(self) -> _WorkflowRun:
        seen = {run.number for run in self._runs()}

        def new() -> _WorkflowRun | None:
            return next((run for run in self._runs() if run.number not in seen), None)

        names = json.dumps([gate.name for gate in self.gates])
        inputs = {"commit": str(self.order.commit), "gates": names, "run": self.title}
        fields = {"ref": self.order.settings.trunk, "inputs": inputs}
        try:
            self.github.post(
                f"actions/workflows/{WORKFLOW}/dispatches", fields, arrived=lambda: new() is not None
            )  # fmt: skip
        except Refused as error:
            raise Refused(
                f"GitHub does not run {WORKFLOW} of {self.order.settings.trunk} so",
                why=error.why,
                next_command=task_command("ci.workflow", comment="then land that file"),
            ) from error
        for pause in _APPEARS:
            if run := new():
                return run
            sleep(pause)
        raise ExternalError("GitHub took the dispatch, and shows no run of it", next_command=task_command("continue"))

    def _collect(self, number: int) -> None:
        ended = self.github.rest(f"actions/runs/{number}", _WorkflowRun.of).status == _COMPLETED
        path = f"actions/runs/{number}/jobs?per_page=100"
        jobs = self.github.rest(path, lambda body: tuple(_Job.of(each) for each in body["jobs"]))
        for gate, job in self._open(jobs):
            if job.status == "in_progress" and gate.name not in self.begun:
                self.begun.add(gate.name)
                self.order.began(gate.name)
            if job.status == _COMPLETED:
                self._ended(gate, self._collected(number, gate, job))
        if ended:
            why = self._why_not(jobs)
            for gate in self.gates:
                if gate.name not in self.found:
                    self._ended(gate, not_run(gate, why))

    def _open(self, jobs: tuple[_Job, ...]) -> Iterator[tuple[Gate, _Job]]:
        named = {job.name: job for job in jobs}
        for gate in self.gates:
            if gate.name in named and gate.name not in self.found:
                yield gate, named[gate.name]

    def _ended(self, gate: Gate, outcome: GateOutcome) -> None:
        self.found[gate.name] = outcome
        self.order.progress(outcome)

    def _collected(self, number: int, gate: Gate, job: _Job) -> GateOutcome:
        brought = self._brought(number, gate)
        if brought is None:
            return not_run(gate, self._told(job))
        named = _asked_toolchain(gate)
        if brought.receipt is not None:
            self.toolchains.setdefault(named, brought.receipt.toolchain)
        return accepted(self.order, gate, brought, self.toolchains.get(named))

    def _brought(self, number: int, gate: Gate) -> RemoteResult | None:
        """Return what a gate's job left; None: nothing."""
        name = f"receipt-{gate.name}"
        path = f"actions/runs/{number}/artifacts?name={name}"
        if not self.github.rest(path, lambda body: len(body["artifacts"])):
            return None
        with tempfile.TemporaryDirectory(prefix="trunkline-") as folder:
            if not self.github.download(number, name, Path(folder)):
                raise ExternalError(
                    f"the artifact {name} could not be fetched",
                    why=f"run {number} has it",
                    next_command=(task_command("continue"), f"gh run download {number} --name {name}"),
                )
            return _read(Path(folder), gate)

    def _why_not(self, jobs: tuple[_Job, ...]) -> str:
        """Say why a run ended before a gate had a job."""
        wrong = next((job for job in jobs if job.conclusion not in {"success", ""}), None)
        return self._told(wrong) if wrong else "the run ended without it"

    def _told(self, job: _Job) -> str:
        """Say why a job has no verdict: GitHub's own annotation, else where to read."""
        filtered = ("--jq", "{annotations: .}")  # a list by itself

        def read(body: Mapping[str, Any]) -> str:
            failures = (each for each in body["annotations"] if each["annotation_level"] == "failure")
            return next((str(each["message"]) for each in failures), "")

        message = ""
        with contextlib.suppress(TrunklineError):
            message = self.github.rest(f"check-runs/{job.number}/annotations", read, *filtered)
        return f"its job {job.name} ended ({job.conclusion}): {message or job.url}"


def _read(folder: Path, gate: Gate) -> RemoteResult | None:
    """Return what an artifact holds of a gate; None: no outcome that can be read."""
    files = {path.name: path for path in folder.rglob("*") if path.is_file() and not path.is_symlink()}
    try:
        outcome = GateOutcome.from_json(json.loads(files[f"{gate.name}.json"].read_bytes()))
    except (KeyError, OSError, ValueError, RecursionError):
        return None
    for path in files.values():
        receipt = read_receipt(path) if path.suffix == ".json" else ""
        if isinstance(receipt, Receipt) and (receipt.gate, receipt.started) == (gate.name, outcome.started):
            log = files.get(receipt.log)
            return RemoteResult(outcome, receipt, log.read_bytes() if log else b"", receipt.host)
    return RemoteResult(outcome, None, b"", "GitHub Actions")
