"""Detect GitHub's native stacks, once per repository, and read them.

Most repositories do not have them. That answer is cached in the state directory for a week.
"""

from __future__ import annotations

import contextlib
import datetime as dt
import json
from collections.abc import Callable, Iterator
from pathlib import Path

import msgspec

from trunkline.context.scope import Scope
from trunkline.domain.native import NativeStack
from trunkline.github import native_stacks
from trunkline.system.files import private_directory, read_regular, replace_bytes

_FILE = "native-stacks.json"
_DAYS = 7
"""Days for which the answer "there are none" is cached."""
_LIMIT = 65_536


class _Absence(msgspec.Struct, frozen=True):
    """A repository on GitHub without native stacks, and the date of the answer."""

    repository: str
    absent_since: dt.date


@contextlib.contextmanager
def asking(scope: Scope) -> Iterator[Callable[[], tuple[NativeStack, ...] | None]]:
    """Query the repository's native stacks; the yielded function waits for the response.

    It returns None if the repository has no native stacks, and caches that answer.

    Raises:
        ExternalError: GitHub or the network failed.
    """
    if _is_known_absent(scope):
        yield lambda: None
        return
    with native_stacks.reading(scope.github) as response:

        def found() -> tuple[NativeStack, ...] | None:
            stacks = response()
            if stacks is None:
                _remember_absent(scope)
            return stacks

        yield found


def _is_known_absent(scope: Scope) -> bool:
    with contextlib.suppress(OSError, msgspec.MsgspecError):
        known = msgspec.json.decode(read_regular(scope.state / _FILE, _LIMIT), type=_Absence)
        age = dt.datetime.now(dt.timezone.utc).date() - known.absent_since
        return known.repository == scope.repository.argument and 0 <= age.days < _DAYS
    return False


def _remember_absent(scope: Scope) -> None:
    today = dt.datetime.now(dt.timezone.utc).date().isoformat()
    content = json.dumps({"repository": scope.repository.argument, "absent_since": today})
    with contextlib.suppress(OSError):  # a read-only checkout: requested again next time
        replace_bytes(Path(private_directory(scope.state)) / _FILE, content.encode() + b"\n")
