"""The appearance of verdicts: mark, colour and tone, the same in tables, trees and pages."""

from __future__ import annotations

from typing import NamedTuple

from trunkline.domain.receipt import GateOutcome, Verdict


class Look(NamedTuple):
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
    Verdict.PASSED: Look("✓", "green", "good"),
    Verdict.FAILED: Look("✗", "red", "bad"),
    Verdict.TIMED_OUT: Look("✗", "red", "bad"),
    Verdict.FLAKY: Look("≈", "yellow", "warn"),
    Verdict.STALE: Look("~", "yellow", "warn"),
    Verdict.UNAVAILABLE: Look("-", "yellow", "warn"),
    Verdict.INTERRUPTED: Look("!", "yellow", "warn"),
}
NOT_RUN = Look("·", "dim", "quiet")
WARNED = Look("!", "yellow", "warn")


def look_of(outcome: GateOutcome | None) -> Look:
    """Return the appearance of a verdict; a pass without proof is a warning."""
    if outcome is None:
        return NOT_RUN
    if outcome.verdict is Verdict.PASSED and not outcome.proven:
        return WARNED
    return _LOOKS[outcome.verdict]
