"""The GraphQL mutations that gh and trunkline use."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from trunkline.sim import actions, merging, updating
from trunkline.sim.graph.pulls import comment_node, node_id, pull_node
from trunkline.sim.graph.tree import GraphError, Node, QueryContext
from trunkline.sim.model import MergeMethod, PullRequest, Repository
from trunkline.sim.refused import GitHubRefusal, NotSimulatedError

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    Input = Mapping[str, Any]


def mutations(query_context: QueryContext) -> dict[str, Callable[..., Node]]:
    """Return the fields of Mutation; each takes `input`."""
    made = (
        ("addComment", _comment, "AddComment"),
        ("addLabelsToLabelable", _label, "AddLabelsToLabelable"),
        ("closePullRequest", _close, "ClosePullRequest"),
        ("convertPullRequestToDraft", _draft, "ConvertPullRequestToDraft"),
        ("createPullRequest", _create, "CreatePullRequest"),
        ("markPullRequestReadyForReview", _ready, "MarkPullRequestReadyForReview"),
        ("mergePullRequest", _merge, "MergePullRequest"),
        ("reopenPullRequest", _reopen, "ReopenPullRequest"),
        ("updatePullRequest", _update, "UpdatePullRequest"),
        ("updatePullRequestBranch", _update_branch, "UpdatePullRequestBranch"),
    )

    def field(perform: Callable[[QueryContext, Input], dict[str, Any]], name: str) -> Callable[..., Node]:
        def resolve(input: Input) -> Node:  # noqa: A002 -- the argument's name in the schema
            # An absent clientMutationId is null, as the schema says.
            payload = perform(query_context, input)
            return Node(f"{name}Payload", {"clientMutationId": input.get("clientMutationId"), **payload})

        return resolve

    return {name: field(perform, typename) for name, perform, typename in made}


def _subject(query_context: QueryContext, given: str) -> tuple[Repository, PullRequest]:
    for repository in query_context.world.state.repositories.values():
        for pull in repository.pulls.values():
            if node_id(repository, pull) == given:
                return repository, pull
    raise GraphError("NOT_FOUND", f"Could not resolve to a node with the global id of '{given}'.")


def _only(given: Input, *known: str) -> None:
    unknown = sorted(
        key for key, value in given.items() if value is not None and key not in {*known, "clientMutationId"}
    )
    if unknown:
        raise NotSimulatedError(f"mutation input {', '.join(unknown)}")


def _answer(query_context: QueryContext, repository: Repository, pull: PullRequest) -> dict[str, Any]:
    return {"pullRequest": lambda: pull_node(query_context, repository, pull)}


def _comment(query_context: QueryContext, given: Input) -> dict[str, Any]:
    _only(given, "subjectId", "body")
    repository, pull = _subject(query_context, given["subjectId"])
    comment = query_context.world.comment(repository, pull, query_context.login, given["body"])
    node = comment_node(query_context, repository, pull, comment)
    return {"commentEdge": Node("IssueCommentEdge", {"node": node})}


def _label(query_context: QueryContext, given: Input) -> dict[str, Any]:
    _only(given, "labelableId", "labelIds")
    repository, pull = _subject(query_context, given["labelableId"])
    by_id = {f"L_{repository.id}_{name}": name for name in repository.labels}
    unknown = [label for label in given["labelIds"] if label not in by_id]
    if unknown:
        raise GraphError("NOT_FOUND", f"Could not resolve to a node with the global id of '{unknown[0]}'.")
    actions.add_labels(query_context.world, repository, pull, tuple(by_id[label] for label in given["labelIds"]))
    return {}


def _close(query_context: QueryContext, given: Input) -> dict[str, Any]:
    _only(given, "pullRequestId")
    repository, pull = _subject(query_context, given["pullRequestId"])
    return _answer(
        query_context, repository, actions.close(query_context.world, repository, pull, query_context.login)
    )


def _reopen(query_context: QueryContext, given: Input) -> dict[str, Any]:
    _only(given, "pullRequestId")
    repository, pull = _subject(query_context, given["pullRequestId"])
    try:
        reopened = actions.reopen(query_context.world, repository, pull, query_context.login)
    except GitHubRefusal as refusal:
        # GraphQL gives no reason here: "Could not open the pull request." (cli/cli#10062).
        raise GraphError("UNPROCESSABLE", "Could not open the pull request.") from refusal
    return _answer(query_context, repository, reopened)


def _draft(query_context: QueryContext, given: Input) -> dict[str, Any]:
    return _set_draft(query_context, given, draft=True)


def _ready(query_context: QueryContext, given: Input) -> dict[str, Any]:
    return _set_draft(query_context, given, draft=False)


def _set_draft(query_context: QueryContext, given: Input, *, draft: bool) -> dict[str, Any]:
    _only(given, "pullRequestId")
    repository, pull = _subject(query_context, given["pullRequestId"])
    return _answer(
        query_context,
        repository,
        actions.set_draft(query_context.world, repository, pull, query_context.login, draft=draft),
    )


def _create(query_context: QueryContext, given: Input) -> dict[str, Any]:
    _only(given, "repositoryId", "baseRefName", "headRefName", "title", "body", "draft", "maintainerCanModify")
    by_id = {f"R_{repository.id}": repository for repository in query_context.world.state.repositories.values()}
    repository = by_id.get(given["repositoryId"])
    if repository is None:
        raise GraphError("NOT_FOUND", f"Could not resolve to a node with the global id of '{given['repositoryId']}'.")
    pull = actions.open_pull(
        query_context.world,
        repository,
        query_context.login,
        head=given["headRefName"],
        base=given["baseRefName"],
        title=given["title"],
        body=given.get("body") or "",
        draft=bool(given.get("draft")),
    )
    return _answer(query_context, repository, pull)


def _update(query_context: QueryContext, given: Input) -> dict[str, Any]:
    _only(given, "pullRequestId", "title", "body", "baseRefName")
    repository, pull = _subject(query_context, given["pullRequestId"])
    changed = actions.edit(
        query_context.world,
        repository,
        pull,
        query_context.login,
        title=given.get("title"),
        body=given.get("body"),
        base=given.get("baseRefName"),
    )
    return _answer(query_context, repository, changed)


def _update_branch(query_context: QueryContext, given: Input) -> dict[str, Any]:
    _only(given, "pullRequestId", "expectedHeadOid", "updateMethod")
    repository, pull = _subject(query_context, given["pullRequestId"])
    updating.update(
        query_context.world, repository, pull, query_context.login,
        method=updating.UpdateMethod(given.get("updateMethod") or "MERGE"),
        expected_head=given.get("expectedHeadOid") or "",
    )  # fmt: skip
    return _answer(query_context, repository, repository.pulls[pull.number])


def _merge(query_context: QueryContext, given: Input) -> dict[str, Any]:
    _only(given, "pullRequestId", "mergeMethod", "expectedHeadOid", "commitHeadline", "commitBody")
    repository, pull = _subject(query_context, given["pullRequestId"])
    merging.refuse_stacked(repository, pull)
    merged = merging.merge(
        query_context.world,
        repository,
        pull,
        query_context.login,
        method=MergeMethod(given.get("mergeMethod") or "MERGE"),
        expected_head=given.get("expectedHeadOid") or "",
        headline=given.get("commitHeadline"),
        body=given.get("commitBody"),
    )
    return _answer(query_context, repository, merged)
