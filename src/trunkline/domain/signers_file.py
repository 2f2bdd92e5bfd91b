"""Read who is one person from an allowed-signers file (ssh-keygen(1), ALLOWED SIGNERS).

`ssh-keygen -Y find-principals` returns the names of the first line with a key, and no others. So a
person with a second line would be another person for the rule that an author does not sign alone.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable, Sequence

_NAMES = re.compile(r'\s*(?:"([^"]*)"|([^\s"#]\S*))\s')
_KEY = re.compile(r"\s(?:sk-)?(?:ssh|ecdsa)-[\w@.-]+\s+([A-Za-z0-9+/]+)")

Person = frozenset[str]
"""The names of one person, as `normalised` returns them."""


def normalised(name: str) -> str:
    """Return a name in the form in which names are compared: another case or width is the same name."""
    return unicodedata.normalize("NFKC", name).casefold().strip()


def people(text: str) -> tuple[Person, ...]:
    """Return the persons of an allowed-signers file: lines with a common name or key are one person."""
    found: list[tuple[set[str], set[str]]] = []
    for line in text.splitlines():
        named = _NAMES.match(line)
        if named is None or line.lstrip().startswith("#"):
            continue
        names = {normalised(name) for name in (named[1] or named[2] or "").split(",")} - {""}
        keys = {match[1] for match in _KEY.finditer(line[named.end() - 1 :])}
        same = [each for each in found if not (each[0].isdisjoint(names) and each[1].isdisjoint(keys))]
        found = [each for each in found if each not in same]
        found.append((names.union(*(each[0] for each in same)), keys.union(*(each[1] for each in same))))
    return tuple(frozenset(names) for names, _ in found)


def names_of(names: Iterable[str], persons: Sequence[Person]) -> Person:
    """Return all names of a person, given some of them."""
    own = frozenset(map(normalised, names))
    return own.union(*(person for person in persons if not own.isdisjoint(person)))


def covers(pattern: str, address: str) -> bool:
    """Return whether a name matches an address; `*` and `?` are patterns as in OpenSSH, brackets are not."""
    parts = {"*": ".*", "?": "."}
    expression = "".join(parts.get(char, re.escape(char)) for char in normalised(pattern))
    return re.fullmatch(expression, normalised(address), re.DOTALL) is not None
