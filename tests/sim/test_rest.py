"""REST requests directly over the socket."""

from __future__ import annotations

from typing import Any

import pytest

from support.simulated import Octo


def detail(answer: Any) -> tuple[str, str, str]:
    """Return field, code and message of a 422's first error."""
    error = answer["errors"][0]
    return error.get("field", ""), error["code"], error.get("message", "")


def test_the_base_of_a_closed_pull_request(octo: Octo) -> None:
    """422, even for the same base and even together with reopening (google/go-github#3456, mithril.js#2862)."""
    octo.rest("PATCH", "pulls/520", {"state": "closed"})
    expected = ("base", "invalid", "Cannot change the base branch of a closed pull request.")
    for body in ({"base": "main"}, {"base": "s2"}, {"base": "main", "state": "open"}):
        status, answer = octo.rest("PATCH", "pulls/520", body)
        assert [status, answer["message"], answer["status"]] == [422, "Validation Failed", "422"]
        assert detail(answer) == expected
    assert octo.pull(520)["state"] == "CLOSED"


def test_a_refused_base_changes_nothing_else(octo: Octo) -> None:
    """A PATCH that names a bad base leaves title and body alone."""
    before = octo.pull(519)
    status, answer = octo.rest("PATCH", "pulls/519", {"title": "x", "body": "y", "base": "nope"})
    assert [status, detail(answer)[2]] == [422, "Proposed base branch 'nope' was not found"]
    assert octo.pull(519) == before


def test_a_description_has_an_end(octo: Octo) -> None:
    """65,536 characters are taken, one more is not: "body is too long (maximum is 65536 characters)"."""
    status, _ = octo.rest("PATCH", "pulls/519", {"body": "x" * 65_536})
    assert status == 200
    status, answer = octo.rest("PATCH", "pulls/519", {"body": "y" * 65_537})
    assert [status, detail(answer)[2]] == [422, "body is too long (maximum is 65536 characters)"]
    assert octo.pull(519)["body"] == "x" * 65_536


def test_a_title_has_an_end(octo: Octo) -> None:
    """256 characters are accepted, one more is not."""
    assert octo.rest("PATCH", "pulls/519", {"title": "x" * 256})[0] == 200
    status, answer = octo.rest("PATCH", "pulls/519", {"title": "y" * 257})
    assert [status, detail(answer)[2]] == [422, "title is too long (maximum is 256 characters)"]


def test_a_base_that_leaves_no_commits(octo: Octo) -> None:
    """GitHub refuses to retarget onto a branch that holds the head already."""
    status, answer = octo.rest("PATCH", "pulls/518", {"base": "s3"})
    message = "There are no new commits between base branch 's3' and head branch 's1'"
    assert [status, detail(answer)[2]] == [422, message]


def test_reopening_needs_the_head(octo: Octo) -> None:
    """422 in the words seen in pytorch/pytorch#114423."""
    octo.push(":s3")
    assert octo.pull(520)["state"] == "CLOSED"
    status, answer = octo.rest("PATCH", "pulls/520", {"state": "open"})
    assert status == 422
    assert detail(answer) == ("state", "custom", "state cannot be changed. The s3 branch has been deleted.")


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        ({"head": "s4", "base": "s4"}, ("", "custom", "No commits between s4 and s4")),
        ({"head": "s3", "base": "s2"}, ("", "custom", "A pull request already exists for octo:s3.")),
        ({"head": "s4", "base": "nope"}, ("base", "invalid", "")),
        ({"head": "nope", "base": "main"}, ("head", "invalid", "")),
        ({"head": "s4"}, ("base", "missing_field", "")),
    ],
)
def test_what_cannot_be_opened(octo: Octo, body: dict[str, str], expected: tuple[str, str, str]) -> None:
    """422 as documented for "Create a pull request" (tgymnich/fork-sync#112, iterative/cml#619)."""
    status, answer = octo.rest("POST", "pulls", {"title": "T", **body})
    assert [status, detail(answer)] == [422, expected]


def test_numbers_go_on_from_the_highest(octo: Octo) -> None:
    """The next pull request is #521; its head is refs/pull/521/head."""
    status, answer = octo.rest("POST", "pulls", {"title": "T", "head": "s4", "base": "s3", "draft": True})
    assert [status, answer["number"], answer["draft"]] == [201, 521, True]
    assert octo.remote_refs()["refs/pull/521/head"] == octo.clone.head("s4")


def test_pages_are_linked(octo: Octo) -> None:
    """`gh api --paginate` follows Link until there is no next (docs, "Using pagination in the REST API")."""
    numbers = octo.gh("api", "--paginate", f"repos/{octo.slug}/pulls?state=all&per_page=2", "--jq", ".[].number")
    assert numbers.stdout.split() == ["520", "519", "518"]


def test_lists_are_filtered(octo: Octo) -> None:
    """State, head and base choose."""
    octo.rest("PATCH", "pulls/520", {"state": "closed"})
    chosen = {
        query: [pull["number"] for pull in octo.rest("GET", f"pulls?{query}")[1]]
        for query in ("state=open", "state=closed", "head=octo:s2", "base=main&direction=asc")
    }
    assert chosen == {
        "state=open": [519, 518],
        "state=closed": [520],
        "head=octo:s2": [519],
        "base=main&direction=asc": [518],
    }


def test_refs_come_and_go(octo: Octo) -> None:
    """Create and delete a branch; deleting what is not there is 422 "Reference does not exist"."""
    oid = octo.clone.head("s1")
    assert octo.rest("POST", "git/refs", {"ref": "refs/heads/a/b", "sha": oid})[0] == 201
    assert octo.remote_refs()["refs/heads/a/b"] == oid
    assert octo.rest("POST", "git/refs", {"ref": "refs/heads/a/b", "sha": oid})[1]["message"] == (
        "Reference already exists"
    )
    assert octo.rest("GET", "git/ref/heads/a/b")[1]["object"]["sha"] == oid
    assert octo.rest("DELETE", "git/refs/heads%2Fa%2Fb")[0] == 204
    assert octo.rest("DELETE", "git/refs/heads/a/b")[1]["message"] == "Reference does not exist"
    assert "refs/heads/a/b" not in octo.remote_refs()


def test_a_branch_deleted_by_rest_closes_children(octo: Octo) -> None:
    """As by a push (cli/cli#1168)."""
    assert octo.rest("DELETE", "git/refs/heads/s1")[0] == 204
    assert [octo.pull(518)["state"], octo.pull(519)["state"], octo.pull(520)["state"]] == ["CLOSED", "CLOSED", "OPEN"]


def test_the_billing_failure(octo: Octo) -> None:
    """Only the annotation of the failed check run shows that Actions did not start for lack of payment."""
    head = octo.pull(519)["head_oid"]
    octo.github.add_billing_failure(octo.slug, head, ("build",))
    runs = octo.rest("GET", f"commits/{head}/check-runs")[1]
    assert [(run["name"], run["conclusion"]) for run in runs["check_runs"]] == [("build", "failure")]
    notes = octo.rest("GET", f"check-runs/{runs['check_runs'][0]['id']}/annotations")[1]
    assert notes[0]["message"].startswith("The job was not started because recent account payments have failed")


def test_the_combined_status(octo: Octo) -> None:
    """Pending without any status; then what the statuses say; check runs do not count (docs)."""
    head = octo.pull(519)["head_oid"]
    octo.github.add_check_run(octo.slug, head, "build", conclusion="FAILURE")
    assert octo.rest("GET", f"commits/{head}/status")[1]["state"] == "pending"
    octo.github.add_status(octo.slug, head, "ci/other", "SUCCESS")
    assert octo.rest("GET", "commits/s2/status")[1]["state"] == "success"


@pytest.mark.parametrize(
    ("method", "path", "body", "message"),
    [
        ("GET", "/repos/octo/x/releases", None, "not simulated: GET /repos/octo/x/releases"),
        ("DELETE", "pulls/519", None, "not simulated: DELETE "),
        ("PATCH", "pulls/519", {"milestone": 1}, "not simulated: body field milestone"),
        ("GET", "pulls?sort=popularity", None, "not simulated: pulls?sort=popularity"),
        ("GET", "pulls?q=1", None, "not simulated: query parameter q"),
    ],
)
def test_what_is_not_simulated_is_501(octo: Octo, method: str, path: str, body: Any, message: str) -> None:
    """A route, field or parameter that is not imitated is refused by name."""
    status, answer = octo.rest(method, path, body)
    assert status == 501
    assert answer["message"].startswith(message)


@pytest.mark.parametrize("path", ["pulls/999", "/repos/octo/none", "check-runs/99999/annotations"])
def test_what_is_not_there_is_404(octo: Octo, path: str) -> None:
    """404 "Not Found"."""
    assert octo.rest("GET", path)[0] == 404


def test_the_combined_status_lists_thirty_unless_more_are_wanted(octo: Octo) -> None:
    """A head with many checks of others has ours on another page."""
    head = octo.pull(519)["head_oid"]
    for number in range(31):
        octo.rest("POST", f"statuses/{head}", {"state": "success", "context": f"c{number}"})
    counts = [len(octo.rest("GET", f"commits/{head}/status{more}")[1]["statuses"]) for more in ("", "?per_page=100")]
    assert counts == [30, 31]


def test_who_may_ask(octo: Octo) -> None:
    """No token or a wrong one: 401 "Bad credentials"; nothing is changed."""
    for headers in ({}, {"Authorization": "token wrong"}):
        status, answer = octo.rest("PATCH", "pulls/519", {"title": "x"}, headers=headers)
        assert [status, answer["message"]] == [401, "Bad credentials"]
    assert octo.pull(519)["title"] == "Ts2"


def test_a_body_that_is_no_json(octo: Octo) -> None:
    """400 "Problems parsing JSON" (docs, "Troubleshooting the REST API")."""
    status, answer = octo.rest("PATCH", "pulls/519", [1])
    assert [status, answer["message"]] == [400, "Problems parsing JSON"]
