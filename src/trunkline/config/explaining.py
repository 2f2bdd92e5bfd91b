"""Explain msgspec's errors about stack.toml: the path of the key, what was expected, and what was found."""

from __future__ import annotations

import difflib
import json
import re
from collections.abc import Mapping, Sequence
from typing import Any

from trunkline.config.reading import shortened
from trunkline.config.schema import json_schema
from trunkline.config.toml_lines import KeyPath

_AT = re.compile(r" - at `\$((?:\.\w+|\[\d+\]|\[\.\.\.\])*)`\Z")
_PART = re.compile(r"\.(\w+)|\[(\d+|\.\.\.)\]")
_MISSING = re.compile(r"Object missing required field `(\w+)`\Z")
_TYPE = re.compile(r"Expected `([^`]*)`(.*?)(?:, got `\w+`)?\Z", re.DOTALL)
_NAMES = {
    "int": "an integer", "float": "a number", "str": "a string", "bool": "true or false", "array": "an array",
    "object": "a table",
}  # fmt: skip
"""Name of a type in msgspec's messages -> name for people who write TOML."""


def explained(data: Any, above: KeyPath, message: str) -> tuple[KeyPath, str]:
    """Return the path and the text of a problem that msgspec found.

    Args:
        data: what was read.
        above: the path of the table that was converted.
        message: msgspec's message; it ends with a path below the table.
    """
    at = _AT.search(message)
    if at is not None:
        message = message[: at.start()]
    where = _path(data, above, at[1] if at is not None else "")
    node = _node(where, data)
    known = node.get("properties", {})
    if missing := _MISSING.match(message):
        return (*where, missing[1]), f"missing; {_expected(known.get(missing[1], {}))}"
    value = value_at(data, where)
    if message.startswith("Object contains unknown field"):
        key = next((name for name in value if name not in known), "") if isinstance(value, dict) else ""
        close = difflib.get_close_matches(shortened(key), known, n=1)
        return (*where, key), "unknown key" + (f"; did you mean {close[0]!r}?" if close else "")
    if message.startswith("Invalid"):
        message = f"expected one of {', '.join(map(json.dumps, node.get('enum', ())))}"
    elif "matching regex" in message:
        message = _expected(node)
    elif typed := _TYPE.match(message):
        message = f"expected {' or '.join(_NAMES.get(name, name) for name in typed[1].split(' | '))}{typed[2]}"
    return where, message + shown(value)


def _expected(node: Mapping[str, Any]) -> str:
    """Return the expectation of the JSON Schema for a key, in the words of its description."""
    about = node.get("description", "a value")
    return f"expected {about[:1].lower()}{about[1:].rstrip('.')}"


def _path(data: Any, above: KeyPath, text: str) -> KeyPath:
    """Return the path that msgspec names; for `[...]`, the key of the first value that is not a string."""
    where = above
    for key, index in _PART.findall(text):
        table = value_at(data, where)
        if index == "..." and isinstance(table, dict):
            where = (*where, next((name for name, value in table.items() if not isinstance(value, str)), "..."))
        else:
            where = (*where, key or int(index))
    return where


def shown(value: Any) -> str:
    """Return the end of a message that quotes a value; "" for none and for a table."""
    return "" if value is None or isinstance(value, dict) else f"; found {shortened(json.dumps(value, default=str))}"


def _node(where: Sequence[str | int], data: Any) -> Mapping[str, Any]:
    """Return the JSON Schema's node for a path; {}: it has none."""
    root = json_schema()
    node: Mapping[str, Any] = root
    for depth in range(len(where) + 1):
        value = value_at(data, where[:depth])
        if "discriminator" in node:
            kinds: dict[str, str] = node["discriminator"]["mapping"]
            kind = value.get("kind") if isinstance(value, dict) else None
            if isinstance(kind, str) and kind in kinds:
                node = {"$ref": kinds[kind]}
            else:
                node = {"properties": {"kind": {"enum": list(kinds), "description": f"one of {', '.join(kinds)}"}}}
        elif isinstance(value, dict):  # a value of several types is a text, or a table
            node = next((each for each in node.get("anyOf", ()) if "$ref" in each), node)
        if "$ref" in node:
            node = root["$defs"][node["$ref"].rpartition("/")[2]]
        if depth < len(where):
            part = where[depth]
            inner = node.get("items") if isinstance(part, int) else node.get("properties", {}).get(part)
            node = inner or node.get("additionalProperties") or {}
    return node


def value_at(data: Any, where: Sequence[str | int]) -> Any:
    """Return the value at a path; None: there is none."""
    for part in where:
        try:
            data = data[part]
        except (KeyError, IndexError, TypeError):
            return None
    return data
