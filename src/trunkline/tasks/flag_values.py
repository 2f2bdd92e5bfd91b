"""Refuse a flag that a task is given twice, or without a value; Invoke's parser allows both."""

from __future__ import annotations

import functools
import re
from collections.abc import Sequence

from invoke.exceptions import ParseError
from invoke.parser.argument import Argument
from invoke.parser.parser import ParseMachine

from trunkline.tasks import command_line
from trunkline.tasks.omitted import OMITTABLE

_TWICE = re.compile(r"--(\S+) is given twice")


def check() -> None:
    """Make Invoke's parser check the values of our tasks' flags, in every program.

    Invoke keeps the first of two values and takes the second for the name of a task:
    `rehearse --task rebase --task land` would land for real. A list flag takes any number of values,
    and Invoke accepts it without any. `--pr "$PR"` with an empty variable would choose another entry.
    """
    if getattr(ParseMachine.switch_to_flag, "checks", False):
        return
    switch, complete = ParseMachine.switch_to_flag, ParseMachine.complete_flag

    @functools.wraps(switch)
    def switching(self: ParseMachine, flag: str, inverse: bool = False) -> None:
        flags = self.context.flags
        found = flags[flag] if flag in flags else None  # noqa: SIM401 -- `get` of Invoke's lexicon knows no aliases
        if found is not None and _is_ours(found) and found.takes_value and found.kind is not list and found.got_value:
            raise ParseError(f"{_typed(found)} is given twice", self.context)
        switch(self, flag, inverse)

    @functools.wraps(complete)
    def completing(self: ParseMachine) -> None:
        flag: Argument | None = self.flag
        if flag is not None and _is_ours(flag) and _lacks_value(self, flag):
            raise ParseError(f"{_typed(flag)} needs a value", self.context)
        complete(self)

    switching.checks = True  # type: ignore[attr-defined]  # a function takes attributes
    ParseMachine.switch_to_flag = switching  # type: ignore[method-assign]
    ParseMachine.complete_flag = completing  # type: ignore[method-assign]


def _lacks_value(machine: ParseMachine, flag: Argument) -> bool:
    if flag.kind is list:
        return not machine.flag_got_value
    return flag.takes_value and flag.raw_value == ""


def _is_ours(flag: Argument) -> bool:
    return hasattr(flag, OMITTABLE)


def _typed(flag: Argument) -> str:
    return "--" + (flag.name or "").replace("_", "-")


def alternatives(error: ParseError, argv: Sequence[str]) -> list[tuple[str, ...]]:
    """Return the command lines with one of the values that a flag was given; empty for another error.

    Args:
        error: the error of the parser.
        argv: the words after the program's name.
    """
    twice = _TWICE.fullmatch(str(error))
    task = error.context.name if twice and error.context is not None else None
    if twice is None or task not in argv:
        return []
    given: list[slice] = []
    at = argv.index(task) + 1
    while at < len(argv) and argv[at].startswith("-"):
        length = 1 + command_line.is_value_next(argv[at])
        *switches, last = command_line.flags_in(argv[at])
        if command_line.flag_of(last) == twice[1]:
            if switches:
                return []  # `-np 519` without it would be no dry run
            given.append(slice(at, at + length))
        at += length
    found = [_with_one(argv, kept, given) for kept in given]
    return list(dict.fromkeys(found))


def _with_one(argv: Sequence[str], kept: slice, given: Sequence[slice]) -> tuple[str, ...]:
    words = list(argv)
    first, *others = given
    for each in reversed(others):
        del words[each]
    words[first] = argv[kept]
    return tuple(words)
