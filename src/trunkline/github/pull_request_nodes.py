"""Define the GraphQL fragments of a pull request, and parse their nodes."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from trunkline.domain.names import Oid, oid, pr_number
from trunkline.domain.snapshot import A_TEAM, OUR_CONTEXTS, CheckRun, ForcePush, PrState, PullRequest

ENTRY = """
fragment entry on PullRequest {
  id number title url state isDraft body baseRefName baseRefOid headRefName headRefOid
  headRepository { nameWithOwner }
  mergedAt mergeCommit { oid parents(first: 3) { nodes { oid } } }
  timelineItems(last: 100, itemTypes: [HEAD_REF_FORCE_PUSHED_EVENT]) {
    nodes { ... on HeadRefForcePushedEvent { beforeCommit { oid } afterCommit { oid } } }
  }
  commits(last: 1) { totalCount nodes { commit { statusCheckRollup { contexts(first: 100) { nodes {
    ... on CheckRun { name status conclusion annotations(first: 5) { nodes { message } } }
    ... on StatusContext { context state }
  } } } } } }
}
"""


MERGING = """
fragment merging on PullRequest {
  reviewDecision mergeable mergeStateStatus
  latestOpinionatedReviews(first: 20) { nodes { author { login } state } }
  reviewRequests(first: 20) { nodes { requestedReviewer { __typename ... on User { login } ... on Bot { login } } } }
  reviewThreads(first: 100) { nodes { isResolved } }
}
"""
"""Fields that only a merge needs: GitHub computes a test merge for each pull request queried.

The name of a team is not queried: it needs the scope `read:org`, and without that GitHub rejects
the whole query (cli/cli#812).
"""


TRUNK = "trunk: ref(qualifiedName: $trunk) { target { oid } }"
"""Field with the tip of trunk, queried beside the pull requests."""


def pull_request(node: Mapping[str, Any]) -> PullRequest:
    """Parse a node that was queried with `ENTRY`."""
    merge = node["mergeCommit"]
    last = node["commits"]["nodes"]
    rollup = last[0]["commit"]["statusCheckRollup"] if last else None
    return PullRequest(
        node_id=node["id"],
        base_oid=oid(node["baseRefOid"]) if node.get("baseRefOid") else None,
        review=node.get("reviewDecision") or "",
        opinions=_opinions(node),
        asked=_requested_reviewers(node),
        open_threads=sum(not thread["isResolved"] for thread in _nodes(node, "reviewThreads")),
        mergeable=node.get("mergeable", "UNKNOWN"),
        merge_state=node.get("mergeStateStatus", "UNKNOWN"),
        number=pr_number(node["number"]),
        title=node["title"],
        url=node["url"],
        state=PrState(node["state"]),
        draft=node["isDraft"],
        body=node["body"],
        base=node["baseRefName"],
        head=node["headRefName"],
        head_oid=oid(node["headRefOid"]),
        head_repository=(node["headRepository"] or {}).get("nameWithOwner", ""),
        merged_at=node["mergedAt"] or "",
        merge_commit=oid(merge["oid"]) if merge else None,
        merge_parents=tuple(oid(parent["oid"]) for parent in merge["parents"]["nodes"]) if merge else (),
        commit_count=node["commits"]["totalCount"],
        force_pushes=tuple(
            ForcePush(_oid_of(event.get("beforeCommit")), _oid_of(event.get("afterCommit")))
            for event in node["timelineItems"]["nodes"]
            if event
        ),
        checks=tuple(
            check
            for context in (rollup["contexts"]["nodes"] if rollup else ())
            if context and not (check := _check(context)).name.startswith(OUR_CONTEXTS)
        ),
    )


def _nodes(node: Mapping[str, Any], connection: str) -> list[Mapping[str, Any]]:
    """Return the visible nodes of a connection; [] if it was not queried."""
    return [each for each in (node.get(connection) or {}).get("nodes") or () if each]


def _opinions(node: Mapping[str, Any]) -> tuple[tuple[str, str], ...]:
    reviews = _nodes(node, "latestOpinionatedReviews")
    return tuple((str((review["author"] or {}).get("login", "ghost")), str(review["state"])) for review in reviews)


def _requested_reviewers(node: Mapping[str, Any]) -> tuple[str, ...]:
    people = (request["requestedReviewer"] or {} for request in _nodes(node, "reviewRequests"))
    return tuple(str(each.get("login") or A_TEAM) for each in people)


def _oid_of(commit: Mapping[str, Any] | None) -> Oid | None:
    return oid(commit["oid"]) if commit else None


def _check(context: Mapping[str, Any]) -> CheckRun:
    if "context" in context:
        return CheckRun(context["context"], "COMPLETED", context["state"])
    notes = (context.get("annotations") or {}).get("nodes") or ()
    return CheckRun(
        name=context["name"],
        status=context["status"],
        conclusion=context["conclusion"] or "",
        annotations=tuple(str(note["message"]) for note in notes if note),
    )
