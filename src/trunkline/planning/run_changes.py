"""Read from a run's journal what it changed, and compare that with the current state."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

from trunkline.context.loading import choose_stack, load_stacks
from trunkline.context.run import Context
from trunkline.context.scope import Scope
from trunkline.domain import records
from trunkline.domain.changes import Change, note_of
from trunkline.domain.command import task_command
from trunkline.domain.errors import Refused
from trunkline.domain.names import EntryKey, branch_ref, short
from trunkline.domain.records import Intent
from trunkline.domain.snapshot import PrState
from trunkline.domain.stack import Entry
from trunkline.domain.step import StepName
from trunkline.git import refs
from trunkline.state.journal import Run


def changes_of(context: Context, run: Run, *, ask: bool = True) -> tuple[Change, ...]:
    """Return the changes of a run, completed or only intended, in the order of their reversal.

    The remote comes first, since it alone can reject; then the pull request; then the local
    branches. An added entry is last: the checkout goes back to a branch that has moved back.

    Args:
        context: the run's context.
        run: the run.
        ask: query GitHub whether an intended merge happened; otherwise assume that it did.

    Raises:
        TrunklineError: the request to GitHub failed.
    """
    found = [
        change
        for pr, intents in _intents(run).items()
        if not _stays(context, run, pr, intents, ask=ask)
        for change in _joined(intents)
        if change.before != change.left or change.created
    ]
    order = (
        StepName.PUSH, StepName.READY, StepName.NOTE, StepName.STACK_FILE, StepName.REPLAY, StepName.ADD,
    )  # fmt: skip
    return tuple(sorted(found, key=lambda change: order.index(change.step)))


def _intents(run: Run) -> dict[EntryKey, list[Intent]]:
    """Return the run's intents by entry, without withdrawn ones, which had no effect.

    Intents of an abort are left out. A rescued pull request stays open: closing it again would be
    for good.
    """
    intents: dict[EntryKey, list[Intent]] = {}
    for record in run.records:
        match record:
            case records.Aborting():
                break
            case records.Intent() if record.step is not StepName.RESCUE:
                intents.setdefault(record.pr, []).append(record)
            case records.MoveWithdrawn():
                own = intents.get(record.pr, [])
                last = next((each for each in reversed(own) if _announced(each, record)), None)
                own[:] = [each for each in own if each is not last]
            case _:
                pass
    return intents


def _announced(intent: Intent, withdrawn: records.MoveWithdrawn) -> bool:
    return isinstance(intent, records.BranchMoved) and intent.new == withdrawn.new


def _stays(context: Context, run: Run, pr: EntryKey, intents: Sequence[Intent], *, ask: bool) -> bool:
    """Return whether a run merged an entry: its changes to that entry are not reverted."""
    if not any(isinstance(intent, records.MergeRequested) for intent in intents):
        return False
    done = (record for record in run.records if isinstance(record, records.StepDone))
    if not ask or any(record.step is StepName.MERGE and record.pr == pr for record in done):
        return True
    pr_now = context.world().snapshot.pr(pr)
    return pr_now is not None and pr_now.state is PrState.MERGED


def _joined(intents: Iterable[Intent]) -> Iterable[Change]:
    """Return the changes of an entry, with changes of the same kind combined."""
    found: dict[StepName, Change] = {}
    for intent in intents:
        change = intent.change()
        if change is not None:
            found[change.step] = found[change.step].then(change) if change.step in found else change
    return found.values()


def drifted(context: Context, changes: tuple[Change, ...]) -> tuple[str, ...]:
    """Return descriptions of values that are neither the run's nor the previous ones.

    Raises:
        Refused: the pull request is merged or closed.
    """
    found = (
        drift_of(context, change, name, value) for change in changes for name, value in now(context, change).items()
    )
    return tuple(line for line in found if line)


def drift_of(context: Context, change: Change, name: str, value: object) -> str:
    """Return the actual and the expected value, or "" if the value is expected."""
    if change.is_ours(name, value):
        return ""
    return f"{_named(context.of_pr(change.pr), change, name)}: is {_shown(value)}, not {_shown(change.left[name])}"


def now(context: Context, change: Change) -> dict[str, Any]:
    """Return the current values of what a run changed."""
    under = context.of_pr(change.pr)
    if change.step is StepName.REPLAY:
        ref = branch_ref(under.entry.branch)
        return {"tip": refs.read_refs(under.git, ref).get(ref, "")}
    if change.step is StepName.STACK_FILE:
        return {"text": read_stack_text(Path(str(change.left["path"])))}
    if change.step is StepName.ADD:
        known = choose_stack(load_stacks(under.git), under.stack.name).entries
        return {"entry": any(entry.branch == under.entry.branch for entry in known)}
    pr = under.view().pull_request()
    if change.step is StepName.PUSH:
        return {"tip": under.world().remote_refs.get(branch_ref(under.entry.branch), "")}
    if change.step is StepName.READY:
        return {"base": pr.base, "draft": pr.draft}
    return {"block": note_of(pr.body)}


def read_stack_text(path: Path) -> str:
    """Return the text of a stack.toml; "" if it is gone."""
    try:
        return path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError):
        return ""


def _named(scope: Scope, change: Change, name: str) -> str:
    pr = f"{scope.entry.label}'s"
    remote = f"{scope.stack.remote}/" if change.step is StepName.PUSH else ""
    return {
        "tip": f"{remote}{scope.entry.branch}",
        "base": f"{pr} base",
        "draft": f"{pr} draft state",
        "block": f"{pr} reviewer note",
        "text": "stack.toml",
        "entry": f"stack.toml's entry of {scope.entry.branch}",
    }[name]


def _shown(value: object) -> str:
    if isinstance(value, str):
        return (short(value) if len(value) in {40, 64} else f"{value[:40]!r}") if value else "gone"
    return "gone" if value is None else str(value)


def drift(entry: Entry, found: tuple[str, ...]) -> Refused:
    """Return the error for a change that somebody else has changed since."""
    return Refused(
        f"{entry.label} moved since",
        why="\n".join(found) + "\nwhat others changed is not taken back; nothing was changed",
        next_command=task_command("log"),
    )
