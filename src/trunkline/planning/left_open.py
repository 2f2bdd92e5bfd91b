"""Name what a run began on GitHub and an abort does not take back: pull requests, and merges in the queue."""

from __future__ import annotations

import shlex
from collections.abc import Callable

from trunkline.context.observation import World
from trunkline.domain import records
from trunkline.domain.snapshot import PrState
from trunkline.domain.stack import Stack
from trunkline.github import branch_rules, opening
from trunkline.github.client import GitHub
from trunkline.state.journal import Run

_DEQUEUE = "mutation($id: ID!) { dequeuePullRequest(input: {id: $id}) { clientMutationId } }"


def open_since(github: GitHub, run: Run) -> tuple[str, ...]:
    """Return a line for each open pull request that the run created, with the command that closes it.

    It is found by its branch: a run that was killed after the request has not recorded its number.

    Raises:
        TrunklineError: the request to GitHub failed.
    """
    created = {record.branch: None for record in run.records if isinstance(record, records.PullRequestCreated)}
    opened = opening.open_ones(github, list(created))
    return tuple(
        f"#{found.number} {branch}: the pull request, which the run created, stays open: gh pr close {found.number}"
        for branch, found in opened.items()
    )


def queued_since(github: GitHub, stack: Stack, run: Run, observe: Callable[[], World]) -> tuple[str, ...]:
    """Return a line for each pull request that the run put into the merge queue, with the command that takes it out.

    Args:
        github: the stack's repository.
        stack: the run's stack.
        run: the run.
        observe: observes GitHub; called only if the run requested a merge.

    Raises:
        TrunklineError: the request to GitHub failed.
    """
    lines = []
    for key in {record.pr: None for record in run.records if isinstance(record, records.MergeRequested)}:
        pr = observe().snapshot.pr(key)
        if pr is None or pr.state is not PrState.OPEN:
            continue
        if branch_rules.read_rules(github, pr.number).queued:
            command = shlex.join(["gh", "api", "graphql", "-f", f"id={pr.node_id}", "-f", f"query={_DEQUEUE}"])
            lines.append(f"{stack.entry(key).full_label} is in the merge queue, and will be merged: {command}")
    return tuple(lines)
