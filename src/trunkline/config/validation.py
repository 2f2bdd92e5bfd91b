"""Validate stack.toml and build domain values of it; a problem names file, line, key and what was expected."""

from __future__ import annotations

import difflib
import json
import re
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path, PurePosixPath
from typing import Any, TypeVar

import msgspec

from trunkline.config import reading
from trunkline.config.explaining import explained, shown, value_at
from trunkline.config.reading import StackText, dotted, problem
from trunkline.config.schema import (
    ONE_OR_SEVERAL,
    SCHEMA_VERSION,
    SHORT_NAME,
    CheckTable,
    CommandTable,
    EntryTable,
    GateTable,
    ManualTable,
    PatternTable,
    StackFile,
    TestTable,
    gate_tables,
    json_schema,
)
from trunkline.config.toml_lines import KeyPath, line_of
from trunkline.domain import title
from trunkline.domain.check import Check, CommandCheck, ManualCheck, PatternCheck, TestCheck
from trunkline.domain.errors import UsageError
from trunkline.domain.names import branch_name, branch_problem, pr_number
from trunkline.domain.stack import (
    DEFAULT_GATES,
    AttestSettings,
    Entry,
    GateOverride,
    GateSettings,
    LandSettings,
    NoteSettings,
    PublishSettings,
    RebaseSettings,
    Stack,
    SubmitSettings,
)
from trunkline.system import installing

_Table = TypeVar("_Table", bound=msgspec.Struct)


def load(path: Path) -> tuple[Stack, ...]:
    """Read and validate a stack.toml, and return its stacks; errors as of `reading.read` and `stacks_of`."""
    return stacks_of(reading.read(path))


def stacks_of(found: StackText, *, entries: bool = True) -> tuple[Stack, ...]:
    """Return the stacks of a stack.toml; at least one, each with at least one entry.

    Args:
        found: the file.
        entries: require an entry; a file of trunk's may hold settings only.

    Raises:
        UsageError: the file does not follow the schema: file, line, key, expectation.
    """
    _refuse_newer(found)
    gates = found.data.get("gates", {})
    tables = gate_tables(gates) if isinstance(gates, dict) else {}
    settings = {key: value for key, value in gates.items() if key not in tables} if tables else gates
    data = {**found.data, "gates": settings}
    file = _converted(found, data, (), StackFile)
    if entries and not (file.entry or file.stack):
        raise _problem(found, (), ONE_OR_SEVERAL)
    _refuse_values(found, file)
    _refuse_twice(found, file)
    _refuse_check_names(found, file, tables)
    overrides = {name: _gate(found, name) for name in tables}
    _refuse_no_gates(found, file, overrides)
    _refuse_unknown_gates(found, file, overrides)
    return _domain(file, overrides)


def _converted(found: StackText, data: Any, where: KeyPath, kind: type[_Table]) -> _Table:
    """Return the struct of the table at a path of what was read."""
    try:
        return msgspec.convert(value_at(data, where), kind)
    except msgspec.ValidationError as error:
        where, text = explained(data, where, str(error))
        raise _problem(found, where, text) from None


def _gate(found: StackText, name: str) -> GateTable:
    where = ("gates", name)
    if not re.fullmatch(SHORT_NAME, name):
        raise _problem(found, where, "expected a short name of letters, digits, dots, dashes and underscores")
    gate = _converted(found, found.data, where, GateTable)
    if name not in DEFAULT_GATES and gate.run is msgspec.UNSET:
        nearest = difflib.get_close_matches(name, DEFAULT_GATES, n=1)
        hint = f"did you mean {nearest[0]!r}? " if nearest else ""
        example = 'run = ["cargo", "deny", "check"]'
        raise _problem(found, where, f"{hint}A gate of your own needs `run`, like {example}")
    return gate


def _problem(found: StackText, where: KeyPath, text: str) -> UsageError:
    return problem(found.path, line_of(found.text, where), f"{dotted(where) or 'the file'}: {text}")


def _refuse_newer(found: StackText) -> None:
    version = found.data.get("schema")
    if isinstance(version, int) and version > SCHEMA_VERSION:
        raise UsageError(
            f"{found.path.name}:{line_of(found.text, ('schema',))}: schema {version} is newer than this trunkline",
            why=f"this version of trunkline reads schema {SCHEMA_VERSION}",
            next_command=installing.newer(),
        )


def _branch(text: str) -> str:
    wrong = branch_problem(text)
    return f"not a branch name git accepts: {wrong}" if wrong else ""


def _remote(text: str) -> str:
    # A remote is written on git command lines, where a leading dash would be an option.
    return "expected the name of a git remote, like origin" if branch_problem(text) else ""


def _inside(text: str) -> str:
    path = PurePosixPath(text)
    outside = path.is_absolute() or ".." in path.parts or not text
    return 'expected a path inside the repository, relative to its top, like "." or "rust"' if outside else ""


def _toolchain(text: str) -> str:
    sound = text and all(part.isalnum() or part in ".-_" for part in text) and not text.startswith("-")
    return "" if sound else 'expected a toolchain name, like "1.89.0"'


def _feature(text: str) -> str:
    wrong = not text or text.startswith("-") or any(part.isspace() or part == "," for part in text)
    return 'expected a cargo feature, like "cpu"' if wrong else ""


def _scheduler(text: str) -> str:
    sound = not text or re.fullmatch(r"(tcp|tls|ws|wss|ucx)://[^\s/]+:\d+", text)
    return "" if sound else 'expected an address, like "tcp://10.0.0.1:8786" or "tls://scheduler:8786"'


def _title(text: str) -> str:
    try:
        title.fill(text, dict.fromkeys(title.NAMES, ""))
    except ValueError as error:
        return f"expected a title with names in braces: {error}"
    return ""


def _numbered_title(text: str) -> str:
    try:
        title.fill(text, dict.fromkeys(title.POSITION_NAMES, ""))
    except ValueError as error:
        return f"expected a title with names in braces: {error}"
    return "" if title.is_pattern(text) else 'expected {title} once, as in "[{position}/{count}] {title}"'


def _pattern(rule: Any) -> str:
    return "" if _is_json(rule) else "expected an ast-grep rule of strings, numbers, arrays and tables"


def _is_json(value: object) -> bool:
    if isinstance(value, dict | list):
        return all(map(_is_json, value.values() if isinstance(value, dict) else value))
    return isinstance(value, str | int | float)


def _values_with_rules(file: StackFile) -> Iterator[tuple[KeyPath, Any, Callable[[Any], str]]]:
    """Yield each value with a rule that no type expresses: path, value, and the function that returns the problem."""
    yield ("trunk",), file.trunk, _branch
    yield ("remote",), file.remote, _remote
    for index, feature in enumerate(file.gates.features):
        yield ("gates", "features", index), feature, _feature
    yield ("gates", "msrv"), file.gates.msrv, _toolchain
    yield ("gates", "root"), file.gates.root, _inside
    yield ("gates", "scheduler"), file.gates.scheduler, _scheduler
    yield ("land", "title"), file.land.title, _title
    if file.submit.title:
        yield ("submit", "title"), file.submit.title, _numbered_title
    if file.note.template:
        yield ("note", "template"), file.note.template, _inside
    for where, entry in file.entries():
        yield (*where, "branch"), entry.branch, _branch
        for index, check in enumerate(entry.check):
            if isinstance(check, PatternTable):
                yield (*where, "check", index, "pattern"), check.pattern, _pattern


def _refuse_values(found: StackText, file: StackFile) -> None:
    for where, value, problem_of in _values_with_rules(file):
        if wrong := problem_of(value):
            raise _problem(found, where, wrong + shown(value))


def _refuse_twice(found: StackText, file: StackFile) -> None:
    for key in ("pr", "branch"):
        seen: dict[object, KeyPath] = {}
        for where, entry in file.entries():
            value = getattr(entry, key)
            if value is msgspec.UNSET:
                continue
            if value in seen:
                first = line_of(found.text, (*seen[value], key))
                raise _problem(found, (*where, key), f"{value!r} is already used in line {first}")
            seen[value] = where
            if value == file.trunk:
                raise _problem(found, (*where, key), f"{value!r} is the trunk itself")
    names = [table.name for table in file.stack]
    for index, name in enumerate(names):
        if name in names[:index]:
            raise _problem(found, ("stack", index, "name"), f"{name!r} is already used")


def _refuse_check_names(found: StackText, file: StackFile, gate_names: Mapping[str, object]) -> None:
    gates = {*DEFAULT_GATES, *gate_names}
    for where, entry in file.entries():
        taken: set[str] = set()
        for index, check in enumerate(entry.check):
            key = (*where, "check", index, "name")
            if check.name in gates:
                raise _problem(found, key, f"{check.name!r} is the name of a gate")
            if check.name in taken:
                raise _problem(found, key, f"{check.name!r} is already used")
            taken.add(check.name)


def _enabled(file: StackFile, overrides: Mapping[str, GateTable]) -> set[str]:
    """Return the names of the gates that run."""
    # The preset `nextest` changes how the gate `test` runs; it is no gate.
    named = {*DEFAULT_GATES, *file.gates.presets, *overrides} - {"nextest"}
    return named - {name for name, gate in overrides.items() if not gate.enabled}


def _refuse_no_gates(found: StackText, file: StackFile, overrides: Mapping[str, GateTable]) -> None:
    """Refuse a file that switches every gate off: nothing would be verified, and all of it would pass."""
    if not _enabled(file, overrides):
        raise _problem(found, ("gates",), "every gate has enabled = false; at least one must run")


def _refuse_unknown_gates(found: StackText, file: StackFile, overrides: Mapping[str, GateTable]) -> None:
    """Refuse a gate in `[attest]` that does not exist: requiring or waiving it would have no effect."""
    known = _enabled(file, overrides)
    named: list[tuple[KeyPath, str]] = [
        (("attest", "gates", index), name) for index, name in enumerate(file.attest.gates)
    ]
    named += [(("attest", "waive", name), name) for name in file.attest.waive]
    for where, name in named:
        if name not in known:
            close = difflib.get_close_matches(name, known, n=1)
            hint = f"did you mean {close[0]!r}?" if close else f"the gates are {', '.join(sorted(known))}"
            raise _problem(found, where, f"there is no gate {name!r}; {hint}")


def _domain(file: StackFile, overrides: Mapping[str, GateTable]) -> tuple[Stack, ...]:
    """Return the domain's values; what a table leaves out, the schema's defaults say."""
    trunk = branch_name(file.trunk)
    gates = _values(file.gates) | {"root": str(PurePosixPath(file.gates.root))}
    own = {name: GateOverride(**_values(table)) for name, table in overrides.items()}
    template = file.note.template and str(PurePosixPath(file.note.template))
    shared: dict[str, Any] = {
        "gates": GateSettings(**gates, remote=file.remote, trunk=trunk, overrides=own),
        "land": LandSettings(**_values(file.land)),
        "publish": PublishSettings(**_values(file.publish)),
        "rebase": RebaseSettings(**_values(file.rebase)),
        "note": NoteSettings(template),
        "attest": AttestSettings(**_values(file.attest) | {"max_age": _seconds(file.attest.max_age)}),
        "submit": SubmitSettings(**_values(file.submit)),
        "rerere": file.rerere,
        "lockfile": file.lockfile,
    }
    issue = None if file.issue is msgspec.UNSET else file.issue
    if file.entry or not file.stack:
        return (Stack(trunk, file.remote, tuple(map(_entry, file.entry)), issue=issue, **shared),)
    return tuple(
        Stack(
            trunk, file.remote, tuple(map(_entry, table.entry)), table.name,
            issue if table.issue is msgspec.UNSET else table.issue, landed=table.landed, **shared,
        )
        for table in file.stack
    )  # fmt: skip


_UNITS = {"m": 60.0, "h": 3600.0, "d": 86400.0, "w": 7 * 86400.0}


def _seconds(duration: str) -> float:
    """Return the seconds of a duration like `14d`."""
    return int(duration[:-1]) * _UNITS[duration[-1]]


def _values(table: msgspec.Struct) -> dict[str, Any]:
    return {key: value for key, value in msgspec.structs.asdict(table).items() if value is not msgspec.UNSET}


def _entry(table: EntryTable) -> Entry:
    checks = tuple(_CHECKS[type(check)](**_values(check)) for check in table.check)
    number = None if table.pr is msgspec.UNSET else pr_number(table.pr)
    return Entry(number, branch_name(table.branch), table.title, table.next, checks)


_CHECKS: Mapping[type[CheckTable], Callable[..., Check]] = {
    PatternTable: PatternCheck,
    CommandTable: CommandCheck,
    TestTable: TestCheck,
    ManualTable: ManualCheck,
}


if __name__ == "__main__":  # python -m trunkline.config.validation > src/trunkline/stack.schema.json
    print(json.dumps(json_schema(), indent=2))  # noqa: T201 -- a program's output
