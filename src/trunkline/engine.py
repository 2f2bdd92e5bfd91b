"""Run the steps of a plan: log the start of each step, run it, and log its outcome."""

from __future__ import annotations

import time
from collections.abc import Callable, Collection, Mapping
from contextlib import AbstractContextManager
from typing import Protocol

import msgspec
from msgspec.structs import replace

from trunkline.domain import records
from trunkline.domain.command import names_task, task_command
from trunkline.domain.errors import Declined, Paused, Refused, TrunklineError, UsageError
from trunkline.domain.names import BranchName, EntryKey, labelled
from trunkline.domain.records import EntryRecord, Intent, RunFinished, StepBegan, StepDone, StepFailed
from trunkline.domain.stack import Entry
from trunkline.domain.step import Outcome, Plan, Step, StepKey, StepName, StepStatus
from trunkline.state.journal import Journal
from trunkline.state.lock import RepositoryLock


class ProgressReporter(Protocol):
    """Receives progress events while a plan runs."""

    def working(self, step: Step) -> AbstractContextManager[None]:
        """Return a context that lasts while a step runs."""

    def outcome(self, outcome: Outcome) -> None:
        """Report the outcome of a step."""


class StepContext(msgspec.Struct, frozen=True):
    """Arguments of every step: the held lock, the open journal, and the step itself."""

    lock: RepositoryLock
    journal: Journal
    step: Step

    def about(self, entry: Entry) -> tuple[StepName, EntryKey, BranchName]:
        """Return the first fields of a record of this step about an entry."""
        return self.step.name, entry.key, entry.branch

    def log_intent(self, intent: Intent) -> None:
        """Append what is about to change to the journal, durably, before it does."""
        self.log(intent)

    def log(self, record: EntryRecord) -> None:
        """Append a record of this step to the journal.

        The record names its entry, not the step's: a step of the whole stack changes several
        entries, and a record of an unnamed one would later be compared with another entry's branch.
        """
        self.journal.append(self.lock, record)


StepFunction = Callable[[StepContext], Outcome]


class Pause(Paused):
    """A pause, with the record for resuming it."""

    def __init__(self, error: Paused, record: records.Paused) -> None:
        super().__init__(error.what, why=error.why, next_command=error.next_commands)
        self.record = record


class RunResult(msgspec.Struct, frozen=True):
    """The outcomes of a plan's steps so far, and the error that stopped it, if there was one."""

    outcomes: Mapping[StepKey, Outcome]
    error: TrunklineError | None = None


def run_plan(
    plan: Plan,
    step_functions: Mapping[StepKey, StepFunction],
    *,
    lock: RepositoryLock,
    journal: Journal,
    reporter: ProgressReporter,
    done: Collection[StepKey] = (),
    ends: bool = True,
) -> RunResult:
    """Run a plan's steps in order; stop at the first that fails or pauses.

    Args:
        plan: the plan.
        step_functions: the functions that run its steps.
        lock: the held lock of the repository.
        journal: the run's journal.
        reporter: receives progress events.
        done: steps that an earlier process of this run finished.
        ends: the run is finished after the last step.
    """
    outcomes: dict[StepKey, Outcome] = {}
    for step in plan.steps:
        if step.key in done:
            continue
        pr = plan.pr_of(step)
        if step.name in plan.skipped:
            outcome = Outcome(step.name.value, "skipped by name", StepStatus.SKIPPED)
        else:
            journal.append(lock, StepBegan(step.name, pr))
            try:
                with reporter.working(step):
                    outcome = _timed(step_functions[step.key], StepContext(lock, journal, step))
            except TrunklineError as error:
                record, shown = _stopped(error, step, pr)
                journal.append(lock, record)
                if shown.data and isinstance(record, StepFailed):
                    outcomes[step.key] = Outcome(step.name.value, shown.what, StepStatus.FAILED, data=shown.data)
                return RunResult(outcomes, shown)
        if step.pr is not None:
            outcome = replace(outcome, message=_naming(labelled(step.pr), outcome.message))
        outcomes[step.key] = outcome
        journal.append(lock, _done(step.name, pr, outcome))
        reporter.outcome(outcome)
    if ends:
        journal.append(lock, RunFinished())
    return RunResult(outcomes)


def _stopped(error: TrunklineError, step: Step, pr: EntryKey | None) -> tuple[records.Record, TrunklineError]:
    """Return the record of an error that stopped a step, and the error as it is shown."""
    if isinstance(error, Pause):
        return error.record, error
    if isinstance(error, Declined):
        error = Refused(
            f"{step.label}: nothing more is published: the answer was no",
            why=error.why,
            next_command=(task_command("continue"), task_command("abort")),
        )
    resumable = not isinstance(error, Refused | UsageError) or names_task(error.next_commands, "continue")
    return StepFailed(step.name, pr=pr, what=error.what, code=int(error.code), resumable=resumable), error


def _done(name: StepName, pr: EntryKey | None, outcome: Outcome) -> StepDone:
    seconds, facts = round(outcome.seconds, 3), dict(outcome.data)
    return StepDone(
        name, pr=pr, mark=outcome.mark, message=outcome.message, seconds=seconds, facts=facts,
        replayed=outcome.replayed,
    )  # fmt: skip


def _timed(step_function: StepFunction, step_context: StepContext) -> Outcome:
    started = time.monotonic()
    outcome = step_function(step_context)
    return replace(outcome, seconds=time.monotonic() - started)


def _naming(label: str, message: str) -> str:
    """Return a message that begins with the entry's label; one about its branch may do so already."""
    return message if message.startswith((f"{label} ", f"{label},")) else f"{label} {message}"
