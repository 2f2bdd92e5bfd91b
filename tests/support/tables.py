"""Markdown tables, for the benches and for the page that `scripts/bench` makes of them."""

from __future__ import annotations

import statistics
from collections.abc import Iterable, Sequence


def header(*titles: str) -> None:
    """Print a table's head."""
    row(titles)
    row("---" for _ in titles)


def row(cells: Iterable[str]) -> None:
    """Print a row at once: a reader may be waiting for the next one."""
    print("|", " | ".join(cells), "|", flush=True)


def seconds(times: Sequence[float]) -> str:
    """Return the median, and the range where there are several."""
    if len(times) == 1:
        return f"{times[0]:.2f} s"
    return f"{statistics.median(times):.2f} s ({min(times):.2f} to {max(times):.2f})"
