"""gates: every gate on exactly the entry's tree, by the nox sessions; receipts that still prove it are reused."""

from __future__ import annotations

import time

from trunkline.adapters import cargo
from trunkline.domain.errors import CheckFailed
from trunkline.domain.names import Oid, short
from trunkline.domain.receipt import GateOutcome, Verdict
from trunkline.domain.step import Mark, Outcome, Step, StepName
from trunkline.engine import Acting
from trunkline.gates.run import gate_commit, gate_names
from trunkline.workflows.context import Context
from trunkline.workflows.gate_stack import Watch
from trunkline.workflows.proof import settled


def plan(context: Context) -> Step:
    """Plan the step."""
    names = gate_names(context.stack.gates)
    return Step(StepName.GATES, f"{len(names)} gates on the entry's tree: {', '.join(names)}", ("nox -s gates",))


def perform(context: Context, acting: Acting) -> Outcome:
    """Run the gates on the local branch's tip; nothing of the user's checkout takes part.

    Raises:
        CheckFailed: a gate failed, or could not run and was not accepted as unavailable.
    """
    tip = context.local_tip()
    started, watch = time.monotonic(), Watch(context.tell)
    outcomes = gate_commit(
        context.git.cwd, tip, context.stack.gates, fresh=context.options.fresh,
        progress=watch.ended, began=watch.began, say=context.tell.progress, printed=watch.printed,
        foreseen=lambda stopped: _refuse_first(context, stopped),
    )  # fmt: skip
    context.forget()  # minutes have passed: what follows looks again
    cures = {outcome.gate: outcome.cure for outcome in outcomes if outcome.verdict is Verdict.UNAVAILABLE}
    # Unavailability leaves no receipt; push and note must know that it was tried on this very commit.
    acting.note("gated", context.entry, commit=tip, unavailable=cures)
    wrong = [outcome for outcome in outcomes if not settled(context, outcome.gate, outcome)]
    if wrong:
        raise _failure(context, wrong)
    return _passed(outcomes, short(tip), _new_dependencies(context, tip), time.monotonic() - started)


def _new_dependencies(context: Context, tip: Oid) -> tuple[str, ...]:
    """Return the packages of the entry's Cargo.lock that its base's has not, as `name version`."""
    git, path = context.git, f"{context.stack.gates.root}/Cargo.lock".removeprefix("./")
    base = git.query("merge-base", tip, context.tracking, ok=(0, 1, 128)).text
    try:
        now, then = (
            cargo.lock_packages(git.query("show", f"{commit}:{path}", ok=(0, 128)).text) if commit else frozenset()
            for commit in (tip, base)
        )
    except ValueError:
        return ()  # cargo itself has said so
    return tuple(f"{name} {version}" for name, version in sorted(now - then))


def _passed(outcomes: tuple[GateOutcome, ...], tip: str, new: tuple[str, ...], seconds: float) -> Outcome:
    passed = [outcome for outcome in outcomes if outcome.verdict is Verdict.PASSED]
    reused = sum(outcome.reused for outcome in passed)
    waived = [outcome for outcome in outcomes if outcome not in passed]
    told = f"{len(passed)} of {len(outcomes)} on {tip}"
    return Outcome(
        "gates",
        told + (f" ({reused} from receipts)" if reused else ""),
        Mark.WARNED if waived else Mark.DONE,
        (
            *_listed(new),
            *(f"{outcome.gate} could not run here, as accepted; to run it: {outcome.cure}" for outcome in waived),
        ),
        {"outcomes": [outcome.to_json() for outcome in outcomes], "new_dependencies": list(new)},
        seconds,
    )


def _listed(new: tuple[str, ...]) -> tuple[str, ...]:
    return (f"new dependencies since the base: {', '.join(new)}",) if new else ()


def _refuse_first(context: Context, stopped: tuple[GateOutcome, ...]) -> None:
    """Stop before the first gate runs where some are known not to pass; a person may go on without those unavailable.

    Raises:
        CheckFailed: a gate will fail, or cannot run and was not accepted as unavailable.
    """
    wrong = [outcome for outcome in stopped if not settled(context, outcome.gate, outcome)]
    if not wrong:
        return
    if all(outcome.verdict is Verdict.UNAVAILABLE for outcome in wrong):
        names = ", ".join(outcome.gate for outcome in wrong)
        reasons = "; ".join(dict.fromkeys(outcome.diagnosis for outcome in wrong))
        if context.tell.ask(f"{names} cannot run here ({reasons}). Run the other gates, and land without {names}?"):
            context.seen.accepted.update(outcome.gate for outcome in wrong)
            return
    raise _failure(context, wrong, "no gate was run, nothing was pushed")


def _failure(context: Context, wrong: list[GateOutcome], then: str = "nothing was pushed") -> CheckFailed:
    """Return the error for gates that did not pass, those with one cause together."""
    tip, task = short(context.local_tip()), f"invoke rebase --pr {context.entry.pr}"
    groups: dict[tuple[str, Verdict], list[GateOutcome]] = {}
    for outcome in wrong:
        groups.setdefault((outcome.cause_key or outcome.gate, outcome.verdict), []).append(outcome)
    firsts = [group[0] for group in groups.values()]
    unavailable = ",".join(outcome.gate for outcome in wrong if outcome.verdict is Verdict.UNAVAILABLE)
    ran = [outcome for outcome in firsts if outcome.log]
    alone = [f"{outcome.again} -- --commit {tip}" for outcome in ran[:1]]
    again = f"{task} --accept-unavailable {unavailable}" if unavailable else "invoke continue"
    names = ", ".join(outcome.gate for outcome in wrong)
    return CheckFailed(
        f"{len(wrong)} gate{'s' if len(wrong) > 1 else ''} did not pass on {tip}: {names}; {then}",
        why="\n".join(_explained(group) for group in groups.values()),
        next_command=tuple(dict.fromkeys([*(each.cure for each in firsts if each.cure), *alone, again])),
    )


def _explained(group: list[GateOutcome]) -> str:
    """Return what is wrong with gates that have one cause: their names, the cause, the tool's own words, the logs."""
    first = group[0]
    head = f"{', '.join(outcome.gate for outcome in group)} {first.verdict.value}"
    lines = [f"{head}: {first.diagnosis}" if first.diagnosis else head]
    if first.quoted and first.quoted.removeprefix("error: ") not in first.diagnosis:
        lines.append(f"  {first.quoted}")
    lines += [f"  log: {outcome.log}" for outcome in group[:1] if outcome.log]
    return "\n".join(lines)
