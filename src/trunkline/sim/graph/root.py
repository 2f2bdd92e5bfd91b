"""The root fields of queries: viewer, repository, node, search and rate limit."""

from __future__ import annotations

import shlex
import time
from typing import TYPE_CHECKING, Any

from trunkline.sim.graph.mutations import mutations
from trunkline.sim.graph.pulls import pull_node, repository_node, user_node
from trunkline.sim.graph.tree import GraphError, Node, QueryContext, connection
from trunkline.sim.model import PullRequest, Repository
from trunkline.sim.refused import NotSimulatedError

if TYPE_CHECKING:
    from collections.abc import Iterator

LIMIT = 5000  # points an hour: docs.github.com, "Rate limits and query limits for the GraphQL API"


def root(query_context: QueryContext, used: int) -> dict[str, Node]:
    """Return the nodes of Query and Mutation; `used` is the points used so far."""
    return {
        "Query": Node(
            "Query",
            {
                "viewer": lambda: user_node(query_context, query_context.login),
                "repository": lambda owner, name, **_: _repository(query_context, f"{owner}/{name}"),
                "node": lambda id: _node(query_context, id),  # noqa: A006 -- the argument's name in the schema
                "search": lambda query, **arguments: _search(query_context, query, **arguments),
                "rateLimit": lambda **_: _rate_limit(used),
            },
        ),
        "Mutation": Node("Mutation", mutations(query_context)),
    }


def _repository(query_context: QueryContext, slug: str) -> Node:
    repository = query_context.world.repository(slug)
    if repository is None:
        raise GraphError("NOT_FOUND", f"Could not resolve to a Repository with the name '{slug}'.")
    return repository_node(query_context, repository)


def every_pull(query_context: QueryContext) -> Iterator[tuple[Repository, PullRequest]]:
    """Yield every pull request of the world."""
    for repository in query_context.world.state.repositories.values():
        for _, pull in sorted(repository.pulls.items()):
            yield repository, pull


def _node(query_context: QueryContext, given: str) -> Node:
    for repository, pull in every_pull(query_context):
        if given == f"PR_{repository.id}_{pull.number}":
            return pull_node(query_context, repository, pull)
    raise GraphError("NOT_FOUND", f"Could not resolve to a node with the global id of '{given}'")


def _rate_limit(used: int) -> Node:
    reset = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(time.time() + 3600))
    return Node(
        "RateLimit",
        {
            "limit": LIMIT, "cost": 1, "nodeCount": 0, "used": used,
            "remaining": max(LIMIT - used, 0), "resetAt": reset,
        },
    )  # fmt: skip


def _search(query_context: QueryContext, query: str, *, type: str, **page: Any) -> Node:  # noqa: A002 -- the argument's name
    """Search pull requests with gh's qualifiers; others raise."""
    if type not in {"ISSUE", "ISSUE_ADVANCED"}:
        raise NotSimulatedError(f"search(type: {type})")
    words = [word for word in shlex.split(query) if word not in {"(", ")"}]
    found = [
        pair for pair in every_pull(query_context) if all(_matches(query_context, *pair, word) for word in words)
    ]
    found.reverse()
    return connection(
        "SearchResultItemConnection",
        found,
        lambda pair: pull_node(query_context, *pair),
        page,
        {"issueCount": len(found)},
    )


def _matches(query_context: QueryContext, repository: Repository, pull: PullRequest, word: str) -> bool:
    key, _, value = word.partition(":")
    login = query_context.login if value == "@me" else value
    answers = {
        "repo": repository.slug.lower() == value.lower(),
        "state": pull.state.value == value.upper() or (value == "closed" and pull.state.value == "MERGED"),
        "type": value == "pr",
        "is": value == "pr" or pull.state.value == value.upper(),
        "head": pull.head == value,
        "base": pull.base == value,
        "author": pull.author == login,
        "review-requested": False,
    }
    if key not in answers:
        raise NotSimulatedError(f"search for {word!r}")
    return answers[key]
