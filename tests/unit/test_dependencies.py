"""Every package that the source imports is declared: a plain installation has it, or an extra brings it."""

from __future__ import annotations

import ast
import importlib.metadata
import re
import sys
from collections.abc import Iterator
from pathlib import Path

import tomli

ROOT = Path(__file__).resolve().parents[2]
OWN = {"trunkline", "__future__", "_typeshed"}


def imported() -> Iterator[tuple[str, str]]:
    """Yield the top-level package and the file of each import in the source."""
    for path in (ROOT / "src").rglob("*.py"):
        tree = ast.parse(path.read_text(encoding="utf-8"))
        checked = {inner for node in ast.walk(tree) if is_type_checking(node) for inner in ast.walk(node)}
        for node in set(ast.walk(tree)) - checked:
            names = [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
            names += [node.module or ""] if isinstance(node, ast.ImportFrom) and not node.level else []
            for name in names:
                yield name.partition(".")[0], str(path.relative_to(ROOT))


def is_type_checking(node: ast.AST) -> bool:
    """Return whether a statement is `if TYPE_CHECKING:`, which no user's Python runs."""
    return isinstance(node, ast.If) and isinstance(node.test, ast.Name) and node.test.id == "TYPE_CHECKING"


def declared() -> set[str]:
    """Return the names of all dependencies and of those of the extras."""
    project = tomli.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    lines = [
        *project["dependencies"],
        *(each for extra in project["optional-dependencies"].values() for each in extra),
    ]
    return {re.split(r"[^\w.-]", line)[0].lower().replace("_", "-") for line in lines}


def test_every_import_is_declared() -> None:
    """An import that another package happens to bring is missing elsewhere."""
    owners, known = importlib.metadata.packages_distributions(), declared()
    undeclared = {
        (name, path)
        for name, path in imported()
        if name not in sys.stdlib_module_names | OWN
        and not known & {owner.lower().replace("_", "-") for owner in owners.get(name, [name])}
    }
    assert undeclared == set()
