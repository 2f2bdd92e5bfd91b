"""Run the commit hooks of a task that makes commits of the user's own changes."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator

from trunkline.domain.errors import CheckFailed
from trunkline.tasks.session import TaskSession


@contextlib.contextmanager
def running(session: TaskSession) -> Iterator[None]:
    """Name the next commands if a hook fails: the same again, and the same without hooks."""
    try:
        yield
    except CheckFailed as error:
        error.next_commands = (session.again({}), session.again({"no-verify": True}))
        raise
