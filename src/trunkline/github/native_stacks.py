"""Read and change GitHub's native stacks by REST (GitHub's OpenAPI description, routes below `stacks`).

A repository without them responds 404 to every route, and so does an enterprise server.
"""

from __future__ import annotations

import contextlib
import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

from trunkline.domain.errors import NotSignedIn
from trunkline.domain.names import PrNumber
from trunkline.domain.native import Member, NativeStack
from trunkline.github.client import GitHub
from trunkline.github.decoding import Branch, Number, Resource
from trunkline.github.responses import NotFound

_LIST = "stacks?per_page=100"


class _Member(Resource, frozen=True):
    number: Number
    state: str
    merged_at: str | None


class _Stack(Resource, frozen=True):
    number: int
    base: Branch
    pull_requests: tuple[_Member, ...]

    def of_domain(self) -> NativeStack:
        """Return it as a value of the domain."""
        members = (Member(each.number, each.state == "open", bool(each.merged_at)) for each in self.pull_requests)
        return NativeStack(self.number, self.base.ref, tuple(members))


@contextlib.contextmanager
def reading(github: GitHub) -> Iterator[Callable[[], tuple[NativeStack, ...] | None]]:
    """Query the native stacks of a repository; the yielded function waits for the response.

    It returns None if the repository has no native stacks, or hides them from this user.

    Raises:
        ExternalError: GitHub or the network failed, after retries, or the response cannot be
            parsed.
    """
    with github.begin_rest(_LIST, tuple[_Stack, ...]) as response:

        def found() -> tuple[NativeStack, ...] | None:
            try:
                return tuple(stack.of_domain() for stack in response())
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
        github.send("POST", f"stacks/{stack}/unstack", b"{}", object)


def _send(github: GitHub, path: str, fields: Mapping[str, Any]) -> NativeStack:
    return github.send("POST", path, json.dumps(fields).encode(), _Stack).of_domain()
