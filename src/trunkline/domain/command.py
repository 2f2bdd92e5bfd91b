"""Commands for a person to type: text and argv, for the program and prefix that were really called."""

from __future__ import annotations

import shlex
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field

from typing_extensions import Self

_SHELL = frozenset("|&;<>$`(){}*?~\n")
"""Characters that only a shell interprets: no argv expresses such a line."""


_OF_STACK = frozenset({"restack", "land"})
"""Tasks of the whole stack: `--pr` is none of theirs, or another thing."""
_LISTS = frozenset({"accept-unavailable", "accept-flaky"})
_SEVERAL = frozenset({"fork-point"})


@dataclass(frozen=True)
class Caller:
    """How the running process was called.

    Attributes:
        program: the words that start it, the flags that select a collection among them: `invoke -c mine`.
        prefix: the namespace of each task: `stack.` where the collection is mounted as `stack`.
        repeated: task -> the flags of this command that it needs as well, without dashes: `stack` -> NAME.
        task: the task that was called, where it is one that changes anything; "" otherwise.
        given: the flags that it was given, without dashes.
        takes: task -> the flags that it takes, without dashes.
    """

    program: tuple[str, ...] = ("invoke",)
    prefix: str = ""
    repeated: Mapping[str, Mapping[str, str | bool]] = field(default_factory=dict)
    task: str = ""
    given: Mapping[str, str | bool] = field(default_factory=dict)
    takes: Mapping[str, Collection[str]] = field(default_factory=dict)


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
            given += flag_words({flag: value})
    return _command(name, given, comment)


def _command(name: str, words: Sequence[str], comment: str = "") -> Command:
    return Command((*_caller.program, f"{_caller.prefix}{name}", *words), comment)


def exact_command(name: str, flags: Mapping[str, str | bool]) -> Command:
    """Return the command that calls a task of ours with these flags and no others, without dashes."""
    return _command(name, flag_words(flags))


def same_command(
    flags: Mapping[str, str | bool], *, pr: int, otherwise: str = "rebase", comment: str = ""
) -> Command:
    """Return the command that was called, with more flags; another one where its task does not take them.

    Args:
        flags: flag without dashes -> its value; True: a switch; "": the flag is left out. Names that the call accepts
            already stay accepted.
        pr: the entry that they are about; a task of one entry names it.
        otherwise: the task that takes them.
        comment: what it does, for people.
    """
    is_again = bool(_caller.task) and all(flag in _caller.takes.get(_caller.task, ()) for flag in flags)
    task, given = (_caller.task, _caller.given) if is_again else (otherwise, {})
    of_stack = task in _OF_STACK
    values = {**given, **({} if of_stack else {"pr": str(pr)})}
    for flag, value in flags.items():
        is_point = flag == "fork-point" and of_stack and value != ""
        answer = f"{pr}={value}" if is_point and "=" not in str(value) else value
        parts = [str(given[flag]), str(answer)] if flag in given and (flag in _LISTS or is_point) else []
        values[flag] = ",".join(dict.fromkeys(",".join(parts).split(","))) if parts else answer
    words = flag_words({flag: value for flag, value in values.items() if value != ""})
    return _command(task, words, comment) if is_again else task_command(task, *words, comment=comment)


def flag_words(values: Mapping[str, str | bool]) -> list[str]:
    """Return flags as words: `--fresh --pr 519`; a flag that may be given several times is, for each value."""
    words = []
    for flag, value in values.items():
        each = value.split(",") if flag in _SEVERAL and isinstance(value, str) else [value]
        words += [word for one in each for word in ([f"--{flag}"] if one is True else [f"--{flag}", str(one)])]
    return words


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
