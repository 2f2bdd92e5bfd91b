"""Identify conflicts, also with the sides swapped, and the commits that resolve them."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable

from trunkline.domain.commits import Commit


def digests(text: bytes) -> frozenset[str]:
    """Return a digest for each conflict in a file with git's conflict markers.

    It is independent of place, labels and sides. As in git-rerere(1), the sides are put in a fixed
    order, and labels are ignored.
    """
    found = set()
    sides: list[list[bytes]] = []
    for line in text.splitlines():
        if line.startswith(b"<<<<<<< "):
            sides = [[]]
        elif sides and line.startswith((b"||||||| ", b"=======")):
            sides.append([])
        elif sides and line.startswith(b">>>>>>> "):
            first, last = sides[0], sides[-1]
            both = b"\0".join(sorted((b"\n".join(first), b"\n".join(last))))
            found.add(hashlib.sha256(both).hexdigest())
            sides = []
        elif sides:
            sides[-1].append(line)
    return frozenset(found)


def resolves(made: Commit, stopped: Commit, others: Iterable[Commit]) -> bool:
    """Return whether a commit made by a person is the resolution of the stopped commit.

    `git cherry-pick --continue`, `git commit` during a cherry-pick and `git commit --amend` keep the
    author and the author date, whatever becomes of the message. The name is not compared, because
    `i18n.commitEncoding` may change its bytes. Tools may give several commits the same date, so the
    message must not be another commit's.

    Args:
        made: the commit.
        stopped: the commit that conflicted.
        others: the other commits of the same entry.
    """
    if made.author.rpartition(b" <")[2] != stopped.author.rpartition(b" <")[2]:
        return False
    message = made.message.strip()
    return message == stopped.message.strip() or all(message != each.message.strip() for each in others)
