"""Performs a Plan: for each step write the intent, act, and write the outcome. Knows no step by name."""

from __future__ import annotations

import time
from collections.abc import Callable, Collection, Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass, replace
from typing import Any, Protocol

from trunkline.adapters.journal import Journal
from trunkline.adapters.lease import Lease
from trunkline.domain.errors import Paused, TrunklineError
from trunkline.domain.step import Mark, Outcome, Plan, Step, StepName


class Teller(Protocol):
    """Who is told as it happens."""

    def working(self, step: Step) -> AbstractContextManager[None]:
        """A step begins; the context ends with it."""

    def outcome(self, outcome: Outcome) -> None:
        """A step ended."""


@dataclass(frozen=True)
class Acting:
    """What a step is given: proof that it may mutate, and the journal for intents of its own."""

    lease: Lease
    journal: Journal
    step: Step

    def intend(self, **data: Any) -> None:
        """Journal what is about to change, durably, before it does: expected and desired values."""
        self.journal.append(self.lease, "intent", step=self.step.name.value, **data)


Performer = Callable[[Acting], Outcome]


class Pause(Paused):
    """A pause with what is needed to go on from it: journal values."""

    def __init__(self, error: Paused, **data: Any) -> None:
        super().__init__(error.what, why=error.why, next_command=error.next_commands)
        self.data = data


@dataclass(frozen=True)
class Performed:
    """What became of a plan: the outcomes so far, by step, and the error that stopped it, if one did."""

    outcomes: Mapping[StepName, Outcome]
    error: TrunklineError | None = None


def perform(
    plan: Plan,
    performers: Mapping[StepName, Performer],
    *,
    lease: Lease,
    journal: Journal,
    tell: Teller,
    done: Collection[StepName] = (),
) -> Performed:
    """Perform a plan's steps in order; stop at the first that fails or pauses.

    Args:
        plan: what to do.
        performers: how, by step.
        lease: proof that this run may mutate the repository.
        journal: the run's journal.
        tell: who is told.
        done: steps that an earlier process of this run finished.
    """
    outcomes: dict[StepName, Outcome] = {}
    for step in plan.steps:
        if step.name in done:
            continue
        if step.name in plan.skipped:
            outcome = Outcome(step.name.value, "skipped by name", Mark.SKIPPED)
        else:
            journal.append(lease, "begin", step=step.name.value)
            try:
                with tell.working(step):
                    outcome = _timed(performers[step.name], Acting(lease, journal, step))
            except Pause as pause:
                journal.append(lease, "paused", step=step.name.value, **pause.data)
                return Performed(outcomes, pause)
            except TrunklineError as error:
                journal.append(lease, "failed", step=step.name.value, what=error.what, code=int(error.code))
                return Performed(outcomes, error)
        outcomes[step.name] = outcome
        facts = {"mark": outcome.mark.value, "told": outcome.told, "seconds": round(outcome.seconds, 3)}
        journal.append(lease, "done", step=step.name.value, **facts, facts=dict(outcome.data))
        tell.outcome(outcome)
    journal.append(lease, "finished")
    return Performed(outcomes)


def _timed(performer: Performer, acting: Acting) -> Outcome:
    started = time.monotonic()
    outcome = performer(acting)
    return replace(outcome, seconds=time.monotonic() - started)
