"""Native stacks: routes, limits, merging of several at once, and the rebase on the server."""

from __future__ import annotations

from typing import Any

import pytest

from support.repo import Repo
from support.simulated import Octo

ALL = [518, 519, 520]


def stacked(octo: Octo, *numbers: int) -> int:
    """Create a stack of ready pull requests and return its number."""
    octo.github.lever("set_ready", octo.slug, number=519)
    number: int = octo.github.lever("stack_natively", octo.slug, numbers=list(numbers or ALL))
    return number


def refused(octo: Octo, path: str, *numbers: int) -> tuple[int, str]:
    """Send pull request numbers, and return status and error message."""
    status, answer = octo.rest("POST", path, {"pull_requests": list(numbers)})
    return status, answer["errors"][0]["message"] if "errors" in answer else answer["message"]


def merge(octo: Octo, number: int, **fields: Any) -> dict[str, Any]:
    """Merge in the background, and return the result."""
    requested = octo.rest("PUT", f"pulls/{number}/merge-async", {"merge_method": "squash", **fields})[1]
    answer: dict[str, Any] = requested
    for _ in range(8):
        answer = octo.rest("GET", f"pulls/{number}/merge-async/{requested['details']['uuid']}")[1]
        if answer["status"] in {"merged", "failed"}:
            break
    return answer


def states(octo: Octo) -> list[str]:
    """Return the states of the three pull requests."""
    return [octo.pull(number)["state"] for number in ALL]


def test_a_repository_without_the_preview(octo: Octo) -> None:
    """Every route responds 404, and a pull request has no field `stack`."""
    routes = (("GET", "stacks"), ("POST", "stacks"), ("GET", "stacks/1"), ("POST", "stacks/1/add"))
    assert {octo.rest(method, path)[0] for method, path in routes} == {404}
    assert "stack" not in octo.rest("GET", "pulls/518")[1]


def test_create_list_and_extend(octo: Octo) -> None:
    """POST responds 201, add 200; GET lists them, also by pull request (OpenAPI description, stacks)."""
    octo.github.lever("enable_stacks", octo.slug)
    assert octo.rest("GET", "pulls/518")[1]["stack"] is None
    status, made = octo.rest("POST", "stacks", {"pull_requests": [518, 519]})
    assert (status, made["base"]["ref"], made["open"]) == (201, "main", True)
    assert made["number"] not in ALL
    status, grown = octo.rest("POST", f"stacks/{made['number']}/add", {"pull_requests": [520]})
    assert (status, [each["number"] for each in grown["pull_requests"]]) == (200, ALL)
    assert octo.rest("GET", f"stacks/{made['number']}")[1] == grown
    assert octo.rest("GET", "stacks?pull_request=520")[1] == [grown]
    assert octo.rest("GET", "stacks?pull_request=1")[1] == []
    place = octo.rest("GET", "pulls/519")[1]["stack"]
    assert (place["position"], place["size"], place["base"]["ref"]) == (2, 3, "main")


def test_limits_of_a_new_stack(octo: Octo) -> None:
    """422: 2 to 100, each base the head below, open, in one stack at most (OpenAPI description, stacks)."""
    octo.github.lever("enable_stacks", octo.slug)
    assert refused(octo, "stacks", 518) == (422, "A stack must have between 2 and 100 pull requests")
    assert refused(octo, "stacks", *range(1, 102))[0] == 422
    assert refused(octo, "stacks", 518, 520) == (422, "The base of pull request #520 must be the head of #518")
    assert refused(octo, "stacks", 518, 999) == (422, "Pull request #999 does not exist")
    stack = stacked(octo, 518, 519)
    assert refused(octo, "stacks", 519, 520) == (422, "Pull request #519 is already part of a stack")
    assert refused(octo, f"stacks/{stack}/add", 518)[0] == 422
    octo.github.lever("modify_stack", octo.slug, number=stack, busy=True)
    assert refused(octo, f"stacks/{stack}/add", 520) == (409, "Stack is currently being modified")
    assert octo.rest("POST", f"stacks/{stack}/unstack")[0] == 409


def test_bases_and_synchronous_merges_are_refused(octo: Octo) -> None:
    """A base: 422, and the edit is not atomic (measured); a synchronous merge: 403 (observed)."""
    stacked(octo)
    status, answer = octo.rest("PATCH", "pulls/519", {"base": "main", "title": "done all the same"})
    message = "Cannot change the base branch of a stacked pull request."
    assert (status, answer["errors"][0]["message"]) == (422, message)
    assert octo.pull(519)["title"] == "done all the same"
    status, answer = octo.rest("PUT", "pulls/518/merge", {})
    assert (status, "asynchronously" in answer["message"]) == (403, True)


def test_unstack(octo: Octo) -> None:
    """204 once dissolved; merged ones stay: 200 with what is left, then 422 (OpenAPI description, unstack)."""
    stack = stacked(octo)
    assert octo.rest("POST", f"stacks/{stack}/unstack")[0] == 204
    assert octo.rest("GET", f"stacks/{stack}")[0] == 404
    stack = octo.github.lever("stack_natively", octo.slug, numbers=ALL)
    merge(octo, 518)
    status, left = octo.rest("POST", f"stacks/{stack}/unstack")
    assert (status, [each["number"] for each in left["pull_requests"]]) == (200, [518])
    assert octo.rest("POST", f"stacks/{stack}/unstack")[0] == 422
    assert refused(octo, f"stacks/{stack}/add", 519) == (422, "All pull requests in this stack are merged")


def test_a_merge_takes_everything_below(octo: Octo) -> None:
    """Squash: one commit for each, from its own commits; what is above is retargeted and rebased on the server."""
    stacked(octo)
    before = octo.clone.head("s3")
    assert merge(octo, 519, sha=octo.clone.head("s2"))["status"] == "merged"
    assert states(octo) == ["MERGED", "MERGED", "OPEN"]
    trunk = Repo(octo.github.bare(octo.slug))
    assert trunk.subjects("main") == ["start", "feat 1 (#518)", "feat 2 (#519)"]
    above = octo.pull(520)
    assert (above["base"], above["head_oid"] != before) == ("main", True)
    assert trunk.git("log", "--format=%s %an", "main..s3") == "feat 3 Grace"
    assert trunk.git("log", "-1", "--format=%cn", "s3") == "GitHub"
    assert trunk.git("rev-parse", "s3^") == trunk.git("rev-parse", "main")


@pytest.mark.parametrize(("method", "commits"), [("rebase", 2), ("merge", 1)])
def test_other_methods_of_a_group(octo: Octo, method: str, commits: int) -> None:
    """Rebase: every commit; merge: one merge commit for the group."""
    stacked(octo)
    assert merge(octo, 519, merge_method=method)["status"] == "merged"
    trunk = Repo(octo.github.bare(octo.slug))
    assert trunk.git("rev-list", "--count", "--first-parent", "main") == str(1 + commits)


def test_all_or_none(octo: Octo) -> None:
    """One unmet rule of one of them: nothing is merged, and the reason names it."""
    stacked(octo)
    octo.github.lever("protect", octo.slug, branch="main", name="trunk", approvals=1)
    octo.github.review(octo.slug, 520, "grace")
    octo.github.review(octo.slug, 519, "grace")
    failed = merge(octo, 520)
    assert failed["status"] == "failed"
    assert "#518: " in failed["details"]["message"]
    assert "approving review" in failed["details"]["message"]
    assert states(octo) == ["OPEN"] * 3
    octo.github.review(octo.slug, 518, "grace")
    assert merge(octo, 520)["status"] == "merged"
    assert states(octo) == ["MERGED"] * 3


def test_what_a_stack_must_be(octo: Octo) -> None:
    """Linear, from the base's tip; no closed one below; the pinned head (docs, stacked pull requests)."""
    stacked(octo)
    assert merge(octo, 519, sha="0" * 40)["status"] == "failed"
    octo.commit_on("main", "trunk moves on", {"trunk": "x\n"})
    octo.push("main")
    assert "not linear: pull request #518" in merge(octo, 519)["details"]["message"]
    octo.rest("PATCH", "pulls/518", {"state": "closed"})
    assert "#518 in the stack is closed" in merge(octo, 519)["details"]["message"]


def test_a_queue_takes_a_stack_together(octo: Octo) -> None:
    """They are evaluated from the bottom; an ejected one stays, with those above (docs, merge queues and stacks)."""
    stacked(octo)
    octo.github.lever("protect", octo.slug, branch="main", name="trunk", queue=True)
    octo.github.lever("hold_queue", octo.slug, requests=4)
    requested = octo.rest("PUT", "pulls/520/merge-async", {"merge_method": "squash"})[1]
    path = f"pulls/520/merge-async/{requested['details']['uuid']}"
    while octo.rest("GET", path)[1]["status"] == "pending":
        pass
    assert octo.rest("PUT", "pulls/518/merge-async", {})[1]["status"] == "enqueued"
    octo.github.lever("leave_queue", octo.slug, number=519, reason="a check failed")
    while (answer := octo.rest("GET", path)[1])["status"] == "enqueued":
        pass
    assert (answer["status"], answer["details"]["message"]) == ("failed", "a check failed")
    assert states(octo) == ["MERGED", "OPEN", "OPEN"]


def test_results_are_kept_for_a_day(octo: Octo) -> None:
    """The result of a merge is deleted after 24 hours (documentation of merge-async)."""
    requested = octo.rest("PUT", "pulls/518/merge-async", {})[1]
    octo.github.lever("pass_time", octo.slug, seconds=25 * 3600)
    assert octo.rest("GET", f"pulls/518/merge-async/{requested['details']['uuid']}")[0] == 404
