"""The result of a rehearsal: changes to refs, pull requests and receipts."""

from __future__ import annotations

import difflib
from collections.abc import Mapping
from typing import Any

import msgspec

from trunkline.domain.names import Oid, PrNumber, pr_number

REHEARSED = ("rebase", "restack", "land", "rescue", "submit", "modify")
"""The tasks that can be rehearsed."""


class RefChange(msgspec.Struct, frozen=True):
    """A remote ref before and after; None if missing. `commits` is the number of new commits."""

    name: str
    old: Oid | None
    new: Oid | None
    commits: int


class PullChange(msgspec.Struct, frozen=True):
    """A pull request's changed fields (before, after); `body` has the description's diff."""

    number: PrNumber
    fields: tuple[tuple[str, str, str], ...]
    body: str


class Rehearsed(msgspec.Struct, frozen=True):
    """The result of a rehearsal.

    Attributes:
        command: the rehearsed command.
        code: its exit code.
        refs: the remote's refs that changed.
        pulls: the pull requests that changed.
        receipts: the number of new receipts, which are valid here too.
        preparing: seconds for creating the sandbox.
        seconds: seconds for the task.
        faults: the number of injected faults.
        hits: the number of faults that occurred.
        place: the sandbox if it was kept; else "".
        following: the next commands that the task printed; they are for a shell in the sandbox.
    """

    command: str
    code: int
    refs: tuple[RefChange, ...]
    pulls: tuple[PullChange, ...]
    receipts: int
    preparing: float
    seconds: float
    faults: int = 0
    hits: int = 0
    place: str = ""
    following: tuple[str, ...] = ()


def pull_changes(before: Mapping[int, Any], after: Mapping[int, Any]) -> tuple[PullChange, ...]:
    """Return the pull requests that changed.

    Args:
        before: pull requests of the simulated GitHub by number, as JSON values.
        after: likewise; none is missing.
    """
    found = []
    for number, now in sorted(after.items()):
        then = before.get(number, {})
        fields = tuple(
            (name, str(then.get(name, "")), str(now[name]))
            for name in ("state", "draft", "base")
            if then.get(name) != now[name]
        )
        old, new = str(then.get("body", "")).splitlines(), str(now["body"]).splitlines()
        body = "\n".join(list(difflib.unified_diff(old, new, lineterm="", n=1))[2:])
        if fields or body:
            found.append(PullChange(pr_number(number), fields, body))
    return tuple(found)
