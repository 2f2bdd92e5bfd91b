"""Step `rescue`: reopen a pull request that was closed, by hand or because its base branch was deleted.

GitHub reopens it only if its base exists, and retargets it only if it is open (cli/cli#1168,
#14223). So the base is restored at its old commit, the pull request reopened and retargeted, and
the base deleted again.
"""

from __future__ import annotations

import shlex
from collections.abc import Sequence

import msgspec

from trunkline.context.project import Project
from trunkline.context.run import Context
from trunkline.context.view import View
from trunkline.domain import records
from trunkline.domain.command import task_command
from trunkline.domain.errors import Refused
from trunkline.domain.names import BranchName, Oid, branch_name, branch_ref, short
from trunkline.domain.snapshot import PrState, PullRequest
from trunkline.domain.step import Outcome, Step, StepName, StepStatus
from trunkline.engine import StepContext
from trunkline.git import push, refs
from trunkline.operations import publish
from trunkline.planning.parents import open_below
from trunkline.state import journal
from trunkline.state.change_log import Part


class _Lost(msgspec.Struct, frozen=True):
    """The branches to restore and the base to set.

    Attributes:
        deleted: deleted remote branches with their commits: the base, and the head if it was deleted
            too; () if it was closed by hand.
        base: the branch that the pull request targeted.
        onto: its new base.
    """

    deleted: tuple[tuple[BranchName, Oid], ...]
    base: BranchName
    onto: BranchName


def plan(view: View) -> Step:
    """Plan the step.

    Raises:
        Refused: it is open or merged, it landed, or its base is unknown.
    """
    pr = view.known(view.entry.pr)
    lost = _lost_branches(view, pr)
    restored = ", ".join(f"{branch} at {short(tip)}" for branch, tip in lost.deleted)
    slug, number = view.repository.slug, pr.number
    description = [f"restore {restored}"] if lost.deleted else []
    description.append(f"reopen #{number}")
    commands = [_creation(slug, branch, tip) for branch, tip in lost.deleted]
    commands.append(f"gh pr reopen {number}")
    if lost.onto != lost.base:
        description.append(f"target {lost.onto}")
        commands.append(f"gh pr edit {number} --base {shlex.quote(lost.onto)}")
        if any(branch == lost.base for branch, _ in lost.deleted):
            description.append(f"delete {lost.base} again")
            deletion = push.RefUpdate(lost.base, dict(lost.deleted)[lost.base], None)
            commands.append(push.typed_push(view.stack.remote, [deletion]))
    return Step(StepName.RESCUE, ", ".join(description), tuple(commands), mutates=True, publishes=tuple(description))


def run(context: Context, step_context: StepContext) -> Outcome:
    """Restore the deleted branches, reopen, retarget, and delete the restored base.

    Each action is skipped if it has already happened.

    Raises:
        Refused: GitHub does not reopen it; the restored base is deleted again, and the error names a
            command that creates a new pull request.
    """
    view = context.view(Part.ALL)
    pr = view.known(view.entry.pr)
    lost = _begun(step_context) or _lost_branches(view, pr)
    if pr.state is PrState.CLOSED:
        context.reporter.require_approval(f"reopen #{pr.number}")
        about, deleted = step_context.about(context.entry), tuple(records.LostBranch(*each) for each in lost.deleted)
        step_context.log_intent(
            records.PullRequestReopened(*about, gone=deleted, base=lost.base, base_after=lost.onto)
        )
        _restore(context.project, lost.deleted)
        pr = _reopen(context, step_context, pr, lost)
    if pr.base != lost.onto:
        publish.retarget(context, step_context, (pr, lost.onto))
    kept = _remove(context, step_context, lost)
    message = f"#{pr.number} is open again and targets {lost.onto}"
    return Outcome(
        "rescued", message, StepStatus.WARNED if kept else StepStatus.DONE, kept, {"pr": pr.number, "base": lost.onto}
    )


def abort_incomplete(context: Context, step_context: StepContext) -> tuple[Outcome, ...]:
    """Abort an incomplete rescue by deleting the base that it restored.

    A restored head stays, since it holds the commits of the pull request. A pull request that is open
    again stays open: closing it would be for good.
    """
    lost = _begun(step_context)
    if lost is None:
        return ()
    pr = context.view().known(context.entry.pr)
    if pr.state is PrState.OPEN:
        edit = f"it targets {pr.base}: gh pr edit {pr.number} --base {shlex.quote(lost.onto)}"
        target = (edit,) if pr.base != lost.onto else ()
        return (Outcome("rescue", f"#{pr.number} is open again and stays so", StepStatus.WARNED, target),)
    kept = _remove(context, step_context, lost)
    return (Outcome("rescue", f"#{pr.number} stays closed", StepStatus.WARNED if kept else StepStatus.DONE, kept),)


def _lost_branches(view: View, pr: PullRequest) -> _Lost:
    if pr.state is not PrState.CLOSED:
        landed = pr.state is PrState.MERGED and not pr.merged_at
        raise Refused(
            f"#{pr.number} landed: {view.tracking} has its changes since {short(pr.merge_commit or pr.head_oid)}"
            if landed
            else f"#{pr.number} is {pr.state.value.lower()}",
            why="only a pull request that was closed without being merged can be rescued",
            next_command=task_command("status"),
        )
    below = open_below(view)
    base, head = branch_name(pr.base), view.entry.branch
    names = [branch_ref(base), branch_ref(head)]
    existing = refs.list_remote(view.git, view.stack.remote, names)
    tips = {base: pr.base_oid, head: pr.head_oid}
    unknown = [branch for branch, tip in tips.items() if tip is None and branch_ref(branch) not in existing]
    if unknown:
        raise Refused(
            f"{unknown[0]} is gone, and GitHub does not say where it was",
            next_command=_replacement(view.project, pr, below.branch if below else view.stack.trunk),
        )
    deleted = tuple((branch, tip) for branch, tip in tips.items() if tip and branch_ref(branch) not in existing)
    return _Lost(deleted, base, below.branch if below else view.stack.trunk)


def _begun(step_context: StepContext) -> _Lost | None:
    """Return the rescue that this run has logged before, in this process or another one; None if it has not."""
    for record in journal.read(step_context.journal.path).records:
        if isinstance(record, records.PullRequestReopened):
            deleted = tuple((branch_name(each.branch), each.tip) for each in record.gone)
            return _Lost(deleted, branch_name(record.base), branch_name(record.base_after))
    return None


def _creation(slug: str, branch: BranchName, tip: Oid) -> str:
    """Return the command that creates a branch on the remote as a person would type it."""
    return f"gh api repos/{slug}/git/refs -f ref={shlex.quote(branch_ref(branch))} -f sha={tip}"


def _restore(project: Project, deleted: Sequence[tuple[BranchName, Oid]]) -> None:
    remote_refs = refs.list_remote(project.git, project.stack.remote, [branch_ref(branch) for branch, _ in deleted])
    for branch, tip in deleted:
        if branch_ref(branch) not in remote_refs:
            project.reporter.command(_creation(project.repository.slug, branch, tip))
            project.github.create_branch(branch, tip)


def _reopen(context: Context, step_context: StepContext, pr: PullRequest, lost: _Lost) -> PullRequest:
    context.reporter.command(f"gh pr reopen {pr.number}")
    try:
        context.github.edit(pr.number, state="open")
    except Refused as refused:
        kept = _remove(context, step_context, lost)
        raise Refused(
            f"GitHub does not reopen #{pr.number}",
            why="\n".join((refused.why, *kept, "the next command makes a new pull request of the same branch")),
            next_command=(
                _replacement(context.project, pr, lost.onto),
                task_command("init", "--update", comment=f"then: the new one takes the place of #{pr.number}"),
            ),
        ) from refused
    return context.view().known(pr.number)


def _remove(context: Context, step_context: StepContext, lost: _Lost) -> tuple[str, ...]:
    """Delete the restored base, unless an open pull request is based on it or somebody pushed to it.

    Returns:
        The reason for which it stays, or ().
    """
    restored = dict(lost.deleted).get(lost.base)
    if restored is None or lost.base == lost.onto:
        return ()
    remote, ref = context.stack.remote, branch_ref(lost.base)
    remote_tip = refs.list_remote(context.git, remote, [ref]).get(ref)
    users = [pr.number for pr in context.view(Part.REMOTE).open_pulls() if pr.base == lost.base]
    if remote_tip is None:
        return ()
    if remote_tip != restored or users:
        why = f"it is at {short(remote_tip)}" if remote_tip != restored else f"#{users[0]} targets it"
        return (f"{lost.base} stays on {remote}: {why}",)
    context.reporter.require_approval(f"delete {lost.base} on {remote} again")
    about = step_context.about(context.entry)
    step_context.log(records.RestoredBaseDeleted(*about, base=lost.base, tip=restored))
    push.delete_remote(context.git, step_context.lock, remote, lost.base, restored)
    return ()


def _replacement(project: Project, pr: PullRequest, base: str) -> str:
    """Return the command that creates a new pull request from the closed one."""
    repository = project.repository.argument
    create = ["gh", "pr", "create", "--repo", repository, "--base", base, "--head", str(pr.head), "--title", pr.title]
    draft = ["--draft"] if pr.draft else []
    body = ["gh", "pr", "view", str(pr.number), "--repo", repository, "--json", "body"]
    body += ["--template", "{{.body}}"]  # --jq would add a line
    return f"{shlex.join(body)} | {shlex.join([*create, *draft, '--body-file', '-'])}"
