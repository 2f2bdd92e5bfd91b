"""A step, a plan made of steps, and what a step did. Data: printed, compared, stored."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import Enum
from typing import Any

from trunkline.domain.choices import listed, require_known
from trunkline.domain.names import PrNumber


class StepName(Enum):
    """What a step may be: the steps of a rebase in their order, then what only a whole stack needs."""

    VERIFY_MERGED = "verify-merged"
    SWITCH = "switch"
    FETCH = "fetch"
    ONTO = "onto"
    FMT = "fmt"
    GATES = "gates"
    CHECKS = "checks"
    PUSH = "push"
    READY = "ready"
    NOTE = "note"
    CHECKLIST = "checklist"
    NEXT = "next"
    RETARGET = "retarget"
    WAIT = "wait"
    MERGE = "merge"
    TIDY = "tidy"
    RESCUE = "rescue"


REBASE_STEPS = tuple(StepName)[: tuple(StepName).index(StepName.NEXT) + 1]
"""The steps of a rebase, in their order; each is a task of the same name."""

PUBLISHING = frozenset({StepName.PUSH, StepName.READY, StepName.NOTE, StepName.RETARGET})
"""The steps that `--no-push` skips: everything that others see, of the tasks that take that flag."""

StepKey = tuple[StepName, PrNumber | None]
"""A step within a plan: what, and for which entry where the plan is of several."""


def step_names(text: str) -> frozenset[StepName]:
    """Return the steps that `--skip` names, separated by commas.

    Raises:
        WrongFlag: one is no step.
    """
    known = {step.value: step for step in StepName}
    names = listed(text)
    require_known("skip", names, tuple(known), "step")
    return frozenset(known[name] for name in names)


class StepStatus(Enum):
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
        description: what it will do, one line.
        commands: the git, gh or cargo commands that a person would type for it.
        mutates: it changes something that outlives the run.
        pr: the entry that it is for, in a plan of several entries; None: the plan's own, or all of them.
        publishes: what others will see of it, one line each; empty: nothing that is known yet.
    """

    name: StepName
    description: str
    commands: tuple[str, ...] = ()
    mutates: bool = False
    pr: PrNumber | None = None
    publishes: tuple[str, ...] = ()

    @property
    def key(self) -> StepKey:
        """What tells it from the plan's other steps."""
        return self.name, self.pr

    @property
    def about(self) -> dict[str, PrNumber]:
        """Its entry as JSON values, where the plan is of several; else nothing."""
        return {} if self.pr is None else {"pr": self.pr}

    @property
    def label(self) -> str:
        """Its name for people."""
        return self.name.value if self.pr is None else f"{self.name.value} #{self.pr}"


@dataclass(frozen=True)
class Outcome:
    """What a step did.

    Attributes:
        label: the past participle that heads its line: "rebased".
        message: the rest of the line.
        mark: how it went.
        details: further lines.
        data: the facts, for JSON and for the journal: JSON values only.
        seconds: how long it took.
    """

    label: str
    message: str
    mark: StepStatus = StepStatus.DONE
    details: tuple[str, ...] = ()
    data: Mapping[str, Any] = field(default_factory=dict)
    seconds: float = 0.0


@dataclass(frozen=True)
class Plan:
    """An ordered tuple of steps for one entry, or for several.

    Attributes:
        task: the task that was asked for.
        pr: the pull request of the entry; of several, the bottom one.
        steps: what will be done, in order.
        skipped: steps left out by name.
    """

    task: str
    pr: PrNumber
    steps: tuple[Step, ...]
    skipped: tuple[StepName, ...] = ()

    @property
    def publishes(self) -> tuple[str, ...]:
        """What others will see of it, in order."""
        return tuple(line for step in self.steps if step.name not in self.skipped for line in step.publishes)

    def about(self, step: Step) -> dict[str, PrNumber]:
        """Return the entry of one of the plan's steps as JSON values; nothing for a step of several entries."""
        if any(each.pr is not None for each in self.steps):
            return step.about
        return {"pr": self.pr}

    def key(self, name: StepName, pr: PrNumber | None) -> StepKey:
        """Return the key of the step of a name that is for an entry: the entry's own, else that of all of them."""
        return (name, pr) if any(step.key == (name, pr) for step in self.steps) else (name, None)
