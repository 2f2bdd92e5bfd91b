"""Step `fetch`: update tracking refs and evidence refs to what was observed on the remote."""

from __future__ import annotations

import shlex

from msgspec.structs import replace

from trunkline.context.run import Context
from trunkline.context.scope import Scope
from trunkline.context.view import View
from trunkline.domain.names import branch_ref, short
from trunkline.domain.snapshot import PrState
from trunkline.domain.stack import Entry
from trunkline.domain.step import Outcome, Step, StepName, StepStatus
from trunkline.engine import StepContext
from trunkline.git import local_refs, refs
from trunkline.operations import local_trunk
from trunkline.planning import heads
from trunkline.state.change_log import Part


def plan(scope: Scope) -> Step:
    """Plan the step."""
    what = "the branches of the stack" if scope.stacked else "the entry's branch"
    return Step(
        StepName.FETCH,
        f"bring {scope.tracking} and {what} up to date",
        (f"git fetch {shlex.quote(scope.stack.remote)}",),
        mutates=True,
    )


def plan_with_trunk(step: Step, view: View) -> Step:
    """Return the step with the fast-forward of the local trunk; as it is, if there is none."""
    remote, trunk = view.stack.remote, view.stack.trunk
    found = local_trunk.behind(view.git, remote, trunk, view.world.trunk)
    if found is None or found.use:
        return step
    return replace(
        step,
        description=f"{step.description}; move your {trunk} forward",
        commands=(*step.commands, local_trunk.command(remote, trunk)),
    )


def run_with_trunk(context: Context, step_context: StepContext) -> Outcome:
    """Fetch, then move the local trunk forward if that is a fast-forward and no work tree uses it; see `run`."""
    fetched = run(context, step_context)
    stack, tip = context.stack, context.world().trunk
    old, line = local_trunk.advance(context.git, step_context.lock, stack.remote, stack.trunk, tip)
    if not line:
        return fetched
    status = StepStatus.DONE if old is not None else fetched.mark
    return replace(fetched, mark=status, details=(*fetched.details, line))


def plan_in_run(view: View) -> Step:
    """Plan the step as part of a run, which refuses before it changes anything.

    Raises:
        Refused: see `run`.
    """
    refuse_deleted(view)
    return plan(view)


def refuse_deleted(view: View) -> None:
    """Check that the remote has the branch of every open entry.

    Raises:
        Refused: see `run`.
    """
    _wanted(view)


def run(context: Context, step_context: StepContext) -> Outcome:
    """Update trunk, the branch of the entry, and the heads of the pull requests below.

    The objects were fetched when the remote was observed. Heads of pull requests are fetched by
    number, because they outlive their branches.

    Raises:
        Refused: the entry's branch was deleted on the remote; it is not created again, since
            somebody may have deleted it on purpose.
    """
    world, remote = context.world(), context.stack.remote
    wanted = _wanted(context.view())
    trunk = refs.tracking_ref(remote, context.stack.trunk)
    before = refs.read_refs(context.git, *wanted.values())
    stale = {theirs: ours for theirs, ours in wanted.items() if before.get(ours) != world.remote_refs[theirs]}
    if stale:
        local_refs.update_tracking_refs(context.git, step_context.lock, remote, stale, before, world.remote_refs)
    old, new = before.get(trunk), refs.read_refs(context.git, trunk)[trunk]
    if new != world.trunk:
        context.world(Part.ALL)  # trunk moved since it was observed
    moved = f"{short(old) if old else 'new'}..{short(new)}" if old != new else f"is at {short(new)}"
    return Outcome(
        "fetched",
        f"{context.tracking} {moved}",
        StepStatus.DONE if stale else StepStatus.NOTHING,
        data={"trunk": {"before": old, "after": new}, "moved": sorted(stale.values())},
    )


def _wanted(view: View) -> dict[str, str]:
    """Return local refs by remote ref: trunk, the entries' branches, and merged heads below them."""
    world, remote = view.world, view.stack.remote
    entries = view.stack.entries if view.stacked else (view.entry,)
    wanted = {branch_ref(view.stack.trunk): refs.tracking_ref(remote, view.stack.trunk)}
    for entry in (*view.stack.below(entries[-1]), *entries):
        branch = branch_ref(entry.branch)
        head = refs.pull_head(entry.number) if entry.number is not None else ""
        if entry in entries and branch in world.remote_refs:
            wanted[branch] = refs.tracking_ref(remote, entry.branch)
        elif entry in entries and _is_open(view, entry):
            raise heads.deleted(view.of(entry))
        elif entry.number is not None and head in world.remote_refs:
            wanted[head] = refs.evidence_ref(entry.number)
    return wanted


def _is_open(view: View, entry: Entry) -> bool:
    """Return whether a branch must exist: always for a single entry, for a stack while it is open."""
    if entry.number is None:  # `submit` pushes it
        return False
    pr = view.world.snapshot.pr(entry.key)
    return not view.stacked or (pr is not None and pr.state is PrState.OPEN)
