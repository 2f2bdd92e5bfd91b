"""Build commands for the user, as text and argv, for the program and prefix of this call."""

from __future__ import annotations

import shlex
from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import TYPE_CHECKING

import msgspec

if TYPE_CHECKING:
    from typing_extensions import Self  # Python 3.11 has it in typing; not installed for users

_SHELL = frozenset("|&;<>$`(){}*?~\n")
"""Characters that only a shell interprets; such a line has no argv."""


_OF_STACK = frozenset({"restack", "land", "amend", "absorb", "diff", "modify", "sync"})
"""Tasks of the whole stack, which have no `--pr` or use it differently."""
_LISTS = frozenset({"accept-unavailable", "accept-flaky"})
_SEVERAL = frozenset({"fork-point"})


class Caller(msgspec.Struct, frozen=True):
    """The program and task of the running process, as called.

    Attributes:
        program: the words that start it, with flags that select a collection: `invoke -c mine`.
        prefix: the prefix of task names: `stack.` if the collection is mounted as `stack`.
        repeated: the flags of this command that other tasks need too, by task, without dashes.
        task: the task that was called, if it is one that changes anything; else "".
        given: its flags, without dashes.
        takes: the flags that each task accepts, without dashes.
    """

    program: tuple[str, ...] = ("invoke",)
    prefix: str = ""
    repeated: Mapping[str, Mapping[str, str | bool]] = msgspec.field(default_factory=dict)
    task: str = ""
    given: Mapping[str, str | bool] = msgspec.field(default_factory=dict)
    takes: Mapping[str, Collection[str]] = msgspec.field(default_factory=dict)


_caller = Caller()


def called_by(caller: Caller) -> None:
    """Set the caller for all following commands; called once for each task."""
    global _caller  # noqa: PLW0603 -- how a process was called is global, like sys.argv
    _caller = caller


def name_stack(name: str) -> None:
    """Add `--stack NAME` to all following commands that take it, unless they have it.

    For tasks that take their stack from a run's journal, not from a flag.

    Args:
        name: the stack; "" if it has no name, because it is the only one.
    """
    if name:
        _repeat({task: {"stack": name} for task, flags in _caller.takes.items() if "stack" in flags})


def accept_unavailable(gates: Collection[str]) -> None:
    """Add `--accept-unavailable` to all following commands that gate an entry, unless they have it.

    For tasks that take their options from a run's journal, not from flags.

    Args:
        gates: the gates that may be unavailable.
    """
    if gates:
        _repeat({"gates": {"accept-unavailable": ",".join(sorted(gates))}})


def _repeat(added: Mapping[str, Mapping[str, str | bool]]) -> None:
    repeated = {task: {**flags, **_caller.repeated.get(task, {})} for task, flags in added.items()}
    called_by(msgspec.structs.replace(_caller, repeated={**_caller.repeated, **repeated}))


def caller() -> Caller:
    """Return the program and task of the running process."""
    return _caller


class Command(str):
    """A command as text, with an optional comment; its argv is in `argv`."""

    __slots__ = ("argv",)
    argv: tuple[str, ...]

    def __new__(cls, argv: tuple[str, ...], comment: str = "") -> Self:
        """Create the text of an argv."""
        text = shlex.join(argv)
        made = super().__new__(cls, f"{text}   # {comment}" if comment else text)
        made.argv = argv
        return made


def task_command(name: str, *words: object, comment: str = "") -> Command:
    """Return the command that calls one of our tasks with the program and prefix of this call.

    Args:
        name: the task: `rebase`, `receipts.push`.
        *words: its flags and their values.
        comment: its purpose.
    """
    given = [str(word) for word in words]
    for flag, value in _caller.repeated.get(name, {}).items():
        if flag == "yes" and ("--print" in given or _is_of_another_entry(given)):
            continue  # nothing is published, or what the approval was not given for
        if flag == "stack" and value is True and "--pr" in given:
            continue  # every entry of the stack; the command names one
        if f"--{flag}" not in given:
            given += flag_words({flag: value})
    return _command(name, given, comment)


def _is_of_another_entry(words: Sequence[str]) -> bool:
    called = _caller.given.get("pr")
    return called is not None and "--pr" in words and words[words.index("--pr") + 1] != str(called)


def _command(name: str, words: Sequence[str], comment: str = "") -> Command:
    return Command((*_caller.program, f"{_caller.prefix}{name}", *words), comment)


def exact_command(name: str, flags: Mapping[str, str | bool]) -> Command:
    """Return the command that calls one of our tasks with exactly these flags, without dashes."""
    return _command(name, flag_words(flags))


def same_command(
    flags: Mapping[str, str | bool], *, pr: int | str, otherwise: str = "rebase", comment: str = ""
) -> Command:
    """Return the current command with more flags, or another task if it does not accept them.

    Args:
        flags: values by flag, without dashes; True for a switch; "" to leave the flag out. Names
            that are waived already stay waived.
        pr: the entry, for a task of one entry.
        otherwise: the task to use if the current one does not accept them.
        comment: its purpose.
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
    """Return flags as words: `--fresh --pr 519`; a repeatable flag appears once for each value."""
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


def names_task(commands: Iterable[str], name: str) -> bool:
    """Return whether one of these commands calls a task of ours."""
    return any(isinstance(each, Command) and f"{_caller.prefix}{name}" in each.argv for each in commands)


def argv_of(command: str) -> tuple[str, ...]:
    """Return the argv of a command, or that of a shell if the command needs one."""
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
