"""Verdicts other than a pass that the user accepts by name."""

from __future__ import annotations

import msgspec

from trunkline.domain.receipt import GateOutcome, Verdict


class Waivers(msgspec.Struct, frozen=True):
    """The accepted verdicts.

    Attributes:
        unavailable: gates and checks that may be unavailable.
        flaky: gates that may be flaky.
        inherited: a gate may fail if it fails on the base for the same cause.
    """

    unavailable: frozenset[str] = frozenset()
    flaky: frozenset[str] = frozenset()
    inherited: bool = False

    @property
    def names(self) -> frozenset[str]:
        """The gates and checks that are named."""
        return self.unavailable | self.flaky

    def accept(self, outcome: GateOutcome | None) -> bool:
        """Return whether a verdict other than a pass is waived; an outcome is required for that."""
        if outcome is None:
            return False
        named = {Verdict.UNAVAILABLE: self.unavailable, Verdict.FLAKY: self.flaky}
        return (outcome.inherited and self.inherited) or outcome.gate in named.get(outcome.verdict, ())

    def allow(self, outcome: GateOutcome | None) -> bool:
        """Return whether a gate or check has passed, or its verdict is waived."""
        return (outcome is not None and outcome.verdict is Verdict.PASSED) or self.accept(outcome)
