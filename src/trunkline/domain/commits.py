"""Commits as facts, and the question whether two of them are the same change."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterable
from dataclasses import dataclass, field

from trunkline.domain.names import Oid


def counted(commits: int) -> str:
    """Return `1 commit`, `2 commits`."""
    return f"{commits} commit{'' if commits == 1 else 's'}"


@dataclass(frozen=True)
class Commit:
    """One commit, as bytes where bytes matter.

    Attributes:
        oid: its object id.
        parents: its parents' object ids, in order.
        tree: its tree.
        author: the author line as stored: `Name <mail> seconds zone`; amend and rebase keep it.
        message: the message as stored, byte for byte.
        patch_id: `git patch-id --stable` of its diff, or "" where it has none or none was asked for.
        signed: it carries a signature.
        encoding: the `encoding` header, or "" (UTF-8).
    """

    oid: Oid
    parents: tuple[Oid, ...]
    tree: Oid
    author: bytes
    message: bytes
    patch_id: str = ""
    signed: bool = False
    encoding: str = ""

    @property
    def subject(self) -> str:
        """The first line of the message, for people."""
        return self.message.lstrip(b"\n").split(b"\n", 1)[0].decode("utf-8", "replace")

    @property
    def author_name(self) -> str:
        """The author's name, for people."""
        return self.author.split(b" <", 1)[0].decode("utf-8", "replace")

    @property
    def author_date(self) -> str:
        """The author date in ISO 8601, in the author's own time zone; "" where the line holds none."""
        _, _, when = self.author.rpartition(b"> ")
        seconds, _, zone = when.decode("ascii", "replace").partition(" ")
        try:
            minutes = int(f"{zone[:1]}1") * (int(zone[1:3]) * 60 + int(zone[3:5]))
            offset = dt.timezone(dt.timedelta(minutes=minutes))
            return dt.datetime.fromtimestamp(int(seconds), offset).isoformat(" ", "minutes")
        except (ValueError, OverflowError, OSError):
            return ""

    @property
    def identity(self) -> tuple[bytes, bytes]:
        """Author, author date and message: what a rebase keeps."""
        return self.author, self.message

    def same_as(self, other: Commit) -> bool:
        """Say whether the other is the same change carried elsewhere: by identity, bytewise (promises, fault 13)."""
        return self.identity == other.identity


@dataclass(frozen=True)
class CommitSet:
    """Commits that a commit can be recognised in, also after an amend, a reword or a rebase."""

    oids: frozenset[Oid] = frozenset()
    identities: frozenset[tuple[bytes, bytes]] = frozenset()
    patch_ids: frozenset[str] = frozenset()
    authors: frozenset[bytes] = field(default=frozenset())

    @classmethod
    def of(cls, commits: Iterable[Commit]) -> CommitSet:
        """Return the set of these commits."""
        known = tuple(commits)
        return cls(
            oids=frozenset(c.oid for c in known),
            identities=frozenset(c.identity for c in known),
            patch_ids=frozenset(c.patch_id for c in known if c.patch_id),
            authors=frozenset(c.author for c in known),
        )

    def holds(self, commit: Commit) -> bool:
        """Say whether the commit is in here: itself, with the same identity, or with the same patch."""
        return commit.oid in self.oids or commit.identity in self.identities or commit.patch_id in self.patch_ids

    def holds_version_of(self, commit: Commit) -> bool:
        """Say whether it, or a version with another message and content but the same author and time, is in here."""
        return self.holds(commit) or commit.author in self.authors
