"""Define the GraphQL fragments of a pull request, and decode their nodes."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from trunkline.domain.names import Id, Oid
from trunkline.domain.snapshot import A_TEAM, OUR_CONTEXTS, CheckRun, ForcePush, PrState, PullRequest
from trunkline.github.decoding import Actor, Commit, Connection, HeadRepository, Node, Number, login

ENTRY = """
fragment entry on PullRequest {
  id number title url state isDraft body baseRefName baseRefOid headRefName headRefOid
  headRepository { nameWithOwner }
  mergedAt mergeCommit { oid parents(first: 3) { nodes { oid } } }
  timelineItems(last: 100, itemTypes: [
    HEAD_REF_FORCE_PUSHED_EVENT, BASE_REF_CHANGED_EVENT, AUTOMATIC_BASE_CHANGE_SUCCEEDED_EVENT
  ]) {
    nodes {
      ... on HeadRefForcePushedEvent { beforeCommit { oid } afterCommit { oid } }
      ... on BaseRefChangedEvent { previousRefName }
      ... on AutomaticBaseChangeSucceededEvent { oldBase }
    }
  }
  commits(last: 1) { nodes { commit { statusCheckRollup { contexts(first: 100) { nodes {
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


class _MergeCommit(Node, frozen=True):
    oid: Id
    parents: Connection[Commit]


class BaseChange(Node, frozen=True):
    """A change of the base, by a person or by GitHub."""

    previous_ref_name: str | None = None
    old_base: str | None = None

    @property
    def before(self) -> str:
        """The name of the earlier base; "" for another event."""
        return self.previous_ref_name or self.old_base or ""


class _Event(BaseChange, frozen=True):
    """A force-push, unless it has an earlier base; its commits may no longer exist."""

    before_commit: Commit | None = None
    after_commit: Commit | None = None


class _Annotation(Node, frozen=True):
    message: str


class _Check(Node, frozen=True):
    """A CheckRun, which has a name, or a StatusContext, which has a context."""

    name: str = ""
    status: str = "COMPLETED"
    conclusion: str | None = None
    annotations: Connection[_Annotation] | None = None
    context: str = ""
    state: str = ""

    def __post_init__(self) -> None:
        if not ((self.context and self.state) or self.name):
            raise ValueError("neither a check run nor a status")

    def of_domain(self) -> CheckRun:
        """Return it as a value of the domain."""
        if self.context:
            return CheckRun(self.context, self.status, self.state)
        notes = self.annotations.visible if self.annotations else ()
        return CheckRun(self.name, self.status, self.conclusion or "", tuple(note.message for note in notes))


class _Rollup(Node, frozen=True):
    contexts: Connection[_Check]


class _CheckedCommit(Node, frozen=True):
    status_check_rollup: _Rollup | None


class _PullRequestCommit(Node, frozen=True):
    commit: _CheckedCommit


class _Commits(Node, frozen=True):
    nodes: tuple[_PullRequestCommit, ...]


class _Review(Node, frozen=True):
    author: Actor | None
    state: str


class _Reviewer(Node, frozen=True):
    login: str | None = None


class _ReviewRequest(Node, frozen=True):
    requested_reviewer: _Reviewer | None


class _Thread(Node, frozen=True):
    is_resolved: bool


class PullRequestNode(Node, frozen=True, kw_only=True):
    """A pull request as queried with `ENTRY`, and with `MERGING` where a default stands."""

    id: str
    number: Number
    title: str
    url: str
    state: PrState
    is_draft: bool
    body: str
    base_ref_name: str
    base_ref_oid: Id | None = None
    head_ref_name: str
    head_ref_oid: Id
    head_repository: HeadRepository | None
    merged_at: str | None
    merge_commit: _MergeCommit | None
    timeline_items: Connection[_Event]
    commits: _Commits
    review_decision: str | None = None
    mergeable: str = "UNKNOWN"
    merge_state_status: str = "UNKNOWN"
    latest_opinionated_reviews: Connection[_Review] | None = None
    review_requests: Connection[_ReviewRequest] | None = None
    review_threads: Connection[_Thread] | None = None

    def of_domain(self) -> PullRequest:
        """Return it as a value of the domain."""
        merge = self.merge_commit
        reviews = self.latest_opinionated_reviews
        requests = self.review_requests
        threads = self.review_threads
        return PullRequest(
            node_id=self.id,
            base_oid=self.base_ref_oid,
            review=self.review_decision or "",
            opinions=tuple((login(each.author), each.state) for each in reviews.visible) if reviews else (),
            requested_reviewers=tuple(map(_requested, requests.visible)) if requests else (),
            open_threads=sum(not thread.is_resolved for thread in threads.visible) if threads else 0,
            mergeable=self.mergeable,
            merge_state=self.merge_state_status,
            number=self.number,
            title=self.title,
            url=self.url,
            state=self.state,
            draft=self.is_draft,
            body=self.body,
            base=self.base_ref_name,
            head=self.head_ref_name,
            head_oid=self.head_ref_oid,
            head_repository=self.head_repository.name_with_owner if self.head_repository else "",
            merged_at=self.merged_at or "",
            merge_commit=merge.oid if merge else None,
            merge_parents=tuple(parent.oid for parent in merge.parents.visible) if merge else (),
            force_pushes=tuple(
                ForcePush(_oid_of(event.before_commit), _oid_of(event.after_commit))
                for event in self.timeline_items.visible
                if not event.before
            ),
            earlier_bases=earlier_bases(self.timeline_items.visible),
            checks=tuple(check for check in self._checks() if not check.name.startswith(OUR_CONTEXTS)),
        )

    def _checks(self) -> tuple[CheckRun, ...]:
        last = self.commits.nodes[0].commit.status_check_rollup if self.commits.nodes else None
        return tuple(context.of_domain() for context in last.contexts.visible) if last else ()


def earlier_bases(events: Iterable[BaseChange]) -> tuple[str, ...]:
    """Return the names of the branches that a pull request targeted before, oldest first."""
    return tuple(dict.fromkeys(event.before for event in events if event.before))


def _requested(request: _ReviewRequest) -> str:
    return (request.requested_reviewer.login if request.requested_reviewer else None) or A_TEAM


def _oid_of(commit: Commit | None) -> Oid | None:
    return commit.oid if commit else None


class _Tip(Node, frozen=True):
    target: Commit | None


class StackAnswer(Node, frozen=True):
    """Data of the stack's query.

    `repository` has the name, trunk's tip, and a pull request for each alias.
    """

    repository: dict[str, Any] | None
    viewer: Actor | None = None


class StackRepository(Node, frozen=True):
    """The repository of the stack's query, with trunk's tip if that was queried."""

    name_with_owner: str
    trunk: _Tip | None = None


class EditedNode(Node, frozen=True):
    """A pull request after a mutation."""

    pull_request: PullRequestNode


class EditedField(Node, frozen=True):
    """A pull request after an edit of one field, by the field's name."""

    pull_request: dict[str, str]
