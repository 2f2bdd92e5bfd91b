"""Command `trust`: confirm settings of a branch's stack.toml that decide which programs run."""

from __future__ import annotations

from pathlib import Path

import msgspec

from trunkline.config import trust, validation
from trunkline.config.reading import StackText
from trunkline.context.loading import checkout, found_text
from trunkline.git.git import Git


class Question(msgspec.Struct, frozen=True):
    """The settings that the user must confirm.

    Attributes:
        git: the checkout.
        found: the stack.toml that was found.
        lines: the differences from trunk's version, one line per key; empty if there are none.
        why: why there is nothing to confirm, or "".
    """

    git: Git
    found: StackText
    lines: tuple[str, ...]
    why: str


def question_of(cwd: Path | None = None) -> Question:
    """Compare the checkout's stack.toml with trunk's, without applying its settings.

    Raises:
        UsageError: it does not exist, or it is not valid; a misspelt table would be confirmed as if it applied.
    """
    git = checkout(cwd)
    found = found_text(git)
    validation.stacks_of(found)
    origin = trust.origin_of(git, found)
    if not origin.tracked:
        return Question(git, found, (), "git does not track it: it came with no branch")
    changed = trust.changes(found, origin)
    if not changed:
        return Question(git, found, (), f"it has the settings of {origin.named or 'trunk'}")
    return Question(git, found, trust.lines_of(changed, origin.named), "")


def confirm(question: Question) -> None:
    """Store the hash of the settings; it is valid until one of them changes."""
    trust.confirm(question.git, question.found)
