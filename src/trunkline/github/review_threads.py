"""Read the open review threads of several pull requests, in one query."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from trunkline.domain.names import PrNumber
from trunkline.domain.review_thread import ReviewThread
from trunkline.github.client import GitHub


def open_threads(github: GitHub, numbers: Sequence[PrNumber]) -> dict[PrNumber, tuple[ReviewThread, ...]]:
    """Return the unresolved threads of each pull request, among its first hundred, by file and line.

    Raises:
        ExternalError: the request to GitHub failed.
    """
    if not numbers:
        return {}
    fields = "reviewThreads(first: 100) { nodes { isResolved isOutdated path line } }"
    aliases = "\n".join(f"pr{number}: pullRequest(number: {number}) {{ {fields} }}" for number in numbers)
    query = (
        "query OpenThreads($owner: String!, $name: String!)"
        f" {{ repository(owner: $owner, name: $name) {{ {aliases} }} }}"
    )
    variables = {"owner": github.repository.owner, "name": github.repository.name}

    def read(data: Mapping[str, Any]) -> dict[PrNumber, tuple[ReviewThread, ...]]:
        nodes = {number: data["repository"][f"pr{number}"]["reviewThreads"]["nodes"] for number in numbers}
        return {
            number: tuple(sorted(map(_thread, filter(_is_open, each)), key=_place)) for number, each in nodes.items()
        }

    return github.graphql(query, variables, read)


def _is_open(node: Mapping[str, Any] | None) -> bool:
    return node is not None and not node["isResolved"]


def _thread(node: Mapping[str, Any]) -> ReviewThread:
    return ReviewThread(str(node["path"]), node["line"], bool(node["isOutdated"]))


def _place(thread: ReviewThread) -> tuple[str, int]:
    return thread.path, thread.line or 0
