"""List a repository's pull requests: all open ones, and recently merged ones."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from trunkline.domain.discover import MergedPullRequest, OpenPullRequest
from trunkline.domain.errors import UsageError
from trunkline.domain.names import oid, pr_number
from trunkline.github.client import GitHub

_QUERY = """
query Open($owner: String!, $name: String!, $after: String, $first: Boolean!) {
  repository(owner: $owner, name: $name) {
    defaultBranchRef { name }
    pullRequests(states: OPEN, first: 100, after: $after) {
      nodes {
        number title isDraft baseRefName headRefName headRefOid headRepository { nameWithOwner }
        timelineItems(last: 100, itemTypes: [BASE_REF_CHANGED_EVENT, AUTOMATIC_BASE_CHANGE_SUCCEEDED_EVENT]) {
          nodes {
            ... on BaseRefChangedEvent { previousRefName }
            ... on AutomaticBaseChangeSucceededEvent { oldBase }
          }
        }
      }
      pageInfo { hasNextPage endCursor }
    }
    merged: pullRequests(states: MERGED, first: 100, orderBy: { field: UPDATED_AT, direction: DESC })
      @include(if: $first) { nodes { number title baseRefName headRefName headRefOid } }
  }
}
"""
_PAGES = 50  # 5,000 open pull requests


@dataclass(frozen=True)
class PullRequestList:
    """Pull requests of a repository.

    Attributes:
        trunk: its default branch.
        open: every open pull request.
        merged: the hundred merged ones that were updated last.
    """

    trunk: str
    open: tuple[OpenPullRequest, ...]
    merged: tuple[MergedPullRequest, ...]


def list_pull_requests(github: GitHub) -> PullRequestList:
    """Return the repository's pull requests, with one query per hundred open ones.

    Raises:
        UsageError: the repository does not exist, is not visible, or is empty.
        ExternalError: GitHub or the network failed, after retries, or the response cannot be
            parsed.
    """
    slug = github.repository
    after, found = "", list[OpenPullRequest]()
    trunk, merged = "", tuple[MergedPullRequest, ...]()
    for page in range(_PAGES):
        variables = {"owner": slug.owner, "name": slug.name, "after": after or None, "first": page == 0}
        listing, after = github.graphql(_QUERY, variables, lambda data: _page(data, slug.slug))
        if not listing.trunk:
            raise UsageError(
                f"{slug.slug} has no branch yet, or GitHub does not show it to you", next_command="gh auth status"
            )
        found += listing.open
        trunk, merged = listing.trunk, merged or listing.merged
        if not after:
            break
    return PullRequestList(trunk, tuple(found), merged)


def _page(data: Mapping[str, Any], slug: str) -> tuple[PullRequestList, str]:
    """Parse one page; return it and the cursor of the next page, "" after the last."""
    repository = data["repository"]
    if repository["defaultBranchRef"] is None:
        return PullRequestList("", (), ()), ""
    nodes = repository["pullRequests"]
    merged = tuple(_merged(node) for node in (repository.get("merged") or {"nodes": ()})["nodes"])
    trunk = str(repository["defaultBranchRef"]["name"])
    listing = PullRequestList(trunk, tuple(_open(node, slug) for node in nodes["nodes"]), merged)
    return listing, str(nodes["pageInfo"]["endCursor"]) if nodes["pageInfo"]["hasNextPage"] else ""


def _open(node: Mapping[str, Any], slug: str) -> OpenPullRequest:
    events = (event for event in node["timelineItems"]["nodes"] if event)
    before = tuple(str(event.get("previousRefName") or event.get("oldBase") or "") for event in events)
    head_repository = (node["headRepository"] or {}).get("nameWithOwner", "")
    return OpenPullRequest(
        number=pr_number(node["number"]),
        title=str(node["title"]),
        base=str(node["baseRefName"]),
        head=str(node["headRefName"]),
        head_oid=oid(node["headRefOid"]),
        cross_repository=head_repository.lower() != slug.lower(),
        earlier_bases=tuple(name for name in before if name),
    )


def _merged(node: Mapping[str, Any]) -> MergedPullRequest:
    return MergedPullRequest(
        pr_number(node["number"]), str(node["title"]), str(node["headRefName"]), oid(node["headRefOid"])
    )
