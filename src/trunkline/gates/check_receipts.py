"""Evaluate what receipts prove about the checks of an entry; nothing runs."""

from __future__ import annotations

from collections.abc import Callable, Collection
from dataclasses import replace

import msgspec

from trunkline.domain.check import Check, CommandCheck, ManualCheck, TestCheck
from trunkline.domain.names import Oid
from trunkline.domain.proof import ReceiptQuery
from trunkline.domain.receipt import GateOutcome, Receipt
from trunkline.domain.stack import GateSettings
from trunkline.gates import proof
from trunkline.gates.catalogue import Gate, catalogue, feature_flags
from trunkline.git.git import Git
from trunkline.state.receipt_store import Store


class Subject(msgspec.Struct, frozen=True):
    """A commit whose checks are evaluated.

    Attributes:
        git: the repository.
        commit: the entry's tip.
        base: the parent of its first own commit; added lines are relative to it.
        settings: the `[gates]` table.
    """

    git: Git
    commit: Oid
    base: Oid
    settings: GateSettings

    @property
    def tree(self) -> Oid:
        """The commit's tree, which receipts refer to."""
        return self.git.tree(self.commit)


def proven_outcomes(
    subject: Subject,
    checks: Collection[Check],
    surroundings: proof.Surroundings | None = None,
    say: Callable[[str], None] = lambda _: None,
) -> dict[str, GateOutcome]:
    """Return the outcomes that receipts prove for exactly this tree, by check; nothing runs.

    Commands and tests are evaluated as gates are (`proof.of_commit`); patterns and manual checks
    need no toolchain.
    """
    gates = [(check, gate_of(subject, check)) for check in checks]
    commands = [gate for check, gate in gates if isinstance(check, CommandCheck | TestCheck)]
    rest = [gate for check, gate in gates if not isinstance(check, CommandCheck | TestCheck)]
    local_settings = replace(subject.settings, executor="local")  # checks run locally, whatever runs the gates
    known = proof.known_receipts(subject.git, subject.tree, local_settings, say)
    found = (
        proof.of_commit(subject.git, subject.commit, local_settings, commands, surroundings, known)
        if commands
        else {}
    )
    return {**found, **proof.of_queries(known, ((bare_query(subject, gate), gate) for gate in rest))}


def bare_query(subject: Subject, gate: Gate) -> ReceiptQuery:
    """Return the receipt query of a pattern or manual check: no environment or toolchain."""
    return ReceiptQuery(gate.name, subject.tree, gate.argv, {})


def stale_tick(subject: Subject, check: ManualCheck) -> Receipt | None:
    """Return the newest confirmation of a check on another tree; None: there is none."""
    gate = gate_of(subject, check)
    ticks = (
        receipt
        for receipt in Store(subject.git.state_dir()).receipts_of_gate(check.name)
        if receipt.argv == gate.argv
    )
    return max(ticks, key=lambda receipt: receipt.started, default=None)


def gate_of(subject: Subject, check: Check) -> Gate:
    """Return a check as a gate.

    A pattern or manual check has a descriptive command that never runs.
    """
    settings = subject.settings
    own = Gate(check.name, (), {}, check.name, (), settings.timeout, settings.sandbox)
    if isinstance(check, CommandCheck):
        env = {**settings.env, **check.env}
        return replace(own, argv=check.run, env=env, expects=check.exit, root=settings.root)
    if isinstance(check, TestCheck):
        return _test_gate(check, settings)
    if isinstance(check, ManualCheck):
        return replace(own, argv=("tick", check.text))
    inside = [part for place in check.inside for part in ("--inside", place)]
    scope = check.paths or ("--added-since", subject.base)
    return replace(
        own, argv=("ast-grep", "--lang", "rust", f"--{check.expect.value}", check.one_line, *inside, *scope)
    )


def _test_gate(check: TestCheck, settings: GateSettings) -> Gate:
    """Return the stack's test gate with test filters: it reuses the gate's compiled units."""
    gate = next(gate for gate in catalogue(settings) if gate.name == "test")
    locked = ("--locked",) if settings.locked else ()
    argv = gate.argv if check.args is None else ("cargo", "test", *locked, *feature_flags(settings), *check.args)
    filtered = (*argv, *(() if "--" in argv else ("--",)), *check.tests)
    return replace(gate, name=check.name, argv=filtered, must_run=check.tests)
