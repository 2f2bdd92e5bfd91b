"""Revert the changes of a run, where they are still as the run left them."""

from __future__ import annotations

from pathlib import Path

from msgspec.structs import replace

from trunkline.context.project import Project
from trunkline.context.run import Context
from trunkline.context.scope import Scope
from trunkline.context.view import View
from trunkline.domain import records
from trunkline.domain.changes import (
    Change,
    EntryInserted,
    EntryTakenOut,
    LocalMoved,
    NoteChanged,
    OpenStateChanged,
    RemoteMoved,
    ReviewState,
    StackFileChanged,
    StateChanged,
    TitleChanged,
    is_closed_first,
    is_pushed_back,
    note_of,
)
from trunkline.domain.command import task_command
from trunkline.domain.errors import ExternalError, Refused
from trunkline.domain.names import Oid, branch_name, branch_ref, oid, short
from trunkline.domain.note import put_back
from trunkline.domain.stack import Entry
from trunkline.domain.step import Outcome, Step, StepKey, StepName, StepStatus
from trunkline.engine import StepContext, StepFunction
from trunkline.git import history, index, local_refs, refs
from trunkline.git.git import Git
from trunkline.git.push import RefUpdate, typed_push
from trunkline.git.refs import tracking_ref
from trunkline.operations import added_entry, created_branch, local_branch, pull_request_state, stack_file, titles
from trunkline.operations.publish import (
    Update,
    before_push,
    described,
    endangered,
    push_all,
    retarget_command,
    set_base,
)
from trunkline.planning.run_changes import drift, local_tip, read_stack_text, remote_tip, without_change
from trunkline.state.change_log import Part


def step_functions(context: Context, changes: tuple[Change, ...]) -> dict[StepKey, StepFunction]:
    """Return the step functions that revert changes: one push of all branches, then the rest."""

    def bound(change: Change) -> StepFunction:
        return lambda step_context: restore(context.of_pr(change.pr), step_context, change)

    pushed = tuple(filter(is_pushed_back, changes))
    found: dict[StepKey, StepFunction] = {}
    if pushed:
        found[StepName.PUSH, None] = lambda step_context: push_back(context, step_context, pushed)
    for change in changes:
        if not is_pushed_back(change):
            found[change.step, change.pr] = bound(change)
    return found


def restore(context: Context, step_context: StepContext, change: Change) -> Outcome:
    """Revert a change by itself; errors as of the function of its kind."""
    match change:
        case LocalMoved() | RemoteMoved():
            return _restore_tip(context, step_context, change)
        case StateChanged():
            return restore_state(context, step_context, change)
        case TitleChanged() | NoteChanged():
            return _restore_words(context.view(Part.PULLS), step_context, change)
        case StackFileChanged():
            return restore_stack_file(context.git, step_context, context.entry, change)
        case OpenStateChanged(before=closed, number=number):
            return pull_request_state.set_state(context.view(), step_context, is_open=not closed, number=number)
        case EntryInserted() | EntryTakenOut():
            return restore_entry(context.project, step_context, change)


def _restore_words(view: View, step_context: StepContext, change: TitleChanged | NoteChanged) -> Outcome:
    if isinstance(change, TitleChanged):
        return titles.restore(view, step_context, change)
    return restore_note(view, step_context, change)


def _restore_tip(context: Context, step_context: StepContext, change: LocalMoved | RemoteMoved) -> Outcome:
    if isinstance(change, LocalMoved):
        return restore_branch(context, step_context, change)
    if change.created:
        return created_branch.delete_on_remote(context.view(Part.ALL), step_context, change)
    return push_back(context, step_context, (change,))


def steps(scope: Scope, changes: tuple[Change, ...], view: View | None = None) -> tuple[Step, ...]:
    """Return the steps that revert changes, with the equivalent commands.

    Args:
        scope: the run's entry.
        changes: the changes.
        view: the stack as observed; None: commands do not depend on it, and those of `push_all` before its push
            are left out.
    """
    pushed = tuple(filter(is_pushed_back, changes))
    push = (_push_step(scope, pushed),) if pushed else ()
    if push and view is not None:
        updates = [Update(scope.of_pr(change.pr).entry, None, change.before) for change in pushed]
        closed = {change.pr for change in changes if is_closed_first(change)}
        risked = [pr for pr in endangered(view, updates) if view.stack.entry(pr.number).key not in closed]
        push = (before_push(push[0], risked, scope.stack.trunk),)

    def planned(change: Change) -> Step:
        return replace(_step(scope.of_pr(change.pr), change, view), pr=change.pr)

    others = [change for change in changes if not is_pushed_back(change)]
    first = (planned(change) for change in others if is_closed_first(change))
    return (*first, *push, *(planned(change) for change in others if not is_closed_first(change)))


def _push_step(scope: Scope, pushed: tuple[RemoteMoved, ...]) -> Step:
    remote = scope.stack.remote
    branches = [(scope.of_pr(change.pr).entry.branch, change) for change in pushed]
    moves = [RefUpdate(branch, None if change.deleted else change.left, change.before) for branch, change in branches]
    message = ", ".join(short(change.before) for change in pushed)
    new_tips = ", ".join(short(_left(change)) or f"no {branch}" for branch, change in branches)
    description = f"push {message} back, if {remote} still has {new_tips}"
    lines = tuple(
        f"push {branch} back: {short(_left(change))}..{short(change.before)}"
        if not change.deleted
        else f"push {branch} again, new at {short(change.before)}"
        for branch, change in branches
    )
    return Step(StepName.PUSH, description, (typed_push(remote, moves),), mutates=True, publishes=lines)


def _left(change: RemoteMoved) -> str:
    """Return the tip that the run left on the remote; "" if it deleted the branch."""
    return "" if change.deleted else change.left


def _step(scope: Scope, change: Change, view: View | None) -> Step:
    entry = scope.entry
    match change:
        case LocalMoved() | RemoteMoved():
            return _tip_step(scope, change, view)
        case StateChanged():
            return _state_step(entry, change)
        case OpenStateChanged(before=closed, number=number):
            verb = "close" if closed else "reopen"
            description = f"{verb} {entry.full_label if number is None else f'#{number} {entry.branch}'}"
            command = f"gh pr {verb} {entry.pr if number is None else number}"
            return Step(change.step, description, (command,), mutates=True, publishes=(description,))
        case StackFileChanged():
            return Step(change.step, "stack.toml is as it was", mutates=True)
        case EntryInserted() | EntryTakenOut():
            taken = f"add {entry.branch} to stack.toml again"
            left = f"take {entry.branch} out of stack.toml"
            return Step(change.step, taken if isinstance(change, EntryTakenOut) else left, mutates=True)
        case TitleChanged() | NoteChanged():
            return _words_step(entry, change)


def _words_step(entry: Entry, change: TitleChanged | NoteChanged) -> Step:
    if isinstance(change, TitleChanged):
        command = titles.command(entry.pr, change.before)
        description = f"{entry.label} is titled {change.before!r} again"
    else:
        command = f"gh pr edit {entry.pr} --body-file DESCRIPTION"
        description = f"the note of {entry.label} as it was"
    return Step(change.step, description, (command,), mutates=True, publishes=(description,))


def _tip_step(scope: Scope, change: LocalMoved | RemoteMoved, view: View | None) -> Step:
    branch, old, remote = scope.entry.branch, change.before, scope.stack.remote
    if isinstance(change, RemoteMoved):
        line = f"delete {branch} on {remote}"
        command = typed_push(remote, [RefUpdate(branch, change.left, None)])
        return Step(change.step, f"{line}, which the run created", (command,), mutates=True, publishes=(line,))
    if change.created:
        command = local_refs.delete_command(branch, change.left)
        return Step(change.step, f"delete {branch}, which the run created", (command,), mutates=True)
    left = None if change.deleted else change.left
    command = local_refs.move_command(branch_ref(branch), new=old, old=left)
    if view is not None:
        local = view.of_pr(change.pr).local
        command = local_branch.move_command(local, new=old, old=left, keeps_files=change.keeps_files)
    return Step(change.step, f"{branch} is at {short(old)} again", (command,), mutates=True)


def _state_step(entry: Entry, change: StateChanged) -> Step:
    """Return the step that reverts the draft state, the base, or both: what the run changed."""
    before, left, changed = change.before, change.left, []
    if before.draft != left.draft:
        changed.append((f"is {_state(before)} again", f"gh pr ready {entry.pr}{_undo(before)}"))
    if before.base != left.base:
        changed.append((f"targets {before.base}", retarget_command(entry.pr, before.base)))
    description = f"{entry.label} {' and '.join(text for text, _ in changed) or 'is as it was'}"
    commands = tuple(command for _, command in changed)
    return Step(change.step, description, commands, mutates=True, publishes=(description,) if changed else ())


def _undo(state: ReviewState) -> str:
    return " --undo" if state.draft else ""


def push_back(context: Context, step_context: StepContext, changes: tuple[RemoteMoved, ...]) -> Outcome:
    """Push the old tips in one atomic push, with leases on the tips of the run.

    Raises:
        Refused: a remote branch has neither tip, or the push would leave a pull request without
            commits.
    """
    updates, remote = [], context.stack.remote
    context.world(Part.ALL)
    for change in changes:
        under, old = context.of_pr(change.pr), change.before
        tip = remote_tip(under.view())
        if tip == old:
            local_refs.update_tracking_ref(context.git, step_context.lock, remote, under.entry.branch, old)
            continue
        if not change.is_ours(tip):
            raise drift(under.entry, (f"{remote}/{under.entry.branch} is at {short(tip) or 'nothing'}",))
        if under.entry.number is not None:
            _refuse_closing(under.view(), old, changes)
        updates.append(Update(under.entry, oid(tip) if tip else None, old))
    if not updates:
        tips = ", ".join(short(change.before) for change in changes)
        return Outcome("pushed", f"{remote} has {tips} already", StepStatus.NOTHING)
    message = push_all(context, step_context, updates, stacked=False)
    moved = ", ".join(
        f"{short(update.old)}..{short(update.new)}" if update.old else described(update) for update in updates
    )
    return Outcome("pushed", f"{moved}, back as it was, lease held", details=message)


def _refuse_closing(view: View, tip: Oid, changes: tuple[RemoteMoved, ...]) -> None:
    """Refuse a tip that the base contains: GitHub would close the pull request for good."""
    base = view.pull_request().base
    if any(view.of_pr(change.pr).entry.branch == base for change in changes):
        return  # the base is reverted in the same push, which checks this
    ref = branch_ref(branch_name(base))
    base_tip = refs.list_remote(view.git, view.stack.remote, [ref]).get(ref)
    if base_tip is not None and history.is_ancestor(view.git, tip, base_tip):
        raise Refused(
            f"{short(tip)} has no commits over {base}",
            why=f"a push that leaves the pull request none closes {view.entry.label} for good; nothing was pushed",
            next_command=task_command("open", "--pr", view.entry.pr),
        )


def restore_state(context: Context, step_context: StepContext, change: StateChanged) -> Outcome:
    """Restore a pull request's draft state and base; a deleted base is left and reported."""
    pr, before = context.view(Part.PULLS).pull_request(), change.before
    kept = _base_obstacle(context.project, pr.base, before.base, pr.head_oid)
    target = ReviewState(pr.base if kept else before.base, before.draft)
    if ReviewState(pr.base, pr.draft) == target:
        return _readied(target, kept, "")
    context.reporter.require_approval(f"#{pr.number} is {_state(target)} again and targets {target.base}")
    about = step_context.about(context.entry)
    step_context.log_intent(
        records.PullRequestEdited(
            *about, base=pr.base, draft=pr.draft, base_after=target.base, draft_after=target.draft
        )
    )
    if pr.draft != target.draft:
        context.reporter.command(f"gh pr ready {pr.number}{_undo(target)}")
        context.github.set_draft(pr, draft=target.draft)
    if pr.base != target.base:
        set_base(context, pr.number, target.base)
    return _readied(target, kept, " again" if pr.draft != target.draft else "", StepStatus.DONE)


def _state(state: ReviewState) -> str:
    return "a draft" if state.draft else "ready"


def _readied(state: ReviewState, kept: str, again: str, mark: StepStatus = StepStatus.NOTHING) -> Outcome:
    message = f"{_state(state)}{again}, targets {state.base}"
    return Outcome("ready", message, StepStatus.WARNED if kept else mark, (kept,) if kept else ())


def _base_obstacle(project: Project, base: str, former: str, head: Oid) -> str:
    """Return why a pull request's base cannot be restored, or ""."""
    if base == former:
        return ""
    ref = branch_ref(branch_name(former))
    tip = refs.list_remote(project.git, project.stack.remote, [ref]).get(ref)
    if tip is None:
        return f"base left at {base}: branch {former} no longer exists on {project.stack.remote}"
    if history.has_object(project.git, tip) and history.is_ancestor(project.git, head, tip):
        return f"base left at {base}: the pull request has no commits over {former}"
    return ""


def restore_note(view: View, step_context: StepContext, change: NoteChanged) -> Outcome:
    """Restore the note in the description, and keep everything else byte for byte."""
    pr, block = view.pull_request(), change.before
    current = note_of(pr.body)
    if current == block:
        return Outcome("note", "is as it was", StepStatus.NOTHING)
    if current != change.left:
        raise drift(view.entry, (f"#{pr.number}'s reviewer note was edited since",))
    body = put_back(pr.body, block)
    view.reporter.require_approval(f"the note of #{pr.number} as it was")
    about = step_context.about(view.entry)
    step_context.log_intent(records.NoteWritten(*about, body=pr.body, body_after=body))
    view.reporter.command(f"gh api -X PATCH repos/{view.repository.slug}/pulls/{pr.number} --input DESCRIPTION")
    if view.github.edit(pr.number, seen_body=pr.body, body=body).body != body:
        raise ExternalError(
            f"#{pr.number}'s description did not come back as written",
            why="somebody may have edited it at the same moment",
            next_command=task_command("continue"),
        )
    return Outcome("note", "removed" if block is None else "as it was")


def restore_stack_file(git: Git, step_context: StepContext, entry: Entry, change: StackFileChanged) -> Outcome:
    """Restore the text of stack.toml; edits of other lines stay.

    Raises:
        Refused: somebody has changed the same lines since.
    """
    text = read_stack_text(Path(change.path))
    if text == change.before:
        return Outcome("stack.toml", "is as it was", StepStatus.NOTHING)
    wanted = without_change(text, change)
    if wanted is None:
        raise drift(entry, ("stack.toml was edited since",))
    stack_file.write(git, step_context, entry, text=text, text_after=wanted)
    kept = wanted != change.before
    return Outcome("stack.toml", "as it was, with what you edited since" if kept else "as it was")


def restore_branch(context: Context, step_context: StepContext, change: LocalMoved) -> Outcome:
    """Move the local branch back to its old tip; delete one that the run created, create one that it deleted.

    Raises:
        Refused: it is at a commit that the run did not make, or its checkout is not clean.
    """
    if change.created:
        return created_branch.delete_here(context, step_context, change)
    name, old = context.entry.branch, change.before
    tip = local_tip(context.git, name)
    if tip == old:
        return Outcome("branch", f"{name} is at {short(old)}", StepStatus.NOTHING)
    if not change.is_ours(tip):
        raise drift(context.entry, (f"{name} is at {short(tip) or 'nothing'}",))
    if not tip:
        local_branch.move(context, step_context, new=old, old=None, why="taken back")
        remote, tracking = context.stack.remote, tracking_ref(context.stack.remote, name)
        if refs.read_ref(context.git, tracking) is not None:  # pushed again right before: git dropped the setting
            local_refs.set_upstream(context.git, step_context.lock, remote, name)
        return Outcome("branch", f"{name} is restored to {short(old)}")
    checked_out = context.observer.local_now(context.entry.branch).checked_out
    if checked_out and change.index is not None and change.index_left is not None:
        # Before the branch: a killed process is then taken up here.
        index.put_back(context.git, step_context.lock, held=change.index_left, wanted=change.index)
    local_branch.move(context, step_context, new=old, old=oid(tip), why="taken back", keeps_files=change.keeps_files)
    message = f"{name} is back at {short(old)}"
    if not change.keeps_files:
        return Outcome("branch", message)
    if checked_out:
        return Outcome("branch", f"{message}; your files stay as they are")
    kept = f"what was staged is in {short(oid(tip))}: git diff {short(old)} {short(oid(tip))}"
    return Outcome("branch", message, StepStatus.WARNED, (kept,))


def restore_entry(project: Project, step_context: StepContext, change: EntryInserted | EntryTakenOut) -> Outcome:
    """Take an added entry out of stack.toml, or add it again; errors as of `added_entry`."""
    if isinstance(change, EntryTakenOut):
        return added_entry.put_in(project.git, step_context, project.stack, change.added)
    return added_entry.take_back(project.git, step_context, project.stack.name, change.added)
