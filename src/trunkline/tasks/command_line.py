"""Parse this process's command line: tasks, their prefix, and their flags."""

from __future__ import annotations

import functools
import sys
from collections.abc import Collection, Sequence
from pathlib import Path

import msgspec
from invoke.program import Program

from trunkline.domain.step import ALIASES
from trunkline.tasks.flags import FLAGS

_WITH_VALUE = frozenset(f"--{name}" for name, flag in FLAGS.items() if not flag.switch) | frozenset(
    f"-{flag.short}" for flag in FLAGS.values() if flag.short and not flag.switch
)
_SHORT = frozenset(f"-{flag.short}" for flag in FLAGS.values() if flag.short)
_CORE_SHORT = frozenset({"-R", "-h"})
"""Short flags of Invoke that mean the same after a task's name: --dry and --help."""


class Typed(msgspec.Struct):
    """One task of the command line, as typed.

    Attributes:
        name: the task as typed: `rebase`, `stack.receipts.push`.
        words: the words after it, up to the next task.
        short: the short flags among them, one by one.
    """

    name: str
    words: list[str]
    short: list[str]


def typed(argv: Sequence[str] | None = None) -> list[Typed]:
    """Return the tasks of a command line, in order.

    Args:
        argv: the words after the program's name; default: those of this process.
    """
    found: list[Typed] = []
    value_next = False
    for word in sys.argv[1:] if argv is None else argv:
        if word == "--":
            break
        if not value_next and not word.startswith("-"):
            found.append(Typed(word, [], []))
            continue
        if found:
            found[-1].words.append(word)
        if found and not value_next and not word.startswith("--"):
            found[-1].short += flags_in(word)
        value_next = not value_next and is_value_next(word)
    return found


def flags_of(task: Typed) -> dict[str, str | bool]:
    """Return the flags of a typed task by name, without dashes; True for a switch.

    Flags of Invoke, which are not in our table, keep their dashes.
    """
    found: dict[str, str | bool] = {}
    words = iter(task.words)
    for word in words:
        *switches, last = flags_in(word)
        found |= {flag_of(each) or each: True for each in switches}
        name, joined = flag_of(last) or last, "" if switches else word[len(last) :]
        given = next(words, "") if is_value_next(word) else joined.removeprefix("=") if joined else True
        repeated = name in found and name in FLAGS and FLAGS[name].several
        found[name] = f"{found[name]},{given}" if repeated else given
    return found


def is_value_next(word: str) -> bool:
    """Return whether the word after a flag is its value."""
    flags = flags_in(word)
    is_whole = word == flags[-1] or len(flags) > 1  # `-p` and `-np`, but not `-p519`
    return "=" not in word and is_whole and _takes_value(flags[-1])


def flag_of(word: str) -> str:
    """Return the flag of our table that a word such as `--dry-run` or `-n` is, without dashes; "" if none."""
    name = word.removeprefix("--")
    if name in FLAGS and word != name:
        return name
    return next((name for name, flag in FLAGS.items() if flag.short and word == f"-{flag.short}"), "")


def flags_in(word: str) -> list[str]:
    """Return the flags in a word as Invoke parses it: `-yn` has two, `-p519` one with a value."""
    word = word.partition("=")[0]
    if word.startswith("--") or len(word) <= len("-p") or word[:2] in _WITH_VALUE:
        return [word if word.startswith("--") else word[:2]]
    return [f"-{letter}" for letter in word[1:]]


def _takes_value(flag: str) -> bool:
    return flag in _WITH_VALUE or flag in _core_flags_with_value()


@functools.cache
def _core_flags_with_value() -> frozenset[str]:
    arguments = Program().initial_context.args.values()
    names = (name for each in arguments if each.takes_value and not each.optional for name in each.names)
    return frozenset(f"-{name}" if len(name) == 1 else f"--{name}" for name in names)


def unknown_short(flags: Collection[str]) -> list[str]:
    """Return short flags that no task has; Invoke would use them as its own and run the task."""
    return [flag for flag in flags if flag not in _SHORT | _CORE_SHORT]


def called_as(name: str, names: Collection[str], argv: Sequence[str] | None = None) -> Typed | None:
    """Return the words that called a task on the command line; None if it was not called.

    Args:
        name: its name in our collection: `receipts.push`.
        names: the names of all tasks of our collection.
        argv: see `typed`.
    """
    return next((each for each in typed(argv) if own_name(each.name, names) == name), None)


def own_name(word: str, names: Collection[str]) -> str:
    """Return our task that a word names, wherever the collection is mounted; "" if there is none."""
    name = _name_in(word, names)
    return ALIASES.get(name, name)


def _name_in(word: str, names: Collection[str]) -> str:
    fitting = [name for name in names if word == name or word.endswith(f".{name}")]
    return max(fitting, key=len, default="")


_SELECTING = frozenset({"-c", "--collection", "-r", "--search-root", "-f", "--config"})
"""Flags of Invoke that select the collection or its settings; following commands need them too."""
_PROGRAMS = frozenset({"invoke", "inv", "trunkline"})


def program(argv: Sequence[str] | None = None) -> tuple[str, ...]:
    """Return the words that start this program, with flags that select the collection.

    Args:
        argv: the whole command line; default: that of this process.
    """
    words = list(sys.argv if argv is None else argv)
    path = Path(words[0]) if words else Path()
    name = path.parent.name if path.name == "__main__.py" else path.name
    return (name if name in _PROGRAMS else "invoke", *_selecting(words[1:]))


def _selecting(words: Sequence[str]) -> list[str]:
    """Return the flags before the first task that select the collection, with their values."""
    found: list[str] = []
    value_next, keep = False, False
    for word in words:
        if value_next:
            found += [word] if keep else []
            value_next = False
            continue
        if not word.startswith("-"):
            break
        flag, has_value = word.partition("=")[0], "=" in word
        keep, value_next = flag in _SELECTING, not has_value and flag in _core_flags_with_value()
        found += [word] if keep else []
    return found


def start_of(name: str, names: Collection[str], argv: Sequence[str] | None = None) -> tuple[tuple[str, ...], str]:
    """Return the program and the prefix with which a following command calls our tasks.

    Where somebody's own task calls ours, the prefix is unknown, and the program `trunkline` needs none.

    Args:
        name: the task that runs.
        names: the names of all tasks of our collection.
        argv: the whole command line; default: that of this process.
    """
    words = list(sys.argv if argv is None else argv)
    group = name.rpartition(".")[0]  # `receipts` calls its default task, `receipts.list`
    found = prefix(name, names, words[1:]) or (prefix(group, {*names, group}, words[1:]) if group else "")
    is_ours = any(called_as(each, {*names, each}, words[1:]) for each in (name, group) if each)
    if typed(words[1:]) and not is_ours and Path(words[0]).name in _PROGRAMS:
        return ("trunkline",), ""
    return program(words), found


def prefix(name: str, names: Collection[str], argv: Sequence[str] | None = None) -> str:
    """Return the prefix of a task as typed: `stack.` if the collection is mounted as `stack`."""
    found = called_as(name, names, argv)
    return found.name.removesuffix(_name_in(found.name, names)) if found else ""
