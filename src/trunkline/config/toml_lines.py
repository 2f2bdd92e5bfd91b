"""Find the line on which each table and value of a TOML file ends; tomli keeps no positions.

The text is cut into statements (headers and `key = value`), and tomli parses each of them alone, in one pass.
Parsing the file anew up to each line took 39 s for a thousand entries.
"""

from __future__ import annotations

import functools
import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import tomli

KeyPath = tuple[str | int, ...]
"""The path of a value: keys of tables and, in arrays, indexes from 0."""

_PART = re.compile(
    r'"""(?:\\.|"{1,2}(?!")|[^"\\])*"""(?:"{0,2})'  # a multi-line string; up to two quotes may stand before its end
    r"|'''(?:'{1,2}(?!')|[^'])*'''(?:'{0,2})"
    r'|"(?:\\.|[^"\\\n])*"'
    r"|'[^'\n]*'"
    r"|#[^\n]*"
    r"|[\[\]{}\n]",
    re.DOTALL,
)

_BARE = r"([A-Za-z0-9_-]+(?:\.[A-Za-z0-9_-]+)*)[ \t]*"
_KEY, _HEADER = re.compile(f"{_BARE}="), re.compile(rf"\[\[?[ \t]*{_BARE}\]")


@functools.lru_cache(maxsize=1)  # the problems of one file are looked up one by one
def positions(text: str) -> Mapping[KeyPath, int]:
    """Return the line (from 1) on which the statement that first gives each table and key ends.

    Args:
        text: TOML that tomli has read without an error.
    """
    found: dict[KeyPath, int] = {}
    for line, reached in _paths(text):
        for depth in range(1, len(reached) + 1):
            found.setdefault(reached[:depth], line)
    return found


def given_twice(text: str, line: int) -> tuple[KeyPath, int] | None:
    """Return the path that the statement ending on a line gives again, and the line that gave it or a part of it.

    Args:
        text: TOML that tomli has read without an error up to that statement.
        line: the line, from 1.
    """
    before: dict[KeyPath, int] = {}
    for at, reached in _paths("\n".join(text.split("\n")[:line])):
        if at == line:
            depths = range(len(reached), 0, -1)
            return next(((reached, before[reached[:n]]) for n in depths if reached[:n] in before), None)
        for depth in range(1, len(reached) + 1):
            before.setdefault(reached[:depth], at)
    return None


def _paths(text: str) -> Iterator[tuple[int, KeyPath]]:
    """Yield the path that each statement gives, with the line on which the statement ends."""
    table: KeyPath = ()
    counts: dict[KeyPath, int] = {}
    for line, statement in _statements(text):
        if statement.startswith("["):
            table = _table(statement, counts)
            yield line, table
        else:
            yield line, table + _keys(statement, _KEY)


def line_of(text: str, where: Sequence[str | int]) -> int:
    """Return the line (from 1) on which the value at a path ends; if it is missing, that of its table, or 1."""
    known = positions(text)
    path = tuple(where)
    return next((known[path[:depth]] for depth in range(len(path), 0, -1) if path[:depth] in known), 1)


def _statements(text: str) -> Iterator[tuple[int, str]]:
    """Yield each statement with the line on which it ends."""
    start, line, depth = 0, 1, 0
    for match in _PART.finditer(f"{text}\n"):
        part = match[0]
        if part in {"[", "{"}:
            depth += 1
        elif part in {"]", "}"}:
            depth -= 1
        elif part == "\n" and depth == 0:
            statement = text[start : match.start()].strip()
            if statement and not statement.startswith("#"):
                yield line, statement
            start = match.end()
        line += part.count("\n")


def _table(header: str, counts: dict[KeyPath, int]) -> KeyPath:
    """Return the path of a header's table; an array of tables has one more."""
    keys = _keys(header, _HEADER)
    path: KeyPath = ()
    for key in keys[:-1]:
        path = (*path, key)
        path = (*path, counts[path] - 1) if path in counts else path
    path = (*path, keys[-1])
    if header.startswith("[["):
        counts[path] = counts.get(path, 0) + 1
        return (*path, counts[path] - 1)
    return path


def _keys(statement: str, bare: re.Pattern[str]) -> tuple[str, ...]:
    """Return the keys that a statement names, one below the other."""
    if plain := bare.match(statement):
        return tuple(plain[1].split("."))
    keys: tuple[str, ...] = ()
    value: Any = tomli.loads(statement)
    while isinstance(value, Mapping) and len(value) == 1:
        ((key, value),) = value.items()
        keys = (*keys, key)
        value = value[0] if isinstance(value, list) and value and value[0] == {} else value
    return keys
