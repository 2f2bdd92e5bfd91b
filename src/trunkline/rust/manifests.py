"""Parse the Cargo manifests of a work tree: packages, and code that runs during compilation."""

from __future__ import annotations

import os
from collections.abc import Collection, Iterator, Mapping
from pathlib import Path
from typing import Any

import msgspec
from msgspec.structs import replace

from trunkline.rust import toml_text

_NORMAL, _BUILD = ("dependencies",), ("build-dependencies", "build_dependencies")
_DEVELOPMENT = ("dev-dependencies", "dev_dependencies")


class Package(msgspec.Struct, frozen=True):
    """A package of the tree.

    Attributes:
        name: its name.
        folder: its directory, relative to the top of the tree; "": the top.
        needs: names of its normal and build dependencies (not of dev-dependencies).
        script_needs: names of its build dependencies.
        script: it has a build script.
        macro: it is a procedural macro.
        tests_with: names of its dev-dependencies.
        script_path: its build script, relative to the top of the tree; "": it has none.
        duplicated: another package of the tree has the same name; the fields are the union of both.
        library_elsewhere: its library's source is outside its directory.
    """

    name: str
    folder: str
    needs: frozenset[str]
    script_needs: frozenset[str]
    script: bool
    macro: bool
    tests_with: frozenset[str] = frozenset()
    script_path: str = ""
    duplicated: bool = False
    library_elsewhere: bool = False


def packages(top: Path, manifests: Collection[str]) -> dict[str, Package]:
    """Return the packages that manifests declare, by name; invalid manifests are skipped.

    Args:
        top: the top of the work tree.
        manifests: the paths of the tree's Cargo.toml files, relative to it.
    """
    read = {path: toml_text.read(top / path) or {} for path in manifests}
    shared = _shared(read.values())
    found: dict[str, Package] = {}
    for path, content in read.items():
        package = content.get("package")
        if isinstance(package, dict) and isinstance(name := package.get("name"), str):
            folder = os.path.dirname(path)  # noqa: PTH120 -- "" is the top, which pathlib spells "."
            macro = _is_macro(content.get("lib"))
            script = _has_script(package, top / folder)
            builds = frozenset(_needs(content, shared, _BUILD))
            made = Package(
                name, folder, builds | frozenset(_needs(content, shared, _NORMAL)), builds, script, macro,
                frozenset(_needs(content, shared, _DEVELOPMENT)), _script_path(package, folder) if script else "",
                library_elsewhere=_is_elsewhere(content.get("lib")),
            )  # fmt: skip
            found[name] = _merged(found[name], made) if name in found else made
    return found


def _merged(one: Package, other: Package) -> Package:
    return replace(
        one, needs=one.needs | other.needs, script_needs=one.script_needs | other.script_needs,
        script=one.script or other.script, macro=one.macro or other.macro,
        tests_with=one.tests_with | other.tests_with, duplicated=True,
        library_elsewhere=one.library_elsewhere or other.library_elsewhere,
    )  # fmt: skip


def dependents(of: Collection[str], among: Mapping[str, Package]) -> set[str]:
    """Return packages and their direct and indirect dependents, dev-dependencies excluded."""
    found, growing = set(of), True
    while growing:
        more = {name for name, package in among.items() if name not in found and package.needs & found}
        found |= more
        growing = bool(more)
    return found


def users(of: Collection[str], among: Mapping[str, Package]) -> set[str]:
    """Return all dependents of packages, tests included: a macro may be exported again.

    The packages themselves are only included if they depend on one another.
    """
    given = set(of)
    found = dependents({name for name, package in among.items() if package.needs & given}, among)
    return found | {name for name, package in among.items() if package.tests_with & (found | given)}


def run_by_compiler(among: Mapping[str, Package]) -> set[str]:
    """Return the packages whose code runs during compilation, dependencies included."""
    found = {name for name, package in among.items() if package.script or package.macro}
    waiting = list(found)
    while waiting:
        more = {need for need in among[waiting.pop()].needs if need in among} - found
        found |= more
        waiting += more
    return found


def _has_script(package: Mapping[str, Any], folder: Path) -> bool:
    named = package.get("build")
    return (folder / "build.rs").is_file() if named in {None, True} else bool(named)


def _script_path(package: Mapping[str, Any], folder: str) -> str:
    named = package.get("build")
    return os.path.normpath(os.path.join(folder, named if isinstance(named, str) else "build.rs"))  # noqa: PTH118


def _is_macro(lib: object) -> bool:
    if not isinstance(lib, dict):
        return False
    kinds = lib.get("crate-type", lib.get("crate_type", []))
    return bool(lib.get("proc-macro", lib.get("proc_macro"))) or (isinstance(kinds, list) and "proc-macro" in kinds)


def _is_elsewhere(lib: object) -> bool:
    path = lib.get("path") if isinstance(lib, dict) else None
    return isinstance(path, str) and os.path.normpath(path).startswith(("..", "/"))


def _shared(manifests: Collection[Mapping[str, Any]]) -> dict[str, set[str]]:
    """Return the packages of `[workspace.dependencies]`, by the members' name for them."""
    found: dict[str, set[str]] = {}
    for content in manifests:
        workspace = content.get("workspace")
        table = workspace.get("dependencies") if isinstance(workspace, dict) else None
        for key, value in table.items() if isinstance(table, dict) else ():
            found.setdefault(key, set()).add(_package(key, value))
    return found


def _needs(content: Mapping[str, Any], shared: Mapping[str, set[str]], tables: Collection[str]) -> Iterator[str]:
    targets = content.get("target")
    for part in (content, *(targets.values() if isinstance(targets, dict) else ())):
        for name in tables:
            table = part.get(name) if isinstance(part, dict) else None
            for key, value in table.items() if isinstance(table, dict) else ():
                yield _package(key, value)
                yield from shared.get(key, ())


def _package(key: str, value: object) -> str:
    named = value.get("package") if isinstance(value, dict) else None
    return named if isinstance(named, str) else key
