"""A command line that Invoke cannot parse: exit code 2 and the nearest task or flag, for every program."""

from __future__ import annotations

import difflib
import functools
import itertools
import re
import sys
from collections.abc import Callable, Collection, Sequence
from typing import Any

from invoke.exceptions import Exit, ParseError
from invoke.program import Program

from trunkline.domain.command import Command
from trunkline.domain.errors import ExitCode
from trunkline.tasks import command_line

_UNKNOWN = re.compile("No idea what '(.+)' is!")
_LIKE = 0.6
"""How alike two words must be, from 0 to 1 (difflib): `statsu` and `status`: 0.83, `submit` and `switch`: 0.5."""


def explained(error: ParseError, names: Collection[str]) -> Exit:
    """Return the error of a command line that cannot be parsed, with the nearest task or flag.

    Args:
        error: Invoke's error.
        names: the tasks that there are, as they are typed.
    """
    program, argv = command_line.program(), sys.argv[1:]
    unknown, task = _UNKNOWN.match(str(error)), (error.context.name or "" if error.context is not None else "")
    word = unknown[1] if unknown else ""
    is_flag = word.startswith("-")
    what = f"{task or program[0]} has no flag {word}" if is_flag else f"there is no task {word!r}"
    lines = [f"error: {what if word else error}"]
    like = _nearest(word, _flags_of(error) if is_flag else sorted(names))
    if word and like:
        lines.append(f"  did you mean {' or '.join(like)}?")
        lines.append(f"next: {Command((program[0], *_replaced(argv, word, like[0])))}")
    else:
        lines += [f"next: {Command((*program, '--help', task))}"] if task else []
        lines.append(f"next: {Command((*program, '--list'))}")
    return Exit("\n".join(lines), code=int(ExitCode.USAGE))


def _nearest(word: str, names: Sequence[str]) -> list[str]:
    """Return the names that are most like a word; without a dot it may be one of a collection: `stack.status`."""
    inner = {name.partition(".")[2]: name for name in names if "." in name and "." not in word}
    known = {**inner, **{name: name for name in names}}
    like = difflib.get_close_matches(word, list(known), n=3, cutoff=_LIKE)
    return list(dict.fromkeys(known[each] for each in like))


def _replaced(argv: Sequence[str], word: str, by: str) -> list[str]:
    """Return a command line with another word; a flag keeps the value that is joined to it by `=`."""
    return [by + each[len(word) :] if each == word or each.startswith(f"{word}=") else each for each in argv]


def _flags_of(error: ParseError) -> list[str]:
    """Return the long flags of the task that the error is about."""
    return [name for name in error.context.flags if name.startswith("--")] if error.context is not None else []


def explain(own: Callable[[], Collection[str]]) -> None:
    """Let Invoke end with `explained` where an error is about a task of ours, or about none.

    Invoke has no hook between its parser and its exit code 1. Tasks of the user's own stay as they are.

    Args:
        own: returns the names of our tasks.
    """
    if getattr(Program.parse_tasks, "explains", False):
        return
    for name in ("parse_core", "parse_tasks", "parse_cleanup"):  # the last one looks up `--help TASK`
        setattr(Program, name, _explaining(getattr(Program, name), own))


def _explaining(parse: Callable[..., None], own: Callable[[], Collection[str]]) -> Callable[..., None]:
    @functools.wraps(parse)
    def explaining(self: Program, *args: Any) -> None:
        try:
            parse(self, *args)
        except ParseError as error:
            task = error.context.name if error.context is not None else None
            if task and not command_line.own_name(task, own()):
                raise
            loaded = getattr(self, "collection", None)  # not before the program's own flags are read
            names = loaded.task_names if loaded is not None else dict.fromkeys(own(), ())
            raise explained(error, {*names, *itertools.chain.from_iterable(names.values())}) from error

    explaining.explains = True  # type: ignore[attr-defined]  # a function takes attributes
    return explaining
