"""The keys of stack.toml that decide which programs run, and their comparison between files.

Every key needs trust unless it is listed here as harmless, so that a new key needs trust by
default.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import msgspec

HARMLESS = frozenset({"schema", "issue", "entry", "stack"})
"""Top-level keys that a branch may change; `entry` and `stack` are examined further."""
HARMLESS_OF_A_STACK = frozenset({"name", "issue", "landed", "entry"})
"""Keys of a `[[stack]]` that a branch may change."""
HARMLESS_OF_AN_ENTRY = frozenset({"pr", "branch", "title", "next"})
"""Keys of an entry that a branch may change; its checks need trust, as some are commands."""

_DEPTH = 2

Policy = Mapping[str, str]
"""Values as JSON, by dotted key from the top of the file."""


class Difference(msgspec.Struct, frozen=True):
    """A key that differs between two files.

    Attributes:
        key: the key, dotted.
        own: the value in the file that was found, as JSON; "" if missing.
        trusted: the value in trunk's file, as JSON; "" if missing.
    """

    key: str
    own: str
    trusted: str


def policy_of(data: Mapping[str, Any]) -> Policy:
    """Return the settings of a stack.toml that need trust.

    Args:
        data: the parsed TOML file, not validated yet.
    """
    return dict(_policy(data))


def digest(policy: Policy) -> str:
    """Return the SHA-256 of a policy's keys and values."""
    return hashlib.sha256(json.dumps(policy, sort_keys=True).encode()).hexdigest()


def differences(
    own: Policy, trusted: Policy, own_entries: Entries, trusted_entries: Entries
) -> tuple[Difference, ...]:
    """Return the differences between a policy and a trusted one, by key.

    An entry may be removed with its settings. An entry that is listed without its number, or with
    another branch, is not removed.

    Args:
        own: the policy that was found.
        trusted: the trusted policy.
        own_entries: the entries in the file that was found (`entries_of`).
        trusted_entries: the entries in the trusted file.
    """
    expected: dict[str, str] = {}
    for key, value in trusted.items():
        entry = _entry_of(key)
        identities = trusted_entries.get(entry, frozenset())
        for name in [name for name, also in own_entries.items() if identities & also] if entry else [""]:
            expected[name + key.removeprefix(entry)] = value
    return tuple(
        Difference(key, own.get(key, ""), expected.get(key, ""))
        for key in sorted({*own, *expected})
        if own.get(key) != expected.get(key)
    )


Entries = Mapping[str, frozenset[str]]
"""The prefix of an entry's policy keys -> what identifies the entry: its number and its branch."""


def entries_of(data: Mapping[str, Any]) -> Entries:
    """Return the entries of a stack.toml, by the prefixes of their policy keys."""
    return {
        name: frozenset({_number(table), str(table.get("branch"))} - {""}) for name, table in _named_entries(data)
    }


def _number(table: Mapping[str, Any]) -> str:
    """Return an entry's number as `#519`, or ""; a float of the same value is the same number."""
    number = table.get("pr", "")
    whole = int(number) if isinstance(number, float) and number.is_integer() else number
    return f"#{whole}" if whole != "" else ""


def _policy(data: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    for key, value in data.items():
        if key not in HARMLESS:
            yield from _leaves(key, value)
    stacks = data.get("stack")
    for table in _tables(stacks):
        for key, value in table.items():
            if key not in HARMLESS_OF_A_STACK:
                yield from _leaves(f"stack[{table.get('name')}].{key}", value)
    for name, table in _named_entries(data):
        for key, value in table.items():
            if key not in HARMLESS_OF_AN_ENTRY:
                yield f"{name}{key}", _json(value)


def _named_entries(data: Mapping[str, Any]) -> Iterator[tuple[str, Mapping[str, Any]]]:
    for holder in (data, *_tables(data.get("stack"))):
        for table in _tables(holder.get("entry")):
            yield f"entry[{_number(table) or table.get('branch')}].", table


def _entry_of(key: str) -> str:
    """Return the entry of a key, as `_named_entries` names it; "" if it has none."""
    return f"{key.partition('].')[0]}]." if key.startswith("entry[") else ""


def _leaves(key: str, value: Any) -> Iterator[tuple[str, str]]:
    """Yield the keys of a table one level down, of `[gates.NAME]` two levels."""
    if isinstance(value, Mapping) and key.count(".") < _DEPTH:
        for name, inner in value.items():
            yield from _leaves(f"{key}.{name}", inner)
    else:
        yield key, _json(value)


def _tables(value: Any) -> Iterator[Mapping[str, Any]]:
    if isinstance(value, Sequence) and not isinstance(value, str):
        yield from (each for each in value if isinstance(each, Mapping))


def _json(value: Any) -> str:
    return json.dumps(value, sort_keys=True, default=str)
