"""Tasks about trunkline itself: pages of help, and the JSON Schema of `--json`."""

from __future__ import annotations

import json
import sys
from collections.abc import Collection
from pathlib import Path

from invoke.collection import Collection as Namespace

from trunkline import report
from trunkline.domain.choices import nearest
from trunkline.domain.command import program_help, task_command
from trunkline.domain.errors import UsageError
from trunkline.tasks.definition import landing_task
from trunkline.tasks.registry import taken_flags
from trunkline.tasks.session import SCHEMA, TaskSession


@landing_task("schema", mutates=False, help={"task": "the task whose output is described"})
def schema(session: TaskSession, task: str) -> None:
    """Print the JSON Schema of a task's `--json` output: `schema status`."""
    _refuse_unknown("schema", task, taken_flags(), "task")
    found = report.json_schema.schema_of(task, SCHEMA)
    session.account.update(of=task, json_schema=found)
    if not session.json_wanted:
        sys.stdout.write(json.dumps(found, indent=2, sort_keys=True) + "\n")


@landing_task("help", mutates=False)
def help_(session: TaskSession, topic: str) -> None:
    """Print a page of help: `help agents` is for programs that call trunkline."""
    pages = help_pages()
    if topic not in pages and topic in taken_flags():
        raise UsageError(f"there is no page of help {topic!r}", why="it is a task", next_command=program_help(topic))
    _refuse_unknown("help", topic, pages, "page of help")
    text = pages[topic].read_text(encoding="utf-8")
    session.account.update(topic=topic, text=text)
    if not session.json_wanted:
        sys.stdout.write(text)


def help_pages() -> dict[str, Path]:
    """Return the pages of help by topic."""
    return {each.stem: each for each in (Path(__file__).parents[1] / "help").glob("*.md")}


def _refuse_unknown(task: str, given: str, known: Collection[str], noun: str) -> None:
    """Check that the argument of such a task exists.

    Raises:
        UsageError: it does not; the next command has the most similar name.
    """
    if given not in known:
        like = nearest(given, known)
        raise UsageError(
            f"there is no {noun} {given!r}",
            why=f"did you mean {like}?" if like else f"there are: {', '.join(sorted(known))}",
            next_command=task_command(task, like or min(known)),
        )


def add_to(namespace: Namespace) -> None:
    """Add these tasks to the collection."""
    namespace.add_task(schema)
    namespace.add_task(help_)
