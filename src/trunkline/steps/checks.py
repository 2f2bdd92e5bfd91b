"""Step `checks`: evaluate the entry's `[[entry.check]]` tables, and write a receipt for each."""

from __future__ import annotations

import time
from collections.abc import Mapping
from typing import Any

from trunkline.context.run import Context
from trunkline.context.scope import Scope
from trunkline.context.view import View
from trunkline.domain import records
from trunkline.domain.check import ManualCheck
from trunkline.domain.command import same_command, task_command
from trunkline.domain.errors import CheckFailed, UsageError
from trunkline.domain.names import Oid, short
from trunkline.domain.receipt import GateOutcome, Verdict
from trunkline.domain.stack import Entry
from trunkline.domain.step import Outcome, Step, StepName, StepStatus
from trunkline.domain.words import count_of
from trunkline.engine import StepContext
from trunkline.gates import checks
from trunkline.operations import local_branch
from trunkline.operations.gate_stack import GateProgress
from trunkline.planning.own_base import subject_of
from trunkline.planning.verification import waiver_flags
from trunkline.steps.gates import note_verdicts, to_edit

_MARKS = {Verdict.PASSED: "ok", Verdict.UNAVAILABLE: "could not run"}


def plan(scope: Scope) -> Step:
    """Plan the step."""
    own = scope.entry.checks
    names = ", ".join(check.name for check in own)
    message = (
        f"{count_of(len(own), 'check')} of the entry: {names}"
        if own
        else f"{scope.entry.label} has no check in stack.toml"
    )
    return Step(StepName.CHECKS, message, (task_command("checks", "--pr", scope.entry.key),) if own else ())


def run(context: Context, step_context: StepContext) -> Outcome:
    """Evaluate every check on the commit whose tree will land.

    Raises:
        CheckFailed: a check failed, or could not run and was not accepted as unavailable.
        UsageError: a pattern is not a valid regular expression.
    """
    own = context.entry.checks
    if not own:
        return Outcome("checks", f"{context.entry.label} has none in stack.toml", StepStatus.NOTHING)
    tip = local_branch.commit_to_verify(context, step_context)
    started, progress = time.monotonic(), GateProgress(context.reporter, context.git)
    outcomes = checks.run(
        subject_of(context.view(), tip),
        own,
        reuse=context.options.reuse,
        progress=progress.ended,
        say=context.reporter.progress,
    )
    note_verdicts(context.entry, context.waivers, step_context, records.CheckVerdicts, tip, outcomes)
    wrong = [outcome for outcome in outcomes if not context.waivers.allow(outcome)]
    if wrong:
        raise _failure(context, wrong, tip, {"outcomes": [outcome.to_json() for outcome in outcomes]})
    waived = [outcome for outcome in outcomes if outcome.verdict is not Verdict.PASSED]
    reused = sum(outcome.reused for outcome in outcomes)
    titles = {check.name: check.text for check in own}
    return Outcome(
        "checks",
        f"{len(outcomes) - len(waived)} of {len(outcomes)} on {short(tip)}"
        + (f" ({reused} from receipts)" if reused else ""),
        StepStatus.WARNED if waived else StepStatus.DONE,
        tuple(f"{titles[each.gate]}: {each.summary or _verdict_text(each)}" for each in outcomes),
        {"outcomes": [outcome.to_json() for outcome in outcomes]},
        time.monotonic() - started,
    )


def manual_check(entry: Entry, name: str, reason: str) -> ManualCheck:
    """Return the manual check that the user confirms.

    Raises:
        UsageError: the entry has no such check, a machine can decide it, or there is no reason.
    """
    pr = entry.key
    manual = [check for check in entry.checks if isinstance(check, ManualCheck)]
    check = next((check for check in manual if check.name == name), None)
    if check is None:
        known = any(each.name == name for each in entry.checks)
        raise UsageError(
            f"--tick {name}: " + ("a machine decides that check" if known else f"#{pr} has no check of that name"),
            why=f"its manual checks: {', '.join(each.name for each in manual) or 'none'}",
            next_command=task_command("checks", "--pr", pr),
        )
    if not reason.strip():
        raise UsageError(
            f"--tick {name}: a tick needs its reason",
            why="reviewers read it in the note",
            next_command=_tick_command(pr, name),
        )
    return check


def tick(view: View, check: ManualCheck, reason: str) -> GateOutcome:
    """Record the user's confirmation of a manual check on the tip of the local branch.

    Raises:
        UsageError: there is no local branch.
    """
    who = view.git.query("var", "GIT_AUTHOR_IDENT").text.rpartition(">")[0] + ">"
    subject = subject_of(view, view.local_tip())
    return checks.tick(subject, check, who=who, reason=" ".join(reason.split()), say=view.reporter.progress)


def _tick_command(pr: int | str, name: str) -> str:
    return task_command("checks", "--pr", pr, "--tick", name, "--reason", "WHY")


def _verdict_text(outcome: GateOutcome) -> str:
    return f"{_MARKS.get(outcome.verdict, outcome.verdict.value)}" + (f": {outcome.fix}" if outcome.fix else "")


def _failure(scope: Scope, wrong: list[GateOutcome], tip: Oid, data: Mapping[str, Any]) -> CheckFailed:
    entry = scope.entry
    named = {check.name: check for check in entry.checks}
    lines = []
    for outcome in wrong:
        indented = outcome.diagnosis.replace("\n", "\n  ")
        message = [] if outcome.verdict is Verdict.FAILED else [outcome.words]
        why = ": ".join([*message, *filter(None, [indented])]) or outcome.words
        lines.append(f"{outcome.gate} ({named[outcome.gate].text}): {why}")
        lines += [f"  log: {outcome.log}"] if outcome.log else []
    first = wrong[0]
    edited = [each for each in wrong if not isinstance(named[each.gate], ManualCheck)]
    ticks = [_tick_command(entry.key, each.gate) for each in wrong if isinstance(named[each.gate], ManualCheck)]
    flags = waiver_flags(wrong)
    again = same_command(flags, pr=entry.key) if flags else task_command("continue")
    return CheckFailed(
        f"{len(wrong)} of {count_of(len(entry.checks), 'check')} failed on {short(tip)}; nothing was pushed",
        why="\n".join(lines),
        next_command=tuple(
            dict.fromkeys(part for part in (*to_edit(scope.git, entry, edited), first.fix, *ticks, again) if part)
        ),
        data=data,
    )
