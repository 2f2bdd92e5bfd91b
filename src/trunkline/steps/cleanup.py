"""Step `cleanup`: delete branches of merged entries, locally and on the remote."""

from __future__ import annotations

from trunkline.context.run import Context
from trunkline.context.scope import Scope
from trunkline.context.view import View
from trunkline.domain import records
from trunkline.domain.names import Oid, short
from trunkline.domain.snapshot import PrState, PullRequest
from trunkline.domain.step import Outcome, Step, StepName, StepStatus
from trunkline.engine import StepContext
from trunkline.git import refs
from trunkline.steps.merge import children


def plan(scope: Scope) -> Step:
    """Plan the step."""
    remote = scope.stack.remote
    commands = tuple(f"git push {remote} --delete {entry.branch}" for entry in scope.stack.entries)
    description = "delete the branches that are merged whole and hold nothing else"
    return Step(
        StepName.CLEANUP, description, commands, mutates=True, publishes=(f"delete merged branches on {remote}",)
    )


def run(context: Context, step_context: StepContext) -> Outcome:
    """Delete the branches of merged entries.

    A branch is kept if its tip is not the merged commit, or if an open pull request is based on it.
    """
    context.observer.changed()
    gone, kept = [], []
    for entry in context.stack.entries:
        entry_context = context.of(entry)
        pr = context.world().snapshot.pr(entry.key)
        if pr is None or pr.state is not PrState.MERGED or not pr.merged_at:
            continue  # branches of pull requests that were closed by hand are kept, even if trunk has their changes
        reason = _reason_to_keep(entry_context.view(), pr)
        if reason:
            kept.append(f"{entry.branch} stays: {reason}")
        elif _delete(entry_context, step_context, pr.head_oid):
            gone.append(str(entry.branch))
    message = f"deleted {', '.join(gone)}" if gone else "nothing to delete"
    return Outcome("tidied", message, StepStatus.DONE if gone else StepStatus.NOTHING, tuple(kept), {"deleted": gone})


def _reason_to_keep(view: View, pr: PullRequest) -> str:
    """Return why a branch must be kept, or "".

    Deleting it could lose commits, or close the pull requests based on it (git-spice#1107,
    cli/cli#14223).
    """
    local = view.local
    for where, tip in (("here", local.local), (f"on {view.stack.remote}", local.remote)):
        if tip not in {None, pr.head_oid}:
            return f"it holds {short(tip or pr.head_oid)} {where}, which is not what was merged"
    based = ", ".join(f"#{child.number}" for child in children(view))
    if based:
        return f"{based} is based on it, and would be closed"
    if local.rebasing:
        return f"it is being rebased in {local.rebasing}"
    return "it is checked out" if local.checked_out or local.elsewhere else ""


def _delete(context: Context, step_context: StepContext, tip: Oid) -> bool:
    local, entry = context.view().local, context.entry
    if local.remote is None and local.local is None:
        return False
    if local.remote is not None:
        context.reporter.require_approval(f"delete {entry.branch} on {context.stack.remote}")
        about = step_context.about(entry)
        step_context.log_intent(records.RemoteBranchDeleted(*about, remote=context.stack.remote, old=tip))
        refs.delete_remote(context.git, step_context.lock, context.stack.remote, entry.branch, tip)
    if local.local is not None:
        refs.back_up(context.git, step_context.lock, entry.branch, tip)
        step_context.log_intent(records.BranchDeleted(*step_context.about(entry), old=tip))
        refs.delete(context.git, step_context.lock, entry.branch, tip)
    context.observer.changed()
    return True
