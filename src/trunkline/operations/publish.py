"""Pushes the branches of several entries at once: all or none, each under its lease, no pull request closed by it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from trunkline.context.project import Context
from trunkline.domain.command import task_command
from trunkline.domain.commits import counted
from trunkline.domain.errors import Refused
from trunkline.domain.names import Oid, PrNumber, branch_ref, short
from trunkline.domain.snapshot import PullRequest
from trunkline.domain.stack import Entry
from trunkline.engine import StepContext
from trunkline.git import history, refs
from trunkline.git.refs import PushCapped, RefUpdate


@dataclass(frozen=True)
class Update:
    """One entry's branch on the remote: the tip it must still have, and the tip it gets."""

    entry: Entry
    old: Oid
    new: Oid


def push_all(
    context: Context, step_context: StepContext, updates: Sequence[Update], *, restoring: bool = False
) -> tuple[str, ...]:
    """Push every update, bottom first, and return what is worth telling beside it.

    A remote that takes only so many refs a push gets them in that many pushes, bottom first; it is said.

    Args:
        context: of the stack.
        step_context: proof.
        updates: what is pushed.
        restoring: the branches get back tips that they had; how those sat on each other was not this run's doing.

    Raises:
        Refused: after the push, an entry would not contain the one below; a push would close a pull request for good;
            or the remote rejected it.
        ExternalError: the remote did not answer.
    """
    remote = context.stack.remote
    if not restoring:
        require_stacked(context, updates)
    context.reporter.require_approval(*(f"push {described(update)}" for update in updates))
    message = retarget_endangered(context, step_context, updates)
    for update in updates:
        ref = branch_ref(update.entry.branch)
        step_context.log_intent(update.entry, remote=remote, ref=ref, old=update.old, new=update.new)
    moves = [RefUpdate(update.entry.branch, update.old, update.new) for update in updates]
    try:
        refs.push(context.git, step_context.lock, remote, moves)
    except PushCapped as capped:
        message = (*message, f"{remote} takes {capped.cap} branches a push: {len(moves)} in parts, bottom first")
        for start in range(0, len(moves), capped.cap):
            refs.push(context.git, step_context.lock, remote, moves[start : start + capped.cap])
    for update in updates:
        refs.update_tracking_ref(context.git, step_context.lock, remote, update.entry.branch, update.new)
    context.invalidate_remote()
    return message


def require_stacked(context: Context, updates: Sequence[Update]) -> None:
    """See that after a push each open entry that it touches contains the open entry below it.

    A branch may have got commits while a run was paused, or between its replay and the push: what sits above would
    then be pushed without them.

    Raises:
        Refused: one would not; nothing is pushed.
    """
    pushed = {update.entry.pr: update.new for update in updates}
    remote = context.world().remote_refs
    below: tuple[Entry, Oid] | None = None
    for pr in context.open_pulls():
        entry = context.stack.entry(pr.number)
        tip = pushed.get(pr.number) or remote.get(branch_ref(entry.branch)) or pr.head_oid
        touched = below is not None and {pr.number, below[0].pr} & pushed.keys()
        if below is not None and touched and not history.is_ancestor(context.git, below[1], tip):
            lacks = counted(len(history.reachable(context.git, [below[1]], [tip])))
            raise Refused(
                f"#{entry.pr} {entry.branch} does not contain #{below[0].pr} {below[0].branch}",
                why=f"it would lack {lacks} of {below[0].branch}; nothing was pushed",
                next_command=task_command("restack"),
            )
        below = entry, tip


def retarget_endangered(context: Context, step_context: StepContext, updates: Sequence[Update]) -> tuple[str, ...]:
    """Move pull requests to trunk whose base, after the push, would hold all their commits.

    GitHub closes such a pull request for good, or calls it merged (reference: behaviour after a push). They get the
    base that they belong on once everything is pushed.

    Raises:
        Refused: trunk itself would hold all of one's commits.
    """
    trunk = context.stack.trunk
    message = []
    for pr in _endangered(context, updates):
        if pr.base == trunk or history.is_ancestor(context.git, pr.head_oid, context.world().trunk):
            raise Refused(
                f"#{pr.number} would have no commits over {pr.base}",
                why="a push that leaves a pull request none closes it for good; nothing was pushed",
                next_command=f"gh pr view {pr.number} --web",
            )
        retarget(context, step_context, pr, trunk)
        message.append(f"#{pr.number} targets {trunk} while {pr.base} moves")
    if message:
        context.invalidate_github()
    return tuple(message)


def _endangered(context: Context, updates: Sequence[Update]) -> Iterator[PullRequest]:
    world = context.world()
    after = {
        **{name.removeprefix("refs/heads/"): tip for name, tip in world.remote_refs.items()},
        **{str(update.entry.branch): update.new for update in updates},
    }
    for pr in context.open_pulls():
        head, base = after.get(pr.head, pr.head_oid), after.get(pr.base)
        if base is not None and history.is_ancestor(context.git, head, base):
            yield pr


def retarget(context: Context, step_context: StepContext, pr: PullRequest, base: str) -> None:
    """Announce, and let a pull request target another branch; whoever calls forgets what GitHub said.

    Raises:
        Refused: see `set_base`.
    """
    context.reporter.require_approval(f"#{pr.number} targets {base} instead of {pr.base}")
    entry = context.stack.entry(pr.number)
    step_context.log_intent(entry, base=pr.base, draft=pr.draft, base_after=base, draft_after=pr.draft)
    set_base(context, pr.number, base)


def set_base(context: Context, number: PrNumber, base: str) -> None:
    """Let a pull request target another branch.

    Raises:
        Refused: GitHub does not take it, or does not show it.
    """
    context.reporter.command(f"gh pr edit {number} --base {base}")
    try:
        held = context.github.edit(number, base=base).base
    except Refused as refused:
        stack = context.github.native_stack(number)
        if not stack:
            raise
        raise Refused(
            f"#{number} is in GitHub's native stack {stack}, whose bases GitHub alone moves",
            why=refused.why,
            next_command=("gh stack rebase   # then: git fetch", f"gh pr view {number} --web"),
        ) from refused
    if held != base:
        raise Refused(f"#{number} still targets {held}", why="GitHub took the change but does not show it")


def described(update: Update) -> str:
    """Return an update for people: `#519 1b29d66..2bb6ec5`."""
    return f"#{update.entry.pr} {short(update.old)}..{short(update.new)}"
