"""Judges stack.toml: pydantic finds, and every complaint names file, line, key and what was expected."""

from __future__ import annotations

import difflib
import json
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any, get_args

from pydantic import BaseModel, ValidationError

from trunkline.config import conversion, reading
from trunkline.config.reading import StackText, dotted, problem, shortened
from trunkline.config.schema import (
    SHORT_NAME,
    TABLE,
    TOOLCHAIN,
    CommandTable,
    EntryTable,
    GatesTable,
    GateTable,
    LandTable,
    ManualTable,
    NoteTable,
    PatternTable,
    PublishTable,
    StackFile,
    StackTable,
    TestTable,
    json_schema,
)
from trunkline.config.toml_lines import line_of
from trunkline.domain.errors import UsageError
from trunkline.domain.stack import DEFAULT_GATES, Stack

SCHEMA_VERSION = 1
_SHOWN_PROBLEMS = 5


def load(path: Path) -> tuple[Stack, ...]:
    """Read and judge a stack.toml, and return its stacks; errors as of `reading.read` and `judge`."""
    found = reading.read(path)
    judge(found)
    return conversion.stacks(found.data)


def judge(found: StackText) -> None:
    """See that a stack.toml is as `conversion.stacks` needs it.

    Raises:
        UsageError: it is not what the schema says: file, line, key, expectation.
    """
    path, text, data = found.path, found.text, found.data
    _refuse_newer(path, text, data)
    try:
        file = StackFile.model_validate(data)
    except ValidationError as error:
        raise _schema_error(path, text, data, error) from None
    _refuse_twice(path, text, file)
    _refuse_gates(path, text, file)
    _refuse_check_names(path, text, file)


def _refuse_newer(path: Path, text: str, data: dict[str, Any]) -> None:
    version = data.get("schema")
    if isinstance(version, int) and version > SCHEMA_VERSION:
        raise UsageError(
            f"{path.name}:{line_of(text, ('schema',))}: schema {version} is newer than this trunkline",
            why=f"this trunkline knows schema {SCHEMA_VERSION}",
            next_command="pip install --upgrade trunkline",
        )


def _refuse_twice(path: Path, text: str, file: StackFile) -> None:
    for key in ("pr", "branch"):
        seen: dict[object, tuple[str | int, ...]] = {}
        for where, entry in file.entries():
            value = getattr(entry, key)
            if value in seen:
                first = line_of(text, (*seen[value], key))
                raise problem(
                    path,
                    line_of(text, (*where, key)),
                    f"{dotted((*where, key))}: {value!r} is already used in line {first}",
                )
            seen[value] = where
            if value == file.trunk:
                raise problem(
                    path,
                    line_of(text, (*where, key)),
                    f"{dotted((*where, key))}: {value!r} is the trunk itself",
                )
    names = [table.name for table in file.stack]
    for index, name in enumerate(names):
        if name in names[:index]:
            raise problem(
                path,
                line_of(text, ("stack", index, "name")),
                f"stack[{index}].name: {name!r} is already used",
            )


def _refuse_gates(path: Path, text: str, file: StackFile) -> None:
    for name, gate in file.gates.__pydantic_extra__.items():
        key = ("gates", name)
        if not re.fullmatch(SHORT_NAME, name):
            said = "expected a short name of letters, digits, dots, dashes and underscores"
            raise problem(path, line_of(text, key), f"{dotted(key)}: {said}")
        if name not in DEFAULT_GATES and gate.run is None:
            nearest = difflib.get_close_matches(name, DEFAULT_GATES, n=1)
            said = f"did you mean {nearest[0]!r}? " if nearest else ""
            raise problem(
                path,
                line_of(text, key),
                f'{dotted(key)}: {said}A gate of your own needs `run`, like run = ["cargo", "deny", "check"]',
            )


def _refuse_check_names(path: Path, text: str, file: StackFile) -> None:
    gates = {*DEFAULT_GATES, *file.gates.__pydantic_extra__}
    for where, entry in file.entries():
        taken: set[str] = set()
        for index, check in enumerate(entry.check):
            key = (*where, "check", index, "name")
            if check.name in gates:
                raise problem(path, line_of(text, key), f"{dotted(key)}: {check.name!r} is the name of a gate")
            if check.name in taken:
                raise problem(path, line_of(text, key), f"{dotted(key)}: {check.name!r} is already used")
            taken.add(check.name)


def _schema_error(path: Path, text: str, data: dict[str, Any], error: ValidationError) -> UsageError:
    problems = []
    for found in error.errors(include_url=False, include_context=False, include_input=False)[:_SHOWN_PROBLEMS]:
        where = _without_tags(found["loc"])
        problems.append((line_of(text, where), _complaint(where, found["type"], found["msg"], data)))
    return problem(path, problems[0][0], *(f"{path.name}:{line}: {what}" for line, what in problems))


def _without_tags(loc: tuple[str | int, ...]) -> tuple[str | int, ...]:
    """Return where pydantic found something as the file has it: without the names of its unions' members."""
    keys = tuple(part for part in loc if part not in {"__pydantic_extra__", TOOLCHAIN, TABLE, "str", "dict[str,any]"})
    for at, (part, kind) in enumerate(zip(keys, keys[2:], strict=False)):
        if part == "check" and kind in _CHECKS:
            return (*keys[: at + 2], *keys[at + 3 :])
    return keys


def _complaint(where: tuple[str | int, ...], kind: str, message: str, data: dict[str, Any]) -> str:
    message = message.removeprefix("Value error, ")
    if kind == "missing":
        return f"{dotted(where)}: missing; expected {_expected(where, data)}"
    nearest = _nearest(where, data)
    if kind == "extra_forbidden" or (kind in {"model_type", "model_attributes_type"} and nearest):
        return f"{dotted(where)}: unknown key" + (f"; did you mean {nearest!r}?" if nearest else "")
    value = _value(data, where)
    shown = shortened(json.dumps(value, default=str)) if value is not None and not isinstance(value, dict) else ""
    seen = f"; found {shown}" if shown else ""
    return f"{dotted(where) or 'the file'}: {message[:1].lower()}{message[1:]}{seen}"


_CHECKS: dict[object, type[BaseModel]] = {
    "pattern": PatternTable,
    "command": CommandTable,
    "test": TestTable,
    "manual": ManualTable,
}
_TABLES: dict[object, type[BaseModel]] = {"land": LandTable, "publish": PublishTable, "note": NoteTable}
_GATES_KEYS = GatesTable.model_fields.keys() - {"msrv"}


def _model_at(where: Sequence[str | int], data: Any) -> type[BaseModel]:
    model: type[BaseModel] = StackFile
    for depth, part in enumerate(where):
        if part == "check" and model is EntryTable:
            model = _CHECKS.get(_value(data, (*where[: depth + 2], "kind")), PatternTable)
        elif part == "gates":
            model = GatesTable
        elif part == "entry":
            model = EntryTable
        elif part in _TABLES:
            model = _TABLES[part]
        elif part == "stack":
            model = StackTable
        elif model is GatesTable and isinstance(part, str) and part not in _GATES_KEYS:
            model = GateTable
    return model


def _keys(model: type[BaseModel]) -> dict[str, str]:
    return {field.alias or name: field.description or "" for name, field in model.model_fields.items()}


def _nearest(where: tuple[str | int, ...], data: Any) -> str | None:
    known = _keys(_model_at(where[:-1], data))
    close = difflib.get_close_matches(shortened(str(where[-1])), known, n=1) if where else []
    return close[0] if close else None


def _expected(where: tuple[str | int, ...], data: Any) -> str:
    about = _keys(_model_at(where[:-1], data)).get(str(where[-1]), "")
    return about[:1].lower() + about[1:].rstrip(".") if about else "a value"


def _value(data: Any, where: Sequence[str | int]) -> Any:
    for part in where:
        try:
            data = data[part]
        except (KeyError, IndexError, TypeError):
            return None
    return data


if __name__ == "__main__":  # python -m trunkline.config.validation > src/trunkline/stack.schema.json
    assert get_args(StackFile.model_fields["schema_"].annotation) == (SCHEMA_VERSION,)  # noqa: S101 -- one version
    print(json.dumps(json_schema(), indent=2))  # noqa: T201 -- a program's output
