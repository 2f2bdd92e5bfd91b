"""Evaluate the checks of an entry on a commit; each has a verdict and a receipt, as a gate has.

Commands and tests run like gates. Patterns are searched in the commit's objects without a checkout.
A person's confirmation of a manual check is a receipt too, valid for exactly that tree.
"""

from __future__ import annotations

import datetime as dt
import hashlib
import time
from collections.abc import Callable, Collection
from pathlib import Path

from trunkline.domain.check import Check, ManualCheck, PatternCheck, evaluate
from trunkline.domain.receipt import GateOutcome, Receipt, Toolchain, Verdict
from trunkline.domain.reuse import Reuse
from trunkline.gates import execute, invalidation, pattern_search, proof, request, slots
from trunkline.gates.check_receipts import Subject, bare_query, gate_of, proven_outcomes, stale_tick
from trunkline.gates.gate_workspace import GateWorkspace
from trunkline.rust import structure
from trunkline.system import installing

_SHOWN = 10  # matches shown for a failed check; the log has all of them


def run(
    subject: Subject,
    checks: Collection[Check],
    *,
    reuse: Reuse = Reuse.ALL,
    progress: Callable[[GateOutcome], None] = lambda _: None,
    say: Callable[[str], None] = lambda _: None,
) -> tuple[GateOutcome, ...]:
    """Evaluate checks in order; those with a valid receipt do not run again.

    Args:
        subject: the commit.
        checks: the entry's checks.
        reuse: the results of earlier runs that may be reused; receipts of manual checks always may.
        progress: receives each outcome.
        say: receives messages for the user besides the verdicts.

    Raises:
        UsageError: a pattern is invalid.
    """
    kept = [check for check in checks if reuse.receipts or isinstance(check, ManualCheck)]
    found = proven_outcomes(subject, kept, say=say)
    least = invalidation.LEAST[reuse]
    outcomes = []
    for check in checks:
        outcome = found.get(check.name)
        known = outcome is not None and proof.newest_passed(outcome)
        outcomes.append(outcome if known and outcome else _evaluated(subject, check, least, say=say))
        progress(outcomes[-1])
    return tuple(outcomes)


def tick(subject: Subject, check: ManualCheck, *, who: str, reason: str, say: Callable[[str], None]) -> GateOutcome:
    """Record a person's confirmation of a manual check for exactly this tree.

    Args:
        subject: the commit that was reviewed.
        check: the manual check.
        who: the person's name, from git.
        reason: why the check holds.
        say: receives messages for the user besides the verdict.
    """
    _store_receipt(
        subject, check, f"{who}: {reason}", f"{check.text}\n\n{who}\n{reason}\n", Toolchain("", ""), 0.0, 0, say
    )
    found = proven_outcomes(subject, [check]).get(check.name)
    return found or GateOutcome(check.name, Verdict.FAILED, diagnosis="its receipt cannot be read")


def _evaluated(
    subject: Subject, check: Check, least: invalidation.Reset, *, say: Callable[[str], None]
) -> GateOutcome:
    if isinstance(check, PatternCheck):
        return _searched(subject, check, say)
    if isinstance(check, ManualCheck):
        return _unticked(subject, check)
    with slots.slot(subject.git, subject.commit) as slot:
        place = request.new_run(subject.git.common_dir())
        workspace = GateWorkspace(
            subject.git, slot, subject.settings.root, place, subject.settings, executor="", least=least
        )
        return execute.execute(workspace, gate_of(subject, check), fresh=True, toolchain=None, say=say)


def _unticked(subject: Subject, check: ManualCheck) -> GateOutcome:
    earlier = stale_tick(subject, check)
    if earlier is None:
        why = "not ticked yet"
    else:
        why = f"the tree has changed since {earlier.summary} ({earlier.started[:10]}, tree {earlier.tree[:7]})"
    return GateOutcome(check.name, Verdict.FAILED, command=gate_of(subject, check).command_line, diagnosis=why)


def _searched(subject: Subject, check: PatternCheck, say: Callable[[str], None]) -> GateOutcome:
    tool, gate = structure.version(), gate_of(subject, check)
    if not tool:
        return GateOutcome(
            check.name, Verdict.UNAVAILABLE, command=gate.command_line, fix=installing.for_extra("checks")
        )
    began = time.monotonic()
    counted = pattern_search.search(subject, check)
    evaluation = evaluate(check, counted.matches, counted.files)
    shown = [str(match) for match in evaluation.shown]
    log = "\n".join([gate.command_line, "", evaluation.summary, *shown, ""])
    seconds, code = time.monotonic() - began, 0 if evaluation.holds else 1
    found = f": {shown[0]}" if evaluation.holds and len(shown) == 1 else ""
    path = _store_receipt(subject, check, evaluation.summary + found, log, Toolchain(tool, ""), seconds, code, say)
    more = [f"and {len(shown) - _SHOWN} more"] if len(shown) > _SHOWN else []
    outcome = GateOutcome(
        check.name,
        Verdict.PASSED if evaluation.holds else Verdict.FAILED,
        seconds,
        gate.command_line,
        tool,
        "" if evaluation.holds else "\n".join([evaluation.summary, *shown[:_SHOWN], *more]),
        log=str(path),
        summary=evaluation.summary + found,
    )
    known = proof.known_receipts(subject.git, subject.tree, subject.settings)
    return proof.confirmed(known, bare_query(subject, gate), outcome)


def _store_receipt(
    subject: Subject,
    check: Check,
    summary: str,
    log: str,
    tool: Toolchain,
    seconds: float,
    code: int,
    say: Callable[[str], None],
) -> Path:
    """Write the receipt of a check that ran no command; return the path of its log."""
    content = log.encode("utf-8", "backslashreplace")
    digest = hashlib.sha256(content).hexdigest()
    receipt = Receipt(
        gate=check.name,
        commit=subject.commit,
        tree=subject.tree,
        argv=gate_of(subject, check).argv,
        env={},
        passed_through=(),
        toolchain=tool,
        lock_sha256="",
        sandbox="none",
        started=dt.datetime.now(dt.timezone.utc).isoformat(timespec="milliseconds"),
        seconds=round(seconds, 3),
        exit_code=code,
        log=f"{digest[:32]}.log",
        log_sha256=digest,
        summary=summary,
    )
    return execute.store_receipt(subject.git, subject.settings, receipt, content, say)
