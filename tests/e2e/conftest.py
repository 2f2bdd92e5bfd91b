"""Stacks to land."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from support.landing import Landing, small_stack


@pytest.fixture
def open_stack(tmp_path: Path) -> Iterator[Landing]:
    """Return the small stack, nothing merged, with gates that do nothing."""
    with small_stack(tmp_path) as landing:
        yield landing


@pytest.fixture
def landing(tmp_path: Path) -> Iterator[Landing]:
    """Return the small stack with #518 squash-merged onto a trunk that moved on, its branch deleted."""
    with small_stack(tmp_path, merged=True) as landing:
        yield landing
