"""Step `merge`: merge the pull request into trunk, at exactly the verified head.

The entry above is retargeted first.
"""

from __future__ import annotations

import operator
import shlex

from msgspec.structs import replace

from trunkline.context.project import Project
from trunkline.context.run import Context
from trunkline.context.view import View
from trunkline.domain import records
from trunkline.domain.command import task_command
from trunkline.domain.errors import ExternalError, Refused, TrunklineError
from trunkline.domain.merge_choice import MergeChoice, squash_message
from trunkline.domain.names import Oid, branch_ref, short
from trunkline.domain.native import stack_of
from trunkline.domain.snapshot import PrState, PullRequest
from trunkline.domain.step import Outcome, Step, StepName, StepStatus
from trunkline.engine import StepContext
from trunkline.git import history, refs
from trunkline.github import branch_rules
from trunkline.operations.publish import retarget
from trunkline.planning import merge_as_is
from trunkline.planning.merged import merged_elsewhere
from trunkline.planning.titles import squash_title
from trunkline.planning.verification import refuse_other_head
from trunkline.state.change_log import Part
from trunkline.steps import unchanged, wait
from trunkline.steps.wait import VERIFIED_ONLY, limit
from trunkline.system.polling import poll

TRUNK_SECONDS = 120.0
"""Seconds to wait until the trunk ref contains a merge that GitHub reports."""


def plan(view: View) -> Step:
    """Plan the step."""
    pr, trunk = view.entry.pr, view.stack.trunk
    method = merge_as_is.named_method(view.project) or "squash"
    before = tuple(f"gh pr edit {child.number} --base {shlex.quote(trunk)}" for child in _children(view))
    command = f"gh pr merge {pr} --{method} --match-head-commit VERIFIED"
    description = f"merge #{pr} into {trunk}, if its head is what was verified"
    return Step(
        StepName.MERGE, description, (*before, command), mutates=True, publishes=(f"merge #{pr} into {trunk}",)
    )


def run(context: Context, step_context: StepContext) -> Outcome:
    """Retarget the pull requests based on the entry's branch, merge it, and wait for trunk.

    Raises:
        Refused: the head is not the verified one, the entry must be rewritten by now, or GitHub
            rejects the merge.
        CheckFailed: trunk moved, and a gate fails on the new result of the merge.
        ExternalError: trunk does not contain the merge in time.
    """
    pr = context.world().snapshot.pr(context.entry.key)
    if pr is not None and pr.state is PrState.MERGED:
        return landed(context, step_context, pr, StepStatus.NOTHING)
    view, tip = context.view(), context.local_tip()
    refuse_other_head(view, view.pull_request(), why=VERIFIED_ONLY, next_command=task_command("continue"))
    choice = unchanged.renew(context, step_context)
    if wait.target_trunk(context, step_context):
        wait.run(context, step_context)
    view = context.view()  # gates may have run for minutes
    pr = view.pull_request()
    refuse_other_head(view, pr, why=VERIFIED_ONLY, next_command=task_command("continue"))
    context.reporter.require_approval(f"merge #{pr.number} into {context.stack.trunk}")
    _retarget_children(context, step_context)
    method = merge_as_is.named_method(context.project) or merge_as_is.default_method(context.observer.rules())
    step_context.log_intent(records.MergeRequested(*step_context.about(context.entry), head=tip, method=method))
    context.reporter.command(f"gh pr merge {pr.number} --{method} --match-head-commit {tip}")
    if not request(context, pr, tip, method, choice):
        wait_for_queue(context)
    merged = context.world(Part.REMOTE).snapshot.pr(pr.number)
    if merged is None or merged.state is not PrState.MERGED:
        raise ExternalError(
            f"GitHub took the merge of #{pr.number} but does not show it yet", next_command=task_command("continue")
        )
    return compared(context.project, choice, landed(context, step_context, merged, StepStatus.DONE))


def compared(project: Project, choice: MergeChoice | None, done: Outcome) -> Outcome:
    """Compare what landed with what was verified.

    GitHub pins the head of a merge, but not the trunk commit that it is merged into.
    """
    merge = done.data["merge_commit"]
    if choice is None or project.git.tree(merge) == project.git.tree(choice.result):
        return done
    names = ", ".join(history.differing(project.git, project.git.tree(choice.result), project.git.tree(merge)))
    message = f"{project.tracking} moved in the moment of the merge: {short(merge)} also holds changes to {names}, "
    again = "which no gate has seen together with it"
    return replace(done, mark=StepStatus.WARNED, details=(message + again, *done.details))


def request(context: Context, pr: PullRequest, tip: Oid, method: str, choice: MergeChoice | None) -> bool:
    """Merge the pull request; after an error, check whether the merge happened nevertheless.

    Returns:
        Whether it is merged; if not, it is in the merge queue.
    """
    title, message = _worded(context, pr, choice) if method == "squash" else ("", None)
    try:
        return bool(context.github.merge(pr.number, head=tip, method=method, title=title, message=message))
    except TrunklineError:
        pr_now = context.world(Part.REMOTE).snapshot.pr(pr.number)
        if pr_now is None or pr_now.state is not PrState.MERGED:
            raise
        return True


def wait_for_queue(context: Context) -> None:
    """Wait until the merge queue has merged it.

    Raises:
        Refused: it left the queue unmerged.
        ExternalError: the time is up.
    """
    number = context.entry.pr
    reported: list[int] = []

    def observe() -> bool:
        # Query the queue first: a merge between the two requests is then seen as merged.
        place = branch_rules.read_rules(context.github, number).queued
        if context.view(Part.REMOTE).known(number).state is PrState.MERGED:
            return True
        if not place:
            raise Refused(
                f"#{number} left the merge queue without being merged",
                why="its checks failed there, or somebody took it out",
                next_command=(task_command("open", "--pr", number), task_command("continue")),
            )
        if place not in reported[-1:]:
            reported.append(place)
            context.reporter.progress(f"#{number} is number {place} in the merge queue")
        return False

    seconds = limit(context.project)
    if not poll(observe, pending=operator.not_, limit=seconds, first=2, longest=60):
        raise ExternalError(
            f"#{number} is still in the merge queue",
            why=f"waited {seconds:g} s",
            next_command=(task_command("continue"), task_command("open", "--pr", number)),
        )


def _retarget_children(context: Context, step_context: StepContext) -> None:
    """Retarget pull requests that are based on this branch to trunk.

    GitHub closes them if the branch is deleted first (cli/cli#1168). For a native stack GitHub
    changes the bases itself and rejects other changes.
    """
    trunk, moved = context.stack.trunk, []
    for child in _children(context.view()):
        if stack := stack_of(context.observer.native_stacks() or (), child.number):
            number = stack.number
            context.reporter.progress(f"#{child.number} is in GitHub's native stack {number}: GitHub retargets it")
            continue
        moved.append((child, trunk))
    if moved:
        retarget(context, step_context, *moved)


def _children(view: View) -> tuple[PullRequest, ...]:
    """Return the open pull requests of the stack that are based on the entry's branch."""
    return tuple(pr for pr in view.open_pulls() if pr.base == view.entry.branch)


def _worded(context: Context, pr: PullRequest, choice: MergeChoice | None) -> tuple[str, str | None]:
    """Return title and body of the squash commit; ("", None) for GitHub's default.

    GitHub's default lists the commits, which is right only if all of them are the entry's own.
    """
    title = squash_title(context, pr)
    if choice is None or not choice.foreign:
        return title, None
    own, message = squash_message(pr.number, pr.title, choice.own, context.observer.rules())
    return title or own, message


def landed(context: Context, step_context: StepContext, pr: PullRequest, mark: StepStatus) -> Outcome:
    """Wait until the trunk ref contains the merge commit.

    GitHub's API and its git server may differ for seconds.

    Raises:
        Refused: it was merged into another branch, and trunk does not hold its changes.
        ExternalError: trunk does not contain the merge in time.
    """
    merge = pr.merge_commit
    if pr.base != context.stack.trunk and stack_of(context.observer.native_stacks() or (), pr.number) is None:
        raise merged_elsewhere(context.view(), context.entry, pr)

    def trunk_has_it() -> bool:
        return merge is not None and history.is_ancestor(context.git, merge, context.world(Part.REMOTE).trunk)

    if not poll(trunk_has_it, pending=operator.not_, limit=TRUNK_SECONDS, first=1, longest=8):
        raise ExternalError(
            f"{context.tracking} does not show the merge of #{pr.number} yet",
            why=f"waited {TRUNK_SECONDS:g} s for {short(merge) if merge else 'its merge commit'}",
            next_command=task_command("continue"),
        )
    trunk = context.stack.trunk
    wanted = {branch_ref(trunk): refs.tracking_ref(context.stack.remote, trunk)}
    refs.fetch(context.git, step_context.lock, context.stack.remote, wanted)
    message = f"{context.stack.trunk} has it as {short(merge) if merge else '?'}"
    return Outcome("merged", message, mark, data={"pr": pr.number, "merge_commit": merge})
