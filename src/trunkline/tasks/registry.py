"""The collection of all tasks, with their names and flags; `landing.fill` fills it."""

from __future__ import annotations

import functools
from typing import Protocol, runtime_checkable

from invoke.collection import Collection

namespace = Collection()


@runtime_checkable
class _WithFlags(Protocol):
    def flags(self) -> list[str]: ...


@functools.cache
def task_names() -> frozenset[str]:
    """Return the names of all tasks, without the prefix of a collection that contains ours."""
    return frozenset(namespace.task_names) | {alias for names in namespace.task_names.values() for alias in names}


@functools.cache
def taken_flags() -> dict[str, frozenset[str]]:
    """Return the flags of each task, without dashes."""
    inner = [(f"{name}.", each) for name, each in namespace.collections.items()]
    return {
        f"{prefix}{name}": frozenset(task.flags())
        for prefix, collection in (("", namespace), *inner)
        for name, task in collection.tasks.items()
        if isinstance(task, _WithFlags)
    }
