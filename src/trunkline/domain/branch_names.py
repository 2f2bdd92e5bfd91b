"""Derive the branch name of a new entry from the subject of its commit. Pure."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Collection, Sequence

_LONGEST = 50
"""The most characters of the part that comes from the subject."""
_TYPE = re.compile(r"^[a-z]+(\([^)]*\))?!?: ")
"""The type of a conventional commit, such as `feat(pool): `."""
_BOUNDARY = re.compile(r"[^/]+/|(?:(?<=/)|^)\d+-(?=[^/]*$)")


def derived(subject: str, prefix: str, taken: Collection[str]) -> str:
    """Return the prefix with the subject in kebab-case, and a number where that is taken; "" if nothing is left.

    Args:
        subject: the first line of a commit message.
        prefix: the beginning of the name.
        taken: the names of existing branches.
    """
    ascii_ = unicodedata.normalize("NFKD", _TYPE.sub("", subject.strip())).encode("ascii", "ignore").decode()
    words = [word for word in re.split(r"[^a-z0-9]+", ascii_.replace("'", "").lower()) if word]
    slug = "-".join(words)
    if len(slug) > _LONGEST:
        slug = slug[: _LONGEST + 1].rpartition("-")[0] or slug[:_LONGEST]
    if not slug:
        return ""
    name, number = f"{prefix}{slug}", 2
    while name in taken:
        name, number = f"{prefix}{slug}-{number}", number + 1
    return name


def prefix_of(branches: Sequence[str]) -> str:
    """Return the common prefix of branches, directories and an issue's number: `feat/319-`; "" if there is none."""
    first = branches[0] if branches else ""
    places = [found.end() for found in _BOUNDARY.finditer(first)]
    return next((first[:end] for end in reversed(places) if all(b.startswith(first[:end]) for b in branches)), "")
