"""Stacks to land."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from support.killing import Yard, YardLanding
from support.landing import Landing


@pytest.fixture
def open_stack(grounds: Yard) -> Iterator[Landing]:
    """Return the small stack, nothing merged, with gates that do nothing."""
    with grounds.prepared("nothing merged") as landing:
        yield landing


@pytest.fixture
def stack(grounds: Yard) -> Iterator[YardLanding]:
    """Return the small stack with #518 squash-merged onto a trunk that moved on, its branch deleted; no receipts."""
    with grounds.prepared("merged", _merge_parent) as landing:
        yield landing


def _merge_parent(landing: Landing) -> None:
    landing.merge_parent()


@pytest.fixture
def landing(grounds: Yard) -> Iterator[Landing]:
    """Return the small stack with #518 squash-merged onto a trunk that moved on, its branch deleted."""
    with grounds.prepared("#518 merged", merged=True) as landing:
        yield landing
