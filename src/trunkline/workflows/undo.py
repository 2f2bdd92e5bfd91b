"""undo: take a finished run back, as a run of its own; only what is still as that run left it."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from trunkline.adapters import journal, lease
from trunkline.adapters.git import Git
from trunkline.adapters.journal import Run
from trunkline.domain.errors import Refused, UsageError
from trunkline.domain.names import branch_ref
from trunkline.domain.step import Plan, StepName
from trunkline.engine import Performed, perform
from trunkline.workflows import changes as changed
from trunkline.workflows import rebase
from trunkline.workflows.changes import Change
from trunkline.workflows.context import Context, Listener
from trunkline.workflows.look import local_state
from trunkline.workflows.opening import top_of
from trunkline.workflows.steps.switch import refuse_unmovable

TASK = "undo"


@dataclass(frozen=True)
class Undo:
    """A run to take back, where, and what that means."""

    context: Context
    run: Run
    changes: tuple[Change, ...]

    @property
    def plan(self) -> Plan:
        """The steps that put everything back."""
        return Plan(TASK, self.context.entry.pr, changed.steps(self.context, self.changes))


def find(tell: Listener, *, run: str = "", cwd: Path | None = None) -> Undo | None:
    """Return what to take back: the named run, or the newest finished one that changed something; None: none did.

    Raises:
        Refused: the run is not finished, its journal is damaged, or what it changed has moved since.
        UsageError: there is no such run.
    """
    state = top_of(Git(cwd or Path.cwd())).state_dir()
    if run:
        chosen = _named(tuple(journal.runs(state)), run)
        return _decided(chosen, tell, cwd)
    for each in journal.runs(state):
        if not each.started or each.state == "aborted":
            continue
        found = _decided(each, tell, cwd) if each.state == "finished" or _announced(each) else None
        if found is not None and found.changes:
            return found
    return None


def _announced(run: Run) -> bool:
    return any(record.kind == "intent" for record in run.records)


def _named(runs: tuple[Run, ...], name: str) -> Run:
    found = [run for run in runs if run.id.startswith(name) and run.started]
    if len(found) != 1:
        what = f"{len(found)} runs begin with {name}" if found else f"there is no run {name}"
        raise UsageError(what, next_command="invoke log")
    return found[0]


def _decided(run: Run, tell: Listener, cwd: Path | None) -> Undo:
    if run.damaged:
        raise Refused(f"the journal of run {run.id} is damaged", why=run.damaged, next_command=f"less {run.path}")
    if run.state != "finished":
        raise Refused(
            f"run {run.id} is not finished: {run.state}",
            why="only a finished run is taken back",
            next_command="invoke log" if run.state == "aborted" else ("invoke continue", "invoke abort"),
        )
    context = rebase.context_of(run, tell=tell, cwd=cwd)
    return Undo(context, run, changed.changes_of(context, run))


def run(undo: Undo) -> Performed:
    """Take a run back: the remote branch, draft state, base, note, and the local branch.

    Raises:
        Refused: something moved since; it is named, and nothing is changed.
    """
    context = undo.context
    _refuse(undo)
    with lease.hold(context.state, run=journal.new_run_id(str(context.entry.pr))) as held:
        rebase.settle_last(context, held)
        log = journal.create(held)
        log.append(held, "run", **_started(undo))
        ways = changed.performers(context, undo.changes)
        return perform(undo.plan, ways, lease=held, journal=log, tell=context.tell)


def _refuse(undo: Undo) -> None:
    context = undo.context
    found = changed.drifted(context, undo.changes)
    if found:
        raise changed.drift(context, found)
    for change in undo.changes:
        if change.step is StepName.ONTO:
            refuse_unmovable(local_state(context.git, context.stack.entry(change.pr).branch))


def _started(undo: Undo) -> dict[str, Any]:
    context = undo.context
    return {
        "task": TASK,
        "pr": context.entry.pr,
        "branch": context.entry.branch,
        "ref": branch_ref(context.entry.branch),
        "stack": context.stack.name,
        "stacked": context.stacked,
        "undoes": undo.run.id,
        "skip": [],
        "accept_unavailable": [],
        "fork_point": "",
        "fresh": False,
        "steps": [rebase.step_data(step) for step in undo.plan.steps],
        "changes": [change.as_data() for change in undo.changes],
    }
