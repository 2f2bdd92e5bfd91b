"""Parse TOML of a tree or of cargo's home, which anybody may have written."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import tomli

from trunkline.system.files import read_regular

_LONGEST = 1 << 24  # bytes; a link to a device would never end


def parsed(text: str) -> dict[str, Any] | None:
    """Return the values of a TOML text; None if it cannot be parsed.

    Besides its own error, tomli raises ValueError for a number of thousands of digits and RecursionError for deep
    nesting.
    """
    try:
        return tomli.loads(text)
    except (ValueError, RecursionError):
        return None


def read(path: Path) -> dict[str, Any] | None:
    """Return the values of a TOML file; None if it is missing, unreadable or cannot be parsed."""
    try:
        return parsed(read_regular(path, _LONGEST).decode("utf-8"))
    except (OSError, UnicodeDecodeError):
        return None
