"""Find the source files of each compilation unit, from cargo's JSON records and rustc's dep-info.

The records are `compiler-artifact` and `build-script-executed` (The Cargo Book, "External tools");
they include fresh units. Dep-info is a make rule that rustc writes beside its output (The rustc
book, `--emit=dep-info`).
"""

from __future__ import annotations

import contextlib
import re
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any
from urllib.parse import unquote

import msgspec

from trunkline.domain.coverage import Sources
from trunkline.system.files import read_regular

_RERUN = re.compile(r"^cargo::?rerun-if-changed=(.+)$", re.MULTILINE)
_BETWEEN = re.compile(r"(?<!\\)\s+")
_OF_PACKAGE = "path+file://"
_LONGEST = 1 << 25


class Artifact(msgspec.Struct, frozen=True):
    """One unit of a package of the repository, compiled or fresh.

    Attributes:
        unit: its name, see `domain.coverage`.
        source: its crate's root file.
        files: the compiler's output files.
        program: the test program or binary, or "".
    """

    unit: str
    source: str
    files: tuple[str, ...]
    program: str


class BuildScript(msgspec.Struct, frozen=True):
    """A build script of a package of the repository that ran, now or earlier.

    Attributes:
        unit: its unit's name.
        package: the package's directory, which declared paths are relative to.
        output: the file with its printed output.
    """

    unit: str
    package: str
    output: str


def artifact_of(record: Mapping[str, Any]) -> Artifact | None:
    """Parse a `compiler-artifact` record; None: an external dependency, or an invalid record."""
    try:
        name, _ = _package(str(record["package_id"]))
        target = record["target"]
        unit = _unit(name, str(target["kind"][0]), str(target["name"]))
        files = tuple(str(name) for name in record["filenames"])
        return Artifact(unit, str(target["src_path"]), files, str(record.get("executable") or "")) if name else None
    except (KeyError, TypeError, IndexError):
        return None


def build_script_of(record: Mapping[str, Any]) -> BuildScript | None:
    """Parse a `build-script-executed` record; None: see `artifact_of`."""
    try:
        name, folder = _package(str(record["package_id"]))
        output = Path(str(record["out_dir"])).with_name("output")
    except (KeyError, TypeError):
        return None
    return BuildScript(_unit(name, "custom-build", ""), folder, str(output)) if name else None


def _package(spec: str) -> tuple[str, str]:
    """Return name and directory of a local package (Package ID Specification); else "" twice."""
    where, _, fragment = spec.partition("#")
    if not where.startswith(_OF_PACKAGE):
        return "", ""
    folder = unquote(where.removeprefix(_OF_PACKAGE))
    name = fragment.partition("@")[0] if "@" in fragment else Path(folder).name
    return name, folder


def _unit(package: str, kind: str, name: str) -> str:
    if kind == "test":
        return f"{package}::{name}"
    if kind in {"bin", "example", "bench"}:
        return f"{package}::{kind}/{name}"
    return f"{package}::build/script" if kind == "custom-build" else package


def sources_of(
    artifacts: Iterable[Artifact], scripts: Iterable[BuildScript], ran: Iterable[str], tree: Path, cwd: Path
) -> Sources:
    """Return the files of a tree that units read, and the units in which tests ran.

    Args:
        artifacts: the units of one command.
        scripts: its build scripts.
        ran: test programs that ran at least one test, as cargo names them.
        tree: the work tree.
        cwd: the Cargo workspace's directory, which dep-info is relative to.
    """
    units: dict[str, set[str]] = {}
    programs = {}
    top = tree.resolve()
    for artifact in artifacts:
        if artifact.program:
            programs[Path(artifact.program).name] = artifact.unit
        named = {artifact.source, *_read_by(artifact)}
        units.setdefault(artifact.unit, set()).update(path for name in named for path in _inside(name, top, cwd))
    for script in scripts:
        declared = _rerun_files(script, top)
        units.setdefault(script.unit, set()).update(path for name in declared for path in _inside(name, top, cwd))
    tested = frozenset(programs[name] for path in ran if (name := Path(path).name) in programs)
    return Sources({unit: frozenset(files) for unit, files in units.items()}, tested)


def _inside(name: str, top: Path, cwd: Path) -> Iterator[str]:
    """Yield a file's path from the repository's top, and that of the symbolic link that leads to it.

    A file outside the tree, or a generated one, has none.
    """
    path = cwd / name
    resolved, link = path.resolve(), path.parent.resolve() / path.name
    if resolved.is_file():
        yield from (str(each.relative_to(top)) for each in {resolved, link} if each.is_relative_to(top))


def _read_by(artifact: Artifact) -> Iterator[str]:
    for written in dict.fromkeys(path for name in artifact.files for path in _dep_info(Path(name), artifact.source)):
        yield from dependencies(written)


def _dep_info(written: Path, source: str) -> Iterator[Path]:
    """Yield the dep-info of a compiler's output file.

    It lies beside the file; for a binary it is the newest one with its root file.
    """
    folder, stem = written.parent, written.stem if written.suffix in {".rlib", ".rmeta", ".so"} else written.name
    if folder.name == "deps":
        yield from (path for name in (stem, stem.removeprefix("lib")) if (path := folder / f"{name}.d").is_file())
    elif folder.parent.name == "build":
        yield from folder.glob("*.d")
    elif written.suffix == "":
        crate = written.name.replace("-", "_")
        found = [path for name in {crate, written.name} for path in (folder / "deps").glob(f"{name}-*.d")]
        own = [path for path in found if _root_of(path, source)]
        yield from sorted(own, key=lambda path: path.stat().st_mtime_ns)[-1:]


def _root_of(path: Path, source: str) -> bool:
    first = next(dependencies(path), "")
    return bool(first) and Path(source).as_posix().endswith(Path(first).as_posix().removeprefix("/"))


def dependencies(path: Path) -> Iterator[str]:
    """Yield the files in the first rule of a dep-info file, the crate's root first."""
    with contextlib.suppress(OSError):  # code of the tree can write here: do not block on a FIFO
        rule = read_regular(path, _LONGEST).decode("utf-8", "surrogateescape").partition("\n")[0]
        yield from (part.replace("\\ ", " ") for part in _BETWEEN.split(rule.partition(": ")[2]) if part)


def _rerun_files(script: BuildScript, top: Path) -> Iterator[str]:
    """Yield the files that a build script declared as inputs when it ran."""
    try:
        text = read_regular(Path(script.output), _LONGEST).decode("utf-8", "replace")
    except OSError:
        return
    for name in _RERUN.findall(text):
        path = Path(script.package, name.strip())
        # A directory outside the tree may be the whole machine; its files are not part of the tree.
        if path.is_dir() and path.resolve().is_relative_to(top):
            yield from (str(each) for each in path.rglob("*"))
        elif path.is_file():
            yield str(path)
