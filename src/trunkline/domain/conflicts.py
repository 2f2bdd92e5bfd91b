"""Conflicts as facts: the same one is recognised when it is met again, whoever is ours and theirs."""

from __future__ import annotations

import hashlib


def digests(text: bytes) -> frozenset[str]:
    """Return a digest for each conflict in a file with git's markers, independent of place, labels and sides.

    As git-rerere(1) identifies them: the two sides in a fixed order, without what stands behind the markers.
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
