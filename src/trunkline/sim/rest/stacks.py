"""REST routes of native stacks; a repository without them responds 404 to each."""

from __future__ import annotations

from trunkline.sim import stacks
from trunkline.sim.model import NativeStack
from trunkline.sim.refused import GitHubRefusal, RefusalKind
from trunkline.sim.rest.reply import Call, Reply, paged
from trunkline.sim.rest.shapes import stack_json


def _require_native(call: Call) -> None:
    if not call.repository.native:
        raise GitHubRefusal(RefusalKind.NOT_FOUND, "Not Found")


def _stack(call: Call) -> NativeStack:
    _require_native(call)
    found = call.repository.stacks.get(call.parameters["stack"])
    if found is None:
        raise GitHubRefusal(RefusalKind.NOT_FOUND, "Not Found")
    return found


def _numbers(call: Call) -> tuple[int, ...]:
    given = call.body("pull_requests").get("pull_requests")
    if not isinstance(given, list) or not all(isinstance(each, int) for each in given):
        raise GitHubRefusal(RefusalKind.INVALID, "", field="pull_requests", code="missing_field")
    return tuple(given)


def listed(call: Call) -> Reply:
    """GET the stacks of a repository, or the one that contains a pull request."""
    _require_native(call)
    wanted = call.options("pull_request", "per_page", "page").get("pull_request")
    found = [
        stack_json(call.repository, stack)
        for stack in call.repository.stacks.values()
        if wanted is None or int(wanted) in stack.members
    ]
    return paged(call, found, f"/repos/{call.repository.slug}/stacks")


def one(call: Call) -> Reply:
    """GET a stack."""
    return Reply(200, stack_json(call.repository, _stack(call)))


def create(call: Call) -> Reply:
    """POST a stack of pull requests, bottom first."""
    _require_native(call)
    return Reply(201, stack_json(call.repository, stacks.create(call.world, call.repository, _numbers(call))))


def add(call: Call) -> Reply:
    """POST pull requests onto the top of a stack."""
    grown = stacks.add(call.world, call.repository, _stack(call), _numbers(call))
    return Reply(200, stack_json(call.repository, grown))


def unstack(call: Call) -> Reply:
    """POST: take the unmerged pull requests out of a stack; 204 once it is dissolved."""
    call.body()
    left = stacks.unstack(call.world, call.repository, _stack(call))
    return Reply(204) if left is None else Reply(200, stack_json(call.repository, left))
