"""Command `abort`: end a stopped run, and restore the state before it as far as possible."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path

import msgspec

from trunkline.commands import rescue, runner
from trunkline.context import open_run
from trunkline.context.loading import checkout
from trunkline.context.project import Reporter
from trunkline.context.run import Context
from trunkline.context.scope import Scope
from trunkline.domain import records
from trunkline.domain.changes import (
    Change,
    EntryInserted,
    EntryTakenOut,
    LocalMoved,
    NoteChanged,
    OpenStateChanged,
    RemoteMoved,
    StackFileChanged,
    StateChanged,
    TitleChanged,
    is_closed_first,
    is_pushed_back,
)
from trunkline.domain.command import task_command
from trunkline.domain.errors import NotSignedIn, Refused, TransientError, TrunklineError
from trunkline.domain.names import EntryKey
from trunkline.domain.step import Outcome, Plan, Step, StepName, StepStatus
from trunkline.engine import StepContext
from trunkline.git import history, local_refs, refs
from trunkline.git.git import Git
from trunkline.operations import conflict, local_branch, revert
from trunkline.planning import left_open, run_changes
from trunkline.state import journal, lock
from trunkline.state.journal import Run
from trunkline.steps import rescue as rescue_step


class _Ending(msgspec.Struct):
    """The result of an abort so far.

    Attributes:
        restored: one outcome for each restored change.
        left: messages about changes that were not restored, with the reason.
        unreached: the errors of requests to GitHub or the remote, which may be retried.
        stays: messages about what goes on or stays open on GitHub, with the command that ends it.
        kept: what was kept of the pause's work tree.
    """

    restored: list[Outcome] = msgspec.field(default_factory=list)
    left: list[str] = msgspec.field(default_factory=list)
    unreached: list[TrunklineError] = msgspec.field(default_factory=list)
    stays: list[str] = msgspec.field(default_factory=list)
    kept: conflict.KeptContent = msgspec.field(default_factory=conflict.KeptContent)


def abort(context: Context, run: Run, *, local: bool = False) -> Outcome:
    """End a run: restore local and remote branches, draft state, base and note, and lose nothing.

    Anything that changed since, and is no longer as the run left it, is kept and reported. Its
    value before the run is kept under `refs/trunkline/backup/`, and so is the work in the pause's
    work tree. Another abort, or `continue`, finishes an abort that was killed.

    Args:
        context: the context of the run; the journal alone is enough (`runner.recorded_context`).
        run: the run.
        local: leave the remote and GitHub unchanged.

    Raises:
        Refused: another run holds the lock, or the run has ended.
        TransientError, NotSignedIn: a request to the remote or GitHub failed. Local changes are
            restored; the run stays open, so that the rest can be restored later.
    """
    if not local:
        context.reporter.require_approval(*publishes(context, run))
    with lock.hold(context.state, run=run.id) as held:
        run = journal.read(run.path)
        if run.state in {"finished", "aborted"}:
            raise Refused(f"run {run.id} is {run.state} by now", next_command=task_command("log"))
        runner.settle_last(context.project, held)
        log = journal.reopen(run)
        if run.state != "aborting":
            log.append(held, records.Aborting())
        step_context = StepContext(held, log, Step(StepName.REPLAY, "abort", mutates=True))
        ending = _Ending()
        _restore(context, run, step_context, ending, local=local)
        _remove_worktrees(context.git, run, step_context, ending)
        if ending.unreached:
            raise _unfinished(run, ending)
        log.append(held, records.Aborted())
    if not local:
        _name_what_stays(context, run, ending)
    return _concluded(context, run, ending)


def _restore(context: Context, run: Run, step_context: StepContext, ending: _Ending, *, local: bool) -> None:
    if run.task == rescue.TASK:
        _give_up_rescue(context, step_context, ending, local=local)
    try:
        taken = run_changes.changes_of(context.stack, run, None if local else context.world)
    except TrunklineError as error:
        _not_done(ending, error, "what was merged is not known")
        taken = run_changes.changes_of(context.stack, run)
    pushed = tuple(filter(is_pushed_back, taken))
    moved = tuple(change for change in taken if isinstance(change, LocalMoved))
    if local:
        outside = (
            change
            for change in taken
            if not isinstance(change, LocalMoved | StackFileChanged | EntryInserted | EntryTakenOut)
        )
        ending.left += [_described(context, change, "as --local says") for change in outside]
    else:
        for change in filter(is_closed_first, taken):
            _restore_one(context.of_pr(change.pr), step_context, change, ending, local=local)
        _push_back(context, step_context, pushed, {each.pr: each for each in moved}, ending)
    for change in taken:
        if not is_closed_first(change):
            _restore_one(context.of_pr(change.pr), step_context, change, ending, local=local)


def _name_what_stays(context: Context, run: Run, ending: _Ending) -> None:
    """Name what the run began on GitHub and the abort leaves; a failed request is named and ends nothing."""
    for find_left, what in (
        (partial(left_open.open_since, context.github, run), "created pull requests"),
        (partial(left_open.queued_since, context.github, context.stack, run, context.world), "queued merges"),
    ):
        try:
            ending.stays += find_left()
        except TrunklineError as error:
            ending.stays.append(f"which {what} the run leaves is not known: {error.what}")


def _restore_one(under: Context, step_context: StepContext, change: Change, ending: _Ending, *, local: bool) -> None:
    match change:
        case LocalMoved():
            _attempt(under, change, ending, partial(_restore_branch, under, step_context, change))
        case StackFileChanged() | EntryInserted() | EntryTakenOut():
            _attempt(under, change, ending, partial(revert.restore, under, step_context, change))
        case StateChanged() | TitleChanged() | NoteChanged() | OpenStateChanged() | RemoteMoved(created=True) if (
            not local
        ):
            _attempt(under, change, ending, partial(_restore_on_github, under, step_context, change))
        case _:
            pass


def _attempt(scope: Scope, change: Change, ending: _Ending, restore: Callable[[], Outcome]) -> None:
    try:
        restored = restore()
    except TrunklineError as error:
        _not_done(ending, error, _described(scope, change, str(error)))
    else:
        message = _message_of(restored)
        if isinstance(change, StateChanged | TitleChanged | NoteChanged):
            message = f"{scope.of_pr(change.pr).entry.label} {message}"
        ending.restored.append(msgspec.structs.replace(restored, message=message))


def _not_done(ending: _Ending, error: TrunklineError, line: str) -> None:
    """Record a change that was not restored, or an error that may be retried."""
    if isinstance(error, TransientError | NotSignedIn):
        ending.unreached.append(error)
    else:
        ending.left.append(line)


def _described(scope: Scope, change: Change, why: str) -> str:
    """Return a message about a change that stays: its current and its old value, and the reason."""
    entry = scope.of_pr(change.pr).entry
    match change:
        case StateChanged(before=before):
            was = f"{'a draft' if before.draft else 'ready'}, targeting {before.base}"
            return f"{entry.full_label}: draft state and base stay: {why}; before the run it was {was}"
        case OpenStateChanged():
            return f"{entry.full_label}: the pull request stays {'closed' if change.left else 'open'}: {why}"
        case StackFileChanged():
            return f"{change.path} stays as it is: {why}"
        case EntryInserted() | EntryTakenOut():
            state = "lacks" if isinstance(change, EntryTakenOut) else "has"
            return f"stack.toml {state} the entry of {entry.branch}: {why}"
        case TitleChanged() | NoteChanged():
            titled = isinstance(change, TitleChanged)
            words = "title" if titled else "reviewer note"
            return f"{entry.full_label}: the {words} stays: {why}" + (f"; it was {change.before!r}" if titled else "")
        case LocalMoved(before=tip) | RemoteMoved(before=tip):
            remote = f"{scope.stack.remote}/" if isinstance(change, RemoteMoved) else ""
            where = f"{remote}{entry.branch}"
            was = "there was none" if change.created else f"it was at {tip}"
            return f"{entry.full_label}: {where} stays as it is: {why}; before the run {was}"


def _push_back(
    context: Context,
    step_context: StepContext,
    pushed: tuple[RemoteMoved, ...],
    moved: Mapping[EntryKey, LocalMoved],
    ending: _Ending,
) -> None:
    """Push the old tips of all branches that are still as the run left them, in one atomic push.

    If a local branch cannot be restored, for example because a file is in the way, its remote
    branch stays too, so that both sides agree.
    """
    ours = []
    for change in pushed:
        _keep_before(context.of_pr(change.pr), step_context, change)
        try:
            drift = run_changes.drifted(context, (change,), context.view)
            if not drift and change.pr in moved:
                _check_branch(context, moved[change.pr])
        except TrunklineError as error:
            _not_done(ending, error, _described(context, change, str(error)))
            continue
        if drift:
            ending.left.append(_described(context, change, drift[0]))
        else:
            ours.append(change)
    if not ours:
        return
    try:
        ending.restored.append(revert.push_back(context, step_context, tuple(ours)))
    except TrunklineError as error:
        for change in ours:
            _not_done(ending, error, _described(context, change, str(error)))


def _check_branch(context: Context, change: LocalMoved) -> None:
    """Raise the errors of restoring the local branch before the remote branch is restored.

    Raises:
        Refused: its checkout is not clean, or a file is in the way.
    """
    under = context.of_pr(change.pr)
    tip = run_changes.local_tip(under.git, under.entry.branch)
    if tip != change.before and change.is_ours(tip) and not change.created:
        local = under.observer.local_now(under.entry.branch)
        local_branch.check_move(under, local, change.before, keeps_files=change.keeps_files)


def _restore_on_github(
    context: Context,
    step_context: StepContext,
    change: StateChanged | TitleChanged | NoteChanged | OpenStateChanged | RemoteMoved,
) -> Outcome:
    if found := run_changes.drifted(context, (change,), context.view):
        raise run_changes.drift(context.entry, found)
    return revert.restore(context, step_context, change)


def _restore_branch(context: Context, step_context: StepContext, change: LocalMoved) -> Outcome:
    """Restore the local branch; one that somebody else deleted stays deleted."""
    _keep_before(context, step_context, change)
    if not change.is_ours("") and not run_changes.local_tip(context.git, context.entry.branch):
        raise Refused(f"{context.entry.branch} was deleted or renamed")
    return revert.restore_branch(context, step_context, change)


def _keep_before(scope: Scope, step_context: StepContext, change: LocalMoved | RemoteMoved) -> None:
    """Keep the old tip of a branch under a backup ref, even if somebody moves the branch later."""
    if history.has_object(scope.git, change.before):
        local_refs.back_up(scope.git, step_context.lock, scope.entry.branch, change.before)


def _give_up_rescue(context: Context, step_context: StepContext, ending: _Ending, *, local: bool) -> None:
    if local:
        ending.left.append("what the rescue restored on GitHub stays")
        return
    try:
        ending.restored += rescue_step.abort_incomplete(context, step_context)
    except TrunklineError as error:
        _not_done(ending, error, f"what the rescue restored on GitHub stays: {error}")


def _remove_worktrees(git: Git, run: Run, step_context: StepContext, ending: _Ending) -> None:
    """Back up the work in the pause's work tree, and remove the work tree."""
    announced = run.last(records.WorktreeCreated)
    if announced is None:
        return
    resolved = [r.new for r in run.after(run.pause) if isinstance(r, records.Resolved)] if run.pause else []
    try:
        ending.kept = conflict.retire_worktree(git, step_context, onto=announced.onto, taken=resolved[-1:])
    except (TrunklineError, OSError) as error:
        ending.left.append(f"the work tree {announced.path} stays: {error}")


def _unfinished(run: Run, ending: _Ending) -> TrunklineError:
    """Return the error for an incomplete abort.

    It names what was done and the command that finishes the abort.
    """
    error = ending.unreached[0]
    done = [outcome.message for outcome in ending.restored]
    why = [error.why, *(f"done: {message}" for message in done), *ending.left, "the rest of the abort waits for it"]
    error.why = "\n".join(line for line in why if line)
    error.what = f"the abort of run {run.id} is not finished: {error.what}"
    commands = (task_command("abort"), task_command("abort", "--local", comment="ends it and leaves what was pushed"))
    first = ("gh auth login",) if isinstance(error, NotSignedIn) else ()
    error.next_commands = (*first, *commands)
    return error


def _message_of(outcome: Outcome) -> str:
    """Return an outcome's message, with its label if the message lacks it: `note removed`."""
    return f"{outcome.label} {outcome.message}" if outcome.label in {"note", "stack.toml"} else outcome.message


def _concluded(scope: Scope, run: Run, ending: _Ending) -> Outcome:
    untouched = "nothing that the run changed is left" if run.changed else f"{scope.entry.branch} was never moved"
    message = "; ".join(outcome.message for outcome in reversed(ending.restored)) or untouched
    if not ending.restored and ending.left:
        message = "the run is over; what changed since is left as it is"
    notes = [line for outcome in ending.restored for line in outcome.details]
    notes += [*(f"left: {line}" for line in ending.left), *ending.stays]
    notes += [f"the content of the conflict's work tree is kept: {ref}" for ref in ending.kept.refs]
    notes += ending.kept.files
    backups = f"{local_refs.BACKUPS}/{run.id}/"
    if ending.left and refs.read_refs(scope.git, backups):
        notes.append(f"every tip that the run replaced is kept: git for-each-ref {backups}")
    mark = StepStatus.WARNED if ending.left else StepStatus.DONE
    kept = list(ending.kept.refs)
    data = {"run": run.id, "kept": next(iter(kept), ""), "backups": kept, "left": [*ending.left, *ending.stays]}
    return Outcome("aborted", message, mark, tuple(notes), data)


def find(reporter: Reporter, cwd: Path | None = None) -> tuple[Context, Run] | None:
    """Return the open run and its context, from its journal alone; None if there is none.

    Raises:
        Refused: its journal is damaged.
    """
    run = open_run.open_run(checkout(cwd).state_dir())
    if run is None:
        return None
    open_run.refuse_damaged(run)
    return runner.recorded_context(run, reporter=reporter, cwd=cwd), run


def find_begun(reporter: Reporter, cwd: Path | None = None) -> tuple[Context, Run] | None:
    """Return the open run with an unfinished abort, and its context; None if there is none."""
    run = open_run.open_run(checkout(cwd).state_dir())
    if run is None or run.damaged or run.state != "aborting":
        return None
    return runner.recorded_context(run, reporter=reporter, cwd=cwd), run


def publishes(scope: Scope, run: Run) -> tuple[str, ...]:
    """Return lines that describe what an abort publishes, from the journal alone, without a request to GitHub."""
    taken = run_changes.changes_of(scope.stack, run)
    rescued = ("delete what the rescue restored",) if run.task == rescue.TASK else ()
    return (*rescued, *Plan("abort", scope.entry.key, revert.steps(scope, taken)).publishes)


def plan(context: Context, run: Run) -> Plan:
    """Return the steps that restore a run's changes."""
    view = context.view()
    changes = run_changes.changes_of(context.stack, run, context.world)
    return Plan("abort", context.entry.key, revert.steps(context, changes, view))
