"""Wrap lines on a terminal with a hanging indent; piped output is never wrapped."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import TYPE_CHECKING

import msgspec
from rich.cells import cell_len
from rich.text import Text

if TYPE_CHECKING:
    from rich.console import Console, ConsoleOptions

_NARROWEST = 20


class Hanging(msgspec.Struct, frozen=True):
    """A line with indented continuation lines.

    Attributes:
        text: the line.
        indent: the indentation of continuation lines, which is the width of the line's mark or
            label.
    """

    text: Text
    indent: int

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> Iterator[Text]:
        # Long words are broken, because a tree crops its lines.
        yield from wrapped(self.text, self.indent, options.max_width, console, fold=True)


def wrapped(text: Text, indent: int, width: int, console: Console, *, fold: bool = False) -> list[Text]:
    """Return the lines of a text wrapped to a width, with indented continuation lines.

    Args:
        text: one line.
        indent: the indentation of continuation lines.
        width: the available columns.
        console: the console that prints it.
        fold: break words that are longer than a line; otherwise they stay whole, so that they can
            be copied.
    """
    if text.cell_len <= width or width - indent < _NARROWEST:
        return [text]
    head, rest = text.divide([indent])
    lines = rest.wrap(console, width - indent) if fold else rest.divide(_between_words(rest.plain, width - indent))
    for line in lines:
        line.rstrip()
    return [head + lines[0], *(Text(" " * indent) + line for line in lines[1:])]


def _between_words(text: str, width: int) -> list[int]:
    """Return the offsets at which continuation lines begin."""
    offsets, used = list[int](), 0
    for word in re.finditer(r"\S+\s*", text):
        if used and used + cell_len(word[0].rstrip()) > width:
            offsets.append(word.start())
            used = 0
        used += cell_len(word[0])
    return offsets
