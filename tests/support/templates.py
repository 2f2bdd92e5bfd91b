"""Directories that are built once per process and copied for each test."""

from __future__ import annotations

import atexit
import shutil
import tempfile
from collections.abc import Callable, Hashable
from pathlib import Path
from typing import Any, TypeVar

T = TypeVar("T")
_BUILT: dict[tuple[Hashable, ...], tuple[Path, Any]] = {}


def copied(build: Callable[..., T], root: Path, *key: Hashable) -> T:
    """Copy to `root` what `build` makes of an empty directory, and return what `build` returned.

    Args:
        build: called with the directory and `key`, once per process and key; several tests share its result.
        root: the directory of the copy.
        key: more arguments of `build`.
    """
    name = (build.__module__, build.__qualname__, *key)
    if name not in _BUILT:
        place = Path(tempfile.mkdtemp(prefix="template-"))
        atexit.register(shutil.rmtree, place, ignore_errors=True)
        _BUILT[name] = place, build(place, *key)
    template, result = _BUILT[name]
    shutil.copytree(template, root, dirs_exist_ok=True, symlinks=True)
    return result  # type: ignore[no-any-return]  # what this function returned
