"""Run the steps of a plan: log the start of each step, run it, and log its outcome."""

from __future__ import annotations

import time
from collections.abc import Callable, Collection, Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass, replace
from typing import Any, Protocol

from trunkline.domain.command import task_command
from trunkline.domain.errors import Declined, Paused, Refused, TrunklineError
from trunkline.domain.stack import Entry
from trunkline.domain.step import Outcome, Plan, Step, StepKey, StepStatus
from trunkline.state.journal import Journal
from trunkline.state.lock import RepositoryLock


class ProgressReporter(Protocol):
    """Receives progress events while a plan runs."""

    def working(self, step: Step) -> AbstractContextManager[None]:
        """Return a context that lasts while a step runs."""

    def outcome(self, outcome: Outcome) -> None:
        """Report the outcome of a step."""


@dataclass(frozen=True)
class StepContext:
    """What a step is given: proof that it may mutate, and the journal for intents of its own."""

    lock: RepositoryLock
    journal: Journal
    step: Step

    def log_intent(self, entry: Entry, **data: Any) -> None:
        """Journal what is about to change of an entry, durably, before it does: expected and desired values."""
        self.note("intent", entry, **data)

    def withdraw(self, entry: Entry, **data: Any) -> None:
        """Journal that an announced change had no effect, as was verified; `data` names it as its intent did."""
        self.note("withdrawn", entry, **data)

    def note(self, kind: str, entry: Entry, **data: Any) -> None:
        """Append a record of this step to the journal, with the entry that it is about.

        The entry is an argument, not taken from the step: a step of the whole stack changes several entries, and a
        record of an unnamed one would later be compared with another entry's branch.
        """
        about = {"pr": entry.pr, "branch": entry.branch}
        self.journal.append(self.lock, kind, step=self.step.name.value, **about, **data)


StepFunction = Callable[[StepContext], Outcome]


class Pause(Paused):
    """A pause, with the journal values for resuming it."""

    def __init__(self, error: Paused, **data: Any) -> None:
        super().__init__(error.what, why=error.why, next_command=error.next_commands)
        self.data = data


@dataclass(frozen=True)
class RunResult:
    """What became of a plan: the outcomes so far, in order, and the error that stopped it, if one did."""

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
        about: dict[str, Any] = {"step": step.name.value, **plan.about(step)}
        if step.name in plan.skipped:
            outcome = Outcome(step.name.value, "skipped by name", StepStatus.SKIPPED)
        else:
            journal.append(lock, "begin", **about)
            try:
                with reporter.working(step):
                    outcome = _timed(step_functions[step.key], StepContext(lock, journal, step))
            except Pause as pause:
                journal.append(lock, "paused", **{**about, **pause.data})
                return RunResult(outcomes, pause)
            except Declined as declined:
                refused = Refused(
                    f"{step.label}: nothing more is published: the answer was no",
                    why=declined.why,
                    next_command=(task_command("continue"), task_command("abort")),
                )
                journal.append(lock, "failed", **about, what=refused.what, code=int(refused.code))
                return RunResult(outcomes, refused)
            except TrunklineError as error:
                journal.append(lock, "failed", **about, what=error.what, code=int(error.code))
                if error.data:
                    outcomes[step.key] = Outcome(step.name.value, error.what, StepStatus.FAILED, data=error.data)
                return RunResult(outcomes, error)
        if step.pr is not None:
            outcome = replace(outcome, message=f"#{step.pr} {outcome.message}")
        outcomes[step.key] = outcome
        about |= {"mark": outcome.mark.value, "message": outcome.message, "seconds": round(outcome.seconds, 3)}
        journal.append(lock, "done", **about, facts=dict(outcome.data))
        reporter.outcome(outcome)
    if ends:
        journal.append(lock, "finished")
    return RunResult(outcomes)


def _timed(step_function: StepFunction, step_context: StepContext) -> Outcome:
    started = time.monotonic()
    outcome = step_function(step_context)
    return replace(outcome, seconds=time.monotonic() - started)
