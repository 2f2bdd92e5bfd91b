"""Write stack.toml: new from a discovered stack, or updated in place; comments and order stay (tomlkit)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import tomlkit
from tomlkit.container import Container
from tomlkit.items import AoT, Table, Whitespace

from trunkline.config.schema import SCHEMA_VERSION
from trunkline.domain.errors import UsageError
from trunkline.domain.names import BranchName, PrNumber
from trunkline.domain.stack import Entry, GateSettings

SCHEMA_PATH = ".trunkline/stack.schema.json"
_NONE: Mapping[BranchName, BranchName] = {}
_NO_COMMENTS: Mapping[str, str] = {}


def new_file(
    stacks: Mapping[str, Sequence[Entry]],
    *,
    trunk: str,
    remote: str,
    gates: GateSettings,
    comments: Mapping[str, str] = _NO_COMMENTS,
) -> str:
    """Return the text of a new stack.toml.

    Args:
        stacks: name -> entries, bottom first; one stack is written without its name.
        trunk: the branch that they land on.
        remote: the git remote.
        gates: what is known of the Cargo workspace.
        comments: comments of keys in `[gates]`.
    """
    doc = tomlkit.parse(f"#:schema {SCHEMA_PATH}\n")  # tomlkit.comment would put a space behind the #
    doc.add("schema", tomlkit.item(SCHEMA_VERSION))
    doc.add("trunk", tomlkit.item(trunk))
    doc.add("remote", tomlkit.item(remote))
    table = tomlkit.table()
    if gates.root != GateSettings().root:
        table.add("root", gates.root)
    table.add("features", list(gates.features))
    listed = ",".join(gates.features)
    table["features"].comment(f"--no-default-features --features {listed}" if listed else "cargo's default features")
    for key, value in (("msrv", gates.msrv), *([] if gates.locked else [("locked", False)])):
        item = tomlkit.item(value)
        if key in comments:
            item.comment(comments[key])
        table.add(key, item)
    doc.add("gates", table)
    if len(stacks) == 1:
        doc.add("entry", _entries(next(iter(stacks.values()))))
    else:
        outer = tomlkit.aot()
        for name, entries in stacks.items():
            outer.append(_stack(name, entries))
        doc.add("stack", outer)
    return tomlkit.dumps(doc)


def with_entries(
    text: str, name: str, entries: Sequence[Entry], renamed: Mapping[BranchName, BranchName] = _NONE
) -> str:
    """Return stack.toml with one stack's entries as given; the tables of entries that stay keep their other keys.

    Args:
        text: the file as it is.
        name: the stack; "" where there is one.
        entries: what it is to hold, bottom first; only number, branch and the title of a new one count;
            a table without a number is found by its branch and gets the number of its entry.
        renamed: the old branch by the new one, of entries that keep their table, except its number.

    Raises:
        UsageError: the entries are no `[[entry]]` tables.
    """
    require_tables(text)
    if crlf := "\r\n" in text and text.count("\n") == text.count("\r\n"):
        text = text.replace("\r\n", "\n")
    doc = tomlkit.parse(text)
    holder: Any = next(table for table in doc["stack"] if table["name"] == name) if name else doc
    held: dict[object, Table] = {table["branch"]: table for table in holder["entry"] if "pr" not in table}
    held |= {int(table["pr"]): table for table in holder["entry"] if "pr" in table}
    followed = any(isinstance(item, Whitespace) for _, item in _last_body(holder["entry"][-1])[-1:])
    aot = tomlkit.aot()
    for entry in entries:
        table = held.get(entry.key) or held.get(entry.branch)
        if table is None and (was := renamed.get(entry.branch)) is not None:
            table = next(each for each in holder["entry"] if each["branch"] == was)
            table.pop("pr", None)
            table["branch"] = entry.branch
        elif table is None:
            table = _table(entry)
        elif entry.number is not None and "pr" not in table:
            table = _numbered(table, entry.number)
        elif table["branch"] != entry.branch:
            table["branch"] = entry.branch
        aot.append(_trimmed(table))
    if followed:
        _last_body(aot[-1]).append((None, tomlkit.nl()))
    holder["entry"] = aot
    after = tomlkit.dumps(doc)
    return after.replace("\n", "\r\n") if crlf else after


def closed(text: str, name: str, *, drop: bool) -> str:
    """Return stack.toml with `landed = true` in one of its stacks, or without that stack.

    Args:
        text: the file as it is.
        name: the stack's name.
        drop: leave the stack out.
    """
    doc = tomlkit.parse(text)
    stacks: Any = doc["stack"]
    at = next(index for index, table in enumerate(stacks) if table["name"] == name)
    if drop:
        del stacks[at]
        return tomlkit.dumps(doc)
    body = Container()
    for key, item in stacks[at].value.body:
        body.append(key, item)
        if key is not None and key.key == "name":
            mark = tomlkit.item(value=True)
            mark.trivia.trail = "\r\n" if "\r\n" in text else "\n"
            body.append("landed", mark)
    stacks[at] = Table(body, stacks[at].trivia, is_aot_element=True, name="stack", display_name="stack")
    return tomlkit.dumps(doc)


def stack_names(text: str) -> list[str]:
    """Return the names of the stacks of a stack.toml; empty where its one stack has none."""
    stacks: Any = tomlkit.parse(text).get("stack", [])
    return [str(table["name"]) for table in stacks]


def with_stack(text: str, name: str, entries: Sequence[Entry]) -> str:
    """Return stack.toml with one more stack at its end.

    Args:
        text: the file as it is; it has named stacks.
        name: the name of the new one.
        entries: its entries, bottom first.
    """
    stack = tomlkit.aot()
    stack.append(_stack(name, entries))
    doc = tomlkit.document()
    doc.add("stack", stack)
    after = f"\n\n{tomlkit.dumps(doc)}"
    return text.rstrip() + (after.replace("\n", "\r\n") if "\r\n" in text else after)


def _stack(name: str, entries: Sequence[Entry]) -> Table:
    stack = tomlkit.table()
    stack.add("name", name)
    stack.add("entry", _entries(entries))
    return stack


def require_tables(text: str) -> None:
    """Check that the entries are `[[entry]]` tables, which can be changed one by one.

    Raises:
        UsageError: they are in an inline array.
    """
    doc = tomlkit.parse(text)
    stacks: Any = doc.get("stack", [])
    if any(
        not isinstance(each, AoT) for each in (stacks, *(table.get("entry") for table in stacks or [doc])) if each
    ):
        raise UsageError(
            "stack.toml lists its entries in an inline array",
            why="entries are only changed in [[entry]] tables; nothing was changed",
            next_command="${EDITOR:-vi} stack.toml   # entry = [{...}] -> [[entry]]",
        )


def _numbered(table: Table, number: PrNumber) -> Table:
    """Return the table of an entry with its pull request's number as the first key."""
    body = Container()
    body.append("pr", tomlkit.item(int(number)))
    for key, item in table.value.body:
        body.append(key, item)
    return Table(body, table.trivia, is_aot_element=True, name=table.name, display_name=table.display_name)


def without(text: str, key: str) -> str:
    """Return stack.toml without a key at its top; where it has none, as it is."""
    doc = tomlkit.parse(text)
    doc.pop(key, None)
    return tomlkit.dumps(doc)


def _trimmed(table: Table) -> Table:
    """Return a table without blank lines at its end: appending puts one between two tables."""
    body = _last_body(table)
    while body and isinstance(body[-1][1], Whitespace):
        body.pop()
    return table


def _last_body(table: Table) -> list[tuple[Any, Any]]:
    """Return the items of a table, or of the last table in it: a blank line after `[[entry.check]]` is there."""
    body: list[tuple[Any, Any]] = table.value.body
    while body and isinstance(body[-1][1], (AoT, Table)):
        last = body[-1][1]
        body = (last[-1] if isinstance(last, AoT) else last).value.body
    return body


def _entries(entries: Sequence[Entry]) -> AoT:
    aot = tomlkit.aot()
    for entry in entries:
        aot.append(_table(entry))
    return aot


def _table(entry: Entry) -> Table:
    table = tomlkit.table()
    if entry.number is not None:
        table.add("pr", int(entry.number))
    table.add("branch", str(entry.branch))
    if entry.title:
        table.add("title", entry.title)
    return table
