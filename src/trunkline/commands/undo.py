"""Command `undo`: revert a finished run, as a run of its own.

Only changes that are still as that run left them are reverted.
"""

from __future__ import annotations

import shlex
from pathlib import Path

import msgspec
from msgspec import structs

from trunkline.commands import runner
from trunkline.context import open_run
from trunkline.context.loading import checkout
from trunkline.context.project import Reporter
from trunkline.context.run import Context
from trunkline.domain.changes import Change, EntryTakenOut, LocalMoved, TipMoved, is_different
from trunkline.domain.command import task_command
from trunkline.domain.errors import Paused, Refused, UsageError
from trunkline.domain.records import RunStarted
from trunkline.domain.step import Plan
from trunkline.engine import RunResult, run_plan
from trunkline.git import history
from trunkline.operations import local_branch, revert
from trunkline.planning import run_changes
from trunkline.state import journal, lock
from trunkline.state.journal import Run

TASK = "undo"


class Undo(msgspec.Struct, frozen=True):
    """A run to revert, its context, and its changes."""

    context: Context
    run: Run
    changes: tuple[Change, ...]

    @property
    def plan(self) -> Plan:
        """The steps that revert everything."""
        steps = revert.steps(self.context, self.changes, self.context.view())
        moved = {self.context.of_pr(each.pr).entry.branch for each in self.changes if isinstance(each, TipMoved)}
        return Plan(TASK, self.context.entry.key, steps, branches=tuple(sorted(moved)))


def find(reporter: Reporter, *, run: str = "", cwd: Path | None = None) -> Undo | None:
    """Return the run to revert: the named one, or the newest one with something to undo; None if there is none.

    Runs that were aborted or found nothing to do are skipped. A run that planned to move a branch, and has
    nothing to undo, is not: after a `land` that failed at once, `undo` does not revert the `restack` before it.
    Then the error names the command that does.

    Raises:
        Paused: the run is paused.
        Refused: the run is not finished, its journal is damaged, its changes have been changed
            since, or only an older run has something to undo.
        UsageError: there is no such run.
    """
    state = checkout(cwd).state_dir()
    if run:
        chosen = _named(tuple(journal.runs(state)), run)
        return _decided(chosen, reporter, cwd)
    newest: Run | None = None
    for each in journal.runs(state):
        if not each.started or each.state == "aborted":
            continue
        found = _decided(each, reporter, cwd) if each.state == "finished" or each.changed else None
        if found is not None and found.changes:
            if newest is not None:
                raise _older(newest, each)
            return found
        newest = newest or (each if each.moves and (each.changed or each.state != "finished") else None)
    return None


def _older(newest: Run, older: Run) -> Refused:
    """Return the refusal to undo a run before the newest one that planned to move a branch."""
    unchanged = "it ended before it changed anything"
    kept = "its changes cannot be undone (a merge, for example), or are undone already"
    return Refused(
        f"{open_run.name_of(newest)}, the newest run, has nothing to undo",
        why=f"{kept if newest.changed else unchanged} (run {newest.id})\n"
        f"nothing was undone; to undo the run before it, {open_run.name_of(older)}:",
        next_command=(task_command("undo", "--run", older.id), task_command("log")),
    )


def _named(runs: tuple[Run, ...], name: str) -> Run:
    found = [run for run in runs if run.id.startswith(name) and run.started]
    if len(found) != 1:
        what = f"{len(found)} runs begin with {name}" if found else f"there is no run {name}"
        raise UsageError(what, next_command=task_command("log"))
    return found[0]


def _decided(run: Run, reporter: Reporter, cwd: Path | None) -> Undo:
    if run.damaged:
        raise run.refusal()
    if run.is_held:
        found = open_run.described(run)
        raise Paused(found.what, why=found.why, next_command=found.commands)
    if run.state != "finished":
        raise Refused(
            f"run {run.id} is not finished: {run.state}",
            why="only a finished run is taken back",
            next_command=task_command("log")
            if run.state == "aborted"
            else (task_command("continue"), task_command("abort")),
        )
    context = runner.recorded_context(run, reporter=reporter, cwd=cwd)
    changes = (_kept(each, run) for each in run_changes.changes_of(context.stack, run, context.world))
    return Undo(context, run, tuple(change for change in changes if is_different(change)))


def _kept(change: Change, run: Run) -> Change:
    """Return a change without the creation of a local branch that the remote had: the checkout of one stays."""
    if not isinstance(change, LocalMoved) or not change.created:
        return change
    on_remote = any(head.pr == change.pr and head.remote is not None for head in run.begun.heads)
    return structs.replace(change, created=False) if on_remote else change


def forecast(undo: Undo) -> Plan:
    """Return the steps that would revert everything.

    Raises:
        Refused: the undo would fail with the same error.
        Paused: a paused run needs these branches as they are.
    """
    _refuse(undo)
    open_run.refuse_while_paused(undo.context.state, runner.moves_of(undo.context, undo.plan))
    return undo.plan


def run(undo: Undo) -> RunResult:
    """Revert a run: the remote branch, draft state, base, note, and the local branch.

    Raises:
        Refused: something was changed since; the error names it, and nothing is changed.
    """
    context = undo.context
    _refuse(undo)  # before prompting: an undo that is impossible needs no answer
    context.reporter.require_approval(*undo.plan.publishes)
    with lock.hold(context.state, run=journal.new_run_id(str(context.entry.key), context.state)) as held:
        open_run.refuse_while_paused(context.state, runner.moves_of(context, undo.plan))
        _refuse(undo)
        runner.settle_last(context.project, held)
        log = journal.create(held)
        log.append(held, _started(undo))
        handlers = revert.step_functions(context, undo.changes)
        return run_plan(undo.plan, handlers, lock=held, journal=log, reporter=context.reporter)


def _refuse(undo: Undo) -> None:
    context = undo.context
    found = run_changes.drifted(context, undo.changes, context.view)
    if found:
        moved = next(change for change in undo.changes if run_changes.drifted(context, (change,), context.view))
        raise run_changes.drift(context.of_pr(moved.pr).entry, found)
    _refuse_missing(undo)
    # `add` switched from this branch to the new entry's branch, and `undo` of its undo does so again: the
    # staged changes go with the checkout, so nothing stands in the way of the branch that it leaves.
    left = {each.added.came_from for each in undo.changes if isinstance(each, EntryTakenOut) and each.added.commit}
    for change in undo.changes:
        if isinstance(change, LocalMoved) and not change.created:
            under = context.of_pr(change.pr)
            if under.entry.branch in left:
                continue
            local = context.observer.local_now(under.entry.branch)
            local_branch.check_move(under, local, change.before, keeps_files=change.keeps_files)
            if change.keeps_files and not local.checked_out and local.local != change.before:
                raise Refused(
                    f"{under.entry.full_label} is not checked out",
                    why=f"the run put what was staged into {under.entry.branch}, and undo stages it again:"
                    " that needs the branch's checkout; nothing was changed",
                    next_command=f"git switch {shlex.quote(under.entry.branch)}",
                )


def _refuse_missing(undo: Undo) -> None:
    """Check that the old tips are still here: without its backup refs git deletes them in time.

    Raises:
        Refused: some are not.
    """
    context = undo.context
    moved = [change for change in undo.changes if isinstance(change, TipMoved) and not change.created]
    absent = history.missing(context.git, [change.before for change in moved])
    if not absent:
        return
    found = {change.before: context.of_pr(change.pr).entry for change in moved if change.before in absent}
    raise Refused(
        f"the old {'tip is' if len(found) == 1 else 'tips are'} not in this repository any more",
        why="\n".join(f"{entry.full_label} was at {tip}" for tip, entry in found.items())
        + f"\nthe backup refs of run {undo.run.id} were deleted, and git removed the commits; nothing was changed",
        next_command=f"git fetch {shlex.quote(context.stack.remote)} {' '.join(found)}   # GitHub keeps them",
    )


def _started(undo: Undo) -> RunStarted:
    begun = runner.started(undo.context, undo.plan)
    staged = undo.run.begun.staged
    back = None if staged is None else structs.replace(staged, index=staged.wanted, wanted=staged.index)
    taken: RunStarted = structs.replace(begun, undoes=undo.run.id, changes=undo.changes, staged=back)
    return taken
