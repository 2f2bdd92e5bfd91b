"""Read and change GitHub's native stacks by REST (GitHub's OpenAPI description, routes below `stacks`).

A repository without them responds 404 to every route, and so does an enterprise server.
"""

from __future__ import annotations

import contextlib
import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

from trunkline.domain.errors import NotSignedIn
from trunkline.domain.names import PrNumber, pr_number
from trunkline.domain.native import Member, NativeStack
from trunkline.github.client import GitHub
from trunkline.github.responses import NotFound

_LIST = "stacks?per_page=100"


@contextlib.contextmanager
def reading(github: GitHub) -> Iterator[Callable[[], tuple[NativeStack, ...] | None]]:
    """Query the native stacks of a repository; the yielded function waits for the response.

    It returns None if the repository has no native stacks, or hides them from this user.

    Raises:
        ExternalError: GitHub or the network failed, after retries, or the response cannot be
            parsed.
    """
    with github.listing(_LIST, _stacks) as answer:

        def found() -> tuple[NativeStack, ...] | None:
            try:
                return answer()
            except (NotFound, NotSignedIn):  # the query for the pull requests reports a missing sign-in
                return None

        yield found


def create(github: GitHub, numbers: Sequence[PrNumber]) -> NativeStack:
    """Create a native stack, bottom first.

    Raises:
        Refused: GitHub rejects it: the pull requests are no chain, or one is in a stack already.
    """
    return _send(github, "stacks", {"pull_requests": list(numbers)})


def add(github: GitHub, stack: int, numbers: Sequence[PrNumber]) -> NativeStack:
    """Append pull requests on top of a native stack.

    Raises:
        Refused: GitHub rejects it, or another request modifies the stack.
    """
    return _send(github, f"stacks/{stack}/add", {"pull_requests": list(numbers)})


def unstack(github: GitHub, stack: int) -> None:
    """Take the unmerged pull requests out of a native stack.

    Raises:
        Refused: GitHub rejects it: they are being merged, or another request modifies the stack.
    """
    with contextlib.suppress(NotFound):  # it is dissolved already
        github.send("POST", f"stacks/{stack}/unstack", b"{}", lambda _: None)


def _send(github: GitHub, path: str, fields: Mapping[str, Any]) -> NativeStack:
    return github.send("POST", path, json.dumps(fields).encode(), _stack)


def _stacks(body: Sequence[Any]) -> tuple[NativeStack, ...]:
    return tuple(_stack(each) for each in body)


def _stack(body: Mapping[str, Any]) -> NativeStack:
    members = tuple(
        Member(pr_number(each["number"]), each["state"] == "open", bool(each["merged_at"]))
        for each in body["pull_requests"]
    )
    return NativeStack(int(body["number"]), str(body["base"]["ref"]), members)
