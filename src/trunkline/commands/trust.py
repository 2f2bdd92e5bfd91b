"""trust: confirm the settings of a branch's stack.toml that decide what runs, where they are not trunk's."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from trunkline.config import trust
from trunkline.config.reading import StackText
from trunkline.context.loading import found_text, top_of
from trunkline.git.git import Git


@dataclass(frozen=True)
class Question:
    """What a person is to confirm.

    Attributes:
        git: the checkout.
        found: the stack.toml that was found.
        lines: how it differs from trunk's, one line a key; empty: there is nothing to confirm.
        why: why there is nothing to confirm; "" where there is.
    """

    git: Git
    found: StackText
    lines: tuple[str, ...]
    why: str


def look(cwd: Path | None = None) -> Question:
    """Compare the checkout's stack.toml with trunk's; nothing that it says is used.

    Raises:
        UsageError: there is none, or it is not TOML.
    """
    git = top_of(Git(cwd or Path.cwd()))
    found = found_text(git)
    origin = trust.origin_of(git, found)
    if not origin.tracked:
        return Question(git, found, (), "git does not track it: it came with no branch")
    changed = trust.changes(found, origin)
    if not changed:
        return Question(git, found, (), f"it has the settings of {origin.named or 'trunk'}")
    return Question(git, found, trust.lines_of(changed, origin.named), "")


def confirm(question: Question) -> None:
    """Remember the hash of the settings; it holds until one of them changes."""
    trust.confirm(question.git, question.found)
