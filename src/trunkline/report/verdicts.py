"""How verdicts look: one mark, colour and tone for each, the same in every table, picture and page."""

from __future__ import annotations

from typing import NamedTuple

from trunkline.domain.receipt import GateOutcome, Verdict


class Look(NamedTuple):
    """A verdict's look.

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
    """Return a verdict's look; a pass that proves nothing is a warning, and a gate that never ran is quiet."""
    if outcome is None:
        return NOT_RUN
    if outcome.verdict is Verdict.PASSED and not outcome.proven:
        return WARNED
    return _LOOKS[outcome.verdict]
