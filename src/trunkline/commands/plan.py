"""Command `plan`: predict what `rebase` would do, and its consequences; change nothing."""

from __future__ import annotations

import datetime as dt
from collections.abc import Sequence

from trunkline.commands import land, rebase
from trunkline.context.run import Context
from trunkline.context.view import View
from trunkline.domain.command import task_command
from trunkline.domain.merge_choice import MergeChoice
from trunkline.domain.names import BranchName, PrNumber, branch_ref, pr_number
from trunkline.domain.note import NoteFacts
from trunkline.domain.receipt import GateOutcome, Verdict
from trunkline.domain.replay_plan import ReplayPreview
from trunkline.domain.runbook import Above, GateLine, Replay, Runbook
from trunkline.domain.snapshot import PullRequest, ci_state
from trunkline.domain.stack import Entry
from trunkline.gates.catalogue import catalogue
from trunkline.git import history, refs
from trunkline.git.git import Git
from trunkline.operations.note_template import template_of, written
from trunkline.planning import heads, merge_as_is
from trunkline.planning.merged import merged_below, reverted_below
from trunkline.planning.replay_plan import preview_replay
from trunkline.steps import checklist, replay
from trunkline.steps.push import REBASED


def predict_landing(context: Context) -> Runbook:
    """Predict a landing: the plan of `rebase`, and the replays of the entries above.

    Raises:
        TrunklineError: the landing would fail with the same error.
    """
    view, forecast = context.view(), rebase.plan(context, rebase.WHOLE)
    preview = forecast.decisions.replays.get(view.entry.key) or preview_replay(view)
    merged = tuple(merged_below(view, entry) for entry in view.stack.below(view.entry))
    gates = tuple(GateLine(gate.name, gate.command_line) for gate in catalogue(view.stack.gates))
    stacked = context.over_the_stack()
    above, moved, stack_view = _above(view, stacked.view())
    terms = merge_as_is.terms_of(stacked.observer, stacked.stack)
    return Runbook(
        stack=view.stack,
        entry=view.entry,
        pr=view.pull_request(),
        plan=forecast.plan,
        merged=merged,
        ci=ci_state(view.world.snapshot.pull_requests),
        replay=_replay(view.git, preview),
        gates=gates,
        above=above,
        effects=_effects(moved),
        note=written(_note(view, preview, gates), template_of(view)),
        lines=checklist.evaluate(view) if view.local.local else (),
        merges=_merges(stack_view, terms) if terms is not None else (),
        made=dt.datetime.now(dt.timezone.utc).date().isoformat(),
    )


def _replay(git: Git, preview: ReplayPreview) -> Replay:
    work = preview.work
    over = len(history.reachable(git, [work.tip], [work.base]))
    warnings = tuple(note.removeprefix("warning: ") for note in work.notes if note.startswith("warning: "))
    return Replay(
        work.base, work.base_name, work.fork, work.about, work.own, work.remote, preview.done.conflict, over,
        warnings,
    )  # fmt: skip


def _merges(view: View, terms: merge_as_is.Terms) -> tuple[tuple[PrNumber, MergeChoice], ...]:
    """Return the merge choice of `land` for each open entry below a conflict."""
    for entry in land.before_unsubmitted(view.open_entries()):
        under = view.of(entry)
        if replay.blocked_by(under) is None:
            choice, _ = merge_as_is.choose(under, terms)
            view = under.with_merge(choice)
    return tuple((pr_number(str(key)), choice) for key, choice in view.decisions.merges.items())


def _above(view: View, stacked: View) -> tuple[tuple[Above, ...], list[PullRequest], View]:
    """Predict the entries above.

    Returns:
        The predictions, the open pull requests whose branches would move, and the view after that.
    """
    heads.load(stacked)
    position = view.stack.entries.index(view.entry)
    predicted, moved = [], list[PullRequest]()
    for entry in stacked.open_entries():
        step, stacked = replay.forecast(stacked.of(entry), moves=False)
        pr = stacked.known(entry.number) if entry.number is not None else None
        if step.mutates and pr is not None:
            moved.append(pr)
        if view.stack.entries.index(entry) > position:
            predicted.append(Above(entry, pr, step.description, has_branch=_has_local_branch(view.git, entry)))
    return tuple(predicted), moved, stacked


def _has_local_branch(git: Git, entry: Entry) -> bool:
    return refs.read_ref(git, branch_ref(entry.branch)) is not None


def _effects(moved: Sequence[PullRequest]) -> tuple[str, ...]:
    """Return the effects of a push of these branches, predicted from GitHub's checks of their heads."""
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


def _note(view: View, preview: ReplayPreview, gates: Sequence[GateLine]) -> NoteFacts:
    passed = tuple((gate.name, GateOutcome(gate.name, Verdict.PASSED, command=gate.command)) for gate in gates)
    shown = task_command("checks", "--pr", view.entry.key)
    return NoteFacts(
        base=BranchName(view.stack.trunk),
        base_oid=preview.work.base,
        commit=REBASED,
        own_commits=len(preview.work.own),
        merged=tuple(entry.pr for entry in reversed(view.stack.below(view.entry))),
        reverted=reverted_below(view),
        gates=passed,
        checks=tuple(
            (check.name, check.text, GateOutcome(check.name, Verdict.PASSED, command=shown))
            for check in view.entry.checks
        ),
        pr=view.entry.pr,
        stack=view.stack.numbers,
        issue=view.stack.issue,
        next=view.entry.next,
    )
