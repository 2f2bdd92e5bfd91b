"""Step `cleanup`: delete branches of merged entries, locally and on the remote."""

from __future__ import annotations

from collections.abc import Collection, Sequence

from trunkline.context.view import View
from trunkline.domain import records
from trunkline.domain.names import Oid, PrNumber, branch_ref, short
from trunkline.domain.snapshot import PullRequest
from trunkline.domain.stack import Entry
from trunkline.domain.step import Outcome, Step, StepName, StepStatus
from trunkline.engine import StepContext
from trunkline.git import local_refs, push
from trunkline.git.git import Git
from trunkline.github import opening
from trunkline.planning.merged_branch import is_deletable, is_merged, reason_to_stay
from trunkline.steps.push import REBASED


def plan(view: View, landing: Collection[Entry]) -> Step:
    """Plan the step.

    Args:
        view: the stack.
        landing: the entries that are merged before it.
    """
    remote, world = view.stack.remote, view.world
    merged = [
        entry for entry in view.stack.entries
        if entry in landing
        or (is_merged(world.snapshot.pr(entry.key)) and branch_ref(entry.branch) in world.remote_refs)
    ]  # fmt: skip
    deletions = [push.RefUpdate(entry.branch, _expected_tip(view, entry), None) for entry in merged]
    commands = tuple(push.typed_push(remote, [deletion]) for deletion in deletions)
    description = "delete the branches that are merged whole and hold nothing else"
    return Step(
        StepName.CLEANUP, description, commands, mutates=True, publishes=(f"delete merged branches on {remote}",)
    )


def _expected_tip(view: View, entry: Entry) -> Oid | None:
    """Return the head with which an entry is merged, or was; `REBASED` for one that the run rewrites first."""
    pr = view.world.snapshot.pr(entry.key)
    head = pr.head_oid if pr is not None else None
    if is_merged(pr) or view.decisions.as_is(entry.key) is not None:
        return head
    return head if view.decisions.planned_tip(entry.key) in {None, head} else REBASED


def plan_locally(view: View) -> Step | None:
    """Plan the deletion of merged local branches; None if no branch can be deleted.

    Args:
        view: the stack.
    """
    gone = [
        entry for entry in view.stack.entries
        if is_deletable(view.git, view.world.snapshot.pr(entry.key), view.of(entry).local)
    ]  # fmt: skip
    if not gone:
        return None
    tips = {entry.branch: view.of(entry).local.local for entry in gone}
    commands = tuple(local_refs.delete_command(branch, tip) for branch, tip in tips.items() if tip is not None)
    publishes = tuple(f"delete your local branch {entry.branch}: {entry.label} is merged" for entry in gone)
    return Step(StepName.CLEANUP, "delete merged local branches", commands, mutates=True, publishes=publishes)


def run_locally(view: View, step_context: StepContext) -> Outcome:
    """Delete the local branches of merged entries; branches on the remote stay as they are.

    A branch is kept if it holds a commit that was not merged, or if it is checked out.
    """
    gone, kept = [], []
    for entry in view.stack.entries:
        local, pr = view.of(entry).local, view.world.snapshot.pr(entry.key)
        if local.local is None or not is_merged(pr):
            continue
        reason = reason_to_stay(view.git, pr, local)
        if not reason:
            _delete_here(view.git, step_context, entry, local.local)
            gone.append(str(entry.branch))
        else:
            kept.append(f"{entry.branch} stays: {reason}")
    message = f"deleted {', '.join(gone)}" if gone else "nothing to delete"
    return Outcome("tidied", message, StepStatus.DONE if gone else StepStatus.NOTHING, tuple(kept), {"deleted": gone})


def _delete_here(git: Git, step_context: StepContext, entry: Entry, tip: Oid) -> None:
    """Delete a local branch, after a backup of its tip."""
    local_refs.back_up(git, step_context.lock, entry.branch, tip)
    step_context.log_intent(records.BranchDeleted(*step_context.about(entry), old=tip))
    local_refs.delete(git, step_context.lock, entry.branch, tip)


def run(view: View, step_context: StepContext) -> Outcome:
    """Delete the branches of merged entries.

    A branch is kept if its tip is not the merged commit, or if an open pull request is based on it: one of
    the stack, of another stack, or of somebody else.
    """
    gone, kept = [], []
    pulls = view.world.snapshot
    merged = [entry.branch for entry in view.stack.entries if is_merged(pulls.pr(entry.key))]
    based = opening.based_on(view.github, merged)
    for entry in view.stack.entries:
        pr = pulls.pr(entry.key)
        if not is_merged(pr):
            continue  # branches of pull requests that were closed by hand are kept, even if trunk has their changes
        reason = _reason_to_keep(view.of(entry), pr, based.get(entry.branch, ()))
        try:
            deleted = not reason and _delete(view.of(entry), step_context, pr.head_oid)
        except push.MovedMeanwhile:
            reason, deleted = f"somebody pushed to it on {view.stack.remote}", False
        if reason:
            kept.append(f"{entry.branch} stays: {reason}")
        elif deleted:
            gone.append(str(entry.branch))
    message = f"deleted {', '.join(gone)}" if gone else "nothing to delete"
    return Outcome("tidied", message, StepStatus.DONE if gone else StepStatus.NOTHING, tuple(kept), {"deleted": gone})


def _reason_to_keep(view: View, pr: PullRequest, based_on_it: Sequence[PrNumber]) -> str:
    """Return why a branch must be kept, or "".

    Deleting it could lose commits, or close the pull requests based on it (git-spice#1107,
    cli/cli#14223).

    Args:
        view: the entry.
        pr: its pull request.
        based_on_it: the open pull requests of the repository that are based on its branch.
    """
    local = view.local
    for where, tip in (("here", local.local), (f"on {view.stack.remote}", local.remote)):
        if tip not in {None, pr.head_oid}:
            return f"it holds {short(tip or pr.head_oid)} {where}, which is not the merged commit"
    if based_on_it:
        listed = ", ".join(f"#{number}" for number in based_on_it)
        return f"{listed} {'is' if len(based_on_it) == 1 else 'are'} based on it, and would be closed"
    return local.use


def _delete(view: View, step_context: StepContext, tip: Oid) -> bool:
    local, entry = view.local, view.entry
    if local.remote is None and local.local is None:
        return False
    if local.remote is not None:
        view.reporter.require_approval(f"delete {entry.branch} on {view.stack.remote}")
        about = step_context.about(entry)
        step_context.log_intent(records.RemoteBranchDeleted(*about, remote=view.stack.remote, old=tip))
        push.delete_remote(view.git, step_context.lock, view.stack.remote, entry.branch, tip)
    if local.local is not None:
        _delete_here(view.git, step_context, entry, tip)
    return True
