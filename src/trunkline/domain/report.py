"""The data of a report: the stack, its gates and checks, their timing, and the runs."""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec

from trunkline.domain.coverage import Coverage
from trunkline.domain.names import labelled
from trunkline.domain.receipt import Verdict, instant
from trunkline.domain.status import State
from trunkline.domain.words import count_of

if TYPE_CHECKING:
    from collections.abc import Sequence

    from trunkline.domain.receipt import GateOutcome
    from trunkline.domain.status import EntryStatus, StackStatus


class Evidenced(msgspec.Struct, frozen=True):
    """A gate or a check of an entry, with its outcome on exactly the entry's tree.

    Attributes:
        name: its name.
        title: its title if it is a check; "" for a gate.
        outcome: its outcome; None if it never finished on this tree.
        log: the end of its log if it failed and the log exists.
    """

    name: str
    title: str
    outcome: GateOutcome | None
    log: str = ""

    @property
    def failed(self) -> bool:
        """Its newest run failed, whatever the older ones did."""
        ran = self.outcome
        if ran is None:
            return False
        return ran.verdict in {Verdict.FAILED, Verdict.TIMED_OUT} or (
            ran.verdict is Verdict.FLAKY and ran.since != ""
        )


class EntryReport(msgspec.Struct, frozen=True):
    """One entry: its state and its evidence."""

    status: EntryStatus
    gates: tuple[Evidenced, ...]
    checks: tuple[Evidenced, ...]
    coverage: Coverage = msgspec.field(default_factory=lambda: Coverage(known=False))

    @property
    def all(self) -> tuple[Evidenced, ...]:
        """Its gates, then its checks."""
        return (*self.gates, *self.checks)


class RunStep(msgspec.Struct, frozen=True):
    """A run's step from the journal; `begun` if the journal ends there.

    `pr` is a branch for an entry that had no pull request.
    """

    name: str
    pr: int | str | None
    mark: str
    message: str
    seconds: float | None


class RunReport(msgspec.Struct, frozen=True):
    """A run, from its journal."""

    id: str
    task: str
    pr: int | str | None
    state: str
    at: str
    steps: tuple[RunStep, ...]


class Report(msgspec.Struct, frozen=True):
    """All data of a report, observed at one instant.

    Attributes:
        made: the time, ISO 8601 in UTC.
        repository: `owner/name`.
        url: its page.
        status: the stack.
        entries: its entries, bottom first.
        runs: the newest runs, newest first.
    """

    made: str
    repository: str
    url: str
    status: StackStatus
    entries: tuple[EntryReport, ...]
    runs: tuple[RunReport, ...]


class Bar(msgspec.Struct, frozen=True):
    """A gate in a timeline.

    Attributes:
        name: the gate's name.
        passed: it passed.
        start: its start in seconds on the timeline.
        seconds: its duration.
        cores: CPU time over wall time; None if unknown.
    """

    name: str
    passed: bool
    start: float
    seconds: float
    cores: float | None


class Timeline(msgspec.Struct, frozen=True):
    """The gates of one entry that ran together.

    Attributes:
        bars: the gates by start time.
        seconds: from the first start to the last end.
        cores: total CPU time divided by `seconds`; None if unknown.
        begun: the first start, ISO 8601 in UTC.
    """

    bars: tuple[Bar, ...]
    seconds: float
    cores: float | None
    begun: str


_APART_SECONDS = 600.0


def timelines(evidence: Sequence[Evidenced]) -> tuple[Timeline, ...]:
    """Return the timelines of gates, oldest first; a gap of 10 minutes begins a new one.

    Stale verdicts are left out, since the gate would run differently now.
    """
    known = (each.outcome for each in evidence if each.outcome is not None and each.outcome.started)
    ran = [outcome for outcome in known if outcome.verdict is not Verdict.STALE]
    ran.sort(key=lambda outcome: (_time(outcome), outcome.gate))
    groups: list[list[GateOutcome]] = []
    end = 0.0
    for outcome in ran:
        if not groups or _time(outcome) > end + _APART_SECONDS:
            groups.append([])
            end = 0.0
        groups[-1].append(outcome)
        end = max(end, _time(outcome) + outcome.seconds)
    return tuple(_timeline(group) for group in groups)


def _timeline(ran: Sequence[GateOutcome]) -> Timeline:
    first = _time(ran[0])
    seconds = max(_time(outcome) + outcome.seconds for outcome in ran) - first
    cpu = sum(outcome.cpu_seconds for outcome in ran)
    bars = tuple(
        Bar(
            outcome.gate,
            outcome.verdict is Verdict.PASSED,
            _time(outcome) - first,
            outcome.seconds,
            outcome.cpu_seconds / outcome.seconds if outcome.cpu_seconds and outcome.seconds else None,
        )
        for outcome in ran
    )
    return Timeline(bars, seconds, cpu / seconds if cpu and seconds else None, ran[0].started)


def _time(outcome: GateOutcome) -> float:
    return instant(outcome.started).timestamp()


def verdict(report: Report) -> str:
    """Return the state of the stack in one sentence: the first failure, else the lowest open entry."""
    open_ = [entry for entry in report.entries if entry.status.standing.state is not State.MERGED]
    if not open_:
        count = len(report.entries)
        return "The pull request is merged." if count == 1 else f"All {count} pull requests are merged."
    failed = [(entry.status.entry.key, [each.name for each in entry.all if each.failed]) for entry in open_]
    message = [f"{labelled(key)}: {', '.join(names)} failed" for key, names in failed if names]
    if message:
        return f"{'; '.join(message)}."
    lowest = open_[0].status
    more = f"; {count_of(len(open_) - 1, 'entry', 'entries')} above it" if len(open_) > 1 else ""
    return f"{lowest.entry.label} {lowest.standing}{more}."
