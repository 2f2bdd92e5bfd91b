"""GraphQL beyond what gh was seen to send: errors, pages, events, and that nothing is null by accident."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import graphql
import pytest

from support.repo import Repo
from support.simulated import Octo
from trunkline.domain.names import branch_name
from trunkline.domain.repository import Repository
from trunkline.github import opening
from trunkline.github.client import GitHub
from trunkline.github.decoding import decode
from trunkline.sim.control import Control
from trunkline.sim.graph import engine
from trunkline.sim.graph.root import root
from trunkline.sim.graph.tree import Node, QueryContext
from trunkline.sim.refused import NotSimulatedError
from trunkline.sim.world import World


def on_pull(octo: Octo, number: int, fields: str) -> dict[str, Any]:
    """Ask for fields of one pull request; return the whole answer."""
    owner, name = octo.slug.split("/")
    where = f'repository(owner:"{owner}",name:"{name}"){{pullRequest(number:{number})'
    return octo.graphql(f"{{{where}{{{fields}}}}}}}")


def one(answer: dict[str, Any]) -> dict[str, Any]:
    """Return the pull request of an answer without errors."""
    assert "errors" not in answer, answer["errors"]
    pull: dict[str, Any] = answer["data"]["repository"]["pullRequest"]
    return pull


def test_the_pull_requests_that_a_branch_had(octo: Octo) -> None:
    """GitHub's schema has the query, and the simulator's response fits: of another branch there are none.

    The remote's URL may have another case than GitHub's name of the repository.
    """
    owner, name = octo.slug.split("/")
    github = GitHub(Repository("github.com", owner.upper(), name), octo.clone.path)

    def send(query: str, variables: Mapping[str, Any], kind: type[Any], read: Callable[[Any], Any]) -> Any:
        answer = octo.graphql(query, {**variables, "owner": owner})  # GitHub ignores case here
        assert "errors" not in answer, answer["errors"]
        return read(decode(answer["data"], kind))

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(GitHub, "graphql", lambda _, *sent: send(*sent))
        (found,) = opening.of_branch(github, branch_name("s2"))
        assert (found.number, found.head_oid) == (519, octo.clone.head("s2"))
        assert opening.of_branch(github, branch_name("s4")) == ()


def test_a_field_without_a_resolver_raises(octo: Octo) -> None:
    """In the schema but not simulated: an error that names it, never a silent null."""
    answer = on_pull(octo, 518, "number bodyHTML")
    assert [error["message"] for error in answer["errors"]] == ["not simulated: PullRequest.bodyHTML"]
    assert answer["errors"][0]["path"] == ["repository", "pullRequest", "bodyHTML"]


def test_a_field_left_out_of_the_schema_is_not_denied(octo: Octo) -> None:
    """GitHub has it, the pruned schema has not: it is "not simulated", not "doesn't exist"."""
    answer = on_pull(octo, 518, "files(first:1){totalCount}")
    assert [error["message"] for error in answer["errors"]] == ["not simulated: PullRequest.files"]
    assert "data" not in answer


def test_a_field_that_github_has_not(octo: Octo) -> None:
    """GitHub's shape: undefinedField, the path of names, no data (measured through gh api graphql)."""
    answer = octo.graphql("query Q{viewer{nope}}")
    assert "data" not in answer
    error = answer["errors"][0]
    assert error["message"] == "Field 'nope' doesn't exist on type 'User'"
    assert error["path"] == ["query Q", "viewer", "nope"]
    assert error["extensions"] == {"code": "undefinedField", "typeName": "User", "fieldName": "nope"}


def test_what_cannot_be_resolved(octo: Octo) -> None:
    """NOT_FOUND with the path; the rest of the answer is usable."""
    answer = octo.graphql('{viewer{login} repository(owner:"octo",name:"none"){id}}')
    assert answer["data"] == {"viewer": {"login": "octocat"}, "repository": None}
    error = answer["errors"][0]
    assert [error["type"], error["path"]] == ["NOT_FOUND", ["repository"]]
    assert error["message"] == "Could not resolve to a Repository with the name 'octo/none'."


def test_pages(octo: Octo) -> None:
    """Cursors walk a connection once; nodes need `first` or `last`, of at most 100 (docs, "Forming calls")."""
    for number in range(3):
        octo.github.comment(octo.slug, 518, "grace", str(number))
    page = "nodes{body} pageInfo{hasNextPage endCursor}"
    first = one(on_pull(octo, 518, f"comments(first:2){{totalCount {page}}}"))["comments"]
    assert [node["body"] for node in first["nodes"]] == ["0", "1"]
    assert [first["totalCount"], first["pageInfo"]["hasNextPage"]] == [3, True]
    after = first["pageInfo"]["endCursor"]
    second = one(on_pull(octo, 518, f'comments(first:2,after:"{after}"){{{page}}}'))["comments"]
    assert [[node["body"] for node in second["nodes"]], second["pageInfo"]["hasNextPage"]] == [["2"], False]
    last = one(on_pull(octo, 518, "comments(last:1){nodes{body}}"))["comments"]
    assert [node["body"] for node in last["nodes"]] == ["2"]
    unbounded = on_pull(octo, 518, "comments{nodes{body}}")["errors"][0]
    assert unbounded["type"] == "MISSING_PAGINATION_BOUNDARIES"
    assert on_pull(octo, 518, "comments(first:101){nodes{body}}")["errors"][0]["type"] == "EXCESSIVE_PAGINATION"


def test_the_timeline_of_a_landing(octo: Octo) -> None:
    """A child's history reads as GitHub would show it: rewritten, retargeted, ready."""
    old, new = octo.clone.head("s2"), octo.amend("s2")
    octo.push("s2", force=True)
    octo.rest("PATCH", "pulls/519", {"base": "main"})
    events = """timelineItems(first:10,itemTypes:[HEAD_REF_FORCE_PUSHED_EVENT,BASE_REF_CHANGED_EVENT]){nodes{
      __typename
      ...on HeadRefForcePushedEvent{actor{login} createdAt beforeCommit{oid} afterCommit{oid}}
      ...on BaseRefChangedEvent{previousRefName currentRefName}}}"""
    pushed, based = one(on_pull(octo, 519, events))["timelineItems"]["nodes"]
    assert [pushed["beforeCommit"]["oid"], pushed["afterCommit"]["oid"]] == [old, new]
    assert pushed["actor"]["login"] == "octo"
    assert based == {"__typename": "BaseRefChangedEvent", "previousRefName": "s1", "currentRefName": "main"}


def test_an_event_type_that_is_not_recorded_raises(octo: Octo) -> None:
    """An unrecorded type must not read as "never happened"."""
    answer = on_pull(octo, 519, "timelineItems(first:1,itemTypes:[LABELED_EVENT]){totalCount}")
    assert answer["errors"][0]["message"] == "not simulated: timelineItems of LABELED_EVENT"


def test_reviews_decide(octo: Octo) -> None:
    """The last review of each reviewer counts; without a review the decision is null."""
    assert one(on_pull(octo, 518, "reviewDecision"))["reviewDecision"] is None
    octo.github.review(octo.slug, 518, "grace", state="CHANGES_REQUESTED")
    assert one(on_pull(octo, 518, "reviewDecision"))["reviewDecision"] == "CHANGES_REQUESTED"
    octo.github.review(octo.slug, 518, "grace")
    assert one(on_pull(octo, 518, "reviewDecision"))["reviewDecision"] == "APPROVED"


@pytest.mark.parametrize(
    ("states", "expected"),
    [
        ([], None),
        (["SUCCESS", "SKIPPED"], "SUCCESS"),
        (["SUCCESS", ""], "PENDING"),
        (["SUCCESS", "CANCELLED", ""], "FAILURE"),
    ],
)
def test_the_rollup(octo: Octo, states: list[str], expected: str | None) -> None:
    """Null where nothing checked; one failure decides; else one that runs (StatusState)."""
    head = octo.pull(518)["head_oid"]
    for index, state in enumerate(states):
        status = "COMPLETED" if state else "IN_PROGRESS"
        octo.github.add_check_run(octo.slug, head, f"c{index}", conclusion=state, status=status)
    commit = one(on_pull(octo, 518, "commits(last:1){nodes{commit{statusCheckRollup{state}}}}"))["commits"]["nodes"][
        0
    ]
    rollup = commit["commit"]["statusCheckRollup"]
    assert (rollup and rollup["state"]) == expected


def rich_world(path: Path) -> World:
    """Return a world that holds one of everything, built without a server."""
    world = World.create(path / "world")
    levers = Control(world)
    repo = Repo.create(path / "clone")
    repo.git("remote", "add", "origin", levers.create_repository("octo", "demo"))
    repo.commit("start", {"a": "1\n"})
    for branch in ("s1", "s2"):
        repo.git("switch", "--quiet", "-c", branch)
        repo.commit(branch, {branch: "1\n"})
    repo.git("push", "--quiet", "origin", "main", "s1", "s2")
    levers.adopt("octo/demo")
    levers.open_pull_request("octo/demo", "s1", "main", "One")
    levers.open_pull_request("octo/demo", "s2", "s1", "Two")
    levers.add_billing_failure("octo/demo", repo.head("s1"))
    levers.add_status("octo/demo", repo.head("s1"), "ci/other", "SUCCESS")
    levers.review("octo/demo", 1, "grace")
    levers.comment("octo/demo", 1, "grace", "hello")
    levers.merge("octo/demo", 1, "squash", "web")
    return world


def nodes(value: Any, above: frozenset[str] = frozenset()) -> Iterator[Node]:
    """Yield every node that can be reached from a value, without going through one type twice."""
    if isinstance(value, list):
        for item in value:
            yield from nodes(item, above)
    if not isinstance(value, Node) or value.typename in above | {"Mutation"}:
        return
    yield value
    asked = getattr(engine.schema().type_map[value.typename], "fields", {})
    for name, field in value.fields.items():
        if name in asked:
            yield from nodes(answered(name, field), above | {value.typename})


def answered(name: str, field: Any) -> Any:
    """Return a field's value, called with arguments that fit wherever it takes some."""
    if not callable(field):
        return field
    known = {
        "owner": "octo", "name": "demo", "number": 1, "query": "type:pr", "qualified_name": "refs/heads/main",
        "include_archived": True, "writers_only": True, "head_ref": "s1",
        "item_types": ["MERGED_EVENT", "AUTOMATIC_BASE_CHANGE_SUCCEEDED_EVENT"],
    }  # fmt: skip
    parameters = inspect.signature(field).parameters
    given = {key: known[key] for key in parameters if key in known}
    given |= {"type": "ISSUE"} if name == "search" else {}
    if name in {"node", "projectCards"}:
        return None
    pages = any(parameter.kind is parameter.VAR_KEYWORD for parameter in parameters.values())
    try:
        return field(**given, **({"first": 10} if pages else {}))
    except NotSimulatedError:
        return field(**given)


def test_every_field_is_one_of_githubs(tmp_path: Path) -> None:
    """Each field that a node answers is in the schema, and a value that may not be null is not."""
    world = rich_world(tmp_path)
    seen: set[str] = set()
    for node in nodes(root(QueryContext(world, "octocat"), 1)["Query"]):
        kind = engine.schema().type_map[node.typename]
        assert isinstance(kind, graphql.GraphQLObjectType)
        known = kind.fields.keys() | engine.left_out().get(node.typename, frozenset())
        # Every connection offers Relay's fields; the schema decides which of them can be asked for.
        assert not node.fields.keys() - known - {"edges", "totalCount"}, node.typename
        for name, value in node.fields.items():
            if name in kind.fields and graphql.is_non_null_type(kind.fields[name].type):
                assert value is not None, f"{node.typename}.{name}"
        seen.add(node.typename)
    assert {"PullRequest", "Commit", "CheckRun", "StatusContext", "CheckAnnotation", "MergedEvent", "Label"} <= seen
