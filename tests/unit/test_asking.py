"""The tasks that answer questions about trunkline itself."""

from __future__ import annotations

import contextlib
import json
from pathlib import Path
from typing import Any

import jsonschema
import pytest
from invoke.context import Context
from invoke.exceptions import Exit

from support.repo import Repo
from trunkline.domain.errors import ExitCode
from trunkline.domain.step import StepStatus
from trunkline.report.json_schema import _OWN, schema_of
from trunkline.tasks.asking import help_, schema
from trunkline.tasks.inspection import report_
from trunkline.tasks.recovery import abort, log
from trunkline.tasks.registry import taken_flags
from trunkline.tasks.session import SCHEMA

PAGE = Path(__file__).parents[2] / "src/trunkline/help/agents.md"


def answered(of: Any, capsys: pytest.CaptureFixture[str], **flags: Any) -> Any:
    """Return what a task prints with `--json`, as its schema has it."""
    capsys.readouterr()
    with contextlib.suppress(Exit):
        of(Context(), json=True, **flags)
    value = json.loads(capsys.readouterr().out)
    jsonschema.validate(value, schema_of(of.full_name, SCHEMA))
    return value


@pytest.mark.parametrize("task", sorted(taken_flags()))
def test_each_task_has_a_sound_schema(task: str) -> None:
    """Each schema is valid and strict: a key that is not in it is an error."""
    made = schema_of(task, SCHEMA)
    jsonschema.Draft202012Validator.check_schema(made)
    sound = {
        "schema": SCHEMA, "task": task, "ok": True, "exit_code": 0, "outcomes": [], "error": None, "next": [],
    }  # fmt: skip
    jsonschema.validate(sound, made)
    for wrong in ({**sound, "more": 1}, {**sound, "task": "other"}, {**sound, "next": ["invoke status"]}):
        with pytest.raises(jsonschema.ValidationError):
            jsonschema.validate(wrong, made)


def test_every_schema_is_of_an_existing_task() -> None:
    """A schema without a task would describe nothing."""
    assert _OWN.keys() <= taken_flags().keys()


def test_what_tasks_print_is_as_their_schema_says(
    repo: Repo, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """The output of a task that fails fits its schema, too. Tests of landings validate all that they read."""
    repo.commit("start")
    monkeypatch.chdir(repo.path)
    assert answered(log, capsys)["runs"] == []
    assert answered(abort, capsys)["ok"] is True
    assert answered(schema, capsys, task="log")["json_schema"] == schema_of("log", SCHEMA)
    wrong = answered(schema, capsys, task="statsu")
    assert (wrong["exit_code"], wrong["next"][0][-2:]) == (2, ["schema", "status"])
    assert answered(help_, capsys, topic="agents")["text"] == PAGE.read_text()


def test_a_report_has_one_form(capsys: pytest.CaptureFixture[str]) -> None:
    """Two are refused before any request; the next command has the first alone."""
    wrong = answered(report_, capsys, junit=True, mermaid=True)
    assert (wrong["exit_code"], wrong["error"]["what"]) == (2, "--junit and --mermaid are different forms")
    assert wrong["next"][0][-2:] == ["report", "--junit"]


def test_the_page_for_agents_names_every_exit_code() -> None:
    """The page names no other exit code, and only tasks that exist."""
    rows = [line.split("|")[1].strip() for line in PAGE.read_text().splitlines() if line.startswith("| ")]
    assert rows[1:] == [str(int(code)) for code in ExitCode]
    typed = {line.split()[1] for line in PAGE.read_text().split("`")[1::2] if line.startswith("trunkline ")}
    assert typed - {"TASK"} <= taken_flags().keys()


def test_the_page_for_agents_names_every_mark() -> None:
    """As the value of `mark` is spelt in the output."""
    assert [mark.value for mark in StepStatus if f"`{mark.value}`" not in PAGE.read_text().replace("\n", " ")] == []


def test_the_page_for_agents_names_every_task() -> None:
    """By its full name, in the list of tasks."""
    listed = PAGE.read_text().partition("## Every task")[2].partition("\n## ")[0]
    assert set(listed.split("`")[1::2]) == taken_flags().keys()
