"""Import the modules of a package at their first use (PEP 562).

Tasks use `commands.rebase.run(...)` after `from trunkline import commands`, and load neither the command nor what it
imports (40 to 65 ms) before they run. Such a package names its modules for mypy under `TYPE_CHECKING`.
"""

from __future__ import annotations

from collections.abc import Callable
from importlib import import_module
from types import ModuleType


def importer(package: str) -> Callable[[str], ModuleType]:
    """Return the `__getattr__` of a package, which imports the module of that name.

    Args:
        package: the full name of the package.
    """

    def load(name: str) -> ModuleType:
        path = f"{package}.{name}"
        try:
            return import_module(path)
        except ModuleNotFoundError as error:
            if error.name != path:  # a package that the module needs
                raise
            raise AttributeError(f"module {package!r} has no attribute {name!r}") from None

    return load
