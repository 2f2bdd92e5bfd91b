"""The size of a run: a sample of the points, or all of them with `TRUNKLINE_SOAK` (`make soak`).

A test that has no place in a sample is marked `soak`; an ordinary run deselects it.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from typing import TypeVar

T = TypeVar("T")

SOAK = int(os.environ.get("TRUNKLINE_SOAK") or 0)
"""Examples of each random test in a soak run; 0 in an ordinary run."""


def sample(points: Sequence[T], every: int, *, first: int = 0) -> list[T]:
    """Return every `every`-th point from `first` on; in a soak run, all points.

    Tests of the same points with other values of `first` try other points.
    """
    return list(points if SOAK else points[first % every :: every])


def rotated(points: Sequence[T], turn: int) -> list[T]:
    """Return one point, another one for each `turn`; in a soak run, all points."""
    return list(points) if SOAK else [points[turn % len(points)]]
