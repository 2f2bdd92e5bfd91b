"""REST as GitHub's own description has it (npm @octokit/openapi): routes, statuses, every field that is answered.

`Octo.rest` holds every answer of the other tests against the description as well.
"""

from __future__ import annotations

import copy
from typing import Any

import pytest

from support import openapi
from support.simulated import Octo
from trunkline.sim.rest import routes

NOT_GITHUBS = {"PUT /repos/{owner}/{name}/pulls/{number:int}/merge-async-is-not-on-this-server"}
"""The server's own name for what an enterprise server does not have."""


def test_every_route_is_githubs() -> None:
    """There is no route that GitHub does not document, and the description is of these routes."""
    simulated = {f"{method} {path}" for method, path, _ in routes.TABLE} - NOT_GITHUBS
    assert simulated == set(openapi.description()["routes"])


@pytest.mark.parametrize(
    ("method", "path", "body", "status"),
    [
        ("GET", "/", None, 200),
        ("GET", "/user", None, 200),
        ("GET", "/repos/{slug}", None, 200),
        ("GET", "pulls?state=all", None, 200),
        ("GET", "pulls/519", None, 200),
        ("GET", "pulls/999", None, 404),
        ("POST", "pulls", {"title": "T", "head": "s4", "base": "s3", "body": "B", "draft": True}, 201),
        ("POST", "pulls", {"title": "T", "head": "s3", "base": "s2"}, 422),
        ("PATCH", "pulls/519", {"title": "x", "body": "", "base": "main"}, 200),
        ("PATCH", "pulls/519", {"state": "closed"}, 200),
        ("POST", "issues/519/labels", {"labels": ["new"]}, 200),
        ("POST", "issues/519/assignees", {"assignees": ["ada"]}, 201),
        ("POST", "pulls/519/requested_reviewers", {"reviewers": ["ada"], "team_reviewers": []}, 201),
        ("GET", "milestones?state=open", None, 200),
        ("PATCH", "issues/519", {"milestone": 1}, 200),
        ("PATCH", "issues/519", {"milestone": 7}, 422),
        ("PUT", "pulls/518/merge", {"merge_method": "squash", "sha": "{s1}"}, 200),
        ("PUT", "pulls/518/merge", {"sha": "0" * 40}, 409),
        ("PUT", "pulls/519/merge", {}, 405),
        ("PUT", "pulls/518/merge-async", {"sha": "{s1}", "merge_method": "merge"}, 202),
        ("PUT", "pulls/519/merge-async", {}, 400),
        ("GET", "pulls/518/merge-async/00000000-0000-4000-8000-000000000000", None, 404),
        ("GET", "commits/s1/check-runs", None, 200),
        ("GET", "commits/s1/status", None, 200),
        ("POST", "statuses/{s1}", {"state": "success", "context": "trunkline/clippy", "description": "d"}, 201),
        ("POST", "git/refs", {"ref": "refs/heads/new", "sha": "{s1}"}, 201),
        ("GET", "git/ref/heads/s1", None, 200),
        ("DELETE", "git/refs/heads/s4", None, 204),
        ("DELETE", "git/refs/heads/none", None, 422),
    ],
)
def test_answers_are_githubs(octo: Octo, method: str, path: str, body: Any, status: int) -> None:
    """Status and every field are documented for that route."""
    octo.github.add_check_run(octo.slug, octo.clone.head("s1"), "build", conclusion="FAILURE", annotations=("why",))
    octo.github.add_milestone(octo.slug, "v1")
    octo.github.add_status(octo.slug, octo.clone.head("s1"), "ci/other", "SUCCESS")
    message = {"slug": octo.slug, "s1": octo.clone.head("s1")}
    sent = {
        key: value.format_map(message) if isinstance(value, str) else value for key, value in (body or {}).items()
    }
    got, answer = octo.rest(method, path.format_map(message), sent or body)
    assert got == status, answer  # Octo.rest has complained already where the answer is not GitHub's


def test_a_merge_in_the_background_is_githubs(octo: Octo) -> None:
    """Pending, then merged: both bodies are documented."""
    status, asked = octo.rest(
        "PUT", "pulls/518/merge-async", {"sha": octo.clone.head("s1"), "merge_method": "squash"}
    )
    assert (status, asked["status"]) == (202, "pending")
    path = f"pulls/518/merge-async/{asked['details']['uuid']}"
    assert [octo.rest("GET", path)[1]["status"] for _ in range(2)] == ["pending", "merged"]


def test_fields_that_are_sent_are_githubs() -> None:
    """Every field that trunkline sends by REST is documented for its route (the simulator refuses others)."""
    sent = {
        "PATCH /repos/{owner}/{name}/pulls/{number:int}": {"title", "body", "base", "state"},
        "PUT /repos/{owner}/{name}/pulls/{number:int}/merge-async": {
            "commit_title", "commit_message", "sha", "merge_method", "merge_action",
        },
        "POST /repos/{owner}/{name}/statuses/{ref}": {"state", "context", "description", "target_url"},
        "POST /repos/{owner}/{name}/git/refs": {"ref", "sha"},
    }  # fmt: skip
    for route, names in sent.items():
        request = openapi.description()["routes"][route]["request"]
        assert names <= set(request["properties"]), route


def test_the_description_is_held_against_answers(octo: Octo) -> None:
    """An invented field, a wrong type and an undocumented status are each complained of."""
    status, answer = octo.rest("GET", "pulls/519")
    path = f"/repos/{octo.slug}/pulls/519"
    assert openapi.complaints("GET", path, status, answer) == []
    for key, value in (("invented", 1), ("number", "519"), ("state", "half open")):
        bad = copy.deepcopy(answer)
        bad[key] = value
        (message,) = openapi.complaints("GET", path, status, bad)
        assert key in message or str(value) in message
    assert openapi.complaints("GET", path, 299, answer) == ["pulls/get: status 299 is not documented"]
