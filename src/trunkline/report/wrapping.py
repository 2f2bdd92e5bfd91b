"""Wraps lines on a terminal with a hanging indent; what is piped is never wrapped."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

from rich.cells import cell_len
from rich.text import Text

if TYPE_CHECKING:
    from rich.console import Console, ConsoleOptions

UNLIMITED = 1_000_000
"""Columns of what is no terminal."""
_NARROWEST = 20


@dataclass(frozen=True)
class Hanging:
    """A line whose continuation lines begin below its text.

    Attributes:
        text: the line.
        indent: columns before the continuation lines; the line's own first ones hold its mark or its label.
    """

    text: Text
    indent: int

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> Iterator[Text]:
        # What is too long is broken: a tree crops its lines.
        yield from wrapped(self.text, self.indent, options.max_width, console, fold=True)


def wrapped(text: Text, indent: int, width: int, console: Console, *, fold: bool = False) -> list[Text]:
    """Return the lines that a text takes in a width, those after the first one indented.

    Args:
        text: one line.
        indent: columns before the lines after the first.
        width: columns that there are.
        console: where it is printed.
        fold: break words that are longer than a line; else they stay in one piece, to be copied as one.
    """
    if text.cell_len <= width or width - indent < _NARROWEST:
        return [text]
    head, rest = text.divide([indent])
    lines = rest.wrap(console, width - indent) if fold else rest.divide(_between_words(rest.plain, width - indent))
    for line in lines:
        line.rstrip()
    return [head + lines[0], *(Text(" " * indent) + line for line in lines[1:])]


def _between_words(text: str, width: int) -> list[int]:
    """Return where lines after the first begin."""
    offsets, used = list[int](), 0
    for word in re.finditer(r"\S+\s*", text):
        if used and used + cell_len(word[0].rstrip()) > width:
            offsets.append(word.start())
            used = 0
        used += cell_len(word[0])
    return offsets
