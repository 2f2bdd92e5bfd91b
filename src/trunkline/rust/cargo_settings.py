"""Cargo's configuration files: where cargo looks for them, and which others they include.

Source: The Cargo Book, "Hierarchical structure" and "Including extra configuration files".
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator
from pathlib import Path

from trunkline.rust import toml_text
from trunkline.system.files import LONGEST, read_regular

_NAMES = ("config", "config.toml")
_DEEPEST = 10  # the depth limit of files that include one another


def places(directory: Path) -> list[Path]:
    """Return the files that cargo reads in a directory, nearest first; most of them do not exist."""
    home = Path(os.environ.get("CARGO_HOME") or Path.home() / ".cargo")
    folders = [*(folder / ".cargo" for folder in (directory, *directory.parents)), home]
    return [folder / name for folder in dict.fromkeys(folders) for name in _NAMES]


def with_included(path: Path, depth: int = 0) -> Iterator[tuple[Path, bytes]]:
    """Yield a file and those that it includes, each with its content; nothing for an unreadable one."""
    try:
        content = read_regular(path, LONGEST)
    except OSError:
        return
    yield path, content
    included = _values(content).get("include", [])
    for each in included if isinstance(included, list) else [included]:
        name = each.get("path") if isinstance(each, dict) else each
        if isinstance(name, str) and depth < _DEEPEST:
            yield from with_included(path.parent / name, depth + 1)


def tables(files: Iterable[Path]) -> list[tuple[Path, dict[str, object]]]:
    """Return the values of files and of those that they include, each with the directory where its paths start."""
    found = (each for path in files for each in with_included(path))
    return [(path.parent.parent, _values(content)) for path, content in found]


def _values(content: bytes) -> dict[str, object]:
    return toml_text.parsed(content.decode("utf-8", "replace")) or {}
