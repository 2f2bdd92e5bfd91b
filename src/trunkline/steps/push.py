"""Step `push`: push the local branch, with a lease on the observed remote tip."""

from __future__ import annotations

import itertools
import shlex
from collections.abc import Sequence

from msgspec.structs import replace

from trunkline.context.run import Context
from trunkline.context.scope import Scope
from trunkline.context.view import View
from trunkline.domain import records
from trunkline.domain.command import task_command
from trunkline.domain.commits import counted
from trunkline.domain.errors import Refused
from trunkline.domain.names import Oid, branch_ref, short
from trunkline.domain.stack import Entry
from trunkline.domain.step import Outcome, Step, StepName, StepStatus
from trunkline.domain.words import listed_briefly
from trunkline.engine import StepContext
from trunkline.git import history, local_refs, push
from trunkline.git.push import Pushed, RefUpdate, typed_push
from trunkline.operations import attested_push
from trunkline.operations.publish import Update, before_push, described, endangered, push_all
from trunkline.planning import pushed_commits
from trunkline.planning.heads import deleted, diverged, foreign_commits, missing_here
from trunkline.planning.journal_queries import planned_remote
from trunkline.planning.parents import open_below
from trunkline.planning.verification import require_gates
from trunkline.state.change_log import Part

REBASED = Oid("REBASED")
"""A placeholder for the id of the pushed commit, which is not known before it is created."""


def plan(view: View) -> Step:
    """Plan the step as a task of its own: a branch that the remote has already needs no push.

    Raises:
        Refused: the remote branch was deleted, or the pull request is closed.
    """
    if view.local.remote is None:
        raise deleted(view)
    step = plan_in_rebase(view)
    if stays := _stays_ahead(view):
        return Step(StepName.PUSH, f"nothing: {stays}", mutates=True)
    if step.publishes or view.local.local is None:
        return step
    return Step(StepName.PUSH, f"nothing: {view.stack.remote} has {view.entry.branch} already", mutates=True)


def plan_in_rebase(view: View) -> Step:
    """Plan the step after a replay and `fmt`, which may add a commit to a branch that is up to date.

    Raises:
        Refused: the branch of the pull request cannot be pushed.
        UsageError: its branch is another one than in stack.toml.
    """
    if StepName.PUSH not in view.options.skip:
        view.pull_request()
    ref, remote = branch_ref(view.entry.branch), view.stack.remote
    command = _display([ref], remote)
    also = "; share its signed receipts as git notes" if attested_push.is_wanted(view) else ""
    description = f"push {view.entry.branch}, if {remote} has not moved{also}"
    return Step(
        StepName.PUSH,
        description,
        (command,),
        mutates=True,
        publishes=_publishes(view) + attested_push.publishes(view),
    )


def _publishes(view: View) -> tuple[str, ...]:
    """Return lines that describe what a push publishes, as far as it is known at planning time."""
    local, new, unknown = view.local, _new_tip(view), _is_unknown(view)
    if local.remote is None or new is None or not _may_move(view):
        return ()
    message = "the rebased commits" if unknown else short(new)
    return (f"push {view.entry.branch} to {view.stack.remote}: {short(local.remote)}..{message}",)


def _new_tip(view: View) -> Oid | None:
    return view.decisions.planned_tip(view.entry.key) or view.local.local


def _is_unknown(view: View) -> bool:
    """Return whether the tip is not known before the replay: it conflicts, or rests on a branch that moves."""
    preview = view.decisions.replays.get(view.entry.key)
    return preview is not None and bool(preview.done.conflict or open_below(view))


def _may_move(view: View) -> bool:
    """Return whether a push may move the entry's remote branch, as far as it is known at planning time."""
    preview = view.decisions.replays.get(view.entry.key)
    moves = _is_unknown(view) and not (preview is not None and preview.nothing)
    return moves or _new_tip(view) != view.local.remote


def run(context: Context, step_context: StepContext) -> Outcome:
    """Push the entry's branch, and share the signed receipts if that is wanted; errors as of `_push`."""
    key = attested_push.key_of(context)
    return attested_push.share(context, step_context.lock, key, _push(context, step_context))


def _push(context: Context, step_context: StepContext) -> Outcome:
    """Push the entry's branch.

    Raises:
        Refused: the gates have not passed on its tip, it is not based on trunk, the pull request is
            closed, or the remote branch moved or holds foreign commits.
        ExternalError: the request to the remote failed.
    """
    view, remote = context.view(), context.stack.remote
    view.pull_request()
    tip, remote_tip = view.local_tip(), view.local.remote
    if remote_tip is None:
        raise deleted(view)
    require_gates(view, tip)
    _refuse_no_commits(view, tip)
    if remote_tip == tip:
        # A killed push may have left it behind.
        local_refs.update_tracking_ref(context.git, step_context.lock, remote, context.entry.branch, tip)
        return Outcome(
            "pushed",
            f"{remote} has {short(tip)} already",
            StepStatus.NOTHING,
            data=_facts(context, remote_tip, tip),
        )
    pushed_commits.refuse(view)
    _refuse_foreign(view, remote_tip, tip)
    if stays := _stays_ahead(view):
        return Outcome("pushed", stays, StepStatus.NOTHING, data=_facts(context, remote_tip, remote_tip))
    context.reporter.require_approval(f"push {context.entry.branch}: {short(remote_tip)}..{short(tip)}")
    about = step_context.about(context.entry)
    step_context.log_intent(records.BranchPushed(*about, remote=remote, old=remote_tip, new=tip))
    try:
        done = push.push(context.git, step_context.lock, remote, [RefUpdate(context.entry.branch, remote_tip, tip)])
    except Refused:
        pushed_commits.refuse(context.view(Part.REMOTE))  # the lease failed because somebody pushed at that moment
        raise
    local_refs.update_tracking_ref(context.git, step_context.lock, remote, context.entry.branch, tip)
    message = (
        f"{short(remote_tip)}..{short(tip)}, lease held"
        if done is Pushed.MOVED
        else f"{short(tip)} was there already"
    )
    return Outcome("pushed", message, data=_facts(context, remote_tip, tip))


def _display(branch_refs: Sequence[str], remote: str) -> str:
    """Return the push of branches whose old and new tips are not known yet."""
    leases = [f"--force-with-lease={ref}:EXPECTED" for ref in branch_refs]
    return shlex.join(["git", "push", "--atomic", *leases, remote, *(f"{REBASED}:{ref}" for ref in branch_refs)])


def plan_stack(view: View, entries: Sequence[Entry]) -> Step:
    """Plan one atomic push for all open entries; errors as of `plan_in_rebase`."""
    published = [each for each in entries if each.number is not None and view.stack.unsubmitted_below(each) is None]
    for each in published if StepName.PUSH not in view.options.skip else ():
        view.of(each).pull_request()
    if published and not any(_may_move(view.of(each)) for each in published):
        return Step(StepName.PUSH, f"nothing: {view.stack.remote} has every branch already", mutates=True)
    # An entry above one that moves is replayed, too, even if a conflict below hides its new tip.
    published = list(itertools.dropwhile(lambda each: not _may_move(view.of(each)), published))
    refs_ = [branch_ref(entry.branch) for entry in published]
    command = _display(refs_, view.stack.remote)
    description = f"push all moved branches atomically, if {view.stack.remote} has not moved"
    publishes = tuple(line for entry in published for line in _publishes(view.of(entry)))
    step = Step(StepName.PUSH, description, (command,) if published else (), mutates=True, publishes=publishes)
    return before_push(step, endangered(view, _foreseen(view, published)), view.stack.trunk)


def _foreseen(view: View, entries: Sequence[Entry]) -> tuple[Update, ...]:
    """Return the updates of a push before the replays; () if a conflict hides the new tips."""
    found = []
    for entry in entries:
        preview, tip = view.decisions.replays.get(entry.key), _new_tip(view.of(entry))
        if preview is None or preview.done.conflict or tip is None:
            return ()
        found.append(Update(entry, view.of(entry).local.remote, tip))
    return tuple(found)


def updates_of(view: View, entries: Sequence[Entry]) -> tuple[Update, ...]:
    """Return the branches of entries whose remote side is missing or differs.

    Only the branch of an entry without a pull request may be missing on the remote: it is new.

    Raises:
        Refused: a pull request is closed, or a remote branch is deleted or holds foreign commits.
    """
    found = []
    for entry in entries:
        entry_view = view.of(entry)
        local = entry_view.local
        if entry.number is not None:
            entry_view.pull_request()
        if local.local is None:
            if local.remote is None:
                raise entry_view.no_branch()
            continue
        if local.remote is None:
            if entry.number is not None:
                raise deleted(entry_view)
        elif local.remote != local.local:
            pushed_commits.refuse(entry_view)
            _refuse_foreign(entry_view, local.remote, local.local)
        if local.remote != local.local and not missing_here(entry_view):
            found.append(Update(entry, local.remote, local.local))
    return tuple(found)


def plan_entries(view: View, entries: Sequence[Entry]) -> Step:
    """Plan one atomic push of what is new or moved; errors as of `updates_of`."""
    updates = updates_of(view, entries)
    step = plan_updates(view, updates)
    description = "; ".join((step.description, *_left_ahead(view, entries)))
    return replace(step, description=description, publishes=(*step.publishes, *_taken_off(view, updates)))


def _left_ahead(view: View, entries: Sequence[Entry]) -> tuple[str, ...]:
    """Return a message for each remote branch that stays ahead of the local one, as `restack` also leaves it."""
    return tuple(line for entry in entries if (line := _stays_ahead(view.of(entry))))


def _stays_ahead(view: View) -> str:
    commits, remote_tip, ref = missing_here(view), view.local.remote, branch_ref(view.entry.branch)
    if not commits:
        return ""
    remote, names = view.stack.remote, listed_briefly([f'{short(each.oid)} "{each.subject}"' for each in commits])
    shorten = shlex.join(["git", "push", f"--force-with-lease={ref}:{remote_tip}", remote, view.entry.branch])
    them = "it" if len(commits) == 1 else "them"
    ahead = f"{remote}/{view.entry.branch} stays {counted(len(commits))} ahead of yours: {names}"
    return f"{ahead}; to take {them} off: {shorten}"


def _taken_off(view: View, updates: Sequence[Update]) -> tuple[str, ...]:
    """Return a line for each branch that the push shortens: a reset or a drop, by intention or by mistake."""
    lines = []
    for each in updates:
        if each.old is None or not history.is_ancestor(view.git, each.new, each.old):
            continue
        commits = history.reachable(view.git, [each.old], [each.new])
        names = listed_briefly([f'{short(commit.oid)} "{commit.subject}"' for commit in commits])
        lines.append(f"take {counted(len(commits))} off {view.stack.remote}/{each.entry.branch}: {names}")
    return tuple(lines)


def plan_updates(view: View, updates: Sequence[Update]) -> Step:
    """Plan one atomic push of some branches."""
    remote = view.stack.remote
    moves = [RefUpdate(each.entry.branch, each.old, each.new) for each in updates]
    commands = (typed_push(remote, moves),) if updates else ()
    publishes = tuple(f"push {described(update)}" for update in updates)
    description = f"push what is new or moved, all or none, if {remote} has not moved"
    step = Step(StepName.PUSH, description if updates else f"{remote} has every branch", commands, mutates=True,
                publishes=publishes)  # fmt: skip
    return before_push(step, endangered(view, updates), view.stack.trunk)


def run_entries(context: Context, step_context: StepContext, entries: Sequence[Entry]) -> Outcome:
    """Push what is new or moved in one atomic push, and set the upstream of new branches.

    Raises:
        Refused: see `updates_of`; or a branch appeared on the remote meanwhile.
        ExternalError: the request to the remote failed.
    """
    git, remote, view = context.git, context.stack.remote, context.view()
    updates = updates_of(view, entries)
    pushed = {update.entry.branch for update in updates}
    unpushed = (view.of(entry).local for entry in entries if entry.branch not in pushed)
    left = {each.branch: each.local for each in unpushed if each.local is not None and each.local == each.remote}
    # A killed push may have left them behind.
    local_refs.update_tracking_refs_of(git, step_context.lock, remote, left)
    for entry in entries:
        if entry.number is None and entry.branch in left and not local_refs.has_upstream(git, entry.branch):
            local_refs.set_upstream(git, step_context.lock, remote, entry.branch)
    ahead = _left_ahead(view, entries)
    if not updates:
        return Outcome("pushed", f"{remote} has every branch already", StepStatus.NOTHING, ahead)
    message = push_all(context, step_context, updates, stacked=False)
    for update in updates:
        if update.old is None:
            local_refs.set_upstream(git, step_context.lock, remote, update.entry.branch)
    moved = ", ".join(described(update) for update in updates)
    return Outcome(
        "pushed", f"{moved}; all or none, leases held", details=(*_taken_off(view, updates), *message, *ahead)
    )


def run_stack(context: Context, step_context: StepContext) -> Outcome:
    """Push every open entry whose branch moved, in one atomic push.

    Raises:
        Refused: a pull request is closed, a remote branch moved, is deleted or holds foreign commits,
            or the push would close a pull request for good.
        ExternalError: the request to the remote failed.
    """
    updates, left, remote = [], list[str](), context.stack.remote
    view = context.view()
    for pr in view.open_pulls():
        entry = view.stack.entry(pr.number)
        if (lacking := view.stack.unsubmitted_below(entry)) is not None:
            left.append(f"{entry.label} is left to {task_command('submit')}: {lacking.branch} has no pull request")
            continue
        under = view.of(entry)
        local = under.local
        if local.local is None:
            continue
        under.pull_request()
        if local.remote is None:
            raise deleted(under)
        if local.remote == local.local:
            local_refs.update_tracking_ref(context.git, step_context.lock, remote, entry.branch, local.local)
            continue
        pushed_commits.refuse(under)
        _refuse_foreign(under, local.remote, local.local)
        updates.append(Update(entry, local.remote, local.local))
    if not updates:
        nothing = f"{remote} has every branch already" if not left else "nothing to push"
        return Outcome("pushed", nothing, StepStatus.NOTHING, tuple(left))
    message = push_all(context, step_context, updates)
    moved = ", ".join(described(update) for update in updates)
    return Outcome("pushed", f"{moved}; all or none, leases held", details=(*message, *left))


def _facts(scope: Scope, old: Oid, new: Oid) -> dict[str, str]:
    return {"remote": scope.stack.remote, "branch": scope.entry.branch, "old": old, "new": new}


def _refuse_no_commits(view: View, tip: Oid) -> None:
    trunk = view.world.trunk
    if history.is_ancestor(view.git, tip, trunk):
        raise Refused(
            f"{view.entry.branch} has no commits over {view.tracking}",
            why=f"a push that leaves the pull request none closes {view.entry.label} for good",
            next_command=task_command("onto", "--pr", view.entry.key),
        )


def _refuse_foreign(view: View, remote_tip: Oid, tip: Oid) -> None:
    git, branch = view.git, view.entry.branch
    foreign = foreign_commits(view, remote_tip, tip)
    if foreign:
        raise diverged(view, foreign)
    planned = planned_remote(view, tip)
    if planned is not None and remote_tip != planned and not history.is_ancestor(git, remote_tip, tip):
        raise Refused(
            f"{view.stack.remote}/{branch} moved since the rebase was planned",
            why=f"it was at {planned}, it is at {remote_tip}",
            next_command=task_command("onto", "--pr", view.entry.key),
        )
