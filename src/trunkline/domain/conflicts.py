"""Identify conflicts, so that a repeated conflict is recognised even with the sides swapped."""

from __future__ import annotations

import hashlib


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
