"""An entry's own changes, and the review that they are compared with, as data."""

from __future__ import annotations

import msgspec

from trunkline.domain.commits import Commit
from trunkline.domain.names import Oid


class Reviewed(msgspec.Struct, frozen=True):
    """A submitted review: who, when (ISO 8601), the verdict, and the head that it was made of."""

    author: str
    state: str
    at: str
    head: Oid


class FileChange(msgspec.Struct, frozen=True):
    """Lines added to and deleted from a file; None for a binary file."""

    path: str
    added: int | None
    deleted: int | None


class EntryDiff(msgspec.Struct, frozen=True):
    """An entry's own changes, as arguments of a git command.

    Attributes:
        fork: the commit below the entry's own commits.
        head: the entry's head.
        own: the own commits, oldest first.
        arguments: the git command that shows the changes.
        files: the changed files; () for a comparison of two versions.
        review: the review whose head is compared with; None without `--since-review`.
        notes: messages for the user.
    """

    fork: Oid
    head: Oid
    own: tuple[Commit, ...]
    arguments: tuple[str, ...]
    files: tuple[FileChange, ...] = ()
    review: Reviewed | None = None
    notes: tuple[str, ...] = ()
