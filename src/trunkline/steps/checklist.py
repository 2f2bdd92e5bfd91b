"""Step `checklist`: evaluate the six lines of the runbook's checklist, with their evidence."""

from __future__ import annotations

import shlex
from collections.abc import Iterator, Sequence

from msgspec.structs import replace

from trunkline.context.scope import Scope
from trunkline.context.view import View
from trunkline.domain.checklist import Line, LineState
from trunkline.domain.command import task_command
from trunkline.domain.errors import TrunklineError
from trunkline.domain.names import Oid, short
from trunkline.domain.note import noted_commit
from trunkline.domain.receipt import Verdict, in_words
from trunkline.domain.step import Outcome, Step, StepName, StepStatus
from trunkline.domain.words import count_of
from trunkline.engine import StepContext
from trunkline.git import history
from trunkline.planning.coverage import coverage_of
from trunkline.planning.journal_queries import last_replay
from trunkline.planning.merged import merged_below, reverted_below
from trunkline.planning.own_base import own_base_of
from trunkline.planning.verification import checks_for, gates_beside_base

_RUNBOOKS = 6
"""The number of lines in the runbook's checklist."""


def plan(scope: Scope) -> Step:
    """Plan the step."""
    lines = _RUNBOOKS + len(scope.entry.checks)
    return Step(StepName.CHECKLIST, f"evaluate the {lines} lines of {scope.entry.label}'s checklist")


def run(view: View, _step_context: StepContext | None = None) -> Outcome:
    """Evaluate every line; a step that was skipped by name counts as skipped, not as done."""
    return outcome(evaluate(view))


def outcome(lines: Sequence[Line]) -> Outcome:
    """Return the outcome of the evaluated lines."""
    still_open = [line for line in lines if line.state is LineState.OPEN]
    skipped = [line for line in lines if line.state is LineState.SKIPPED]
    warned = [line for line in lines if line.state is LineState.WARNED]
    message = f"{len(lines) - len(still_open) - len(skipped)} of {len(lines)}"
    return Outcome(
        "checklist",
        message + (f", {len(skipped)} skipped" if skipped else ""),
        StepStatus.FAILED if still_open else StepStatus.WARNED if skipped or warned else StepStatus.DONE,
        tuple(f"[{_BOX[line.state]}] {line.text}: {line.evidence}" for line in lines),
        {"lines": [line.to_json() for line in lines], "open": len(still_open)},
    )


_BOX = {LineState.DONE: "x", LineState.WARNED: "!", LineState.OPEN: " ", LineState.SKIPPED: "-"}


def evaluate(view: View) -> tuple[Line, ...]:
    """Return the six lines of the checklist in order; the entry's checks follow the gates."""
    pr, tip = view.pull_request(), view.local_tip()
    remote, skip, number = view.local.remote, view.options.skip, view.entry.pr
    noted = noted_commit(pr.body)
    return (
        _merged(view),
        _rebased(view, tip),
        _gates(view, tip),
        *_checks(view, tip),
        _line(
            Line(
                "Force-pushed updated branch",
                LineState.OPEN,
                f"{view.stack.remote} has {short(remote or 'nothing')}, you have {short(tip)}",
                f"git ls-remote {shlex.quote(view.stack.remote)} {shlex.quote(view.entry.branch)}",
                tip,
            ),
            done=remote == tip,
            skipped=StepName.PUSH in skip,
        ),
        _line(
            Line(
                "Marked PR as ready for review",
                LineState.OPEN,
                f"#{number} is {'a draft' if pr.draft else 'ready'} and targets {pr.base}",
                f"gh pr view {number} --json isDraft,baseRefName",
            ),
            done=not pr.draft and pr.base == view.stack.trunk,
            skipped=StepName.READY in skip,
        ),
        _line(
            Line(
                "Added reviewer note to PR description",
                LineState.OPEN,
                _note_evidence(noted, tip),
                f"gh pr view {number} --json body",
                noted,
            ),
            done=noted == tip,
            # Without gates there is nothing that a note could state, so the step writes none.
            skipped=StepName.NOTE in skip or (StepName.GATES in skip and not noted),
        ),
    )


def _line(line: Line, *, done: bool, skipped: bool) -> Line:
    return replace(line, state=LineState.DONE if done else LineState.SKIPPED if skipped else LineState.OPEN)


def _merged(view: View) -> Line:
    below = view.stack.below(view.entry)
    named = ", ".join(entry.label for entry in below)
    command = task_command("verify-merged", "--pr", view.entry.key)
    if not below:
        return Line("Nothing below to be merged", LineState.DONE, "it is the bottom of the stack", command)
    text = f"PR {named} merged successfully"
    try:
        merges = [merged_below(view, entry) for entry in below]
    except TrunklineError as error:
        return Line(text, LineState.OPEN, str(error), command)
    message = ", ".join(f"{short(pr.merge_commit or '')} ({how.value})" for pr, how in merges)
    newest, _ = merges[-1]
    line = Line(text, LineState.DONE, message, command, newest.merge_commit or "", at=newest.merged_at)
    if not (reverted := reverted_below(view)):
        return line
    evidence = "; ".join([message, *(each.in_words(view.tracking) for each in reverted)])
    return replace(line, state=LineState.WARNED, evidence=evidence)


def _rebased(view: View, tip: Oid) -> Line:
    trunk = view.world.trunk
    replayed = last_replay(view, tip)
    resolved = len(replayed.resolved) if replayed else 0
    how = f"{resolved} conflict{'s' * (resolved > 1)} resolved by hand" if resolved else "no conflicts"
    on_trunk = history.is_ancestor(view.git, trunk, tip) and tip != trunk
    if not on_trunk:
        evidence = f"{short(tip)} does not sit on {view.tracking} ({short(trunk)})"
    else:
        own = len(history.reachable(view.git, [tip], [trunk]))
        evidence = f"{count_of(own, 'commit')} on {short(trunk)}" + (f", {how}" if replayed else "")
    command = f"git log --oneline {shlex.quote(view.tracking)}..{shlex.quote(view.entry.branch)}"
    line = Line(f"Clean rebase onto `{view.tracking}`", LineState.OPEN, evidence, command, tip)
    return _line(line, done=on_trunk, skipped=StepName.REPLAY in view.options.skip)


def _gates(view: View, tip: Oid) -> Line:
    gates = gates_beside_base(view, tip)
    passed = {name: outcome for name, outcome in gates if outcome and outcome.verdict is Verdict.PASSED}
    unproven = [
        f"{name} {in_words(outcome)}" + (f", {outcome.on_base}" if outcome and outcome.on_base else "")
        for name, outcome in gates
        if name not in passed
    ]
    empty = [f"{name} {outcome.words}" for name, outcome in passed.items() if not outcome.proven]
    coverage = coverage_of(view.git, own_base_of(view, tip), tip, passed.values())
    message = [f"{len(passed)} passed on {short(tip)}", ", ".join([*unproven, *empty]), coverage.sentence()]
    line = Line(
        f"All {len(gates)} core CI gates pass locally",
        LineState.OPEN,
        "; ".join(filter(None, message)),
        task_command("gates", "--pr", view.entry.key),
        tip,
        tuple(passed),
        min((outcome.started for outcome in passed.values()), default=""),
    )
    waived = all(view.waivers.accept(outcome) for name, outcome in gates if name not in passed)
    line = _line(line, done=not unproven, skipped=waived or StepName.GATES in view.options.skip)
    warned = line.state is LineState.DONE and (empty or coverage.code)
    return replace(line, state=LineState.WARNED) if warned else line


def _checks(view: View, tip: Oid) -> Iterator[Line]:
    skip = StepName.CHECKS in view.options.skip
    for check, outcome in checks_for(view, tip):
        passed = outcome is not None and outcome.verdict is Verdict.PASSED
        line = Line(
            check.text,
            LineState.OPEN,
            f"not run on {short(tip)}" if outcome is None else outcome.words,
            task_command("checks", "--pr", view.entry.key),
            tip,
        )
        if outcome is not None and passed:
            line = replace(
                line, evidence=outcome.summary or outcome.command, receipts=(check.name,), at=outcome.started
            )
        yield _line(line, done=passed, skipped=skip or view.waivers.accept(outcome))


def _note_evidence(noted: str, tip: str) -> str:
    if not noted:
        return "there is no note"
    return f"the note describes {short(noted)}, " + ("the current head" if noted == tip else f"not {short(tip)}")
