"""Run the gates of every entry of a stack.

Local gates run bottom first and reuse each other's caches; remote gates run in parallel.
"""

from __future__ import annotations

import time
from collections.abc import Collection, Mapping

import msgspec
from msgspec.structs import replace

from trunkline.context.project import Project, Reporter
from trunkline.domain.names import Oid, branch_ref, short
from trunkline.domain.receipt import GateOutcome, Verdict, by_cause
from trunkline.domain.reuse import Reuse
from trunkline.domain.snapshot import PrState
from trunkline.domain.stack import Entry, Stack
from trunkline.gates.catalogue import catalogue, gate_names
from trunkline.gates.estimate import Estimate, estimate
from trunkline.gates.executor import GateJob
from trunkline.gates.run import LOCAL, run_gate_jobs
from trunkline.git import refs
from trunkline.git.git import Git


def unmerged(project: Project) -> tuple[Entry, ...]:
    """Return the entries that GitHub has not merged.

    Raises:
        TrunklineError: the request to GitHub failed.
    """
    with project.reading_pulls(merging=False) as response:
        pulls = response()
    found = {entry.key: pulls.pr(entry.key) for entry in project.stack.entries}
    return tuple(
        entry for entry in project.stack.entries
        if (pr := found[entry.key]) is None or pr.state is not PrState.MERGED
    )  # fmt: skip


class GatedEntry(msgspec.Struct, frozen=True):
    """One row of the result table.

    Attributes:
        entry: the entry.
        commit: the tip of the local branch, else of the remote branch; None if neither is known.
        outcomes: outcomes by gate name.
        seconds: the duration of all gates.
    """

    entry: Entry
    commit: Oid | None
    outcomes: Mapping[str, GateOutcome]
    seconds: float = 0.0


def gate_stack(git: Git, stack: Stack, reporter: Reporter, reuse: Reuse) -> tuple[GatedEntry, ...]:
    """Run the gates on each entry's tip, and continue after failures.

    Args:
        git: the user's checkout.
        stack: the stack.
        reporter: receives progress events.
        reuse: the results of earlier runs that may be reused.
    """
    rows, jobs = [], []
    running = RunningGates()
    side_by_side = stack.gates.executor != LOCAL
    for entry in stack.entries:
        row = GatedEntry(entry, _tip(git, stack, entry), {})
        rows.append(row)
        if row.commit is None:
            reporter.progress(f"{entry.full_label} skipped: it has no local branch and no tracking branch")
        else:
            jobs.append(
                _Gated(row, GateProgress(reporter, git, f"{entry.label} " if side_by_side else "", running), reporter)
            )
    started = time.monotonic()
    found = run_gate_jobs([each.job(git, stack, reuse) for each in jobs])
    reporter.gates_ended(time.monotonic() - started)
    done = {each.row.entry.key: each.row_of(outcomes) for each, outcomes in zip(jobs, found, strict=True)}
    return tuple(done.get(row.entry.key, row) for row in rows)


class _Gated(msgspec.Struct):
    """One entry whose gates are running."""

    row: GatedEntry
    progress: GateProgress
    reporter: Reporter
    started: float = 0.0
    ended: float = 0.0

    def job(self, git: Git, stack: Stack, reuse: Reuse) -> GateJob:
        """Return the job for the executor."""
        assert self.row.commit is not None  # noqa: S101 -- only entries with a commit get a job
        return GateJob(
            git, self.row.commit, catalogue(stack.gates), stack.gates, reuse, self._ended, self.progress.began,
            self.reporter.progress, self._starts, self.progress.printed, on_stopped=self._on_stopped,
            compiled=self.progress.compiled,
        )  # fmt: skip

    def row_of(self, outcomes: Collection[GateOutcome]) -> GatedEntry:
        """Return the finished row."""
        found = {outcome.gate: outcome for outcome in outcomes}
        return replace(self.row, outcomes=found, seconds=max(self.ended - self.started, 0.0))

    def _on_stopped(self, stopped: tuple[GateOutcome, ...]) -> None:
        for group in by_cause(stopped):
            outcome, names = group[0], ", ".join(each.gate for each in group)
            fix = f"; to fix it: {outcome.fix}" if outcome.fix else ""
            will = "cannot run" if outcome.verdict is Verdict.UNAVAILABLE else "will fail"
            self.reporter.progress(f"{self.row.entry.label} {names} {will}: {outcome.diagnosis}{fix}")

    def _starts(self) -> None:
        self.started = self.ended = time.monotonic()
        assert self.row.commit is not None  # noqa: S101 -- only entries with a commit get a job
        self.reporter.progress(f"{self.row.entry.full_label} at {short(self.row.commit)}")

    def _ended(self, outcome: GateOutcome) -> None:
        self.ended = time.monotonic()
        self.progress.ended(outcome)


class RunningGates(msgspec.Struct):
    """The gates that are running.

    Attributes:
        gates: start times by name, from the monotonic clock.
        lines: the last output line by name.
        estimates: estimated durations by name.
        units: the number of compiled units by name.
    """

    gates: dict[str, float] = msgspec.field(default_factory=dict)
    lines: dict[str, str] = msgspec.field(default_factory=dict)
    estimates: dict[str, Estimate] = msgspec.field(default_factory=dict)
    units: dict[str, int] = msgspec.field(default_factory=dict)

    def remove(self, name: str) -> None:
        """Remove a finished gate."""
        for facts in (self.gates, self.lines, self.estimates, self.units):
            facts.pop(name, None)

    def details(self) -> dict[str, str]:
        """Return progress details by gate: units, estimate, last line; without empty ones."""
        return {name: text for name in self.gates if (text := self._details(name))}

    def _details(self, name: str) -> str:
        expected, compiled = self.estimates.get(name, Estimate()), self.units.get(name, 0)
        parts = []
        if compiled:
            # The tree may have more units than the previous one.
            parts.append(f"{compiled}/{expected.units}" if expected.units >= compiled else f"{compiled} compiled")
        if expected.seconds >= 1:
            parts.append(f"about {_about(expected.seconds)}")
        return "; ".join(part for part in (", ".join(parts), self.lines.get(name, "")) if part)


class GateProgress:
    """Reports the progress and the outcome of gates to a reporter.

    Args:
        reporter: receives progress events.
        git: the repository, its receipts give the estimates.
        whose: a prefix for gate names when gates of several entries run in parallel.
        running: the running gates, shared between the entries.
    """

    def __init__(self, reporter: Reporter, git: Git, whose: str = "", running: RunningGates | None = None) -> None:
        self._reporter = reporter
        self._git = git
        self._whose = whose
        self._running = running or RunningGates()
        self._causes: dict[str, str] = {}  # cause key -> the first gate that failed with it

    def began(self, name: str) -> None:
        """Handle the start of a gate."""
        self._running.gates[f"{self._whose}{name}"] = time.monotonic()
        self._running.estimates[f"{self._whose}{name}"] = estimate(self._git, name)
        self._show()

    def printed(self, name: str, line: str) -> None:
        """Handle an output line of a remote gate."""
        if f"{self._whose}{name}" in self._running.gates:
            self._running.lines[f"{self._whose}{name}"] = line
            self._show()

    def compiled(self, name: str, units: int) -> None:
        """Handle the number of units that a gate has compiled."""
        if f"{self._whose}{name}" in self._running.gates:
            self._running.units[f"{self._whose}{name}"] = units
            self._show()

    def _show(self) -> None:
        self._reporter.running(self._running.gates, self._running.details())

    def ended(self, outcome: GateOutcome) -> None:
        """Handle the outcome of a gate."""
        self._running.remove(f"{self._whose}{outcome.gate}")
        self._show()
        how = "receipt" if outcome.reused else f"{outcome.seconds:.1f}s"
        first = self._causes.setdefault(outcome.cause_key, outcome.gate) if outcome.cause_key else outcome.gate
        why = outcome.diagnosis or outcome.fix if first == outcome.gate else f"for the same cause as {first}"
        why = f": {why}" if outcome.verdict is not Verdict.PASSED else ""
        self._reporter.progress(f"{self._whose}{outcome.gate:7} {outcome.words} ({how}){why}")
        for name in outcome.left:
            self._reporter.progress(f"{self._whose}{outcome.gate:7} left a process running, which was ended: {name}")


def _about(seconds: float) -> str:
    """Return seconds rounded to the precision of an estimate: `7 s`, `40 s`, `3 min`."""
    if seconds < 10:  # noqa: PLR2004 -- exact below ten seconds
        return f"{seconds:.0f} s"
    if seconds < 90:  # noqa: PLR2004 -- tens of seconds up to 90 s
        return f"{round(seconds / 10) * 10:.0f} s"
    return f"{seconds / 60:.0f} min"


def names(stack: Stack) -> tuple[str, ...]:
    """Return the columns of the table."""
    return gate_names(stack.gates)


def _tip(git: Git, stack: Stack, entry: Entry) -> Oid | None:
    for ref in (branch_ref(entry.branch), refs.tracking_ref(stack.remote, entry.branch)):
        if found := refs.read_ref(git, ref):
            return found
    return None
