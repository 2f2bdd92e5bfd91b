"""Decide whether GitHub would merge a pull request now: checks, review, mergeability."""

from __future__ import annotations

from enum import Enum

import msgspec

from trunkline.domain.snapshot import A_TEAM, CheckRun, CiState, PullRequest, ci_state
from trunkline.domain.words import count_of

_PASSED = frozenset({"SUCCESS", "NEUTRAL", "SKIPPED"})
_PENDING = frozenset({"PENDING", "EXPECTED", ""})


class Ready(Enum):
    """The state of a pull request with regard to its merge."""

    YES = "ready to land"
    SOON = "GitHub has not made up its mind yet"
    CHECKS = "waits for checks"
    REVIEW = "waits for review"
    CHANGES = "changes are requested"
    CI_DOWN = "CI is not operational"
    RED = "a check failed"
    CONFLICT = "conflicts with its base"
    DRAFT = "is a draft"
    BLOCKED = "blocked by a rule of the repository"


class Readiness(msgspec.Struct, frozen=True):
    """The readiness of a pull request, with its reasons."""

    state: Ready
    why: tuple[str, ...] = ()


def pending(check: CheckRun) -> bool:
    """Return whether a check is unfinished; a commit status is COMPLETED with PENDING or EXPECTED."""
    return check.status != "COMPLETED" or check.conclusion in _PENDING


def failed(check: CheckRun) -> bool:
    """Return whether a finished check did not succeed; cancelled, stale and unstarted ones count."""
    return not pending(check) and check.conclusion not in _PASSED


def checks_summary(pr: PullRequest) -> str:
    """Return the state of a pull request's checks in a few words, the worst first."""
    if ci_state({pr.number: pr})[0] is CiState.BILLING:
        return "CI is down: billing"
    red = [check.name for check in pr.checks if failed(check)]
    if red:
        return f"failed: {', '.join(red)}"
    waiting = [check.name for check in pr.checks if pending(check)]
    if waiting:
        return f"running: {', '.join(waiting)}"
    return f"{len(pr.checks)} green" if pr.checks else "no checks"


def review_summary(pr: PullRequest) -> str:
    """Return the review state: decision, reviewers, open threads; "" if no review is requested."""
    words = _decision(pr)
    if pr.open_threads:
        words.append(f"{count_of(pr.open_threads, 'thread')} open")
    return ", ".join(words)


def _decision(pr: PullRequest) -> list[str]:
    """Return the review decision with names: requested changes, approvals, pending requests."""
    people = {
        state: ", ".join(f"@{login}" for login, word in pr.opinions if word == state)
        for state in ("CHANGES_REQUESTED", "APPROVED")
    }
    if pr.review == "CHANGES_REQUESTED" or people["CHANGES_REQUESTED"]:
        by = people["CHANGES_REQUESTED"]
        return [f"changes requested by {by}" if by else "changes requested"]
    reviewers = ", ".join(name if name == A_TEAM else f"@{name}" for name in pr.requested_reviewers)
    words = []
    if pr.review == "APPROVED" or people["APPROVED"]:
        words.append(f"approved by {people['APPROVED']}" if people["APPROVED"] else "approved")
    if pr.review == "REVIEW_REQUIRED":
        words.append(f"an approval is required from {reviewers}" if reviewers else "an approval is required")
    elif reviewers:
        words.append(f"review requested from {reviewers}")
    return words


def evaluate(pr: PullRequest, *, gates_suffice: bool) -> Readiness:
    """Return the readiness of an open pull request.

    Args:
        pr: the pull request as GitHub shows it.
        gates_suffice: the receipts of this machine replace GitHub's checks.
    """
    if pr.draft:
        return Readiness(Ready.DRAFT)
    if pr.mergeable == "CONFLICTING":
        return Readiness(Ready.CONFLICT)
    checks = None if gates_suffice else _checks(pr)
    return checks or _reviewed(pr)


def _reviewed(pr: PullRequest) -> Readiness:
    if pr.review == "CHANGES_REQUESTED" and pr.open_threads:
        return Readiness(Ready.CHANGES, (review_summary(pr),))
    if pr.review in {"CHANGES_REQUESTED", "REVIEW_REQUIRED"}:
        return Readiness(Ready.REVIEW, (review_summary(pr),))
    if "UNKNOWN" in {pr.mergeable, pr.merge_state}:
        return Readiness(Ready.SOON)
    if pr.merge_state in {"BLOCKED", "BEHIND"}:
        return Readiness(Ready.BLOCKED, (f"GitHub says {pr.merge_state}",))
    return Readiness(Ready.YES)


def _checks(pr: PullRequest) -> Readiness | None:
    state, why = ci_state({pr.number: pr})
    if state is CiState.BILLING:
        return Readiness(Ready.CI_DOWN, (why,))
    red = tuple(f"{check.name}: {check.conclusion.lower()}" for check in pr.checks if failed(check))
    if red:
        return Readiness(Ready.RED, red)
    waiting = tuple(check.name for check in pr.checks if pending(check))
    return Readiness(Ready.CHECKS, waiting) if waiting else None
