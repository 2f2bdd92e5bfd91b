"""Command `report`: gather the data of a report from GitHub, the receipts and the journals."""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

from msgspec import structs

from trunkline.commands import status as status_command
from trunkline.context.run import Context
from trunkline.domain import records
from trunkline.domain.coverage import Coverage
from trunkline.domain.receipt import instant
from trunkline.domain.report import EntryReport, Evidenced, Report, RunReport, RunStep
from trunkline.domain.status import EntryStatus
from trunkline.domain.step import StepKey
from trunkline.gates.shown_paths import relative_paths
from trunkline.git.git import Git
from trunkline.planning.coverage import coverage_of
from trunkline.planning.observed_stack import ObservedStack
from trunkline.state import journal
from trunkline.state.journal import Run

_LOG_LINES = 60
_RUNS = 10


def gather(context: Context, *, offline: bool) -> Report:
    """Gather the report of a stack.

    Args:
        context: the context of the whole stack.
        offline: make no requests to GitHub.

    Raises:
        TrunklineError: see `status`.
    """
    observed, status = status_command.look(context, offline=offline)
    repository = context.repository
    return Report(
        made=dt.datetime.now(dt.timezone.utc).isoformat(timespec="seconds"),
        repository=repository.slug,
        url=f"https://{repository.host}/{repository.slug}",
        status=status,
        entries=tuple(_entry(context.git, observed, row) for row in status.entries),
        runs=tuple(_run(run) for run in list(journal.runs(context.state))[:_RUNS]),
    )


def _entry(git: Git, observed: ObservedStack, row: EntryStatus) -> EntryReport:
    """Return an entry's report, with the evidence of its status."""
    relative = relative_paths(git)
    titles = {check.name: check.text for check in row.entry.checks}
    return EntryReport(
        row,
        tuple(_with_log(Evidenced(name, "", outcome), relative) for name, outcome in row.gates),
        tuple(_with_log(Evidenced(name, titles[name], outcome), relative) for name, outcome in row.checks),
        _coverage(observed, row),
    )


def _coverage(observed: ObservedStack, row: EntryStatus) -> Coverage:
    proven = [outcome for _, outcome in row.gates if outcome is not None and outcome.proven]
    subject = observed.subject(row.entry) if proven else None
    if subject is None:
        return Coverage(known=False)
    return coverage_of(subject.git, subject.base, subject.commit, proven)


def _with_log(evidence: Evidenced, relative: Callable[[str], str]) -> Evidenced:
    """Return evidence with the end of its log if it failed, without private directories."""
    if evidence.outcome is None:
        return evidence
    ran = evidence.outcome
    shown = replace(ran, diagnosis=relative(ran.diagnosis), fix=relative(ran.fix), summary=relative(ran.summary))
    evidence = structs.replace(evidence, outcome=shown)
    if not evidence.failed:
        return evidence
    try:
        lines = Path(ran.log).read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError:
        return evidence
    return structs.replace(evidence, log=relative("\n".join(lines[-_LOG_LINES:])))


def _run(run: Run) -> RunReport:
    begun: dict[StepKey, str] = {}
    steps: dict[StepKey, RunStep] = {}
    for record in run.records:
        match record:
            case records.StepBegan():
                mark, message = "begun", ""
                begun[record.step, record.pr] = record.at
            case records.StepDone():
                mark, message = record.mark.value, record.message
            case records.Paused():
                mark, message = "paused", ""
            case records.StepFailed():
                mark, message = "failed", record.what
            case _:
                continue
        key = record.step, record.pr
        ended = not isinstance(record, records.StepBegan) and key in begun
        seconds = _between(begun[key], record.at) if ended else None
        steps[key] = RunStep(record.step.value, record.pr, mark, message, seconds)
    at = run.records[0].at if run.records else ""
    return RunReport(run.id, run.task, run.started.pr if run.started else None, run.state, at, tuple(steps.values()))


def _between(one: str, other: str) -> float:
    return max(0.0, (instant(other) - instant(one)).total_seconds())
