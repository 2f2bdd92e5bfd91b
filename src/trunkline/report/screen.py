"""Write lines and the progress display with rich; only `terminal.py` imports this, when it prints."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import IO, TYPE_CHECKING

from rich.console import Console, RenderableType
from rich.text import Text

from trunkline.report.escape import for_terminal
from trunkline.report.wrapping import wrapped

if TYPE_CHECKING:
    from rich.status import Status  # rich loads it where a display begins: 5 ms

_UNLIMITED = 1_000_000
"""The width of output that is not a terminal."""


class Screen:
    """A console for a stream.

    Args:
        stream: the output stream.
    """

    def __init__(self, stream: IO[str]) -> None:
        self.console = Console(file=stream, highlight=False, soft_wrap=True, emoji=False, markup=False)
        if not self.console.is_terminal:
            self.console.width = _UNLIMITED  # piped output is never wrapped, whatever COLUMNS is set to

    def line(self, parts: Iterable[tuple[str, str]], indent: int | None) -> None:
        """Print one line made of (text, style) parts; see `Terminal.line`."""
        text = Text()
        for content, style in parts:
            text.append(for_terminal(content), style)
        if indent is None or not self.console.is_terminal:
            self.console.print(text)
            return
        own = len(text.plain) - len(text.plain.lstrip(" "))
        for each in wrapped(text, max(indent, own), self.console.width, self.console):
            self.console.print(each)

    def display(self, text: str) -> Status:
        """Return the progress display with a text; it is shown while its context lasts."""
        return self.console.status(Text(for_terminal(text), "dim"))

    def running(self, gates: Mapping[str, float], lines: Mapping[str, str]) -> RenderableType:
        """Return the running gates for the progress display; see `Running`."""
        return Running(gates, lines, self.console.get_time)


class Running:
    """The running gates with their elapsed seconds, rendered at each refresh.

    Args:
        gates: start times by name, from `clock`.
        lines: the last output line by name, if known.
        clock: returns the current time.
    """

    def __init__(self, gates: Mapping[str, float], lines: Mapping[str, str], clock: Callable[[], float]) -> None:
        self._gates = gates
        self._lines = lines
        self._clock = clock

    def __rich__(self) -> RenderableType:
        """Return the current text."""
        now = self._clock()
        parts = {name: f"{name} {now - began:.0f}s" for name, began in sorted(self._gates.items())}
        rows = [f"{part}: {self._lines[name]}" for name, part in parts.items() if self._lines.get(name)]
        rows.insert(0, "gates: " + ("  ".join(parts.values()) or "none runs"))
        return Text("\n".join(map(for_terminal, rows)), "dim", no_wrap=True, overflow="ellipsis")
