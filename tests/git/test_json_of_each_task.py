"""The `--json` object of every task, in success and in failure, against `trunkline schema TASK`."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import jsonschema
import pytest

from support.inprocess import desk
from support.typist import Typist, typist
from trunkline.report.json_schema import schema_of
from trunkline.tasks.registry import taken_flags
from trunkline.tasks.session import SCHEMA

ARGUMENTS = {"add": "later", "schema": "status", "help": "agents"}
"""The positional arguments that tasks require."""

TASKS = [
    "status", "plan --pr 1", "log", "open --pr 1", "diff --pr 1", "doctor --offline", "checklist --pr 1",
    "report", "verify-merged --pr 1", "fetch --pr 1", "onto --pr 1", "rebase --pr 1", "push --pr 1", "ready --pr 1",
    "next --pr 1", "restack", "undo", "restack", "sync", "submit", "switch --pr 1", "up", "down", "top", "bottom",
    "amend", "absorb", "continue", "skip", "abort", "trust", "receipts.list",
    "schema status", "help agents", "land --dry-run", "note --pr 1 --skip gates --dry-run", "gates --pr 1 --dry-run",
    "checks --pr 1 --dry-run", "fmt --pr 1 --dry-run",
]  # fmt: skip
"""Tasks in an order in which each can succeed; tests elsewhere have those that need cargo, gh or review threads."""


@pytest.fixture
def person(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Iterator[Typist]:
    """Return a person at a desk with a stack of three entries."""
    with desk(monkeypatch) as made:
        made.trunk_commits("trunk goes on", {"trunk.txt": "1\n"})
        yield from typist(made, monkeypatch, capsys, "fmt,gates,checks,note,checklist")


def printed(person: Typist, line: str) -> Any:
    """Return the object that a command line prints with `--json`, after validation."""
    ran = person(f"invoke {line} --json")
    value = json.loads(ran.out)
    jsonschema.validate(value, schema_of(line.split(maxsplit=1)[0], SCHEMA))
    assert (value["task"], value["exit_code"], value["ok"]) == (line.split(maxsplit=1)[0], ran.code, ran.code == 0)
    return value


def test_success(person: Typist) -> None:
    """Each task once, at a stack whose trunk moved."""
    ended = {line: printed(person, line) for line in TASKS}
    assert [(line, value["error"]) for line, value in ended.items() if value["exit_code"] not in {0, 1}] == []


@pytest.mark.parametrize("line", ["rebase 519", "status --bogus", "rebase --pr", "land together"])
def test_usage(person: Typist, line: str) -> None:
    """A command line that cannot be parsed: the object has the error and the command that works."""
    value = printed(person, line)
    assert (value["exit_code"], bool(value["error"]["what"]), bool(value["next"])) == (2, True, True)


def test_failure(person: Typist, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Every task that needs a checkout, outside of one: exit code 2, an error, and the next command."""
    monkeypatch.chdir(tmp_path)
    passed = set()
    for task in sorted(taken_flags().keys() - {"sim.serve", "rehearse"}):
        value = printed(person, f"{task} {ARGUMENTS.get(task, '')}".rstrip())
        if value["ok"]:
            passed.add(task)
        else:
            assert value["error"]["what"], task
            assert value["next"], task
    assert passed == {"schema", "help"}
