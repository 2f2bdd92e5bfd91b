"""Parsing of gh's output: every output gives a response or an expected error."""

from __future__ import annotations

import contextlib
import json
import shlex
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from trunkline.domain.errors import ExternalError, NotSignedIn, Refused, TransientError, TrunklineError, UsageError
from trunkline.domain.names import ZERO_OID, oid, pr_number
from trunkline.domain.repository import Repository
from trunkline.domain.snapshot import ForcePush, PrState, PullRequest
from trunkline.github import (
    account,
    branch_rules,
    last_review,
    native_stacks,
    opening,
    pull_request_list,
    responses,
    rest_objects,
    review_threads,
)  # fmt: skip
from trunkline.github.client import GitHub
from trunkline.github.decoding import decode
from trunkline.github.pull_request_nodes import PullRequestNode
from trunkline.github.responses import parsing, rest_response
from trunkline.github.workflow_runs import Job, WorkflowRun
from trunkline.system.process import Completed

KEYS = st.sampled_from(
    ["data", "errors", "repository", "pr519", "viewer", "login", "message", "type", "nameWithOwner"]
)
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(KEYS, inner, max_size=4),
    max_leaves=12,
)


def printed(body: bytes, *, status: int = 200, code: int = 0, headers: str = "") -> Completed:
    """Return a gh that ended."""
    head = f"HTTP/2.0 {status} X\r\n{headers}\r\n".encode()
    return Completed(("gh", "api"), code, head + body, b"", 0.1)


def read(tmp_path_factory: pytest.TempPathFactory, done: Completed) -> object:
    """Validate it, and read the stack's pull requests from it."""
    hub = GitHub(Repository("github.com", "octo", "tiny"), tmp_path_factory.getbasetemp())
    return hub._snapshot(responses.graphql_response(done, absent=True), [pr_number(519)])


@given(body=JSON, status=st.sampled_from([200, 202, 403, 409, 422, 502]), code=st.sampled_from([0, 1]))
def test_any_json_is_an_answer_or_an_expected_failure(
    tmp_path_factory: pytest.TempPathFactory, body: Any, status: int, code: int
) -> None:
    """Never another exception."""
    with contextlib.suppress(TrunklineError):
        read(tmp_path_factory, printed(json.dumps(body).encode(), status=status, code=code))


MISSING = {"type": "NOT_FOUND", "path": ["repository", "pr519"], "message": "Could not resolve to a PullRequest"}
NO_REPOSITORY = {"type": "NOT_FOUND", "path": ["repository"], "message": "Could not resolve to a Repository"}
TINY = {"nameWithOwner": "octo/tiny", "pr519": None}


@pytest.mark.parametrize("errors", [[MISSING], [MISSING, {**NO_REPOSITORY, "path": ["viewer"]}]])
def test_a_pull_request_is_absent_where_github_says_so(
    tmp_path_factory: pytest.TempPathFactory, errors: list[object]
) -> None:
    """By a NOT_FOUND for exactly that path, which gh ends with exit code 1 for."""
    body = {"data": {"repository": TINY}, "errors": errors}
    seen: Any = read(tmp_path_factory, printed(json.dumps(body).encode(), code=1))
    assert seen.pull_requests == {519: None}


def test_a_repository_is_absent_where_github_says_so(tmp_path_factory: pytest.TempPathFactory) -> None:
    """Exit 2, with GitHub's own words."""
    body = {"data": {"repository": None}, "errors": [NO_REPOSITORY]}
    with pytest.raises(UsageError, match="shows you no repository octo/tiny"):
        read(tmp_path_factory, printed(json.dumps(body).encode(), code=1))


def test_a_list_of_a_repository_that_is_not_there_names_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """With its host: the remote may be on another kind of host."""
    hub = GitHub(Repository("gitlab.com", "octo", "tiny"), tmp_path)
    gone = printed(json.dumps({"data": {"repository": None}, "errors": [NO_REPOSITORY]}).encode(), code=1)
    ended = SimpleNamespace(finish=lambda: gone)
    monkeypatch.setattr(GitHub, "_begin", lambda *_, **__: contextlib.nullcontext(ended))
    with pytest.raises(UsageError, match=r"shows you no repository gitlab\.com/octo/tiny") as raised:
        pull_request_list.list_pull_requests(hub)
    assert raised.value.next_commands[0] == "git remote -v"


HTML = b"<html><title>Blocked by the proxy</title></html>"
BROKEN = {
    "data is null": b'{"data": null}',
    "data and errors are null": b'{"data": null, "errors": null}',
    "no errors, and no data": b'{"errors": []}',
    "the repository is null": b'{"data": {"repository": null}}',
    "the repository is null, errors too": b'{"data": {"repository": null}, "errors": null}',
    "the repository is null for another reason": json.dumps(
        {"data": {"repository": None}, "errors": [{**NO_REPOSITORY, "path": ["viewer"]}]}
    ).encode(),
    "the pull request is null": json.dumps({"data": {"repository": TINY}}).encode(),
    "the pull request is null, another is absent": json.dumps(
        {"data": {"repository": TINY}, "errors": [{**MISSING, "path": ["repository", "pr520"]}]}
    ).encode(),
    "the pull request is not there": b'{"data": {"repository": {"nameWithOwner": "octo/tiny"}}}',
    "errors that are no list": json.dumps({"data": {"repository": TINY}, "errors": 7}).encode(),
    "cut off": b'{"data": {"repository": {"nameWithOwner": "octo/ti',
    "empty": b"",
    "a list": b"[]",
    "a proxy's page": HTML,
}


@pytest.mark.parametrize("body", BROKEN.values(), ids=BROKEN)
@pytest.mark.parametrize("code", [0, 1])
def test_a_broken_answer_says_nothing_of_absence(
    tmp_path_factory: pytest.TempPathFactory, body: bytes, code: int
) -> None:
    """A broken response is retried and ends with exit code 6."""
    with pytest.raises(TransientError):
        read(tmp_path_factory, printed(body, code=code))


@pytest.mark.parametrize("status", [400, 401, 403, 404, 405, 407, 409, 422, 500, 502, 503])
@pytest.mark.parametrize("body", [HTML, b"", b"[]", b"null", b'{"message": 7}'])
def test_a_status_without_githubs_own_words_is_not_githubs(status: int, body: bytes) -> None:
    """A proxy's 404 does not mean that the repository is missing, nor its 403 that a permission is."""
    with pytest.raises(TransientError) as caught:
        rest_response(printed(body, status=status, code=1))
    assert "GitHub" in caught.value.what


SSO = "https://github.com/orgs/octo/sso?authorization_request=AAA"
SAML_MESSAGE = "Resource protected by organization SAML enforcement. You must grant your OAuth token access."
SAML = {
    "REST with the address": (403, f"X-GitHub-SSO: required; url={SSO}\r\n", {"message": SAML_MESSAGE}, SSO),
    "REST without": (403, "", {"message": SAML_MESSAGE}, "https://github.com/settings/tokens"),
    "GraphQL with the address": (
        200,
        f"X-GitHub-SSO: required; url={SSO}\r\n",
        {"data": {"repository": None}, "errors": [{"type": "FORBIDDEN", "message": SAML_MESSAGE}]},
        SSO,
    ),
    "GraphQL by its extension": (
        200,
        "",
        {"data": {"repository": None}, "errors": [{"extensions": {"saml_failure": True}, "message": "x"}]},
        "https://github.com/settings/tokens",
    ),
}


@pytest.mark.parametrize(("status", "headers", "body", "url"), SAML.values(), ids=SAML)
def test_single_sign_on_is_reported_with_its_address(status: int, headers: str, body: object, url: str) -> None:
    """Exit 4, whatever else the answer looks like; the next command opens the page."""
    done = printed(json.dumps(body).encode(), status=status, code=1, headers=headers)
    for judge in (rest_response, responses.graphql_response):
        with pytest.raises(NotSignedIn, match="SAML") as caught:
            judge(done)
        assert caught.value.next_commands == (f"python3 -m webbrowser {shlex.quote(url)}",)


@given(body=JSON)
def test_any_json_is_read_by_every_reader(body: Any) -> None:
    """Pull requests, lists, rules, merges, edits: the value, or a failure of GitHub's."""
    kinds: tuple[type, ...] = (
        pull_request_list._Answer, branch_rules._Answer, branch_rules._TrunkAnswer, PullRequestNode,
        last_review._Answer, review_threads._Answer, opening._Answer, opening._Created, native_stacks._Stack,
        account._Answer, rest_objects.PullRequestObject, rest_objects.MergeState, rest_objects.Statuses,
        WorkflowRun, Job,
    )  # fmt: skip
    answer = responses._response(printed(json.dumps(body).encode()))
    for kind in kinds:
        with contextlib.suppress(TransientError), parsing(answer):
            decode(body, kind)


PULL: dict[str, Any] = {
    "id": "PR_1", "number": 519, "title": "x", "url": "", "state": "OPEN", "isDraft": False, "body": "",
    "baseRefName": "main", "baseRefOid": None, "headRefName": "one", "headRefOid": "a" * 40, "headRepository": None,
    "mergedAt": None, "mergeCommit": None, "timelineItems": {"nodes": [None, {"beforeCommit": None}]},
    "commits": {"nodes": []},
    "latestOpinionatedReviews": {"nodes": [None, {"author": None, "state": "APPROVED"}]},
    "reviewRequests": {"nodes": [{"requestedReviewer": None}, {"requestedReviewer": {"__typename": "Team"}}]},
}  # fmt: skip


def test_null_authors_and_hidden_objects() -> None:
    """A deleted account is the ghost, a team has no login, and hidden objects are left out."""
    pull = decode(PULL, PullRequestNode).of_domain()
    assert (pull.opinions, pull.requested_reviewers) == ((("ghost", "APPROVED"),), ("a team", "a team"))
    assert pull.force_pushes == (ForcePush(None, None),)


@pytest.mark.parametrize(
    ("field", "value", "words"),
    [
        ("title", None, "Expected `str`, got `null` - at `$.title`"),
        ("number", 2**40, "at `$.number`"),
        ("headRefOid", "HEAD", "at `$.headRefOid`"),
        ("state", "DRAFT", "Invalid enum value 'DRAFT' - at `$.state`"),
        ("commits", {}, "missing required field `nodes` - at `$.commits`"),
        ("timelineItems", {"nodes": [7]}, "at `$.timelineItems.nodes[0]`"),
    ],
)
def test_an_odd_value_is_named_with_its_place(field: str, value: object, words: str) -> None:
    """The expected value, the actual one, and the place are named."""
    with pytest.raises(TransientError) as caught, parsing(responses._response(printed(b"{}"))):
        decode({**PULL, field: value}, PullRequestNode)
    assert words in str(caught.value.why)


@pytest.mark.parametrize(
    "message",
    [
        {}, {"status": None}, {"status": "done"}, {"status": "merged"}, {"status": "merged", "details": {"sha": 7}},
        {"status": "pending"}, {"status": "pending", "details": {"uuid": "../../user"}},
        {"status": "pending", "details": {"uuid": "a\0b"}}, {"status": "failed", "details": "x"},
    ],
)  # fmt: skip
def test_an_answer_to_a_merge_that_is_none(message: dict[str, object]) -> None:
    """Without a status or a commit, or with a path as request id, it is a failure of GitHub, and retried."""
    with pytest.raises(TransientError), parsing(responses._response(printed(b"{}"))):
        decode(message, rest_objects.MergeState)


@pytest.mark.parametrize("repository", ["a string", {"pr519": "a string"}, {"pr519": {"number": "x"}}])
def test_a_shape_that_is_not_the_schemas_is_the_outsides_fault(
    tmp_path_factory: pytest.TempPathFactory, repository: Any
) -> None:
    """Exit 6, not a defect of ours."""
    with pytest.raises(ExternalError, match="schema"):
        read(tmp_path_factory, printed(json.dumps({"data": {"repository": repository}}).encode()))


def test_a_merge_is_pinned_to_the_head(tmp_path_factory: pytest.TempPathFactory) -> None:
    """GitHub gets the head that was verified, and refuses the merge of another one."""
    head, sent = oid("a" * 40), list[dict[str, str]]()

    class Recording(GitHub):
        def _request(self, *_: object, stdin: bytes = b"", **__: object) -> Any:
            sent.append(json.loads(stdin))
            return rest_objects.MergeState("merged", rest_objects._MergeDetails(oid("b" * 40)))

    github = Recording(Repository("github.com", "octo", "tiny"), tmp_path_factory.mktemp("gh"))
    assert github.merge(pr_number(520), head=head, method="squash") == "b" * 40
    assert sent == [{"sha": head, "merge_method": "squash"}]


def test_brackets_without_end_are_no_json() -> None:
    """A body nested deeper than the parser goes is a failure that may pass."""
    with pytest.raises(TransientError):
        rest_response(printed(b"[" * 100_000))


def test_a_wait_that_is_no_number_is_a_minute() -> None:
    """A Retry-After with a digit of another script requests no time."""
    with pytest.raises(TransientError) as caught:
        rest_response(printed(b"{}", status=429, code=1, headers="Retry-After: \u00b2\r\n"))
    assert caught.value.wait == 60


@pytest.mark.parametrize(("entries", "requests"), [(1, 1), (3, 1), (20, 1), (30, 2)])
@pytest.mark.parametrize("field", ["bodies", "bases", "titles"])
def test_requests_do_not_grow_with_the_pull_requests_to_edit(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, field: str, entries: int, requests: int
) -> None:
    """One for up to twenty, by aliases; every value arrives where it belongs."""
    sent: list[Any] = []

    def run(_self: GitHub, *_args: str, stdin: bytes = b"", **_: object) -> Completed:
        sent.append(json.loads(stdin))
        if entries == 1:
            now = {"body": None, "base": "main", "state": "open", "title": "", **sent[0]}
            return printed(json.dumps({**now, "base": {"ref": now["base"]}}).encode())
        name = {"bodies": "body", "bases": "baseRefName", "titles": "title"}[field]
        values = {key: each for key, each in sent[-1]["variables"].items() if key.startswith("value")}
        data = {key.replace("value", "pr"): {"pullRequest": {name: each}} for key, each in values.items()}
        return printed(json.dumps({"data": data}).encode())

    monkeypatch.setattr(GitHub, "_run", run)
    monkeypatch.setattr("trunkline.github.gh.throttle", lambda: None)
    hub = GitHub(Repository("github.com", "octo", "tiny"), tmp_path)
    first = PullRequest(
        number=pr_number("1"), title="", url="", state=PrState.OPEN, draft=False, body="", base="main", head="x",
        head_oid=ZERO_OID, head_repository="octo/tiny",
    )  # fmt: skip
    edits = [(replace(first, number=pr_number(str(n))), f"value {n}") for n in range(1, entries + 1)]
    assert getattr(hub, f"edit_{field}")(edits) == {pr.number: value for pr, value in edits}
    assert len(sent) == requests


ARCHIVED = "Repository was archived so is read-only."


@pytest.mark.parametrize(
    ("status", "body"),
    [
        (403, {"message": ARCHIVED}),
        (200, {"data": None, "errors": [{"type": "UNPROCESSABLE", "message": ARCHIVED}]}),
    ],
)
def test_an_archived_repository(status: int, body: object) -> None:
    """More rights of the token would not help."""
    with pytest.raises(Refused, match="is archived") as caught:
        responses.graphql_response(printed(json.dumps(body).encode(), status=status, code=1))
    assert caught.value.next_commands == ("gh repo unarchive",)


@pytest.mark.parametrize(
    ("status", "with_variable", "without"),
    [
        (401, "unset GH_TOKEN   # GitHub does not accept the token in it; then: gh auth login", "gh auth login"),
        (
            403,
            "python3 -m webbrowser https://github.com/settings/tokens   # the token in GH_TOKEN needs the scope repo",
            'gh auth refresh --hostname "${GH_HOST:-github.com}" --scopes repo',
        ),
    ],
)
def test_a_token_in_the_environment(
    monkeypatch: pytest.MonkeyPatch, status: int, with_variable: str, without: str
) -> None:
    """`gh auth login` and `gh auth refresh` refuse while it is set."""
    for variable, command in (("x", with_variable), ("", without)):
        monkeypatch.setenv("GH_TOKEN", variable)
        with pytest.raises(NotSignedIn) as caught:
            rest_response(printed(b'{"message": "no"}', status=status, code=1))
        assert caught.value.next_commands == (command,)
