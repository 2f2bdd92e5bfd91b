"""Keeps Python's collector of reference cycles out of the way of a process that lives for a second.

Importing makes many objects and no garbage: by default they are looked through 60 times while they are made, and once
more when the process ends. mypy does the same, for the same reason (its main.py). Of `trunkline --list`'s 0.26 s that
was 0.05 s (measured, medians of 15). A task that waits for hours is still collected, every 100,000 objects.
"""

from __future__ import annotations

import atexit
import gc

_OBJECTS = 100_000


def spare() -> None:
    """Collect rarely from now on, and not at the very end."""
    gc.set_threshold(_OBJECTS)
    atexit.register(gc.freeze)
