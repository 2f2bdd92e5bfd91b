"""Explain a word after a task's name that no flag takes: `verify 57e81d4`, `rebase 519`, `up 2`."""

from __future__ import annotations

import contextlib
import itertools
import re
from collections.abc import Collection, Sequence

from trunkline import context as contexts
from trunkline import operations
from trunkline.domain.errors import TrunklineError
from trunkline.domain.stack import DEFAULT_GATES
from trunkline.tasks.opening import checkout

_NUMBER = re.compile(r"#?([0-9]{1,10})")
_NOUNS = {
    "--count": "the number of entries",
    "--commit": "a commit",
    "--run": "the id of a run",
    "--task": "a task",
    "--plan": "a file",
    "--repository": "a directory",
    "--output": "a file",
    "--pr": "an entry",
    "--up-to": "an entry",
}
"""Flag -> its value; of a task with several of them, the first is meant."""
_NOUNS_OF_NUMBERS = ("--count", "--pr", "--up-to")
"""Flags that a number is meant for, before the others."""


def with_flag(word: str, flags: Collection[str], tasks: Sequence[str] = ()) -> tuple[tuple[str, ...], str] | None:
    """Return the flag that a word belongs to: the words to type, and a noun for the value; None if there is none.

    Args:
        word: the word.
        flags: the flags of the task, with dashes.
        tasks: the tasks with a similar name; the value of `--task` is one of them.
    """
    if f"--{word}" in flags:
        return (f"--{word}",), ""
    number = _NUMBER.fullmatch(word)
    order = [*(_NOUNS_OF_NUMBERS if number else ()), *_NOUNS]
    flag = next((flag for flag in order if flag in flags and (flag != "--task" or tasks)), "")
    if flag == "--task":
        return (flag, tasks[0]), _NOUNS[flag]
    return ((flag, number[1] if number else word), _NOUNS[flag]) if flag else None


def gates_in(argv: Sequence[str], task: str) -> tuple[str, ...]:
    """Return the words after the task `gates` if they are all names of gates; () if one is not.

    Where stack.toml cannot be read, the default gates are known.
    """
    after = argv[argv.index(task) + 1 :] if task in argv else ()
    words = tuple(itertools.takewhile(lambda word: not word.startswith("-"), after))
    known: Collection[str] = DEFAULT_GATES
    with contextlib.suppress(TrunklineError):
        known = {
            name for stack in contexts.loading.load_stacks(checkout()) for name in operations.gate_stack.names(stack)
        }
    return words if set(words) <= set(known) else ()


def replaced(argv: Sequence[str], task: str, word: str, by: Sequence[str]) -> tuple[str, ...]:
    """Return a command line with the word after a task's name replaced."""
    after = argv.index(task) + 1 if task in argv else 0
    at = argv.index(word, after)
    return (*argv[:at], *by, *argv[at + 1 :])
