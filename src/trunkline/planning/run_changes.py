"""What a run changed, read from its journal, and what stands there now."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from trunkline.context.project import Context
from trunkline.domain.command import task_command
from trunkline.domain.errors import Refused
from trunkline.domain.names import PrNumber, branch_ref, pr_number, short
from trunkline.domain.note import block_of
from trunkline.domain.snapshot import PrState
from trunkline.domain.step import StepName
from trunkline.git import refs
from trunkline.state.journal import Record, Run


@dataclass(frozen=True)
class Change:
    """One thing that a run changed.

    Attributes:
        pr: the entry that it is about.
        step: the step that changed it: push, ready, note, or onto for the local branch.
        before: what it was.
        left: what the run made of it.
        between: further values that the run gave it on the way: tips.
        created: the run created it: the local branch, where there was none.
    """

    pr: PrNumber
    step: StepName
    before: Mapping[str, Any]
    left: Mapping[str, Any]
    between: tuple[str, ...] = ()
    created: bool = False

    def as_data(self) -> dict[str, Any]:
        """Return the change as JSON values."""
        return {
            "pr": self.pr,
            "step": self.step.value,
            "before": dict(self.before),
            "left": dict(self.left),
            "between": list(self.between),
            "created": self.created,
        }

    @classmethod
    def of_data(cls, data: Mapping[str, Any]) -> Change:
        """Return the change that `as_data` wrote."""
        pr, step = pr_number(data["pr"]), StepName(data["step"])
        between, created = tuple(data["between"]), bool(data.get("created", False))
        return cls(pr, step, dict(data["before"]), dict(data["left"]), between, created)

    def is_ours(self, name: str, value: object) -> bool:
        """Return whether a value that stands there now is one that it had before the run, or that the run gave it."""
        return value in {self.before[name], self.left[name], *self.between}


def changes_of(context: Context, run: Run, *, ask: bool = True) -> tuple[Change, ...]:
    """Return what a run changed, or had announced to change, in the order in which it is put back.

    The remote first, since it alone can refuse; then what the pull request shows; the local branch last.

    Args:
        context: of the run.
        run: which.
        ask: GitHub whether a merge that was announced took place; else it is taken for done.

    Raises:
        TrunklineError: GitHub was asked whether an entry is merged, and did not answer.
    """
    found = [
        change
        for pr, records in _intents(run).items()
        if not _stays(context, run, pr, records, ask=ask)
        for change in _of_entry(context, pr, records)
        if change.before != change.left or change.created
    ]
    order = (StepName.PUSH, StepName.READY, StepName.NOTE, StepName.ONTO)
    return tuple(sorted(found, key=lambda change: order.index(change.step)))


def _intents(run: Run) -> dict[PrNumber, list[Record]]:
    """Return the run's intents by entry, without those that were withdrawn: they had no effect.

    Not those of an abort, which are no part of what is to be put back. Branches of merged entries that were deleted
    stay deleted; their tips are kept as backups. A pull request that was rescued stays open: closing it again would
    be for good.
    """
    intents: dict[PrNumber, list[Record]] = {}
    for record in run.records:
        if record.kind == "aborting":
            break
        if record.step in {StepName.TIDY.value, StepName.RESCUE.value}:
            continue
        own = intents.setdefault(pr_number(record.data.get("pr", run.started["pr"])), [])
        if record.kind == "intent":
            own.append(record)
        elif record.kind == "withdrawn":
            last = next((each for each in reversed(own) if _same_ref(each, record)), None)
            own[:] = [each for each in own if each is not last]
    return intents


def _same_ref(intent: Record, withdrawn: Record) -> bool:
    return all(intent.data.get(key) == withdrawn.data.get(key) for key in ("ref", "remote", "new"))


def _stays(context: Context, run: Run, pr: PrNumber, records: list[Record], *, ask: bool) -> bool:
    """Return whether a run merged an entry: what it did for it is not taken back."""
    if not any("merge" in record.data for record in records):
        return False
    if not ask or any(
        r.kind == "done" and r.step == StepName.MERGE.value and r.data.get("pr") == pr for r in run.records
    ):
        return True
    held = context.world().snapshot.pr(pr)
    return held is not None and held.state is PrState.MERGED


def _of_entry(context: Context, pr: PrNumber, intents: list[Record]) -> list[Change]:
    found = (
        _tips(pr, StepName.PUSH, [r for r in intents if "ref" in r.data and "remote" in r.data]),
        _ready(context, pr, [r for r in intents if "draft" in r.data]),
        _note(pr, [r for r in intents if "body" in r.data]),
        _tips(pr, StepName.ONTO, [r for r in intents if "ref" in r.data and "remote" not in r.data]),
    )
    return [change for change in found if change is not None]


def _tips(pr: PrNumber, step: StepName, intents: list[Record]) -> Change | None:
    if not intents:
        return None
    first, last = intents[0].data, intents[-1].data
    before = first["old"] or first["new"]  # of a branch that the run created: where it was created
    between = tuple(dict.fromkeys(str(record.data["new"]) for record in intents[:-1]))
    return Change(pr, step, {"tip": str(before)}, {"tip": str(last["new"])}, between, created=first["old"] is None)


def _ready(context: Context, pr: PrNumber, intents: list[Record]) -> Change | None:
    if not intents:
        return None
    first, last = intents[0].data, intents[-1].data
    left = {"base": last.get("base_after", context.stack.trunk), "draft": last.get("draft_after", False)}
    return Change(pr, StepName.READY, {"base": first["base"], "draft": first["draft"]}, left)


def _note(pr: PrNumber, intents: list[Record]) -> Change | None:
    if not intents:
        return None
    before, left = intents[0].data["body"], intents[-1].data["body_after"]
    return Change(pr, StepName.NOTE, {"block": note_of(str(before))}, {"block": note_of(str(left))})


def note_of(body: str) -> str | None:
    """Return the note of a description with its markers and with plain line ends; None: there is none.

    Browsers save a description with CRLF: two notes that differ in that alone are the same note.
    """
    block = block_of(body)
    return None if block is None else block.replace("\r\n", "\n")


def drifted(context: Context, changes: tuple[Change, ...]) -> tuple[str, ...]:
    """Return what is neither as the run left it nor as it was before: it is somebody else's by now.

    Raises:
        Refused: the pull request is merged or closed.
    """
    found = (
        drift_of(context, change, name, value) for change in changes for name, value in now(context, change).items()
    )
    return tuple(line for line in found if line)


def drift_of(context: Context, change: Change, name: str, value: object) -> str:
    """Return what one value is and should be, or "" where it is as the run left it, or as it was before."""
    if change.is_ours(name, value):
        return ""
    return (
        f"{_named(entry_context(context, change), change, name)}: is {_shown(value)}, not {_shown(change.left[name])}"
    )


def now(context: Context, change: Change) -> dict[str, Any]:
    """Return what stands where a run changed something."""
    there = entry_context(context, change)
    if change.step is StepName.ONTO:
        ref = branch_ref(there.entry.branch)
        return {"tip": refs.read_refs(there.git, ref).get(ref, "")}
    pr = there.pull_request()
    if change.step is StepName.PUSH:
        return {"tip": there.world().remote_refs.get(branch_ref(there.entry.branch), "")}
    if change.step is StepName.READY:
        return {"base": pr.base, "draft": pr.draft}
    return {"block": note_of(pr.body)}


def entry_context(context: Context, change: Change) -> Context:
    """Return the context of the entry that a change is about."""
    return context.of(context.stack.entry(change.pr))


def _named(context: Context, change: Change, name: str) -> str:
    pr = f"#{context.entry.pr}'s"
    remote = f"{context.stack.remote}/" if change.step is StepName.PUSH else ""
    return {
        "tip": f"{remote}{context.entry.branch}",
        "base": f"{pr} base",
        "draft": f"{pr} draft state",
        "block": f"{pr} reviewer note",
    }[name]


def _shown(value: object) -> str:
    if isinstance(value, str):
        return (short(value) if len(value) in {40, 64} else f"{value[:40]!r}") if value else "gone"
    return "gone" if value is None else str(value)


def drift(context: Context, found: tuple[str, ...]) -> Refused:
    """Return the refusal to put back what is no longer ours."""
    return Refused(
        f"#{context.entry.pr} moved since",
        why="\n".join(found) + "\nwhat others changed is not taken back; nothing was changed",
        next_command=task_command("log"),
    )
