"""Where each entry of a stack stands: one state, from what git and GitHub say of it."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum
from typing import TYPE_CHECKING

from trunkline.domain.readiness import Ready, judge
from trunkline.domain.snapshot import PrState, PullRequest

if TYPE_CHECKING:
    from collections.abc import Sequence

    from trunkline.domain.names import Oid, PrNumber


class State(Enum):
    """What is to be said of an entry in a word or two; `blocked by` is followed by a number."""

    MERGED = "merged"
    CLOSED = "closed"
    MISSING = "not on GitHub"
    RESTACK = "needs restack"
    PUSH = "needs push"
    DRAFT = "draft"
    CONFLICT = "conflicts with its base"
    RED = "a check failed"
    CI = "waits for CI"
    REVIEW = "waits for review"
    GITHUB = "waits for GitHub"
    RULE = "blocked by a rule of the repository"
    BLOCKED = "blocked by"
    READY = "ready to land"
    UNKNOWN = "GitHub was not asked"


@dataclass(frozen=True)
class Facts:
    """What was seen of one entry.

    Attributes:
        asked: GitHub was asked; without it, no pull request means that nothing is known.
        local: the local branch's tip, or None where there is no local branch.
        remote: the remote branch's tip as last fetched, or None where there is none.
        on_base: its base's head is what it sits on; None where that is not known.
    """

    number: PrNumber
    pr: PullRequest | None
    asked: bool
    local: Oid | None
    remote: Oid | None
    on_base: bool | None


@dataclass(frozen=True)
class Standing:
    """An entry's state, and the facts behind it for people; `blocker` is the entry that it waits for."""

    number: PrNumber
    state: State
    why: tuple[str, ...] = ()
    blocker: PrNumber | None = None

    def __str__(self) -> str:
        return self.state.value if self.blocker is None else f"{self.state.value} #{self.blocker}"


_OF_READY = {
    Ready.YES: State.READY,
    Ready.SOON: State.GITHUB,
    Ready.CHECKS: State.CI,
    Ready.REVIEW: State.REVIEW,
    Ready.CI_DOWN: State.CI,
    Ready.RED: State.RED,
    Ready.CONFLICT: State.CONFLICT,
    Ready.DRAFT: State.DRAFT,
    Ready.BLOCKED: State.RULE,
}


def standings(entries: Sequence[Facts], *, gates_suffice: bool) -> tuple[Standing, ...]:
    """Say where each entry stands, bottom first.

    Args:
        entries: what was seen, bottom first.
        gates_suffice: the receipts of this machine stand for GitHub's checks, which are not asked.
    """
    told: list[Standing] = []
    below: PrNumber | None = None  # the nearest entry below that is not merged: nothing lands before it
    for facts in entries:
        standing = _alone(facts, gates_suffice=gates_suffice)
        if standing.state is State.READY and below is not None:
            standing = Standing(facts.number, State.BLOCKED, blocker=below)
        told.append(standing)
        if standing.state is not State.MERGED:
            below = facts.number
    return tuple(told)


def _alone(facts: Facts, *, gates_suffice: bool) -> Standing:
    """Judge an entry by itself: what is over comes first, then what git can mend, then what it waits for."""
    if facts.asked and facts.pr is None:
        return Standing(facts.number, State.MISSING)
    if facts.pr is not None and facts.pr.state is not PrState.OPEN:
        return Standing(facts.number, State.MERGED if facts.pr.state is PrState.MERGED else State.CLOSED)
    if facts.on_base is False:
        return Standing(facts.number, State.RESTACK)
    # GitHub's head is of now; the tracking ref is of the last fetch.
    pushed = facts.remote if facts.pr is None else facts.pr.head_oid
    if facts.local is not None and facts.local != pushed:
        return Standing(facts.number, State.PUSH)
    if facts.pr is None:
        return Standing(facts.number, State.UNKNOWN)
    readiness = judge(facts.pr, gates_suffice=gates_suffice)
    down = (Ready.CI_DOWN.value,) if readiness.state is Ready.CI_DOWN else ()
    return Standing(facts.number, _OF_READY[readiness.state], down + readiness.why)
