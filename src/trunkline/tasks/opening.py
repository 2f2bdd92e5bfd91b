"""Open what a task works on: the checkout, and an entry or the whole stack.

The one module that loads `context`: listing, completing and refusing tasks do without it (37 ms).
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from trunkline.context.run import Context
    from trunkline.domain.options import Options
    from trunkline.domain.stack import Stack
    from trunkline.git.git import Git
    from trunkline.tasks.session import TaskSession


def checkout() -> Git:
    """Return the repository at the top of the work tree that the current directory is in; see `top_of`."""
    from trunkline.context.loading import top_of
    from trunkline.git.git import Git

    return top_of(Git(Path.cwd()))


def open_entry(session: TaskSession, pr: str | None, stack: str, options: Options) -> Context:
    """Open the entry that `--pr` and `--stack` name; see `open_context`."""
    from trunkline.context.loading import open_context

    return open_context(pr, stack=stack, options=options, reporter=session.terminal)


def open_stack(session: TaskSession, stack: str, options: Options) -> Context:
    """Open the stack that `--stack` names; see `loading.open_stack`."""
    from trunkline.context import loading

    return loading.open_stack(stack=stack, options=options, reporter=session.terminal)


def read_stack(git: Git, name: str) -> Stack:
    """Return the stack that `--stack` names, for a task that needs no repository on GitHub."""
    from trunkline.context.loading import choose_stack, load_stacks

    return choose_stack(load_stacks(git), name)
