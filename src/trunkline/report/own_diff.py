"""Convert an entry's diff to JSON values; their keys are a public interface."""

from __future__ import annotations

from typing import Any

from trunkline.domain.own_diff import EntryDiff


def diff_data(diff: EntryDiff, text: str) -> dict[str, Any]:
    """Return an entry's diff as JSON values.

    Args:
        diff: the diff.
        text: the output of its git command.
    """
    review = diff.review
    return {
        "fork_point": diff.fork,
        "head": diff.head,
        "own_commits": [{"commit": each.oid, "subject": each.subject} for each in diff.own],
        "files": [{"path": each.path, "added": each.added, "deleted": each.deleted} for each in diff.files],
        "review": review and {"author": review.author, "state": review.state, "at": review.at, "head": review.head},
        "notes": list(diff.notes),
        "text": text,
    }
