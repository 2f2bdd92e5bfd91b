"""Identify conflicts, also with the sides swapped, and the commits that resolve them."""

from __future__ import annotations

import hashlib
import re
from collections import Counter
from collections.abc import Iterable

from trunkline.domain.commits import Commit
from trunkline.domain.names import Oid

_MARKER = re.compile(rb"(?:<{7,}|>{7,}) .*")
_END = re.compile(rb">{7,} (?:(?P<commit>[0-9a-f]{4,64})\b.*|theirs(?::.*)?)")


def marker_lines(content: bytes) -> Counter[bytes]:
    """Return the lines that look like the beginning or end of a conflict, of any marker size."""
    return Counter(line for line in content.splitlines() if _MARKER.fullmatch(line))


def written_by_git(markers: Iterable[bytes], commit: Oid) -> bool:
    """Return whether one of the lines is the end of a conflict that git wrote for a commit.

    `git cherry-pick` names the commit; `git checkout --merge` writes `theirs`.
    """
    ends = (found for line in markers if (found := _END.fullmatch(line)))
    return any(end["commit"] is None or commit.startswith(end["commit"].decode()) for end in ends)


def has_both_ends(markers: Iterable[bytes]) -> bool:
    """Return whether the lines include a beginning and an end of a conflict."""
    kinds = {line[:1] for line in markers}
    return kinds == {b"<", b">"}


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
