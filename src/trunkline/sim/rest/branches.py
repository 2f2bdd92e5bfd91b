"""Rename a branch, update the branch of a pull request, create a fork."""

from __future__ import annotations

from trunkline.sim import forks, renaming, updating
from trunkline.sim.refused import GitHubRefusal, NotSimulatedError, RefusalKind
from trunkline.sim.rest import shapes
from trunkline.sim.rest.reply import Call, Reply


def rename(call: Call) -> Reply:
    """POST a branch's new name."""
    where, branch, new = call.repository, call.parameters["branch"], str(call.body("new_name").get("new_name") or "")
    if not new:
        raise GitHubRefusal(RefusalKind.INVALID, "", field="new_name", code="missing_field")
    renaming.rename(call.world, where, call.login, branch, new)
    commit = {"sha": where.refs[new], "url": f"{shapes.API}/repos/{where.slug}/commits/{where.refs[new]}"}
    return Reply(201, {"name": new, "commit": commit, "protected": new in where.rules})


def update(call: Call) -> Reply:
    """PUT update-branch: merge the base into the head; REST cannot rebase."""
    expected = call.body("expected_head_sha").get("expected_head_sha") or ""
    updating.update(call.world, call.repository, call.pull, call.login, expected_head=expected)
    url = f"https://github.com/repos/{call.repository.slug}/pulls/{call.pull.number}"
    return Reply(202, {"message": "Updating pull request branch.", "url": url})


def fork(call: Call) -> Reply:
    """POST a fork for the user, or respond with the one that exists."""
    if call.login == call.repository.owner:
        raise NotSimulatedError("a fork with another name")
    call.body("default_branch_only")
    return Reply(202, shapes.repository_json(call.world, forks.create(call.world, call.repository, call.login)))
