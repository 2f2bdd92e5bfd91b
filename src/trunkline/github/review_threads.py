"""Read the open review threads of several pull requests, in one query."""

from __future__ import annotations

from collections.abc import Sequence

from msgspec.structs import replace

from trunkline.domain.names import PrNumber
from trunkline.domain.review_thread import ReviewThread
from trunkline.github.client import GitHub
from trunkline.github.decoding import GHOST, Actor, Connection, Node


class _Comment(Node, frozen=True):
    author: Actor | None
    body: str
    created_at: str
    url: str


class _Comments(Connection[_Comment], frozen=True):
    total_count: int


class _Thread(Node, frozen=True):
    is_resolved: bool
    is_outdated: bool
    path: str
    line: int | None
    comments: _Comments


class _PullRequest(Node, frozen=True):
    review_threads: Connection[_Thread]


class _Answer(Node, frozen=True):
    repository: dict[str, _PullRequest]


def open_threads(github: GitHub, numbers: Sequence[PrNumber]) -> dict[PrNumber, tuple[ReviewThread, ...]]:
    """Return the unresolved threads of each pull request, among its first hundred, by file and line.

    Raises:
        ExternalError: the request to GitHub failed.
    """
    if not numbers:
        return {}
    comments = "comments(first: 1) { totalCount nodes { author { login } body createdAt url } }"
    fields = f"reviewThreads(first: 100) {{ nodes {{ isResolved isOutdated path line {comments} }} }}"
    aliases = "\n".join(f"pr{number}: pullRequest(number: {number}) {{ {fields} }}" for number in numbers)
    query = (
        "query OpenThreads($owner: String!, $name: String!)"
        f" {{ repository(owner: $owner, name: $name) {{ {aliases} }} }}"
    )
    variables = {"owner": github.repository.owner, "name": github.repository.name}

    def read(answer: _Answer) -> dict[PrNumber, tuple[ReviewThread, ...]]:
        return {number: _open_of(answer.repository[f"pr{number}"]) for number in numbers}

    return github.graphql(query, variables, _Answer, read)


def _open_of(pull: _PullRequest) -> tuple[ReviewThread, ...]:
    threads = (node for node in pull.review_threads.visible if not node.is_resolved)
    return tuple(sorted(map(_thread, threads), key=_place))


def _thread(node: _Thread) -> ReviewThread:
    found = ReviewThread(node.path, node.line, node.is_outdated)
    for first in node.comments.visible:
        author = first.author.login if first.author is not None else GHOST
        replies = node.comments.total_count - 1
        return replace(found, author=author, text=first.body, at=first.created_at, url=first.url, replies=replies)
    return found


def _place(thread: ReviewThread) -> tuple[str, int]:
    return thread.path, thread.line or 0
