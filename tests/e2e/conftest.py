"""Stacks to land."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from support.killing import Yard, yard
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


@pytest.fixture(scope="module")
def grounds(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Yard]:
    """Return where prepared stacks are kept, copied, and killed."""
    with yard(tmp_path_factory.mktemp("yard")) as made:
        yield made
