"""Merge in the background: PUT merge-async, and the poll of its result."""

from __future__ import annotations

from typing import Any

from trunkline.sim.model import MergeMethod, MergeRequest, PullState
from trunkline.sim.refused import GitHubRefusal, RefusalKind
from trunkline.sim.rest.reply import Call, Reply

_KEPT = 24 * 3600.0


def method_of(name: str) -> MergeMethod:
    """Return the merge method of a request.

    Raises:
        GitHubRefusal: 422, it is none.
    """
    if name.upper() not in MergeMethod.__members__:
        raise GitHubRefusal(RefusalKind.INVALID, f"{name} is not a merge method", field="merge_method")
    return MergeMethod[name.upper()]


def request(call: Call) -> Reply:
    """PUT merge-async: accept a merge that runs in the background.

    Formats and statuses: GitHub's OpenAPI description (npm @octokit/openapi 23.0.2), merge-async.
    The expected head is checked when the merge runs, and only the basic state now.
    """
    body = call.body("commit_title", "commit_message", "sha", "merge_method", "merge_action")
    pull, where = call.pull, call.repository
    if pull.state is PullState.MERGED:
        details = {"message": "Pull request is already merged.", "sha": pull.merge_commit}
        return Reply(200, {"status": "merged", "details": details})
    if pull.state is PullState.CLOSED or pull.draft:
        result_message = (
            "Pull request is closed." if pull.state is PullState.CLOSED else "Pull request is still a draft."
        )
        return Reply(400, {"status": "failed", "details": {"message": result_message}})
    pending = [m for m in where.merges.values() if m.number == pull.number and m.status == "pending"]
    if pending:
        return Reply(409, _merge_json(pending[0], "A merge request already exists for this pull request."))
    if pull.number in where.queue():
        return Reply(
            200, {"status": "enqueued", "details": {"message": "Pull request is already in the merge queue."}}
        )
    method = body.get("merge_method", "merge")
    method_of(method)
    number = call.world.new_id()
    made = MergeRequest(
        f"00000000-0000-4000-8000-{number:012d}", pull.number, call.login, method,
        body.get("merge_action", "default"), body.get("sha") or pull.head_oid,
        body.get("commit_title"), body.get("commit_message"), call.world.now(),
    )  # fmt: skip
    where.merges[made.uuid] = made
    return Reply(202, _merge_json(made, "Merge request enqueued."))


def result(call: Call) -> Reply:
    """GET merge-async/UUID: the state of the merge; results are kept for 24 hours."""
    found = call.repository.merges.get(call.parameters["uuid"])
    if found is None or found.number != call.pull.number or call.world.age(found.at) > _KEPT:
        raise GitHubRefusal(RefusalKind.NOT_FOUND, "Not Found")
    return Reply(200, _merge_json(found, "Merge request is in progress."))


def _merge_json(request: MergeRequest, pending: str) -> dict[str, Any]:
    details = {"message": request.result_message}
    if request.status == "pending":
        details = {
            "message": pending, "uuid": request.uuid, "merge_method": request.method,
            "merge_action": request.action, "expected_head_sha": request.sha,
        }  # fmt: skip
    if request.status == "merged":
        details["sha"] = request.merge_commit
    return {"status": request.status, "details": details}
