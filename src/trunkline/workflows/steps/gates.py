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


def _failure(context: Context, wrong: list[GateOutcome]) -> CheckFailed:
    lines = [
        f"{outcome.gate} {outcome.verdict.value}" + (f": {outcome.diagnosis}" if outcome.diagnosis else "")
        + (f"\n  log: {outcome.log}" if outcome.log else "")
        for outcome in wrong
    ]  # fmt: skip
    first, task = wrong[0], f"invoke rebase --pr {context.entry.pr}"
    unavailable = ",".join(outcome.gate for outcome in wrong if outcome.verdict is Verdict.UNAVAILABLE)
    alone = f"{first.again} -- --commit {short(context.local_tip())}"
    again = f"{task} --accept-unavailable {unavailable}" if unavailable else "invoke continue"
    return CheckFailed(
        f"{len(wrong)} gates did not pass on {short(context.local_tip())}; nothing was pushed",
        why="\n".join(lines),
        next_command=tuple(dict.fromkeys(part for part in (first.cure, alone, again) if part)),
    )
