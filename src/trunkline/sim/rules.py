"""Evaluate a repository's requirements for a merge: approvals, checks, a queue.

A branch's rule is simulated as a ruleset (docs.github.com, "Available rules for rulesets"): its
name, required approvals with or without dismissal of stale ones, required status checks, branches
that are up to date, linear history, a merge queue.
"""

from __future__ import annotations

from dataclasses import replace
from enum import Enum
from typing import TYPE_CHECKING

from trunkline.sim.model import CheckRun, EventKind, PullRequest, PullState, Repository, Review, Rule

if TYPE_CHECKING:
    from trunkline.sim.world import World

_GOOD = frozenset({"SUCCESS", "NEUTRAL", "SKIPPED"})


class Mergeable(Enum):
    """GraphQL's MergeableState."""

    MERGEABLE = "MERGEABLE"
    CONFLICTING = "CONFLICTING"
    UNKNOWN = "UNKNOWN"


def mergeable(world: World, repository: Repository, pull: PullRequest) -> Mergeable:
    """Return whether a merge would conflict; GitHub computes it only for open pull requests."""
    base = repository.refs.get(pull.base)
    if pull.state is not PullState.OPEN or base is None or repository.unsettled.get(pull.number, 0) > 0:
        return Mergeable.UNKNOWN
    tree = world.bare(repository).merged_tree(base, pull.head_oid)
    return Mergeable.MERGEABLE if tree else Mergeable.CONFLICTING


def rule_of(repository: Repository, pull: PullRequest) -> Rule:
    """Return the rule of a pull request's base, empty if there is none.

    Each pull request of a native stack is evaluated as if it targeted the stack's base.
    """
    stack = repository.stack_of(pull.number)
    return repository.rules.get(stack.base if stack else pull.base, Rule())


def verdicts(pull: PullRequest) -> dict[str, str]:
    """Return each reviewer's latest decisive review state."""
    return {review.author: review.state for review in pull.reviews if review.state != "COMMENTED"}


def review_decision(repository: Repository, pull: PullRequest) -> str | None:
    """Return GraphQL's PullRequestReviewDecision; None: no reviews, and none required."""
    latest = list(verdicts(pull).values())
    if "CHANGES_REQUESTED" in latest:
        return "CHANGES_REQUESTED"
    approvals = latest.count("APPROVED")
    if approvals < rule_of(repository, pull).approvals:
        return "REVIEW_REQUIRED"
    return "APPROVED" if approvals else None


def unmet(repository: Repository, pull: PullRequest) -> tuple[str, ...]:
    """Return the unmet requirements of the base's rule, as GitHub's messages.

    Source: community threads on blocked merges.
    """
    rule = rule_of(repository, pull)
    found = []
    if review_decision(repository, pull) in {"REVIEW_REQUIRED", "CHANGES_REQUESTED"} and rule.approvals:
        plural = "s are" if rule.approvals > 1 else " is"
        found.append(f"At least {rule.approvals} approving review{plural} required by reviewers with write access.")
    runs = {run.name: run.conclusion for run in repository.checks.get(pull.head_oid, ())}
    runs |= {status.context: status.state for status in repository.statuses.get(pull.head_oid, ())}
    found += [
        f'Required status check "{name}" is {"expected" if name not in runs else "failing"}.'
        for name in rule.checks
        if runs.get(name) not in _GOOD
    ]
    return tuple(found)


def is_behind(world: World, repository: Repository, pull: PullRequest) -> bool:
    """Return whether the base requires an up-to-date head, and this one is behind."""
    tip = repository.refs.get(pull.base, "")
    return rule_of(repository, pull).up_to_date and not world.bare(repository).contains(pull.head_oid, tip)


def tally(repository: Repository) -> dict[str, int]:
    """Return the numbers of CI runs (one per head), dismissed approvals and force pushes."""
    pulls = repository.pulls.values()
    names = set(repository.ci.names)
    return {
        "ci_runs": sum(bool(names & {run.name for run in runs}) for runs in repository.checks.values()),
        "dismissed": sum(review.state == "DISMISSED" for pull in pulls for review in pull.reviews),
        "force_pushes": sum(e.kind is EventKind.HEAD_REF_FORCE_PUSHED for pull in pulls for e in pull.events),
    }


def merge_state(world: World, repository: Repository, pull: PullRequest) -> str:
    """Return GraphQL's MergeStateStatus (docs.github.com, graphql/reference/enums)."""
    found = mergeable(world, repository, pull)
    if found is not Mergeable.MERGEABLE:
        return "UNKNOWN" if found is Mergeable.UNKNOWN else "DIRTY"
    if pull.draft:
        return "DRAFT"
    if unmet(repository, pull):
        return "BLOCKED"
    if is_behind(world, repository, pull):
        return "BEHIND"
    runs = repository.checks.get(pull.head_oid, ())
    states = [run.conclusion or run.status for run in runs]
    states += [status.state for status in repository.statuses.get(pull.head_oid, ())]
    return "CLEAN" if all(state in _GOOD for state in states) else "UNSTABLE"


def head_moved(world: World, repository: Repository, pull: PullRequest) -> PullRequest:
    """Process a new head: dismiss stale approvals, reset mergeability, start CI."""
    if rule_of(repository, pull).dismiss_stale:
        pull = replace(pull, reviews=tuple(_dismissed(review) for review in pull.reviews))
    repository.unsettled[pull.number] = repository.mergeability_lag
    if repository.ci.names and pull.head_oid not in repository.checks:
        now = world.now()
        repository.checks[pull.head_oid] = tuple(
            CheckRun(world.new_id(), name, pull.head_oid, "IN_PROGRESS", "", now, "") for name in repository.ci.names
        )
        repository.running[pull.head_oid] = repository.ci.requests
    return pull


def base_changed(repository: Repository, pull: PullRequest) -> PullRequest:
    """Process a new base: dismiss approvals if a rule requires it, because they are of another diff."""
    if rule_of(repository, pull).dismiss_retargeted:
        return replace(pull, reviews=tuple(_dismissed(review) for review in pull.reviews))
    return pull


def _dismissed(review: Review) -> Review:
    return replace(review, state="DISMISSED") if review.state == "APPROVED" else review


def count_request(world: World) -> None:
    """Count a request: mergeability becomes known, checks complete."""
    for repository in world.state.repositories.values():
        for number, left in tuple(repository.unsettled.items()):
            repository.unsettled[number] = left - 1
            if left <= 1:
                del repository.unsettled[number]
        for commit, left in tuple(repository.running.items()):
            repository.running[commit] = left - 1
            if _is_over(world, repository, commit, left):
                del repository.running[commit]
                repository.checks[commit] = tuple(_ended(world, repository, run) for run in repository.checks[commit])
                world.touch()


def _is_over(world: World, repository: Repository, commit: str, left: int) -> bool:
    """Return whether the running checks of a commit complete now."""
    seconds = repository.ci.seconds
    if not seconds:
        return left <= 1
    return all(world.age(run.started_at) >= seconds for run in repository.checks[commit])


def _ended(world: World, repository: Repository, run: CheckRun) -> CheckRun:
    if run.status == "COMPLETED":
        return run
    return replace(run, status="COMPLETED", conclusion=repository.ci.conclusion, completed_at=world.now())
