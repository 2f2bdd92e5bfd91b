"""Commands for a person to type: text and argv, for the program and prefix that were really called."""

from __future__ import annotations

import shlex
from collections.abc import Mapping
from dataclasses import dataclass, field

from typing_extensions import Self

_SHELL = frozenset("|&;<>$`(){}*?~\n")
"""Characters that only a shell interprets: no argv expresses such a line."""


@dataclass(frozen=True)
class Caller:
    """How the running process was called.

    Attributes:
        program: the words that start it, the flags that select a collection among them: `invoke -c mine`.
        prefix: the namespace of each task: `stack.` where the collection is mounted as `stack`.
        repeated: task -> the flags of this command that it needs as well, without dashes: `stack` -> NAME.
    """

    program: tuple[str, ...] = ("invoke",)
    prefix: str = ""
    repeated: Mapping[str, Mapping[str, str | bool]] = field(default_factory=dict)


_caller = Caller()


def called_by(caller: Caller) -> None:
    """Build every following command for this caller; called once for each task of the command line."""
    global _caller  # noqa: PLW0603 -- how a process was called is a fact of the whole process, like sys.argv
    _caller = caller


def caller() -> Caller:
    """Return how the running process was called."""
    return _caller


class Command(str):
    """A command as a person types it, with a comment where one is needed; its argv is in `argv`."""

    __slots__ = ("argv",)
    argv: tuple[str, ...]

    def __new__(cls, argv: tuple[str, ...], comment: str = "") -> Self:
        """Make the text of an argv."""
        text = shlex.join(argv)
        made = super().__new__(cls, f"{text}   # {comment}" if comment else text)
        made.argv = argv
        return made


def task_command(name: str, *words: object, comment: str = "") -> Command:
    """Return the command that calls a task of ours as this process was called.

    Args:
        name: the task: `rebase`, `receipts.push`.
        *words: its flags and their values.
        comment: what it does, for people.
    """
    given = [str(word) for word in words]
    for flag, value in _caller.repeated.get(name, {}).items():
        if f"--{flag}" not in given:
            given += [f"--{flag}"] if value is True else [f"--{flag}", str(value)]
    return Command((*_caller.program, f"{_caller.prefix}{name}", *given), comment)


def program_help(name: str) -> Command:
    """Return the command that shows the flags of a task."""
    return Command((*_caller.program, "--help", f"{_caller.prefix}{name}"))


def task_list() -> Command:
    """Return the command that lists the tasks."""
    return Command((*_caller.program, "--list"))


def argv_of(command: str) -> tuple[str, ...]:
    """Return the argv of a command; of one that only a shell understands, that of the shell."""
    if isinstance(command, Command):
        return command.argv
    text = command.partition("   #")[0].strip()
    try:
        words = tuple(shlex.split(text))
    except ValueError:
        words = ()
    if not words or _SHELL & set(text) or "=" in words[0]:
        return ("sh", "-c", text)
    return words
