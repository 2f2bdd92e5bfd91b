"""List a repository's pull requests: all open ones, and recently merged ones."""

from __future__ import annotations

import msgspec

from trunkline.domain.discover import MergedPullRequest, OpenPullRequest
from trunkline.domain.errors import UsageError
from trunkline.domain.names import Id
from trunkline.github.client import GitHub
from trunkline.github.decoding import Connection, HeadRepository, Node, Number
from trunkline.github.pull_request_nodes import BaseChange, earlier_bases

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


class _Merged(Node, frozen=True):
    number: Number
    title: str
    base_ref_name: str
    head_ref_name: str
    head_ref_oid: Id


class _Open(_Merged, frozen=True):
    is_draft: bool
    head_repository: HeadRepository | None
    timeline_items: Connection[BaseChange]


class _PageInfo(Node, frozen=True):
    has_next_page: bool
    end_cursor: str | None


class _OpenPage(Connection[_Open], frozen=True):
    page_info: _PageInfo


class _DefaultBranch(Node, frozen=True):
    name: str


class _Repository(Node, frozen=True):
    default_branch_ref: _DefaultBranch | None
    pull_requests: _OpenPage
    merged: Connection[_Merged] | None = None


class _Answer(Node, frozen=True):
    repository: _Repository


class PullRequestList(msgspec.Struct, frozen=True):
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
        try:
            listing, after = github.graphql(_QUERY, variables, _Answer, lambda answer: _page(answer, slug.slug))
        except UsageError as error:
            error.what = f"GitHub shows you no repository {slug.argument}"
            error.why = error.why or f"the remote's host is {slug.host}; it does not exist there, or is private"
            error.next_commands = ("git remote -v", *error.next_commands)
            raise
        if not listing.trunk:
            raise UsageError(
                f"{slug.slug} has no branch yet, or GitHub does not show it to you", next_command="gh auth status"
            )
        found += listing.open
        trunk, merged = listing.trunk, merged or listing.merged
        if not after:
            break
    return PullRequestList(trunk, tuple(found), merged)


def _page(answer: _Answer, slug: str) -> tuple[PullRequestList, str]:
    """Return one page and the cursor of the next page, "" after the last."""
    repository = answer.repository
    if repository.default_branch_ref is None:
        return PullRequestList("", (), ()), ""
    page, merged = repository.pull_requests, repository.merged
    listing = PullRequestList(
        repository.default_branch_ref.name,
        tuple(_open(node, slug) for node in page.visible),
        tuple(
            MergedPullRequest(node.number, node.title, node.head_ref_name, node.head_ref_oid)
            for node in merged.visible
        )
        if merged
        else (),
    )
    return listing, (page.page_info.end_cursor or "") if page.page_info.has_next_page else ""


def _open(node: _Open, slug: str) -> OpenPullRequest:
    head_repository = node.head_repository.name_with_owner if node.head_repository else ""
    return OpenPullRequest(
        number=node.number,
        title=node.title,
        base=node.base_ref_name,
        head=node.head_ref_name,
        head_oid=node.head_ref_oid,
        cross_repository=head_repository.lower() != slug.lower(),
        earlier_bases=earlier_bases(node.timeline_items.visible),
    )
