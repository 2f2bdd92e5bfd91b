"""Python's cache of compiled modules, which Invoke switches off."""

from __future__ import annotations

import sys


def cache() -> None:
    """Cache compiled modules, unless Python was started with `-B` or `PYTHONDONTWRITEBYTECODE`.

    Invoke switches the cache off for its whole process unless `--write-pyc` is given, so that a `tasks.py` leaves no
    `__pycache__` in its directory. Modules that are loaded later are then compiled in every process: 147 modules and
    0.23 s for `restack` after an installation that compiles nothing, as uv's and an editable one.
    """
    sys.dont_write_bytecode = bool(sys.flags.dont_write_bytecode)
