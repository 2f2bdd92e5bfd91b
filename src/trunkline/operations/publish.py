"""Push the branches of several entries in one atomic push, each with a lease.

Pull requests that the push would close are retargeted first.
"""

from __future__ import annotations

import contextlib
import shlex
from collections.abc import Iterator, Sequence

import msgspec
from msgspec.structs import replace

from trunkline.context.run import Context
from trunkline.context.view import View
from trunkline.domain import records
from trunkline.domain.command import task_command
from trunkline.domain.commits import counted
from trunkline.domain.errors import Refused
from trunkline.domain.names import BranchName, Oid, PrNumber, branch_ref, short
from trunkline.domain.native import stack_of
from trunkline.domain.snapshot import PrState, PullRequest
from trunkline.domain.stack import Entry
from trunkline.domain.step import Step
from trunkline.engine import StepContext
from trunkline.git import history, local_refs, push
from trunkline.git.push import PushCapped, RefUpdate
from trunkline.state.change_log import Part


class Update(msgspec.Struct, frozen=True):
    """The branch of one entry on the remote, with its expected tip (None: it must not exist) and its new tip."""

    entry: Entry
    old: Oid | None
    new: Oid


def push_all(
    context: Context, step_context: StepContext, updates: Sequence[Update], *, stacked: bool = True
) -> tuple[str, ...]:
    """Push all updates, bottom first, and return messages for the user.

    If the remote limits the number of refs per push, several pushes are made, bottom first, with a
    message.

    Args:
        context: the stack's context.
        step_context: the step's arguments.
        updates: the branches to push.
        stacked: check that each entry contains the one below; not while earlier tips are restored.

    Raises:
        Refused: after the push an entry would not contain the one below, the push would close a
            pull request for good, or the remote rejected it.
        ExternalError: the request to the remote failed.
    """
    remote = context.stack.remote
    if stacked:
        require_stacked(context.view(), updates)
    context.reporter.require_approval(*(f"push {described(update)}" for update in updates))
    message = retarget_endangered(context, step_context, updates)
    for update in updates:
        about = step_context.about(update.entry)
        step_context.log_intent(records.BranchPushed(*about, remote=remote, old=update.old, new=update.new))
    moves = [RefUpdate(update.entry.branch, update.old, update.new) for update in updates]
    try:
        push.push(context.git, step_context.lock, remote, moves)
    except PushCapped as capped:
        message = (*message, f"{remote} takes {capped.cap} branches a push: {len(moves)} in parts, bottom first")
        for start in range(0, len(moves), capped.cap):
            push.push(context.git, step_context.lock, remote, moves[start : start + capped.cap])
    tips = {update.entry.branch: update.new for update in updates}
    local_refs.update_tracking_refs_of(context.git, step_context.lock, remote, tips)
    return message


def require_stacked(view: View, updates: Sequence[Update]) -> None:
    """Check that each open entry in a push still contains the open entry below it.

    A branch may have received commits during a pause, or between its replay and the push. The
    entries above would then be pushed without them.

    Raises:
        Refused: an entry would not contain the one below; nothing is pushed.
    """
    pushed = {update.entry.key: update.new for update in updates}
    remote = view.world.remote_refs
    below: tuple[Entry, Oid] | None = None
    for pr in view.open_pulls():
        entry = view.stack.entry(pr.number)
        if view.stack.unsubmitted_below(entry) is not None:
            break  # `submit` pushes what sits above an entry without a pull request
        tip = pushed.get(entry.key) or remote.get(branch_ref(entry.branch)) or pr.head_oid
        touched = below is not None and {entry.key, below[0].key} & pushed.keys()
        if below is not None and touched and not history.is_ancestor(view.git, below[1], tip):
            lacks = counted(len(history.reachable(view.git, [below[1]], [tip])))
            raise Refused(
                f"{entry.full_label} does not contain {below[0].full_label}",
                why=f"it would lack {lacks} of {below[0].branch}; nothing was pushed",
                next_command=task_command("restack"),
            )
        below = entry, tip


def retarget_endangered(context: Context, step_context: StepContext, updates: Sequence[Update]) -> tuple[str, ...]:
    """Retarget pull requests to trunk if the push would put all their commits into their base.

    GitHub closes such a pull request for good or marks it as merged. Its proper base is restored
    after the push.

    Raises:
        Refused: trunk itself would contain all commits of a pull request.
    """
    trunk = context.stack.trunk
    first = endangered(context.view(), updates)
    for pr in first:
        if pr.base == trunk or history.is_ancestor(context.git, pr.head_oid, context.world().trunk):
            raise Refused(
                f"#{pr.number} would have no commits over {pr.base}",
                why="a push that leaves a pull request none closes it for good; nothing was pushed",
                next_command=task_command("open", "--pr", pr.number),
            )
    if first:
        retarget(context, step_context, *((pr, trunk) for pr in first))
    return tuple(f"#{pr.number} targets {trunk} while {pr.base} moves" for pr in first)


def endangered(view: View, updates: Sequence[Update]) -> tuple[PullRequest, ...]:
    """Return the open pull requests that a push would leave without commits over their base."""
    return tuple(_without_commits(view, updates))


def before_push(step: Step, pulls: Sequence[PullRequest], trunk: BranchName) -> Step:
    """Return the planned step of a push with the changes of bases that come first (`retarget_endangered`)."""
    pulls = [pr for pr in pulls if pr.base != trunk]  # of others the push is refused
    commands = tuple(retarget_command(pr.number, trunk) for pr in pulls)
    publishes = tuple(f"#{pr.number} targets {trunk} instead of {pr.base}" for pr in pulls)
    description = "; ".join(
        (step.description, *(f"#{pr.number} targets {trunk} while {pr.base} moves" for pr in pulls))
    )
    commands, publishes = (*commands, *step.commands), (*publishes, *step.publishes)
    return replace(step, description=description, commands=commands, publishes=publishes)


def retarget_command(number: PrNumber, base: str) -> str:
    """Return the command of `set_base` as a person would type it."""
    return f"gh pr edit {number} --base {shlex.quote(base)}"


def _without_commits(view: View, updates: Sequence[Update]) -> Iterator[PullRequest]:
    world = view.world
    after = {
        **{name.removeprefix("refs/heads/"): tip for name, tip in world.remote_refs.items()},
        **{str(update.entry.branch): update.new for update in updates},
    }
    for pr in view.open_pulls():
        head, base = after.get(pr.head, pr.head_oid), after.get(pr.base)
        if base is not None and history.is_ancestor(view.git, head, base):
            yield pr


def retarget(context: Context, step_context: StepContext, *bases: tuple[PullRequest, str]) -> None:
    """Log the intents, and change the bases of pull requests.

    GitHub takes several changes in one request. If it rejects that, they are made one by one, so
    that the error names the pull request.

    Raises:
        Refused: see `set_base`.
    """
    context.reporter.require_approval(*(f"#{pr.number} targets {base} instead of {pr.base}" for pr, base in bases))
    for pr, base in bases:
        about = step_context.about(context.stack.entry(pr.number))
        step_context.log_intent(
            records.PullRequestEdited(*about, base=pr.base, draft=pr.draft, base_after=base, draft_after=pr.draft)
        )
    shown: dict[PrNumber, str] = {}
    if len(bases) > 1:
        with contextlib.suppress(Refused):
            shown = context.github.edit_bases(bases)
    for pr, base in bases:
        if shown.get(pr.number) == base:
            context.reporter.command(retarget_command(pr.number, base))
        else:
            set_base(context, pr.number, base)


def set_base(context: Context, number: PrNumber, base: str) -> None:
    """Change the base of a pull request; one that others closed or merged meanwhile keeps its base.

    Raises:
        Refused: GitHub rejects the change, or does not show it.
    """
    context.reporter.command(retarget_command(number, base))
    try:
        shown = context.github.edit(number, base=base).base
    except Refused as refused:
        pr = context.world(Part.PULLS).snapshot.pr(number)
        if pr is not None and (pr.state is not PrState.OPEN or pr.base == base):
            context.reporter.progress(f"#{number} is {pr.state.value.lower()} by now, and targets {pr.base}")
            return
        stack = stack_of(context.observer.native_stacks() or (), number)
        if stack is None:
            raise
        linking = context.stack.publish.native == "auto"
        again = (
            (task_command("restack", comment="dissolves it, sets the bases and links it again"),) if linking else ()
        )
        raise Refused(
            f"#{number} is in GitHub's native stack {stack.number}, whose bases GitHub alone moves",
            why=refused.why,
            next_command=(*again, "gh stack rebase   # then: git fetch", task_command("open", "--pr", number)),
        ) from refused
    if shown != base:
        raise Refused(f"#{number} still targets {shown}", why="GitHub took the change but does not show it")


def described(update: Update) -> str:
    """Return an update in words: `#519 1b29d66..2bb6ec5`, `feat/x, new at 2bb6ec5`."""
    if update.old is None:
        return f"{update.entry.branch}, new at {short(update.new)}"
    return f"{update.entry.label} {short(update.old)}..{short(update.new)}"
