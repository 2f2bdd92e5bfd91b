"""Step `gates`: run every gate on the entry's tree as a nox session, and reuse valid receipts."""

from __future__ import annotations

import shutil
import time
from collections.abc import Callable, Collection, Mapping
from functools import partial
from typing import Any

from trunkline.context.project import Project
from trunkline.context.run import Context
from trunkline.context.scope import Scope
from trunkline.domain import records
from trunkline.domain.cause import CauseId
from trunkline.domain.command import same_command, task_command
from trunkline.domain.coverage import Coverage
from trunkline.domain.errors import CheckFailed
from trunkline.domain.names import EntryKey, Oid, short
from trunkline.domain.receipt import GateOutcome, Verdict, by_cause
from trunkline.domain.stack import Entry, GateSettings
from trunkline.domain.step import Outcome, Step, StepName, StepStatus
from trunkline.domain.waivers import Waivers
from trunkline.domain.words import count_of
from trunkline.engine import StepContext
from trunkline.gates.catalogue import gate_names
from trunkline.gates.run import gate_commit
from trunkline.git import refs
from trunkline.git.git import Git
from trunkline.git.work_trees import changed_paths
from trunkline.operations import local_branch
from trunkline.operations.gate_stack import GateProgress
from trunkline.planning.baseline import with_base
from trunkline.planning.coverage import coverage_of
from trunkline.planning.own_base import own_base_of
from trunkline.planning.parents import Base
from trunkline.planning.verification import waiver_flags
from trunkline.rust import cargo
from trunkline.state.change_log import Part

_MENDED_BY_A_COMMIT = frozenset({CauseId.NO_LOCK.value, CauseId.STALE_LOCK.value})


def plan(scope: Scope) -> Step:
    """Plan the step."""
    names, settings = gate_names(scope.stack.gates), scope.stack.gates
    description = f"{count_of(len(names), 'gate')} on the entry's tree: {', '.join(names)}"
    return Step(StepName.GATES, description, ("nox -s gates",), publishes=publishes(settings))


def publishes(settings: GateSettings) -> tuple[str, ...]:
    """Return lines that describe what gates publish: none, unless GitHub Actions runs them."""
    if settings.executor != "actions":
        return ()
    return (f"push the commit to {settings.remote} as a temporary ref, for GitHub Actions to run the gates",)


def run(context: Context, step_context: StepContext) -> Outcome:
    """Run the gates on the commit whose tree will land, outside the user's checkout.

    Raises:
        CheckFailed: a gate failed, or could not run and was not accepted as unavailable.
    """
    tip = local_branch.commit_to_verify(context, step_context)
    started, progress = time.monotonic(), GateProgress(context.reporter, context.git)
    outcomes = gate_commit(
        context.git.cwd, tip, context.stack.gates, reuse=context.options.reuse,
        progress=progress.ended, began=progress.began, say=context.reporter.progress, printed=progress.printed,
        compiled=progress.compiled, on_stopped=lambda stopped: _refuse_first(context, tip, stopped),
    )  # fmt: skip
    context.reporter.gates_ended(time.monotonic() - started)
    view = context.view(Part.ALL)  # gates can run for minutes
    compare = context.options.baseline or context.stack.gates.inherited == "allow"
    on_base = partial(run_on_base, context.project, progress=progress.ended) if compare else None
    outcomes = with_base(view, outcomes, on_base)
    note_verdicts(context.entry, context.waivers, step_context, records.GateVerdicts, tip, outcomes)
    coverage = coverage_of(context.git, own_base_of(view, tip), tip, outcomes)
    data = {
        "outcomes": [outcome.to_json() for outcome in outcomes],
        "new_dependencies": list(_new_dependencies(context.project, tip)),
        "coverage": coverage.to_json(),
    }
    wrong = [outcome for outcome in outcomes if not context.waivers.allow(outcome)]
    if wrong:
        raise _failure(context, tip, wrong, data=data)
    return _passed(outcomes, short(tip), data, coverage, time.monotonic() - started)


def run_on_base(
    project: Project, base: Base, names: Collection[str], *, progress: Callable[[GateOutcome], None]
) -> tuple[GateOutcome, ...]:
    """Run gates on an entry's base.

    Args:
        project: the project.
        base: the base.
        names: the gates.
        progress: receives each outcome.

    Raises:
        UsageError, ExternalError: see `gate_commit`.
    """
    project.reporter.progress(f"running {', '.join(names)} on {base.name} ({short(base.oid)})")
    return gate_commit(project.git.cwd, base.oid, project.stack.gates, only=names, progress=progress)


def note_verdicts(
    entry: Entry,
    waivers: Waivers,
    step_context: StepContext,
    kind: type[records.Verdicts],
    tip: Oid,
    outcomes: Collection[GateOutcome],
) -> None:
    """Record in the journal what receipts do not hold: unavailable gates and waived verdicts.

    Args:
        entry: the entry.
        waivers: the verdicts that are waived by name.
        step_context: the step's arguments.
        kind: the record, of gates or of checks.
        tip: the commit.
        outcomes: all outcomes.
    """
    fixes = {outcome.gate: outcome.fix for outcome in outcomes if outcome.verdict is Verdict.UNAVAILABLE}
    waived = sorted(outcome.gate for outcome in outcomes if waivers.accept(outcome))
    step_context.log(kind(*step_context.about(entry), commit=tip, unavailable=fixes, accepted=tuple(waived)))


def _new_dependencies(project: Project, tip: Oid) -> tuple[str, ...]:
    """Return the packages that the entry adds to its base's Cargo.lock, as `name version`."""
    git, path = project.git, f"{project.stack.gates.root}/Cargo.lock".removeprefix("./")
    base = git.query("merge-base", tip, project.tracking, ok=(0, 1, 128)).text
    try:
        now, then = (
            cargo.lock_packages(git.query("show", f"{commit}:{path}", ok=(0, 128)).text) if commit else frozenset()
            for commit in (tip, base)
        )
    except ValueError:
        return ()  # cargo has reported it
    return tuple(f"{name} {version}" for name, version in sorted(now - then))


def _passed(
    outcomes: tuple[GateOutcome, ...], tip: str, data: Mapping[str, Any], coverage: Coverage, seconds: float
) -> Outcome:
    passed = [outcome for outcome in outcomes if outcome.verdict is Verdict.PASSED]
    reused = sum(outcome.reused for outcome in passed)
    remarks = tuple(line for outcome in outcomes if (line := _remark(outcome)))
    new = data["new_dependencies"]
    message = f"{len(passed)} of {len(outcomes)} on {tip}"
    return Outcome(
        "gates",
        message + (f" ({reused} from receipts)" if reused else ""),
        StepStatus.WARNED if remarks or coverage.code else StepStatus.DONE,
        (
            *([f"new dependencies since the base: {', '.join(new)}"] if new else []),
            *remarks,
            *([coverage.sentence()] if coverage.unverified else []),
        ),
        data,
        seconds,
    )


def _remark(outcome: GateOutcome) -> str:
    """Return a remark about a gate that was waived, or ""."""
    if outcome.verdict is Verdict.UNAVAILABLE:
        return f"{outcome.gate} skipped (accepted as unavailable); to run it: {outcome.fix}"
    if outcome.verdict is Verdict.FLAKY:
        return f"{outcome.gate} {outcome.words} (accepted): {outcome.diagnosis}"
    if outcome.inherited:
        return f"{outcome.gate} {outcome.words}, {outcome.on_base} (accepted as inherited)"
    return "" if outcome.proven else f"{outcome.gate} {outcome.words}: it verified nothing"


def _refuse_first(context: Context, tip: Oid, stopped: tuple[GateOutcome, ...]) -> None:
    """Stop before the first gate if some gates are known to fail.

    An interactive user may continue without gates that are unavailable.

    Raises:
        CheckFailed: a gate will fail, or cannot run and was not accepted as unavailable.
    """
    wrong = [outcome for outcome in stopped if not context.waivers.allow(outcome)]
    if not wrong:
        return
    if all(outcome.verdict is Verdict.UNAVAILABLE for outcome in wrong):
        names = ", ".join(outcome.gate for outcome in wrong)
        reasons = "; ".join(dict.fromkeys(outcome.diagnosis for outcome in wrong))
        if context.reporter.ask(
            f"{names} cannot run here ({reasons}). Run the other gates, and land without {names}?"
        ):
            context.run.decisions = context.run.decisions.accepting({outcome.gate for outcome in wrong})
            return
    data = {"outcomes": [outcome.to_json() for outcome in stopped]}
    raise _failure(context, tip, wrong, "no gate was run, nothing was pushed", data)


def _failure(
    scope: Scope,
    commit: Oid,
    wrong: list[GateOutcome],
    then: str = "nothing was pushed",
    data: Mapping[str, Any] | None = None,
) -> CheckFailed:
    """Return the error for gates that did not pass, grouped by cause."""
    tip = short(commit)
    groups = by_cause(wrong)
    firsts = [group[0] for group in groups]
    ran = [outcome for outcome in firsts if outcome.log]
    alone = [run_again(scope.git, outcome, tip, scope.entry.key) for outcome in ran[:1]]
    flags = waiver_flags(wrong)
    again = same_command(flags, pr=scope.entry.key) if flags else task_command("continue")
    names = ", ".join(outcome.gate for outcome in wrong)
    failed = all(outcome.verdict in {Verdict.FAILED, Verdict.TIMED_OUT} for outcome in wrong)
    verb = "failed" if failed else "did not pass"
    return CheckFailed(
        f"{count_of(len(wrong), 'gate')} {verb}: {names} ({scope.entry.label} at {tip}); {then}",
        why="\n".join(_explained(group) for group in groups),
        next_command=tuple(
            dict.fromkeys(
                [
                    *to_edit(scope.git, scope.entry, wrong),
                    *(each.fix for each in firsts if each.fix),
                    *alone,
                    again,
                ]
            )
        ),
        data=data,
    )


def to_edit(git: Git, entry: Entry, wrong: Collection[GateOutcome]) -> tuple[str, ...]:
    """Return the command that checks out the entry's branch, if a commit there has to mend a failure.

    Where it is checked out, the command takes its uncommitted changes: gates run on a commit.

    The commands that fix Cargo.lock commit to the branch that is checked out.
    """
    failed = [each for each in wrong if each.verdict is Verdict.FAILED and not each.inherited]
    is_edit = any(not each.fix or each.cause in _MENDED_BY_A_COMMIT for each in failed)
    if not is_edit:
        return ()
    if refs.current_branch(git) != entry.branch:
        return (task_command("switch", "--pr", entry.key, comment=f"to mend {entry.label} there"),)
    if not changed_paths(git):
        return ()
    return (task_command("amend", "--all", comment=f"takes your uncommitted changes into {entry.label}"),)


def run_again(git: Git, outcome: GateOutcome, commit: str, pr: EntryKey) -> str:
    """Return the command that runs a gate again, alone if the repository has nox sessions.

    Without a noxfile.py, `gates` runs again what has no receipt.
    """
    if (git.cwd / "noxfile.py").is_file() and shutil.which("nox"):
        return f"{outcome.again} -- --commit {commit}"
    return task_command("gates", "--pr", pr)


def _explained(group: tuple[GateOutcome, ...]) -> str:
    """Return the description of gates with one cause: names, cause, the tool's message, logs."""
    first = group[0]
    head = f"{', '.join(outcome.gate for outcome in group)} {first.words if len(group) == 1 else first.verdict.value}"
    lines = [f"{head}: {first.diagnosis}" if first.diagnosis else head]
    if first.quoted and first.quoted.removeprefix("error: ") not in first.diagnosis:
        lines.append(f"  {first.quoted}")
    lines += [f"  {outcome.gate} {outcome.on_base}" for outcome in group if outcome.on_base]
    lines += [f"  log: {outcome.log}" for outcome in group[:1] if outcome.log]
    return "\n".join(lines)
