"""Command `comments`: read the open review threads of a stack, or of one entry."""

from __future__ import annotations

from trunkline.context.project import Project
from trunkline.domain.names import EntryKey
from trunkline.domain.review_thread import ReviewThread
from trunkline.domain.stack import Entry
from trunkline.github.review_threads import open_threads


def threads(project: Project, only: EntryKey | None) -> list[tuple[Entry, tuple[ReviewThread, ...]]]:
    """Return the open review threads of each entry with a pull request, bottom first.

    Args:
        project: the project.
        only: the one entry to read; None: all.

    Raises:
        UsageError: there is no such entry.
        ExternalError: the request to GitHub failed.
    """
    entries = [project.stack.entry(only)] if only is not None else project.stack.entries
    numbered = [entry for entry in entries if entry.number is not None]
    found = open_threads(project.github, [entry.pr for entry in numbered])
    return [(entry, found[entry.pr]) for entry in numbered]
