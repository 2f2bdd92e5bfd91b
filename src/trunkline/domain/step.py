"""A step, a plan made of steps, and a step's outcome, as data."""

from __future__ import annotations

from collections.abc import Mapping
from enum import Enum
from typing import Any

import msgspec

from trunkline.domain.choices import listed, require_known
from trunkline.domain.errors import WrongFlag
from trunkline.domain.names import BranchName, EntryKey, labelled
from trunkline.domain.replayed import Replayed
from trunkline.domain.stack import DEFAULT_GATES


class StepName(Enum):
    """The steps: those of a rebase in their order, then those for a whole stack."""

    VERIFY_MERGED = "verify-merged"
    SWITCH = "switch"
    FETCH = "fetch"
    REPLAY = "onto"
    FMT = "fmt"
    GATES = "gates"
    CHECKS = "checks"
    PUSH = "push"
    READY = "ready"
    NOTE = "note"
    CHECKLIST = "checklist"
    NEXT = "next"
    RETARGET = "retarget"
    RETITLE = "retitle"
    TOGETHER = "together"
    WAIT = "wait"
    MERGE = "merge"
    CLEANUP = "cleanup"
    RESCUE = "rescue"
    REWRITE = "rewrite"
    CREATE = "create"
    STACK_FILE = "stack-file"
    ADD = "add"
    CLOSE = "close"

    @classmethod
    def _missing_(cls, value: object) -> StepName | None:
        """Return the step of an earlier name; journals have it."""
        return cls.CLEANUP if value == "tidy" else None


REBASE_STEPS = tuple(StepName)[: tuple(StepName).index(StepName.NEXT) + 1]
"""The steps of a rebase, in their order; each is a task of the same name."""

PUBLISHING = frozenset({
    StepName.PUSH, StepName.READY, StepName.NOTE, StepName.RETARGET, StepName.RETITLE, StepName.CLOSE
})  # fmt: skip
"""The steps that `--no-push` skips: those with effects that others see."""

ALIASES: Mapping[str, str] = {"replay": StepName.REPLAY.value, "tidy": StepName.CLEANUP.value}
"""Further names of steps and their tasks; journals and JSON output have those of `StepName`."""

StepKey = tuple[StepName, EntryKey | None]
"""The key of a step within a plan: its name, and its entry in a plan for several."""


def step_names(text: str, *, accepted: str = "") -> frozenset[StepName]:
    """Return the steps in the value of `--skip`, separated by commas.

    Args:
        text: the value.
        accepted: the value of `--accept-unavailable`, which the corrected command keeps.

    Raises:
        WrongFlag: a name is not a step; of a gate, the next command accepts that it is unavailable.
    """
    known = {step.value: step for step in StepName}
    names = [ALIASES.get(name, name) for name in listed(text)]
    gates = [name for name in names if name in DEFAULT_GATES and name not in known]
    if gates:
        raise WrongFlag(
            f"--skip {gates[0]}: {gates[0]} is a gate, not a step",
            why="a gate that cannot run here is accepted by name; `--skip gates` skips all of them",
            flags={
                "skip": ",".join(name for name in names if name not in gates),
                "accept-unavailable": ",".join(dict.fromkeys((*listed(accepted), *gates))),
            },
        )
    require_known("skip", names, tuple(known), "step")
    return frozenset(known[name] for name in names)


class StepStatus(Enum):
    """The result of a step."""

    DONE = "done"
    NOTHING = "nothing to do"
    SKIPPED = "skipped"
    WARNED = "done, with a warning"
    FAILED = "failed"
    PLANNED = "planned"


class Step(msgspec.Struct, frozen=True):
    """One step of a plan.

    Attributes:
        name: the step's name.
        description: what it will do, in one line.
        commands: the equivalent git, gh or cargo commands.
        mutates: it changes something that outlives the run.
        pr: its entry in a plan for several entries, by pull request or, while it has none, by
            branch; None: the plan's only entry, or all of them.
        publishes: what others will see, one line each; empty if nothing is known yet.
    """

    name: StepName
    description: str
    commands: tuple[str, ...] = ()
    mutates: bool = False
    pr: EntryKey | None = None
    publishes: tuple[str, ...] = ()

    @property
    def key(self) -> StepKey:
        """Its key within the plan."""
        return self.name, self.pr

    @property
    def about(self) -> dict[str, EntryKey]:
        """Its entry as JSON values in a plan for several entries; else nothing."""
        if self.pr is None:
            return {}
        return {"branch" if isinstance(self.pr, str) else "pr": self.pr}

    @property
    def label(self) -> str:
        """Its name for display."""
        return self.name.value if self.pr is None else f"{self.name.value} {labelled(self.pr)}"


class Outcome(msgspec.Struct, frozen=True):
    """The outcome of a step.

    Attributes:
        label: the past participle that begins its line: "rebased".
        message: the rest of the line.
        mark: its result.
        details: further lines.
        data: its data for JSON output and the journal, as JSON values.
        seconds: its duration.
        replayed: the result of a step that replayed an entry.
    """

    label: str
    message: str
    mark: StepStatus = StepStatus.DONE
    details: tuple[str, ...] = ()
    data: Mapping[str, Any] = msgspec.field(default_factory=dict)
    seconds: float = 0.0
    replayed: Replayed | None = None


class Plan(msgspec.Struct, frozen=True):
    """An ordered tuple of steps for one entry, or for several.

    Attributes:
        task: the task.
        pr: the entry's pull request; of several, the bottom one.
        steps: the steps in order.
        skipped: skipped steps.
        branches: the branches that it moves, if its steps do not tell.
    """

    task: str
    pr: EntryKey
    steps: tuple[Step, ...]
    skipped: tuple[StepName, ...] = ()
    branches: tuple[BranchName, ...] = ()

    @property
    def publishes(self) -> tuple[str, ...]:
        """The effects that others will see, in order."""
        return tuple(line for step in self.steps if step.name not in self.skipped for line in step.publishes)

    def pr_of(self, step: Step) -> EntryKey | None:
        """Return the entry of one of the plan's steps as JSON values; nothing for all entries."""
        return step.pr if any(each.pr is not None for each in self.steps) else self.pr

    def key(self, name: StepName, pr: EntryKey | None) -> StepKey:
        """Return the key of the step with a name for an entry, or of the step for all entries."""
        return (name, pr) if any(step.key == (name, pr) for step in self.steps) else (name, None)
