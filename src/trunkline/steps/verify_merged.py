"""Step `verify-merged`: verify that every entry below is merged, and whether CI works."""

from __future__ import annotations

from trunkline.context.scope import Scope
from trunkline.context.view import View
from trunkline.domain.names import short
from trunkline.domain.snapshot import CiState, MergeMethod, PullRequest, ci_state
from trunkline.domain.step import Outcome, Step, StepName, StepStatus
from trunkline.engine import StepContext
from trunkline.planning.merged import merged_below


def plan(scope: Scope) -> Step:
    """Plan the step."""
    below = scope.stack.below(scope.entry)
    fields = "state,mergedAt,mergeCommit,baseRefName"
    listed = " ".join(entry.label for entry in below) or "nothing below"
    commands = tuple(f"gh pr view {entry.pr} --json {fields}" for entry in below)
    return Step(StepName.VERIFY_MERGED, f"verify that every entry below is merged: {listed}", commands)


def run(view: View, _step_context: StepContext | None = None) -> Outcome:
    """Verify that every entry below is merged into trunk, and determine how.

    GitHub must show it as MERGED into trunk, and the fetched trunk must contain the merge commit:
    GitHub also marks a pull request as merged if its commits reached another base branch.

    Raises:
        Refused: an entry below is open or closed, or its merge commit is not in trunk.
        UsageError: GitHub has no such pull request.
    """
    view.pull_request()
    merges = [merged_below(view, entry) for entry in view.stack.below(view.entry)]
    state, why = ci_state(view.world.snapshot.pull_requests)
    facts = [
        {"pr": pr.number, "method": method.value, "merged_at": pr.merged_at, "merge_commit": pr.merge_commit}
        for pr, method in merges
    ]
    message = ", ".join(_merged(pr, method) for pr, method in merges)
    return Outcome(
        "merged below",
        message or f"nothing below: {view.entry.label} sits on {view.stack.trunk}",
        StepStatus.WARNED if state is CiState.BILLING else StepStatus.DONE,
        (f"CI is {state.value}: {why}",) if state is CiState.BILLING else (),
        {"below": facts, "ci": {"state": state.name.lower(), "why": why}},
    )


def _merged(pr: PullRequest, method: MergeMethod) -> str:
    commit = short(pr.merge_commit or "")
    if not pr.merged_at:
        return f"#{pr.number} was closed, and trunk has its changes since {commit}"
    return f"#{pr.number} {_PAST[method]} {pr.merged_at[:10]} as {commit}"


_PAST = {MergeMethod.SQUASH: "squash-merged", MergeMethod.REBASE: "rebase-merged", MergeMethod.MERGE: "merged"}
