"""Every GraphQL request that the real gh was seen to send is answered, whole."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from support.simulated import Octo

DATA = Path(__file__).parent / "data"
ROWS = json.loads((DATA / "gh-queries.json").read_text())
CASES = [
    pytest.param(row, case, id=f"{row['operation'] or 'query'}-{index}-{number}")
    for index, row in enumerate(ROWS)
    for number, case in enumerate(row["cases"])
]
# What GitHub itself answers with an error, by the gh command that was recorded: part of the message.
REFUSED = {
    "api-gql-bad": "Field 'nope' doesn't exist on type 'User'",
    "api-gql-nf": "Could not resolve to a PullRequest with the number of 777.",
    "pr-view-404": "Could not resolve to a PullRequest with the number of 999.",
    "pr-edit-base-bad": "Proposed base branch 'nope' was not found",
    "pr-merge-draft": "Pull Request is still a draft",
    "pr-merge-rebase-match": "Pull Request is still a draft",
}
CLASSIC = "Projects (classic) is being deprecated"


def fitted(value: Any, octo: Octo, ids: dict[str, str]) -> Any:
    """Return recorded variables with the recorded repository's names and ids replaced by this test's."""
    if isinstance(value, dict):
        return {key: fitted(item, octo, ids) for key, item in value.items()}
    if isinstance(value, list):
        return [fitted(item, octo, ids) for item in value]
    if isinstance(value, str):
        name = octo.slug.split("/")[1]
        return ids.get(value, name if value == "demo" else value.replace("octo/demo", octo.slug))
    return value


@pytest.mark.parametrize(("row", "case"), CASES)
def test_a_request_of_gh_is_answered(octo: Octo, row: dict[str, Any], case: dict[str, Any]) -> None:
    """No recorded request meets something that is not simulated; it errs only where GitHub does."""
    query = row["query"].replace('name:"demo"', f'name:"{octo.slug.split("/")[1]}"')
    ids = {"L_bug": label_id(octo), "R_1": repository_id(octo)}
    ids |= {f"PR_{number}": pull_id(octo, number) for number in (518, 519, 520)}
    octo.github.add_check_run(octo.slug, octo.pull(519)["head_oid"], "build")
    octo.github.add_status(octo.slug, octo.pull(519)["head_oid"], "ci/other", "PENDING")
    answer = octo.graphql(query, fitted(case["variables"] or {}, octo, ids))
    expected = [REFUSED[command] for command in case["commands"] if command in REFUSED]
    errs_only_there = "mutation" in query or case["commands"][0].startswith(("api-gql", "pr-view-404"))
    if "projectCards" in query:
        expected = [CLASSIC]
    elif not errs_only_there:
        expected = []
    messages = [error["message"] for error in answer.get("errors", ())]
    assert bool(messages) == bool(expected), messages
    assert all(any(text in message for text in expected) for message in messages), messages
    assert expected or answer["data"]


def pull_id(octo: Octo, number: int) -> str:
    """Return a pull request's global id, as in REST."""
    return str(octo.rest("GET", f"pulls/{number}")[1]["node_id"])


def repository_id(octo: Octo) -> str:
    """Return the repository's global id, as in REST."""
    return str(octo.rest("GET", f"/repos/{octo.slug}")[1]["node_id"])


def label_id(octo: Octo) -> str:
    """Return the global id of the label `bug`."""
    owner, name = octo.slug.split("/")
    query = "query($o:String!,$n:String!){repository(owner:$o,name:$n){labels(first:10){nodes{id name}}}}"
    nodes = octo.graphql(query, {"o": owner, "n": name})["data"]["repository"]["labels"]["nodes"]
    return str(next(node["id"] for node in nodes if node["name"] == "bug"))


def test_the_query_of_trunkline_is_answered_whole(octo: Octo) -> None:
    """The one query for a stack gets every field: history, checks, annotations, merge commit."""
    head = octo.pull(519)["head_oid"]
    octo.github.add_billing_failure(octo.slug, head, ("build",))
    octo.github.add_status(octo.slug, head, "ci/other", "SUCCESS")
    old, new = head, octo.amend("s2")
    octo.push("s2", force=True)
    octo.github.add_billing_failure(octo.slug, new, ("build",))
    octo.github.merge(octo.slug, 518)
    owner, name = octo.slug.split("/")
    answer = octo.graphql((DATA / "trunkline.graphql").read_text(), {"owner": owner, "name": name})
    assert "errors" not in answer, answer["errors"]
    merged, child = (answer["data"]["repository"][alias] for alias in ("pr518", "pr519"))
    assert merged["mergeCommit"]["parents"]["totalCount"] == 1
    assert [node["__typename"] for node in merged["history"]["nodes"]] == ["MergedEvent", "ClosedEvent"]
    pushed = child["timelineItems"]["nodes"]
    assert [(node["beforeCommit"]["oid"], node["afterCommit"]["oid"]) for node in pushed] == [(old, new)]
    rollup = child["commits"]["nodes"][0]["commit"]["statusCheckRollup"]
    assert rollup["state"] == "FAILURE"
    assert "payments have failed" in rollup["contexts"]["nodes"][0]["annotations"]["nodes"][0]["message"]
