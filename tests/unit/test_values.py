"""Value types with content equality are hashable, so that they can be dictionary keys."""

from __future__ import annotations

import dataclasses
import io
import sys
import typing
from collections.abc import Iterator, Mapping, MutableSequence, MutableSet
from pathlib import Path
from typing import Any

import msgspec
import pytest

from support.repo import Repo
from trunkline.config import reading, validation
from trunkline.domain import check, names, receipt, reuse, stack
from trunkline.gates import catalogue
from trunkline.operations import gate_stack
from trunkline.report.terminal import Terminal

_UNHASHABLE = (Mapping, MutableSequence, MutableSet)


def _frozen() -> Iterator[type]:
    """Yield the values of stack.toml, gates, and receipt queries."""
    for module in (stack, check, receipt, catalogue):
        for value in vars(module).values():
            if _is_value(value) and value.__module__ == module.__name__:
                yield value


def _is_value(value: Any) -> bool:
    return isinstance(value, type) and (dataclasses.is_dataclass(value) or issubclass(value, msgspec.Struct))


def _hashed(kind: Any) -> list[str]:
    """Return the fields that a value's hash is made of: all of a struct."""
    if issubclass(kind, msgspec.Struct):
        return list(kind.__struct_fields__)
    return [field.name for field in dataclasses.fields(kind) if (field.compare if field.hash is None else field.hash)]


def _may_be_unhashable(annotation: object) -> bool:
    origin = typing.get_origin(annotation) or annotation
    if annotation is typing.Any or (isinstance(origin, type) and issubclass(origin, _UNHASHABLE)):
        return True
    return any(_may_be_unhashable(part) for part in typing.get_args(annotation) if part is not Ellipsis)


@pytest.mark.parametrize("kind", list(_frozen()), ids=lambda kind: kind.__qualname__)
def test_a_frozen_value_can_be_a_key(kind: type) -> None:
    """Unhashable fields (a mapping, a list) are left out of the hash, or of the comparison."""
    types = typing.get_type_hints(kind, {**vars(names), **vars(check), **vars(sys.modules[kind.__module__])})
    for name in _hashed(kind):
        assert not _may_be_unhashable(types[name]), f"{kind.__qualname__}.{name}"


def test_everything_that_stack_toml_declares_can_be_a_key() -> None:
    """Structured patterns, environments and overrides included; what is equal has the same hash."""
    data = {
        "schema": 1,
        "gates": {"build": {"run": ["true"], "env": {"A": "b"}}},
        "entry": [{
            "pr": 1, "branch": "one",
            "check": [
                {"kind": "pattern", "name": "p", "pattern": {"kind": "function_item", "has": {"kind": "block"}}},
                {"kind": "command", "name": "c", "run": ["true"], "env": {"A": "b"}},
            ],
        }],
    }  # fmt: skip
    found = reading.StackText(Path("stack.toml"), "", data)
    (one,), (again,) = validation.stacks_of(found), validation.stacks_of(found)
    assert {one: 1}[again] == 1
    assert {one.entries[0]: 1}[again.entries[0]] == 1
    assert len({*catalogue.catalogue(one.gates), *catalogue.catalogue(again.gates)}) == 6


def test_a_stack_is_gated_whose_entries_have_structured_checks(repo: Repo, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each entry gets its own outcomes, whatever its checks hold."""
    repo.commit("start")
    repo.git("branch", "one")
    pattern = check.PatternCheck("p", "", {"kind": "function_item"}, check.Expect.ABSENT)
    entries = tuple(
        stack.Entry(names.pr_number(pr), names.branch_name(branch), checks=(pattern,))
        for pr, branch in ((1, "one"), (2, "not-here"))
    )
    passed = receipt.GateOutcome("build", receipt.Verdict.PASSED)
    monkeypatch.setattr(gate_stack, "run_gate_jobs", lambda orders: [(passed,) for _ in orders])
    rows = gate_stack.gate_stack(
        repo.adapter,
        stack.Stack(names.branch_name("main"), "origin", entries),
        Terminal(io.StringIO()),
        reuse.Reuse.ALL,
    )
    assert [(row.entry.pr, dict(row.outcomes)) for row in rows] == [(1, {"build": passed}), (2, {})]


def test_mypy_reports_a_struct_that_is_copied_as_a_dataclass() -> None:
    """The comment is an unused ignore, an error, if `scripts/mypy_structs.py` stops reporting the call."""
    trunk = stack.Stack(names.branch_name("main"), "origin", ())
    with pytest.raises(TypeError):
        dataclasses.replace(trunk, remote="upstream")  # type: ignore[misc]
