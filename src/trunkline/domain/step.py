"""A step, a plan made of steps, and what a step did. Data: printed, compared, stored."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import Enum
from typing import Any

from trunkline.domain.names import PrNumber


class StepName(Enum):
    """The steps of a rebase, in their order; each is a task of the same name."""

    VERIFY_MERGED = "verify-merged"
    SWITCH = "switch"
    FETCH = "fetch"
    ONTO = "onto"
    FMT = "fmt"
    GATES = "gates"
    PUSH = "push"
    READY = "ready"
    NOTE = "note"
    CHECKLIST = "checklist"
    NEXT = "next"


class Mark(Enum):
    """How a step went."""

    DONE = "done"
    NOTHING = "nothing to do"
    SKIPPED = "skipped"
    WARNED = "done, with a warning"
    FAILED = "failed"
    PLANNED = "planned"


@dataclass(frozen=True)
class Step:
    """One step of a plan.

    Attributes:
        name: which.
        does: what it will do, one line.
        commands: the git, gh or cargo commands that a person would type for it.
        mutates: it changes something that outlives the run.
    """

    name: StepName
    does: str
    commands: tuple[str, ...] = ()
    mutates: bool = False


@dataclass(frozen=True)
class Outcome:
    """What a step did.

    Attributes:
        label: the past participle that heads its line: "rebased".
        told: the rest of the line.
        mark: how it went.
        details: further lines.
        data: the facts, for JSON and for the journal: JSON values only.
        seconds: how long it took.
    """

    label: str
    told: str
    mark: Mark = Mark.DONE
    details: tuple[str, ...] = ()
    data: Mapping[str, Any] = field(default_factory=dict)
    seconds: float = 0.0


@dataclass(frozen=True)
class Plan:
    """An ordered tuple of steps for one entry.

    Attributes:
        task: the task that was asked for.
        pr: the entry's pull request.
        steps: what will be done, in order.
        skipped: steps left out by name.
    """

    task: str
    pr: PrNumber
    steps: tuple[Step, ...]
    skipped: tuple[StepName, ...] = ()
