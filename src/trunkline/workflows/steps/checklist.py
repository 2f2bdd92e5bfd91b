"""checklist: the runbook's six lines, each evaluated against the world now, with its evidence."""

from __future__ import annotations

from collections.abc import Iterator

from trunkline.adapters import history
from trunkline.domain.checklist import Line, LineState
from trunkline.domain.errors import TrunklineError
from trunkline.domain.names import Oid, short
from trunkline.domain.note import noted_commit
from trunkline.domain.receipt import Verdict
from trunkline.domain.step import Mark, Outcome, Step, StepName
from trunkline.engine import Acting
from trunkline.workflows.context import Context
from trunkline.workflows.proof import accepted, checks_for, gates_for
from trunkline.workflows.recorded import last_onto
from trunkline.workflows.steps.verify import merged_below

_RUNBOOKS = 6
"""The lines of the runbook's checklist."""


def plan(context: Context) -> Step:
    """Plan the step."""
    return Step(
        StepName.CHECKLIST, f"evaluate the {6 + len(context.entry.checks)} lines of #{context.entry.pr}'s checklist"
    )


def perform(context: Context, _acting: Acting | None = None) -> Outcome:
    """Evaluate every line now; what was skipped by name counts as skipped, not as done."""
    context.forget()
    lines = evaluate(context)
    still_open = [line for line in lines if line.state is LineState.OPEN]
    skipped = [line for line in lines if line.state is LineState.SKIPPED]
    told = f"{len(lines) - len(still_open) - len(skipped)} of {len(lines)}"
    facts = [{"line": line.text, "state": line.state.value, "evidence": line.evidence} for line in lines]
    return Outcome(
        "checklist",
        told + (f", {len(skipped)} skipped" if skipped else ""),
        Mark.FAILED if still_open else Mark.WARNED if skipped else Mark.DONE,
        tuple(f"[{_BOX[line.state]}] {line.text}: {line.evidence}" for line in lines),
        {"lines": facts, "open": len(still_open)},
    )


_BOX = {LineState.DONE: "x", LineState.OPEN: " ", LineState.SKIPPED: "-"}


def evaluate(context: Context) -> tuple[Line, ...]:
    """Return the six lines of the runbook's checklist, in its order; the entry's checks stand after the gates."""
    pr, tip = context.pull_request(), context.local_tip()
    remote = context.world().local.remote
    noted = noted_commit(pr.body)
    skip = context.options.skip
    return (
        _merged(context),
        _rebased(context, tip),
        _gates(context, tip),
        *_checks(context, tip),
        _line(
            "Force-pushed updated branch", remote == tip, StepName.PUSH in skip,
            f"{context.stack.remote} has {short(remote or 'nothing')}, you have {short(tip)}",
        ),
        _line(
            "Marked PR as ready for review", not pr.draft and pr.base == context.stack.trunk, StepName.READY in skip,
            f"#{pr.number} is {'a draft' if pr.draft else 'ready'} and targets {pr.base}",
        ),
        _line(
            "Added reviewer note to PR description", noted == tip, StepName.NOTE in skip,
            f"it speaks of {short(noted)}" if noted else "there is none",
        ),
    )  # fmt: skip


def _line(text: str, done: bool, skipped: bool, evidence: str) -> Line:  # noqa: FBT001 -- facts
    return Line(text, LineState.DONE if done else LineState.SKIPPED if skipped else LineState.OPEN, evidence)


def _merged(context: Context) -> Line:
    below = context.stack.below(context.entry)
    named = ", ".join(f"#{entry.pr}" for entry in below)
    text = f"PR {named} merged successfully" if below else "Nothing below to be merged"
    try:
        merges = [merged_below(context, entry) for entry in below]
    except TrunklineError as error:
        return Line(text, LineState.OPEN, str(error))
    return Line(
        text, LineState.DONE, ", ".join(f"{short(pr.merge_commit or '')} ({how.value})" for pr, how in merges)
    )


def _rebased(context: Context, tip: Oid) -> Line:
    trunk = context.world().trunk
    record = last_onto(context, tip)
    resolved = len(record.get("resolved", ())) if record else 0
    how = f"{resolved} conflicts resolved by hand" if resolved else "no conflicts"
    on_trunk = history.is_ancestor(context.git, trunk, tip) and tip != trunk
    if not on_trunk:
        evidence = f"{short(tip)} does not sit on {context.tracking} ({short(trunk)})"
    else:
        own = len(history.reachable(context.git, [tip], [trunk]))
        evidence = f"{own} commits on {short(trunk)}" + (f", {how}" if record else "")
    text = f"Clean rebase onto `{context.tracking}`"
    return _line(text, on_trunk, StepName.ONTO in context.options.skip, evidence)


def _gates(context: Context, tip: Oid) -> Line:
    gates = gates_for(context, tip)
    passed = [name for name, outcome in gates if outcome and outcome.verdict is Verdict.PASSED]
    lacking = [
        f"{name} {outcome.verdict.value if outcome else 'not run'}" for name, outcome in gates if name not in passed
    ]
    waived = all(accepted(context, name, outcome) for name, outcome in gates if name not in passed)
    text = f"All {len(gates)} core CI gates pass locally"
    evidence = f"{len(passed)} passed on {short(tip)}" + (f"; {', '.join(lacking)}" if lacking else "")
    return _line(text, not lacking, waived or StepName.GATES in context.options.skip, evidence)


def _checks(context: Context, tip: Oid) -> Iterator[Line]:
    skip = StepName.CHECKS in context.options.skip
    for check, outcome in checks_for(context, tip):
        passed = outcome is not None and outcome.verdict is Verdict.PASSED
        if outcome is None:
            evidence = f"not run on {short(tip)}"
        else:
            evidence = f"{outcome.summary or outcome.command if passed else outcome.verdict.value} ({short(tip)})"
        yield _line(check.text, passed, skip or accepted(context, check.name, outcome), evidence)
