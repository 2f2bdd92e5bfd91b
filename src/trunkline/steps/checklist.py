"""Step `checklist`: evaluate the six lines of the runbook's checklist, with their evidence."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace

from trunkline.context.project import Context
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
from trunkline.planning.merged import merged_below
from trunkline.planning.verification import checks_for, gates_beside_base, is_waived, own_base_of

_RUNBOOKS = 6
"""The number of lines in the runbook's checklist."""


def plan(context: Context) -> Step:
    """Plan the step."""
    lines = _RUNBOOKS + len(context.entry.checks)
    return Step(StepName.CHECKLIST, f"evaluate the {lines} lines of {context.entry.label}'s checklist")


def run(context: Context, _step_context: StepContext | None = None) -> Outcome:
    """Evaluate every line; a step that was skipped by name counts as skipped, not as done."""
    context.invalidate()
    return outcome(evaluate(context))


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


def evaluate(context: Context) -> tuple[Line, ...]:
    """Return the six lines of the checklist in order; the entry's checks follow the gates."""
    pr, tip = context.pull_request(), context.local_tip()
    remote, skip, number = context.world().local.remote, context.options.skip, context.entry.pr
    noted = noted_commit(pr.body)
    return (
        _merged(context),
        _rebased(context, tip),
        _gates(context, tip),
        *_checks(context, tip),
        _line(
            Line(
                "Force-pushed updated branch",
                LineState.OPEN,
                f"{context.stack.remote} has {short(remote or 'nothing')}, you have {short(tip)}",
                f"git ls-remote {context.stack.remote} {context.entry.branch}",
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
            done=not pr.draft and pr.base == context.stack.trunk,
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
            skipped=StepName.NOTE in skip,
        ),
    )


def _line(line: Line, *, done: bool, skipped: bool) -> Line:
    return replace(line, state=LineState.DONE if done else LineState.SKIPPED if skipped else LineState.OPEN)


def _merged(context: Context) -> Line:
    below = context.stack.below(context.entry)
    named = ", ".join(entry.label for entry in below)
    command = task_command("verify-merged", "--pr", context.entry.key)
    if not below:
        return Line("Nothing below to be merged", LineState.DONE, "it is the bottom of the stack", command)
    text = f"PR {named} merged successfully"
    try:
        merges = [merged_below(context, entry) for entry in below]
    except TrunklineError as error:
        return Line(text, LineState.OPEN, str(error), command)
    message = ", ".join(f"{short(pr.merge_commit or '')} ({how.value})" for pr, how in merges)
    newest, _ = merges[-1]
    return Line(text, LineState.DONE, message, command, newest.merge_commit or "", at=newest.merged_at)


def _rebased(context: Context, tip: Oid) -> Line:
    trunk = context.world().trunk
    replayed = last_replay(context, tip)
    resolved = len(replayed.resolved) if replayed else 0
    how = f"{resolved} conflict{'s' * (resolved > 1)} resolved by hand" if resolved else "no conflicts"
    on_trunk = history.is_ancestor(context.git, trunk, tip) and tip != trunk
    if not on_trunk:
        evidence = f"{short(tip)} does not sit on {context.tracking} ({short(trunk)})"
    else:
        own = len(history.reachable(context.git, [tip], [trunk]))
        evidence = f"{count_of(own, 'commit')} on {short(trunk)}" + (f", {how}" if replayed else "")
    command = f"git log --oneline {context.tracking}..{context.entry.branch}"
    line = Line(f"Clean rebase onto `{context.tracking}`", LineState.OPEN, evidence, command, tip)
    return _line(line, done=on_trunk, skipped=StepName.REPLAY in context.options.skip)


def _gates(context: Context, tip: Oid) -> Line:
    gates = gates_beside_base(context, tip)
    passed = {name: outcome for name, outcome in gates if outcome and outcome.verdict is Verdict.PASSED}
    unproven = [
        f"{name} {in_words(outcome)}" + (f", {outcome.on_base}" if outcome and outcome.on_base else "")
        for name, outcome in gates
        if name not in passed
    ]
    empty = [f"{name} {outcome.words}" for name, outcome in passed.items() if not outcome.proven]
    coverage = coverage_of(context.git, own_base_of(context, tip), tip, passed.values())
    message = [f"{len(passed)} passed on {short(tip)}", ", ".join([*unproven, *empty]), coverage.sentence()]
    line = Line(
        f"All {len(gates)} core CI gates pass locally",
        LineState.OPEN,
        "; ".join(filter(None, message)),
        task_command("gates", "--pr", context.entry.key),
        tip,
        tuple(passed),
        min((outcome.started for outcome in passed.values()), default=""),
    )
    waived = all(is_waived(context, name, outcome) for name, outcome in gates if name not in passed)
    line = _line(line, done=not unproven, skipped=waived or StepName.GATES in context.options.skip)
    warned = line.state is LineState.DONE and (empty or coverage.code)
    return replace(line, state=LineState.WARNED) if warned else line


def _checks(context: Context, tip: Oid) -> Iterator[Line]:
    skip = StepName.CHECKS in context.options.skip
    for check, outcome in checks_for(context, tip):
        passed = outcome is not None and outcome.verdict is Verdict.PASSED
        line = Line(
            check.text,
            LineState.OPEN,
            f"not run on {short(tip)}" if outcome is None else outcome.words,
            task_command("checks", "--pr", context.entry.key),
            tip,
        )
        if outcome is not None and passed:
            line = replace(
                line, evidence=outcome.summary or outcome.command, receipts=(check.name,), at=outcome.started
            )
        yield _line(line, done=passed, skipped=skip or is_waived(context, check.name, outcome))


def _note_evidence(noted: str, tip: str) -> str:
    if not noted:
        return "there is no note"
    return f"the note describes {short(noted)}, " + ("the current head" if noted == tip else f"not {short(tip)}")
