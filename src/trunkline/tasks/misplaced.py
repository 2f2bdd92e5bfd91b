"""Explain flags in the wrong place: before the task's name, or after that of a task without them."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence

import msgspec

from trunkline.tasks import command_line
from trunkline.tasks.flags import FLAGS

_OF_CHANGES = frozenset({"dry-run", "yes"})
"""Flags that every task has that changes anything."""


class Explained(msgspec.Struct, frozen=True):
    """An error in a command line, and the line that was probably meant.

    Attributes:
        what: the error.
        why: its cause.
        argv: the words to type after the program's name.
    """

    what: str
    why: str
    argv: tuple[str, ...]


def before_task(argv: Sequence[str], takes: Mapping[str, Collection[str]]) -> Explained | None:
    """Explain flags of a task that were typed before its name; return None if there are none, or no task.

    Args:
        argv: the words after the program's name.
        takes: the flags that each task of ours accepts, without dashes.
    """
    kept: list[str] = []
    moved: list[list[str]] = []
    value_of: list[str] | None = None
    for at, word in enumerate(argv):
        if value_of is not None:
            value_of.append(word)
            value_of = None
        elif word == "--":
            return None  # Invoke takes the rest for itself
        elif not word.startswith("-"):
            task = command_line.own_name(word, takes)
            return _moved(argv, kept, moved, at, takes[task]) if task and moved else None
        else:
            words = kept
            if all(map(command_line.flag_of, command_line.flags_in(word))):
                words = []
                moved.append(words)
            words.append(word)
            value_of = words if command_line.is_value_next(word) else None
    return None


def _moved(
    argv: Sequence[str], kept: Sequence[str], moved: Sequence[Sequence[str]], at: int, takes: Collection[str]
) -> Explained:
    typed = [flag for words in moved for flag in command_line.flags_in(words[0])]
    after = [
        word for words in moved for word in words
        if any(command_line.flag_of(flag) in takes for flag in command_line.flags_in(words[0]))
    ]  # fmt: skip
    what = f"{' and '.join(typed)} {'is a flag of a task' if len(typed) == 1 else 'are flags of a task'}"
    return Explained(
        f"{what}, not of {command_line.program()[0]}",
        "it goes after the name of the task" if len(typed) == 1 else "they go after the name of the task",
        (*kept, argv[at], *after, *argv[at + 1 :]),
    )


def not_needed(argv: Sequence[str], task: str, word: str, takes: Collection[str]) -> Explained | None:
    """Explain --dry-run or --yes of a task that changes nothing; None for another flag or task.

    Args:
        argv: the words after the program's name.
        task: the task as typed.
        word: the flag as typed.
        takes: the flags of the task, without dashes.
    """
    if command_line.flag_of(word) not in _OF_CHANGES or _OF_CHANGES & set(takes):
        return None
    short = FLAGS[command_line.flag_of(word)].short
    left: list[str] = []
    for each in argv:
        if each in {word, f"--{command_line.flag_of(word)}"}:
            continue
        combined = len(word) == len("-n") and word in command_line.flags_in(each)
        left.append(each.replace(short, "", 1) if combined else each)
    return Explained(
        f"{task} has no flag {word}",
        f"{task} moves no branch and publishes nothing, so it takes neither --dry-run nor --yes",
        tuple(left),
    )
