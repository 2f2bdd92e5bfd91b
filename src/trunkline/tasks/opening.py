"""Open what a task works on: the checkout, and an entry or the whole stack."""

from __future__ import annotations

from typing import TYPE_CHECKING

from trunkline import context as contexts

if TYPE_CHECKING:
    from trunkline.context.project import Reporter
    from trunkline.context.run import Context
    from trunkline.domain.options import Options
    from trunkline.domain.stack import Stack
    from trunkline.git.git import Git


def checkout() -> Git:
    """Return the repository at the top of the work tree that the current directory is in; see `top_of`."""
    return contexts.loading.checkout()


def open_entry(reporter: Reporter, pr: str | None, stack: str, options: Options) -> Context:
    """Open the entry that `--pr` and `--stack` name; see `open_context`."""
    return contexts.loading.open_context(pr, stack=stack, options=options, reporter=reporter)


def open_stack(reporter: Reporter, stack: str, options: Options) -> Context:
    """Open the stack that `--stack` names; see `loading.open_stack`."""
    return contexts.loading.open_stack(stack=stack, options=options, reporter=reporter)


def read_stack(git: Git, name: str) -> Stack:
    """Return the stack that `--stack` names, for a task that needs no repository on GitHub."""
    return contexts.loading.choose_stack(contexts.loading.load_stacks(git), name)
