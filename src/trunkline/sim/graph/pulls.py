"""GraphQL nodes of pull requests and repositories."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any

from trunkline.sim import heads, rules
from trunkline.sim.graph.branches import comparison, ruleset
from trunkline.sim.graph.commits import commit_node
from trunkline.sim.graph.review_threads import thread_node
from trunkline.sim.graph.timeline import timeline
from trunkline.sim.graph.tree import GraphError, Node, QueryContext, connection
from trunkline.sim.model import Comment, Label, PullRequest, PullState, Repository, Review
from trunkline.sim.refused import NotSimulatedError

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

_REACTIONS = ("THUMBS_UP", "THUMBS_DOWN", "LAUGH", "HOORAY", "CONFUSED", "HEART", "ROCKET", "EYES")
_CLASSIC = (
    "Projects (classic) is being deprecated in favor of the new Projects experience, see:"
    " https://github.blog/changelog/2024-05-23-sunset-notice-projects-classic/."
)


def url_of(repository: Repository, pull: PullRequest) -> str:
    """Return the URL of a pull request."""
    return f"https://github.com/{repository.slug}/pull/{pull.number}"


def node_id(repository: Repository, pull: PullRequest) -> str:
    """Return a pull request's global id."""
    return f"PR_{repository.id}_{pull.number}"


def user_node(query_context: QueryContext, login: str) -> Node:
    """Return a user."""
    user = query_context.world.add_user(login)
    return Node(
        "User",
        {
            "id": f"U_{user.id}",
            "databaseId": user.id,
            "login": user.login,
            "name": user.name,
            "url": f"https://github.com/{user.login}",
        },
    )


def pull_node(query_context: QueryContext, repository: Repository, pull: PullRequest) -> Node:
    """Return a pull request."""
    return Node(
        "PullRequest",
        {
            **_plain(repository, pull),
            **_people(query_context, pull),
            **_conversation(query_context, repository, pull),
            **_git(query_context, repository, pull),
            "repository": lambda: repository_node(query_context, repository),
            "baseRepository": lambda: repository_node(query_context, repository),
            "headRepository": lambda: _head_repository(query_context, repository, pull),
            "headRepositoryOwner": lambda: user_node(query_context, heads.owner(repository, pull)),
            "timelineItems": timeline(query_context, repository, pull),
        },
    )


def _head_repository(query_context: QueryContext, repository: Repository, pull: PullRequest) -> Node | None:
    """Return the repository of the head; null for a fork that was deleted."""
    found = heads.home(query_context.world, repository, pull)
    return repository_node(query_context, found) if found is not None else None


def _plain(repository: Repository, pull: PullRequest) -> dict[str, Any]:
    # Auto-merge and milestones are not simulated: no repository has any.
    return {
        "id": node_id(repository, pull),
        "number": pull.number,
        "title": pull.title,
        "body": pull.body,
        "url": url_of(repository, pull),
        "permalink": url_of(repository, pull),
        "state": pull.state.value,
        "isDraft": pull.draft,
        "closed": pull.state is not PullState.OPEN,
        "merged": pull.state is PullState.MERGED,
        "createdAt": pull.created_at,
        "updatedAt": pull.updated_at,
        "closedAt": pull.closed_at or None,
        "mergedAt": pull.merged_at or None,
        "baseRefName": pull.base,
        "headRefName": pull.head,
        "headRefOid": pull.head_oid,
        "isCrossRepository": bool(pull.fork),
        "maintainerCanModify": False,
        "viewerCanUpdate": True,
        "viewerCanClose": pull.state is PullState.OPEN,
        "isInMergeQueue": queued(repository, pull),
        "isMergeQueueEnabled": rules.rule_of(repository, pull).queue,
        "mergeQueueEntry": _queue_entry(repository, pull),
        "autoMergeRequest": None,
        "milestone": None,
        "locked": False,
        "reviewDecision": rules.review_decision(repository, pull),
    }


def queued(repository: Repository, pull: PullRequest) -> bool:
    """Return whether a pull request is in the merge queue."""
    return pull.number in repository.queue()


def _queue_entry(repository: Repository, pull: PullRequest) -> Node | None:
    waiting = repository.queue()
    if pull.number not in waiting:
        return None
    return Node("MergeQueueEntry", {"state": "AWAITING_CHECKS", "position": waiting.index(pull.number) + 1})


def _people(query_context: QueryContext, pull: PullRequest) -> dict[str, Any]:
    def nobody(typename: str) -> Callable[..., Node]:
        return lambda **page: connection(typename, (), lambda login: user_node(query_context, login), page)

    return {
        "author": lambda: user_node(query_context, pull.author),
        "mergedBy": lambda: user_node(query_context, pull.merged_by) if pull.merged_by else None,
        "assignees": nobody("UserConnection"),
        "assignedActors": nobody("AssigneeConnection"),
        "reviewRequests": lambda **page: connection(
            "ReviewRequestConnection",
            pull.review_requests,
            lambda login: Node("ReviewRequest", {"requestedReviewer": lambda: user_node(query_context, login)}),
            page,
        ),
        "projectItems": _no_project_items,
        "projectCards": _classic_projects,
    }


def _no_project_items(*, include_archived: bool, **page: Any) -> Node:  # noqa: ARG001 -- there are none of either
    """Return no project items: projects are not simulated, so no pull request is in one."""
    nothing: tuple[Node, ...] = ()
    return connection("ProjectV2ItemConnection", nothing, lambda item: item, page)


def _classic_projects(**_: Any) -> Node:
    """Fail as github.com does; this error breaks `gh pr edit` before gh 2.82."""
    raise GraphError("", _CLASSIC)


def _conversation(query_context: QueryContext, repository: Repository, pull: PullRequest) -> dict[str, Any]:
    def comment(item: Comment) -> Node:
        return comment_node(query_context, repository, pull, item)

    def review(item: Review) -> Node:
        return _review_node(query_context, repository, item)

    def labels(order_by: Mapping[str, str] | None = None, **page: Any) -> Node:
        return _labels(repository, pull.labels, order_by, page)

    latest = tuple({item.author: item for item in pull.reviews}.values())
    opinions = {item.author: item for item in pull.reviews if item.state not in {"COMMENTED", "PENDING"}}

    def latest_opinions(*, writers_only: bool, **page: Any) -> Node:  # noqa: ARG001 -- all may write
        return connection("PullRequestReviewConnection", tuple(opinions.values()), review, page)

    return {
        "latestOpinionatedReviews": latest_opinions,
        "reviewThreads": lambda **page: connection(
            "PullRequestReviewThreadConnection",
            pull.threads,
            lambda thread: thread_node(partial(user_node, query_context), url_of(repository, pull), thread),
            page,
        ),
        "latestReviews": lambda **page: connection("PullRequestReviewConnection", latest, review, page),
        "labels": labels,
        "comments": lambda **page: connection("IssueCommentConnection", pull.comments, comment, page),
        "reviews": lambda **page: connection("PullRequestReviewConnection", pull.reviews, review, page),
        "reactionGroups": reactions,
    }


def reactions() -> list[Node]:
    """Return GitHub's eight reaction groups, all empty."""
    nobody = Node("ReactingUserConnection", {"totalCount": 0})
    return [Node("ReactionGroup", {"content": content, "users": lambda **_: nobody}) for content in _REACTIONS]


def label_node(repository: Repository, label: Label) -> Node:
    """Return a label."""
    return Node(
        "Label",
        {
            "id": f"L_{repository.id}_{label.name}",
            "name": label.name,
            "description": label.description or None,
            "color": label.color,
        },
    )


def comment_node(query_context: QueryContext, repository: Repository, pull: PullRequest, comment: Comment) -> Node:
    """Return a comment of the conversation."""
    return Node(
        "IssueComment",
        {
            "id": f"IC_{comment.id}",
            "databaseId": comment.id,
            "author": lambda: user_node(query_context, comment.author),
            "authorAssociation": association(repository, comment.author),
            "body": comment.body,
            "createdAt": comment.at,
            "includesCreatedEdit": False,
            "isMinimized": False,
            "minimizedReason": None,
            "reactionGroups": reactions,
            "url": f"{url_of(repository, pull)}#issuecomment-{comment.id}",
            "viewerDidAuthor": comment.author == query_context.login,
        },
    )


def _review_node(query_context: QueryContext, repository: Repository, review: Review) -> Node:
    return Node(
        "PullRequestReview",
        {
            "id": f"PRR_{review.id}",
            "author": lambda: user_node(query_context, review.author),
            "authorAssociation": association(repository, review.author),
            "submittedAt": review.at,
            "body": review.body,
            "state": review.state,
            "commit": lambda: commit_node(query_context, repository, review.commit),
            "reactionGroups": reactions,
        },
    )


def association(repository: Repository, login: str) -> str:
    """Return GraphQL's CommentAuthorAssociation: all users but the owner are members."""
    return "OWNER" if login == repository.owner else "MEMBER"


def _git(query_context: QueryContext, repository: Repository, pull: PullRequest) -> dict[str, Any]:
    world = query_context.world
    bare = world.bare(repository)
    base = world.base_tip(repository, pull)

    def commits(**page: Any) -> Node:
        found = bare.between(base, pull.head_oid)
        return connection(
            "PullRequestCommitConnection",
            found,
            lambda data: Node(
                "PullRequestCommit",
                {"id": f"PRC_{data.oid}", "commit": lambda: commit_node(query_context, repository, data.oid)},
            ),
            page,
        )

    return {
        "baseRef": lambda: _branch(query_context, repository, pull.base),
        "headRef": lambda: _head_ref(query_context, repository, pull),
        "baseRefOid": base,
        "mergeable": lambda: rules.mergeable(world, repository, pull).value,
        "mergeStateStatus": lambda: rules.merge_state(world, repository, pull),
        "mergeCommit": lambda: (
            commit_node(query_context, repository, pull.merge_commit) if pull.merge_commit else None
        ),
        "commits": commits,
        "additions": lambda: bare.size(base, pull.head_oid)[1],
        "deletions": lambda: bare.size(base, pull.head_oid)[2],
        "changedFiles": lambda: bare.size(base, pull.head_oid)[0],
    }


def _head_ref(query_context: QueryContext, repository: Repository, pull: PullRequest) -> Node | None:
    found = heads.home(query_context.world, repository, pull)
    return _branch(query_context, found, pull.head) if found is not None else None


def repository_node(query_context: QueryContext, repository: Repository) -> Node:
    """Return a repository."""
    settings = repository.settings
    url = f"https://github.com/{repository.slug}"
    return Node(
        "Repository",
        {
            "id": f"R_{repository.id}",
            "databaseId": repository.id,
            "name": repository.name,
            "nameWithOwner": repository.slug,
            "owner": lambda: user_node(query_context, repository.owner),
            "url": url,
            "sshUrl": f"git@github.com:{repository.slug}.git",
            "description": None,
            "parent": lambda: _parent(query_context, repository),
            "isFork": bool(repository.parent),
            "isPrivate": False,
            "isArchived": False,
            "hasIssuesEnabled": True,
            "hasWikiEnabled": True,
            "viewerPermission": "ADMIN",
            "mergeCommitAllowed": settings.merge_allowed,
            "squashMergeAllowed": settings.squash_allowed,
            "rebaseMergeAllowed": settings.rebase_allowed,
            "squashMergeCommitTitle": settings.squash_title,
            "squashMergeCommitMessage": settings.squash_message,
            "deleteBranchOnMerge": settings.delete_branch_on_merge,
            "defaultBranchRef": lambda: _branch(query_context, repository, repository.default_branch),
            "ref": lambda qualified_name: _branch(
                query_context, repository, qualified_name.removeprefix("refs/heads/")
            ),
            "labels": lambda order_by=None, **page: _labels(repository, tuple(repository.labels), order_by, page),
            "pullRequest": lambda number: _pull(query_context, repository, number),
            "pullRequests": lambda **arguments: _pulls(query_context, repository, **arguments),
        },
    )


def _parent(query_context: QueryContext, repository: Repository) -> Node | None:
    found = query_context.world.repository(repository.parent)
    return repository_node(query_context, found) if found is not None else None


def _branch(query_context: QueryContext, repository: Repository, name: str) -> Node | None:
    """Return a branch; null if it does not exist."""
    if name not in repository.refs:
        return None
    # Requirements of a branch are simulated as a ruleset, never as classic branch protection.
    rule = repository.rules.get(name)
    fields: dict[str, Any] = {
        "id": f"REF_{repository.id}_{name}",
        "name": name,
        "prefix": "refs/heads/",
        "target": lambda: commit_node(query_context, repository, repository.refs[name]),
        "branchProtectionRule": None,
        "rules": lambda order_by=None, **page: ruleset(rule, order_by, page),
        "compare": lambda head_ref: comparison(query_context.world, repository, name, head_ref),
    }
    return Node("Ref", fields)


def _labels(
    repository: Repository, names: tuple[str, ...], order_by: Mapping[str, str] | None, page: dict[str, Any]
) -> Node:
    """Return labels in the requested order, by default in order of creation."""
    order = {"field": "CREATED_AT", "direction": "ASC", **(order_by or {})}
    created = list(repository.labels)
    keys: dict[str, Callable[[str], Any]] = {"CREATED_AT": created.index, "NAME": str}
    if order["field"] not in keys:
        raise NotSimulatedError(f"labels(orderBy: {order['field']})")
    ordered = sorted(names, key=keys[order["field"]], reverse=order["direction"] == "DESC")
    labels = [repository.labels[name] for name in ordered]
    return connection("LabelConnection", labels, lambda label: label_node(repository, label), page)


def _pull(query_context: QueryContext, repository: Repository, number: int) -> Node:
    pull = repository.pulls.get(number)
    if pull is None:
        raise GraphError("NOT_FOUND", f"Could not resolve to a PullRequest with the number of {number}.")
    return pull_node(query_context, repository, pull)


def _pulls(
    query_context: QueryContext,
    repository: Repository,
    *,
    states: list[str] | None = None,
    base_ref_name: str | None = None,
    head_ref_name: str | None = None,
    order_by: Mapping[str, str] | None = None,
    **page: Any,
) -> Node:
    chosen = [
        pull
        for pull in repository.pulls.values()
        if (not states or pull.state.value in states)
        and (base_ref_name is None or pull.base == base_ref_name)
        and (head_ref_name is None or pull.head == head_ref_name)
    ]
    order = {"field": "CREATED_AT", "direction": "ASC", **(order_by or {})}
    keys = {"CREATED_AT": "created_at", "UPDATED_AT": "updated_at"}
    if order["field"] not in keys:
        raise NotSimulatedError(f"pullRequests(orderBy: {order['field']})")
    key = keys[order["field"]]
    chosen.sort(key=lambda pull: (getattr(pull, key), pull.number), reverse=order["direction"] == "DESC")
    return connection("PullRequestConnection", chosen, lambda pull: pull_node(query_context, repository, pull), page)
