"""Commits as data, and the comparison of two versions of a commit."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterable

import msgspec

from trunkline.domain.names import Oid


def counted(commits: int) -> str:
    """Return `1 commit`, `2 commits`."""
    return f"{commits} commit{'' if commits == 1 else 's'}"


class Commit(msgspec.Struct, frozen=True):
    """One commit, with byte strings where encoding matters.

    Attributes:
        oid: its object id.
        parents: its parents' object ids, in order.
        tree: its tree.
        author: the author line as stored: `Name <mail> seconds zone`; amend and rebase keep it.
        message: the message as stored, byte for byte.
        patch_id: `git patch-id --stable` of its diff, or "" if there is none or it was not
            computed.
        signed: it is signed.
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
        """The first line of the message."""
        return self.message.lstrip(b"\n").split(b"\n", 1)[0].decode("utf-8", "replace")

    @property
    def author_name(self) -> str:
        """The author's name."""
        return self.author.split(b" <", 1)[0].decode("utf-8", "replace")

    @property
    def author_date(self) -> str:
        """The author date in ISO 8601, in the author's time zone; "" if the line has none."""
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
        """Author, author date and message, which a rebase keeps."""
        return self.author, self.message

    def same_as(self, other: Commit) -> bool:
        """Return whether the other commit is the same change with another parent.

        They are compared by identity, byte for byte: a commit whose message or author was changed
        is another one.
        """
        return self.identity == other.identity


class CommitSet(msgspec.Struct, frozen=True):
    """A set of commits that also recognises amended, reworded and rebased versions."""

    oids: frozenset[Oid] = frozenset()
    identities: frozenset[tuple[bytes, bytes]] = frozenset()
    patch_ids: frozenset[str] = frozenset()

    @classmethod
    def of(cls, commits: Iterable[Commit]) -> CommitSet:
        """Return the set of these commits."""
        known = tuple(commits)
        return cls(
            oids=frozenset(c.oid for c in known),
            identities=frozenset(c.identity for c in known),
            patch_ids=frozenset(c.patch_id for c in known if c.patch_id),
        )

    def holds(self, commit: Commit) -> bool:
        """Return whether the set holds the commit, its identity, or its patch."""
        return commit.oid in self.oids or commit.identity in self.identities or commit.patch_id in self.patch_ids
