"""Command `plan`: predict what `rebase` would do, and its consequences; change nothing."""

from __future__ import annotations

import datetime as dt
from collections.abc import Sequence

from trunkline.commands import land, rebase
from trunkline.context.project import Context
from trunkline.domain.command import task_command
from trunkline.domain.merge_choice import MergeChoice
from trunkline.domain.names import BranchName, Oid, PrNumber, branch_ref
from trunkline.domain.note import NoteFacts
from trunkline.domain.receipt import GateOutcome, Verdict
from trunkline.domain.runbook import Above, GateLine, Replay, Runbook
from trunkline.domain.snapshot import PullRequest, ci_state
from trunkline.domain.stack import Entry
from trunkline.gates.catalogue import catalogue
from trunkline.git import history, refs
from trunkline.operations.note_template import template_of, written
from trunkline.planning import heads, merge_as_is
from trunkline.planning.merged import merged_below
from trunkline.planning.replay_plan import ReplayPreview, preview_replay
from trunkline.steps import checklist, replay

REBASED = Oid("REBASED")
"""A placeholder for the id of the pushed commit, which is not known before it is created."""


def predict_landing(context: Context) -> Runbook:
    """Predict a landing: the plan of `rebase`, and the replays of the entries above.

    Raises:
        TrunklineError: the landing would fail with the same error.
    """
    plan = rebase.plan(context, rebase.WHOLE)
    foreseen = context.cache.foreseen.get(context.entry.key) or preview_replay(context)
    assert isinstance(foreseen, ReplayPreview)  # noqa: S101 -- set by the plan
    merged = tuple(merged_below(context, entry) for entry in context.stack.below(context.entry))
    gates = tuple(GateLine(gate.name, gate.command_line) for gate in catalogue(context.stack.gates))
    stacked = context.over_the_stack()
    above, moved = _above(context, stacked)
    return Runbook(
        stack=context.stack,
        entry=context.entry,
        pr=context.pull_request(),
        plan=plan,
        merged=merged,
        ci=ci_state(context.world().snapshot.pull_requests),
        replay=_replay(context, foreseen),
        gates=gates,
        above=above,
        effects=_effects(moved),
        note=written(_note(context, foreseen, gates), template_of(context)),
        lines=checklist.evaluate(context) if context.world().local.local else (),
        merges=_merges(stacked),
        made=dt.datetime.now(dt.timezone.utc).date().isoformat(),
    )


def _replay(context: Context, foreseen: ReplayPreview) -> Replay:
    work = foreseen.work
    over = len(history.reachable(context.git, [work.tip], [work.base]))
    return Replay(
        work.base, work.base_name, work.fork, work.about, work.own, work.remote, foreseen.done.conflict, over
    )


def _merges(stacked: Context) -> tuple[tuple[PrNumber, MergeChoice], ...]:
    """Return how `land` would merge each open entry, without those above a conflict."""
    if not merge_as_is.is_enabled(stacked):
        return ()
    entries = map(stacked.of, land.before_unsubmitted(stacked.open_entries()))
    return tuple((each.entry.pr, merge_as_is.choose(each)[0]) for each in entries if replay.blocked_by(each) is None)


def _above(context: Context, stacked: Context) -> tuple[tuple[Above, ...], list[PullRequest]]:
    """Return predictions for the entries above, and the open pull requests whose branch would move."""
    heads.load(stacked)
    open_ = stacked.open_entries()
    position = context.stack.entries.index(context.entry)
    message, moved = [], list[PullRequest]()
    for entry in open_:
        step = replay.forecast(stacked.of(entry), moves=False)
        pr = stacked.known(entry.number) if entry.number is not None else None
        if step.mutates and pr is not None:
            moved.append(pr)
        if context.stack.entries.index(entry) > position:
            message.append(Above(entry, pr, step.description, here=_is_here(context, entry)))
    return tuple(message), moved


def _is_here(context: Context, entry: Entry) -> bool:
    return bool(refs.read_refs(context.git, branch_ref(entry.branch)))


def _effects(moved: Sequence[PullRequest]) -> tuple[str, ...]:
    """Return what a push of these branches would trigger, from what GitHub shows of their heads."""
    if not moved:
        return ()
    listed = " ".join(f"#{pr.number}" for pr in moved)
    branches = "1 branch moves" if len(moved) == 1 else f"{len(moved)} branches move"
    message = [f"{branches}, once the entries above are restacked too: {listed}"]
    for pr in moved:
        if pr.checks:
            message.append(f"#{pr.number}: a push starts its checks again, {len(pr.checks)} on the present head")
        if pr.review == "APPROVED":
            message.append(f"#{pr.number}: a push dismisses its approval, where the repository's rules say so")
    return tuple(message)


def _note(context: Context, foreseen: ReplayPreview, gates: Sequence[GateLine]) -> NoteFacts:
    passed = tuple((gate.name, GateOutcome(gate.name, Verdict.PASSED, command=gate.command)) for gate in gates)
    shown = task_command("checks", "--pr", context.entry.key)
    return NoteFacts(
        base=BranchName(context.stack.trunk),
        base_oid=foreseen.work.base,
        commit=REBASED,
        own_commits=len(foreseen.work.own),
        merged=tuple(entry.pr for entry in reversed(context.stack.below(context.entry))),
        gates=passed,
        checks=tuple(
            (check.name, check.text, GateOutcome(check.name, Verdict.PASSED, command=shown))
            for check in context.entry.checks
        ),
        pr=context.entry.pr,
        stack=context.stack.numbers,
        issue=context.stack.issue,
        next=context.entry.next,
    )
