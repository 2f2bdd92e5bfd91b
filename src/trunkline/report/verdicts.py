"""The appearance of verdicts: mark, colour and tone, the same in tables, trees and pages."""

from __future__ import annotations

from typing import NamedTuple

from trunkline.domain.receipt import GateOutcome, Verdict


class Appearance(NamedTuple):
    """The appearance of a verdict.

    Attributes:
        mark: one character.
        style: its colour on a terminal.
        tone: its class on a page: good, bad, warn or quiet.
    """

    mark: str
    style: str
    tone: str


_LOOKS = {
    Verdict.PASSED: Appearance("✓", "green", "good"),
    Verdict.FAILED: Appearance("✗", "red", "bad"),
    Verdict.TIMED_OUT: Appearance("✗", "red", "bad"),
    Verdict.FLAKY: Appearance("≈", "yellow", "warn"),
    Verdict.STALE: Appearance("~", "yellow", "warn"),
    Verdict.UNAVAILABLE: Appearance("-", "yellow", "warn"),
    Verdict.INTERRUPTED: Appearance("!", "yellow", "warn"),
}
NOT_RUN = Appearance("·", "dim", "quiet")
WARNED = Appearance("!", "yellow", "warn")


def look_of(outcome: GateOutcome | None) -> Appearance:
    """Return the appearance of a verdict; a pass without proof is a warning."""
    if outcome is None:
        return NOT_RUN
    if outcome.verdict is Verdict.PASSED and not outcome.proven:
        return WARNED
    return _LOOKS[outcome.verdict]
