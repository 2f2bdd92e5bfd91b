"""GraphQL nodes of review threads."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from trunkline.sim.graph.tree import Node, connection
from trunkline.sim.model import Comment, Thread


def thread_node(user: Callable[[str], Node | None], page_of_pull: str, thread: Thread) -> Node:
    """Return a review thread.

    Args:
        user: returns the account of a login.
        page_of_pull: the page of its pull request.
        thread: the thread.
    """

    def comment(item: Comment) -> Node:
        return Node(
            "PullRequestReviewComment",
            {
                "author": lambda: user(item.author),
                "body": item.body,
                "createdAt": item.at,
                "url": f"{page_of_pull}#discussion_r{item.id}",
            },
        )

    def comments(skip: int | None = None, **page: Any) -> Node:
        return connection("PullRequestReviewCommentConnection", thread.comments[skip or 0 :], comment, page)

    return Node(
        "PullRequestReviewThread",
        {
            "isResolved": thread.resolved,
            "isOutdated": False,
            "path": thread.path,
            "line": thread.line,
            "comments": comments,
        },
    )
