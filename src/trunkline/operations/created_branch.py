"""Delete a branch that a reverted run created, here or on the remote, if nothing needs it by now."""

from __future__ import annotations

import shlex

from trunkline.context.observation import local_state
from trunkline.context.scope import Scope
from trunkline.context.view import View
from trunkline.domain import records
from trunkline.domain.changes import LocalMoved, RemoteMoved
from trunkline.domain.names import oid, short
from trunkline.domain.step import Outcome, StepStatus
from trunkline.engine import StepContext
from trunkline.git import history, local_refs, push
from trunkline.github import opening
from trunkline.planning.run_changes import drift, local_tip, remote_tip


def delete_here(scope: Scope, step_context: StepContext, change: LocalMoved) -> Outcome:
    """Delete the local branch after a backup, with compare-and-swap; one that is checked out stays.

    Raises:
        Refused: it is at a commit that the run did not make.
    """
    git, name, held = scope.git, scope.entry.branch, local_tip(scope.git, scope.entry.branch)
    if not held:
        return Outcome("branch", f"{name}, which the run created, is gone", StepStatus.NOTHING)
    if not change.is_ours(held):
        raise drift(scope.entry, (f"{name} is at {short(held)}",))
    local = local_state(git, name)
    if in_use := local.use:
        again = f"to delete it: git switch {shlex.quote(scope.stack.trunk)} && git branch -D {shlex.quote(name)}"
        return Outcome("branch", f"{name} stays: {in_use}", StepStatus.WARNED, (again,))
    tip = oid(held)
    local_refs.back_up(git, step_context.lock, name, tip)
    step_context.log_intent(records.BranchDeleted(*step_context.about(scope.entry), old=tip, taken_back=True))
    local_refs.delete(git, step_context.lock, name, tip)
    git.mutate(step_context.lock, "config", "--local", "--remove-section", f"branch.{name}", ok=(0, 1, 128))
    return Outcome("branch", f"{name}, which the run created, is removed")


def delete_on_remote(view: View, step_context: StepContext, change: RemoteMoved) -> Outcome:
    """Delete the branch on the remote after a backup, with a lease on the tip that the run pushed.

    GitHub closes the open pull requests of a deleted branch, and those based on it: the branch then stays.

    Raises:
        Refused: somebody has pushed to it.
        ExternalError: the request to GitHub or the remote failed.
    """
    git, name, remote = view.git, view.entry.branch, view.stack.remote
    held = remote_tip(view)
    if not held:
        return Outcome("deleted", f"{remote} has no {name}", StepStatus.NOTHING)
    if not change.is_ours(held):
        raise drift(view.entry, (f"{remote}/{name} is at {short(held)}",))
    own, based = opening.open_ones(view.github, [name]), opening.based_on(view.github, [name])
    if needing := sorted({*(each.number for each in own.values()), *based.get(name, ())}):
        listed = ", ".join(f"#{number}" for number in needing)
        message = f"{remote}/{name} stays: {listed} would be closed with it"
        return Outcome("deleted", message, StepStatus.WARNED)
    view.reporter.require_approval(f"delete {name} on {remote}")
    tip = oid(held)
    if history.has_object(git, tip):
        local_refs.back_up(git, step_context.lock, name, tip)
    about = step_context.about(view.entry)
    step_context.log_intent(records.RemoteBranchDeleted(*about, remote=remote, old=tip, taken_back=True))
    push.delete_remote(git, step_context.lock, remote, name, tip)
    return Outcome("deleted", f"{remote}/{name}, which the run created")
