"""The real gh, end to end against the simulator."""

from __future__ import annotations

import json

import pytest

from support import programs
from support.simulated import Octo

pytestmark = pytest.mark.gh


OWN_WAYS = {
    "test_auth_status_is_content": "2.23 words it otherwise",
    "test_a_missing_pull_request": "2.23 repeats the number that it was given and asks nothing",
    "test_view_for_people": "2.23 asks for classic projects, which github.com refuses",
    "test_edit_body_and_base": "as that one",
    "test_edit_onto_a_missing_base": "as that one",
    "test_edit_labels_and_comment": "as that one",
    "test_checks_as_gh_sees_them": "2.23 exits 1 for pending checks, not 8",
}
"""Where the gh of Debian 12 has ways of its own: run with the newest alone."""


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Run each test with both versions of gh."""
    both = ["newest", "Debian's"]
    if "debians" not in metafunc.definition.name:
        versions = both[:1] if metafunc.definition.name in OWN_WAYS else both
        metafunc.parametrize("version", versions, indirect=True)


@pytest.fixture(autouse=True)
def version(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    """Let the test find this version of gh."""
    chosen: str = getattr(request, "param", "Debian's")
    if chosen != "newest":
        programs.use_debian_gh(monkeypatch)
    return chosen


def test_auth_status_is_content(octo: Octo) -> None:
    """The token and its scopes are accepted (gh reads X-OAuth-Scopes of GET /)."""
    done = octo.gh("auth", "status")
    assert done.returncode == 0, done.stderr
    assert "Logged in to github.com account octocat" in done.stdout + done.stderr


def test_view_names_what_git_has(octo: Octo) -> None:
    """`gh pr view --json` answers from the bare repository: head, base, commits, size, mergeability."""
    fields = "number,state,isDraft,headRefOid,baseRefName,body,commits,additions,mergeable,mergeStateStatus"
    seen = octo.gh_json("pr", "view", "519", "--json", fields)
    assert [seen["number"], seen["state"], seen["isDraft"]] == [519, "OPEN", True]
    assert seen["headRefOid"] == octo.clone.head("s2")
    assert seen["baseRefName"] == "s1"
    assert seen["body"] == "Bs2\n"
    assert [commit["messageHeadline"] for commit in seen["commits"]] == ["feat 2"]
    assert [seen["additions"], seen["mergeable"], seen["mergeStateStatus"]] == [1, "MERGEABLE", "DRAFT"]


def test_view_for_people(octo: Octo) -> None:
    """Plain `gh pr view` requests far more than --json; all of it is simulated."""
    done = octo.gh("pr", "view", "518", "--comments")
    assert done.returncode == 0, done.stderr
    done = octo.gh("pr", "view", "518")
    assert done.returncode == 0, done.stderr
    assert "Ts1" in done.stdout


def test_a_missing_pull_request(octo: Octo) -> None:
    """The exit code is 1, and gh prints GitHub's message."""
    done = octo.gh("pr", "view", "999", "--json", "number")
    assert done.returncode == 1
    assert "Could not resolve to a PullRequest with the number of 999" in done.stderr


def test_ready_and_back(octo: Octo) -> None:
    """Draft to ready and back; ready again is exit 0; each change is one event."""
    assert octo.gh("pr", "ready", "519").returncode == 0
    assert octo.pull(519)["draft"] is False
    again = octo.gh("pr", "ready", "519")
    assert again.returncode == 0
    assert "already" in again.stderr
    assert octo.gh("pr", "ready", "519", "--undo").returncode == 0
    assert octo.pull(519)["draft"] is True
    assert octo.events(519) == ["READY_FOR_REVIEW_EVENT", "CONVERT_TO_DRAFT_EVENT"]


def test_edit_body_and_base(octo: Octo) -> None:
    """`gh pr edit` works with this gh; the body arrives byte for byte."""
    body = "Über *all* <!-- x -->\r\n\n- [ ] 🦀  \n"
    done = octo.gh("pr", "edit", "519", "--body-file", "-", "--base", "main", stdin=body)
    assert done.returncode == 0, done.stderr
    assert octo.pull(519)["body"] == body
    assert octo.pull(519)["base"] == "main"
    assert octo.events(519) == ["BASE_REF_CHANGED_EVENT"]


def test_edit_labels_and_comment(octo: Octo) -> None:
    """Labels and comments are kept and shown."""
    assert octo.gh("pr", "edit", "518", "--add-label", "bug").returncode == 0
    assert octo.gh("pr", "comment", "518", "--body", "hello").returncode == 0
    seen = octo.gh_json("pr", "view", "518", "--json", "labels,comments")
    assert [label["name"] for label in seen["labels"]] == ["bug"]
    assert [comment["body"] for comment in seen["comments"]] == ["hello"]


def test_edit_onto_a_missing_base(octo: Octo) -> None:
    """GitHub refuses a base that does not exist, and nothing changes."""
    done = octo.gh("pr", "edit", "519", "--base", "nope")
    assert done.returncode == 1
    assert "Proposed base branch 'nope' was not found" in done.stderr
    assert octo.pull(519)["base"] == "s1"


def test_merge_deletes_the_branch_and_closes_the_child(octo: Octo) -> None:
    """`gh pr merge --delete-branch` deletes by REST, so children are closed (cli/cli#1168, cli/cli#14223)."""
    octo.git("switch", "--quiet", "main")
    done = octo.gh("pr", "merge", "518", "--squash", "--delete-branch", "--repo", octo.slug)
    assert done.returncode == 0, done.stderr
    assert octo.pull(518)["state"] == "MERGED"
    assert octo.pull(519)["state"] == "CLOSED"
    assert "refs/heads/s1" not in octo.remote_refs()
    reopened = octo.gh("pr", "reopen", "519")
    assert reopened.returncode == 1
    assert octo.pull(519)["state"] == "CLOSED"


def test_merge_of_a_draft_is_refused(octo: Octo) -> None:
    """GraphQL: "Pull Request is still a draft"."""
    done = octo.gh("pr", "merge", "519", "--squash")
    assert done.returncode == 1
    assert "still a draft" in done.stderr
    assert octo.pull(519)["state"] == "OPEN"


def test_merge_pinned_to_another_head_is_refused(octo: Octo) -> None:
    """--match-head-commit names another commit: StefanMaron/BusinessCentral.AL.Runner#3391 has the sentence."""
    done = octo.gh("pr", "merge", "518", "--squash", "--match-head-commit", "0" * 40)
    assert done.returncode == 1
    assert "Head branch was modified" in done.stderr
    assert octo.pull(518)["state"] == "OPEN"


def test_patch_through_gh_api(octo: Octo) -> None:
    """`gh api -X PATCH --input -` sends a chunked body; one request edits."""
    before = len(octo.github.requests())
    body = {"body": "patched 🦀", "title": "New"}
    done = octo.gh("api", "-X", "PATCH", f"repos/{octo.slug}/pulls/519", "--input", "-", stdin=json.dumps(body))
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["body"] == "patched 🦀"
    assert octo.pull(519)["title"] == "New"
    assert [request.method for request in octo.github.requests()[before:]] == ["PATCH"]


def test_graphql_through_gh_api_with_headers(octo: Octo) -> None:
    """`gh api graphql -i` prints GitHub's status line and rate limit headers; partial success exits 1 with data."""
    owner, name = octo.slug.split("/")
    query = (
        f'query Two{{repository(owner:"{owner}",name:"{name}"){{a:pullRequest(number:518){{state}} '
        "b:pullRequest(number:777){state}}}"
    )
    before = len(octo.github.requests())
    done = octo.gh("api", "graphql", "--include", "-f", f"query={query}")
    head, _, body = done.stdout.replace("\r\n", "\n").partition("\n\n")
    assert done.returncode == 1
    assert head.startswith("HTTP/1.1 200 OK")
    assert "X-Ratelimit-Remaining: " in head
    assert "X-Github-Request-Id: " in head
    answer = json.loads(body)
    assert answer["data"]["repository"] == {"a": {"state": "OPEN"}, "b": None}
    assert [(e["type"], e["path"]) for e in answer["errors"]] == [("NOT_FOUND", ["repository", "b"])]
    assert [request.operation for request in octo.github.requests()[before:]] == ["Two"]


def test_checks_as_gh_sees_them(octo: Octo) -> None:
    """`gh pr checks` sees runs and statuses; a failing one is exit 1, a pending one 8 (gh help pr checks)."""
    head = octo.pull(519)["head_oid"]
    octo.github.add_check_run(octo.slug, head, "build")
    octo.github.add_status(octo.slug, head, "ci/other", "PENDING")
    assert octo.gh("pr", "checks", "519").returncode == 8
    octo.github.add_check_run(octo.slug, head, "test", conclusion="FAILURE")
    done = octo.gh("pr", "checks", "519")
    assert done.returncode == 1
    assert {line.split("\t")[0] for line in done.stdout.splitlines()} == {"build", "test", "ci/other"}


def test_list_create_close_status(octo: Octo) -> None:
    """The rest of gh pr: list, search, create (a second one is refused), close, reopen, status."""
    assert [pull["number"] for pull in octo.gh_json("pr", "list", "--json", "number")] == [520, 519, 518]
    found = octo.gh_json("pr", "list", "--search", "head:s2", "--json", "number")
    assert [pull["number"] for pull in found] == [519]
    create = ("pr", "create", "--head", "s4", "--base", "s3", "--title", "T4", "--body", "B4", "--draft")
    made = octo.gh(*create)
    assert made.returncode == 0, made.stderr
    assert made.stdout.strip() == f"https://github.com/{octo.slug}/pull/521"
    assert "already exists" in octo.gh(*create).stderr
    assert octo.gh("pr", "close", "521").returncode == 0
    assert octo.pull(521)["state"] == "CLOSED"
    assert octo.gh("pr", "reopen", "521").returncode == 0
    assert octo.pull(521)["state"] == "OPEN"
    status = octo.gh("pr", "status")
    assert status.returncode == 0, status.stderr


def test_a_bad_token(octo: Octo) -> None:
    """GitHub responds 401 "Bad credentials"; gh exits 1."""
    done = octo.run("env", "GH_TOKEN=wrong", "gh", "api", "user")
    assert done.returncode == 1
    assert "Bad credentials (HTTP 401)" in done.stderr


@pytest.mark.parametrize(
    ("args", "what"),
    [
        (("api", "rate_limit"), "not simulated: GET /rate_limit"),
        (("pr", "diff", "518"), "not simulated: media type application/vnd.github.v3.diff"),
        (("pr", "review", "518", "--approve"), "not simulated: Mutation.addPullRequestReview"),
        (("issue", "list"), "not simulated: Repository.issues"),
        (("label", "list", "--search", "bug"), "not simulated: LabelConnection(query)"),
    ],
)
def test_what_is_not_simulated_is_an_error(octo: Octo, args: tuple[str, ...], what: str) -> None:
    """A route, a media type, a field or an argument that is not there is named; never an empty answer."""
    done = octo.gh(*args)
    assert done.returncode == 1
    assert what in done.stdout + done.stderr


def test_debians_edit_fails_as_on_github(octo: Octo) -> None:
    """`gh pr edit` before 2.82 queries classic projects, which github.com refuses: trunkline edits by REST."""
    done = octo.gh("pr", "edit", "519", "--body", "x")
    assert (done.returncode, "Projects (classic) is being deprecated" in done.stderr) == (1, True)
    assert octo.pull(519)["body"] == "Bs2\n"
    assert octo.gh("api", "-X", "PATCH", f"repos/{octo.slug}/pulls/519", "-f", "body=x").returncode == 0
    assert octo.pull(519)["body"] == "x"
