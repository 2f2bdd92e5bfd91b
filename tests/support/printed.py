"""Check that the next commands in a task's output are valid for Invoke."""

from __future__ import annotations

import functools
import re
from pathlib import Path

from invoke.parser import Parser

from trunkline.domain.command import argv_of
from trunkline.tasks import command_line, namespace
from trunkline.tasks.registry import task_names


def next_commands(text: str) -> list[str]:
    """Return the commands in a task's output, without the words in front of them."""
    lines = [line for line in text.splitlines() if line.startswith("next: ")]
    return [re.sub(r"^next: (#.*: (?=invoke ))?", "", line) for line in lines]


def check_printed(text: str) -> None:
    """Check that Invoke can parse every command of ours in a task's output.

    Raises:
        ParseError: one is invalid.
    """
    for command in next_commands(text):
        if is_ours(command):
            _parse(command)


def is_ours(command: str) -> bool:
    """Return whether a command calls one of our tasks."""
    return Path(argv_of(command)[0]).name in {"invoke", "inv", "trunkline"}


def _parse(command: str) -> None:
    argv = argv_of(command)
    words = list(argv[len(command_line.program(argv)) :])
    if words[:1] in (["--help"], ["--list"]):
        assert set(words[1:]) <= task_names(), command
        return
    _parser().parse_argv(words)


@functools.cache
def _parser() -> Parser:
    return Parser(contexts=namespace.to_contexts())
