"""Run gates on GitHub Actions: dispatch the workflow of `ci.workflow`, poll it, collect receipts.

The commit is pushed to a temporary ref, because it may be on no branch of the remote yet; the ref
is deleted when the workflow run has ended. If this process stops, the run continues, and a later
request for the same gates of the commit joins it.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import tempfile
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

import msgspec
from msgspec.structs import replace

from trunkline.config.reading import FILE_NAME
from trunkline.domain.command import task_command
from trunkline.domain.errors import ExternalError, Refused, TrunklineError, UsageError
from trunkline.domain.names import short
from trunkline.domain.receipt import GateOutcome, Receipt, Toolchain
from trunkline.domain.repository import repository_of
from trunkline.gates import preflight, proof
from trunkline.gates.catalogue import Gate
from trunkline.gates.executor import GateJob, Outcomes, RemoteResult, accepted, not_run
from trunkline.git import push, refs
from trunkline.github import workflow_runs
from trunkline.github.client import GitHub
from trunkline.github.responses import NotFound
from trunkline.github.workflow_runs import Job, WorkflowRun
from trunkline.state.receipt_store import read_receipt
from trunkline.system.retry import sleep

WORKFLOW = "trunkline.yml"
"""The workflow's file name below .github/workflows; `report/gates.yml.j2` defines its inputs."""
_APPEARS = (0.5, 1.0, 2.0, 4.0, *[5.0] * 20)
"""Seconds between polls for a dispatched run, because GitHub creates it after the response."""
_LOOK = 5.0
"""Seconds between polls of a run.

Each takes two of the 5,000 requests that GitHub allows per hour.
"""
_QUEUE = 3600.0
"""Seconds that a run may take beyond a gate's timeout, to wait for a runner and its setup."""


def run_gate_jobs(gate_jobs: Sequence[GateJob]) -> list[Outcomes]:
    """Run gates of several commits on GitHub Actions in parallel; store receipts, return outcomes.

    Raises:
        UsageError: the repository on GitHub has no such workflow.
        Refused: the workflow on GitHub has other inputs, or Actions is disabled.
        ExternalError: GitHub failed, or a run takes too long; it continues, and the next task joins
            it.
    """
    runs = [_run_of(gate_job) for gate_job in gate_jobs]
    try:
        for run in runs:
            run.begin()
        ends = time.monotonic() + gate_jobs[0].settings.timeout + _QUEUE
        while going := [run for run in runs if not run.poll()]:
            if time.monotonic() > ends:
                raise ExternalError(
                    "GitHub Actions takes too long",
                    why="the runs there continue, and the next task joins them",
                    next_command=(task_command("continue"), f"gh run view {going[0].number} --web"),
                )
            sleep(_LOOK)
    except (KeyboardInterrupt, Refused, UsageError):
        for run in runs:
            run.cancel()
        raise
    # Any other failure keeps runs and refs, so that the next task can join them.
    return [run.found for run in runs]


def _run_of(gate_job: GateJob) -> _Run:
    """Return the run of a job's gates, except those with a receipt and those that cannot pass."""
    known = _known(gate_job)
    missing = tuple(gate for gate in gate_job.gates if gate.name not in known)
    stopped = preflight.refused_anywhere(gate_job.git, gate_job.commit, missing, gate_job.settings.root)
    gate_job.on_stopped(tuple(stopped.values()))
    repository = repository_of(refs.remote_url(gate_job.git, gate_job.settings.remote, push=True))
    toolchains = {_toolchain_argument(gate): known[gate.name][1] for gate in gate_job.gates if gate.name in known}
    return _Run(
        gate_job,
        GitHub(repository, gate_job.git.cwd, gate_job.say),
        tuple(gate for gate in missing if gate.name not in stopped),
        toolchains,
        {name: outcome for name, (outcome, _) in known.items()} | stopped,
    )


def _require_stackfile(gate_job: GateJob) -> None:
    """Refuse a commit without stack.toml: the runner has no other copy, so no gate definitions.

    Raises:
        UsageError: the commit has none, for example because stack.toml is not tracked.
    """
    if gate_job.git.cached_query("ls-tree", "-z", "--name-only", gate_job.commit, "--", FILE_NAME).text:
        return
    raise UsageError(
        f"{short(gate_job.commit)} holds no {FILE_NAME}: GitHub Actions would not know its gates",
        why='executor = "actions" runs what the stack.toml of the commit says; yours is not in it; nothing was run',
        next_command=(
            f"git add --force {FILE_NAME}   # on {gate_job.settings.trunk}; commit, push, rebase the stack",
            f"${{EDITOR:-vi}} {FILE_NAME}   # or take executor out",
        ),
    )


def _known(gate_job: GateJob) -> dict[str, tuple[GateOutcome, Toolchain]]:
    """Return outcomes proven by receipts from Actions, if one toolchain compiled all of them.

    The toolchain that Actions would use now is unknown here.
    """
    known = gate_job.known_receipts()
    if known is None:
        return {}
    found, toolchains = {}, set()
    for gate in gate_job.gates:
        query = replace(proof.query_of(gate, gate_job.tree), executor="actions")
        outcome, receipt = proof.reusable(known, query, gate), known.prove(query).known
        if outcome is not None and receipt is not None:
            found[gate.name] = outcome, receipt.receipt.toolchain
            toolchains.add((_toolchain_argument(gate), receipt.receipt.toolchain))
    return found if len(toolchains) == len({named for named, _ in toolchains}) else {}


def _toolchain_argument(gate: Gate) -> str:
    """Return the toolchain argument of a gate, as `+1.89.0`; "": the default one."""
    return next((part for part in gate.argv[1:2] if part.startswith("+")), "")


class _Run(msgspec.Struct):
    """One run of the workflow.

    Attributes:
        gate_job: the gate job.
        github: the repository on GitHub.
        gates: the gates that it runs.
        toolchains: toolchain argument -> toolchain, of gates with outcomes.
        found: the outcomes so far.
        started: the gates that have started.
        number: GitHub's number of the run; 0: not dispatched, or ended.
        pushed: the temporary ref exists on the remote.
    """

    gate_job: GateJob
    github: GitHub
    gates: tuple[Gate, ...]
    toolchains: dict[str, Toolchain]
    found: Outcomes
    started: set[str] = msgspec.field(default_factory=set)
    number: int = 0
    pushed: bool = False

    def begin(self) -> None:
        """Report known outcomes, push the commit, and dispatch or join the run of the other gates."""
        gate_job = self.gate_job
        gate_job.starts()
        for outcome in self.found.values():
            gate_job.progress(outcome)
        if not self.gates:
            return
        _require_stackfile(self.gate_job)
        self.pushed = True
        push.push_temporary_ref(gate_job.git, gate_job.settings.remote, gate_job.commit)
        try:
            run = self._going() or self._dispatched()
        except NotFound as missing:
            raise UsageError(
                f"{self.github.repository.slug} has no workflow {WORKFLOW}",
                why=f"it is dispatched from {gate_job.settings.trunk}, and must be there",
                next_command=task_command("ci.workflow", comment="then land that file"),
            ) from missing
        gate_job.say(f"gates of {short(gate_job.commit)} run on GitHub Actions: {run.url}")
        self.number = run.number

    def poll(self) -> bool:
        """Collect the outcomes of finished jobs; return whether all have finished."""
        if self.number:
            self._collect(self.number)
        if ended := all(gate.name in self.found for gate in self.gates):
            self._delete_temporary_ref()
        return ended

    def cancel(self) -> None:
        """Cancel the run and delete the temporary ref."""
        try:
            for run in self._runs() if self.pushed else ():
                if not run.is_completed:
                    self.github.post(f"actions/runs/{run.number}/cancel", {}, arrived=lambda: False)
        except NotFound:
            pass  # the workflow does not exist
        except TrunklineError as error:
            self.gate_job.say(f"the run could not be cancelled: {error.what}")
        self._delete_temporary_ref()

    def _delete_temporary_ref(self) -> None:
        if self.pushed:
            push.delete_temporary_ref(self.gate_job.git, self.gate_job.settings.remote, self.gate_job.commit)
        self.pushed, self.number = False, 0

    @property
    def title(self) -> str:
        """The title of the run, which identifies the commit and the gates."""
        names = ",".join(gate.name for gate in self.gates)
        what = f"{self.gate_job.commit} {names} {self.gate_job.reuse.value}"
        return f"gates of {short(self.gate_job.commit)} ({hashlib.sha256(what.encode()).hexdigest()[:12]})"

    def _runs(self) -> tuple[WorkflowRun, ...]:
        runs = workflow_runs.dispatched_runs(self.github, WORKFLOW, self.gate_job.settings.trunk)
        return tuple(run for run in runs if run.title == self.title)

    def _going(self) -> WorkflowRun | None:
        going = next((run for run in self._runs() if not run.is_completed), None)
        if going is not None:
            self.gate_job.say("a run of the same gates is under way")
        return going

    def _dispatched(self) -> WorkflowRun:
        seen = {run.number for run in self._runs()}

        def new() -> WorkflowRun | None:
            return next((run for run in self._runs() if run.number not in seen), None)

        names = json.dumps([gate.name for gate in self.gates])
        inputs = {"commit": str(self.gate_job.commit), "gates": names, "run": self.title}
        fields = {"ref": self.gate_job.settings.trunk, "inputs": inputs}
        try:
            self.github.post(
                f"actions/workflows/{WORKFLOW}/dispatches", fields, arrived=lambda: new() is not None
            )  # fmt: skip
        except Refused as error:
            raise Refused(
                f"GitHub does not run {WORKFLOW} of {self.gate_job.settings.trunk} so",
                why=error.why,
                next_command=task_command("ci.workflow", comment="then land that file"),
            ) from error
        for pause in _APPEARS:
            if run := new():
                return run
            sleep(pause)
        raise ExternalError("GitHub took the dispatch, and shows no run of it", next_command=task_command("continue"))

    def _collect(self, number: int) -> None:
        ended = workflow_runs.run_of(self.github, number).is_completed
        jobs = workflow_runs.jobs_of(self.github, number)
        for gate, job in self._open(jobs):
            if job.is_running and gate.name not in self.started:
                self.started.add(gate.name)
                self.gate_job.began(gate.name)
            if job.is_completed:
                self._ended(gate, self._collected(number, gate, job))
        if ended:
            why = self._why_not(jobs)
            for gate in self.gates:
                if gate.name not in self.found:
                    self._ended(gate, not_run(gate, why))

    def _open(self, jobs: tuple[Job, ...]) -> Iterator[tuple[Gate, Job]]:
        named = {job.name: job for job in jobs}
        for gate in self.gates:
            if gate.name in named and gate.name not in self.found:
                yield gate, named[gate.name]

    def _ended(self, gate: Gate, outcome: GateOutcome) -> None:
        self.found[gate.name] = outcome
        self.gate_job.progress(outcome)

    def _collected(self, number: int, gate: Gate, job: Job) -> GateOutcome:
        result = self._artifact_result(number, gate)
        if result is None:
            return not_run(gate, self._reason(job))
        named = _toolchain_argument(gate)
        if result.receipt is not None:
            self.toolchains.setdefault(named, result.receipt.toolchain)
        return accepted(self.gate_job, gate, result, self.toolchains.get(named))

    def _artifact_result(self, number: int, gate: Gate) -> RemoteResult | None:
        """Return the artifact of a gate's job; None: there is none."""
        name = f"receipt-{gate.name}"
        if not workflow_runs.has_artifact(self.github, number, name):
            return None
        with tempfile.TemporaryDirectory(prefix="trunkline-") as folder:
            if not self.github.download(number, name, Path(folder)):
                raise ExternalError(
                    f"the artifact {name} could not be fetched",
                    why=f"run {number} has it",
                    next_command=(task_command("continue"), f"gh run download {number} --name {name}"),
                )
            return _read(Path(folder), gate)

    def _why_not(self, jobs: tuple[Job, ...]) -> str:
        """Return the reason why a run ended without a job for a gate."""
        wrong = next((job for job in jobs if job.conclusion not in {"success", None}), None)
        return self._reason(wrong) if wrong else "the run ended without it"

    def _reason(self, job: Job) -> str:
        """Return the reason why a job has no verdict: GitHub's annotation, else its URL."""
        message = ""
        with contextlib.suppress(TrunklineError):
            message = workflow_runs.failure_of(self.github, job)
        return f"its job {job.name} ended ({job.conclusion}): {message or job.url}"


def _read(folder: Path, gate: Gate) -> RemoteResult | None:
    """Return a gate's result in an artifact; None: it cannot be parsed."""
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
