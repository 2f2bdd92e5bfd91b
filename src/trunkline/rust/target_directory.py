"""Read and clean cargo's target directories; no other module depends on their layout.

Source: The Cargo Book, "Build Cache". `PROFILE/.fingerprint/PACKAGE-HASH` marks a unit as up to
date. `PROFILE/build/PACKAGE-HASH` holds a compiled build script, or the output and the OUT_DIR of
its run. `PROFILE/deps/CRATE-HASH.d` lists the files that the compiler read (rustc's dep-info, in
make's format). `PROFILE/incremental` is rustc's own. Cargo builds every unit without a fingerprint.
"""

from __future__ import annotations

import contextlib
import os
import re
from collections.abc import Collection, Iterator
from pathlib import Path

import msgspec

from trunkline.system.files import LONGEST, read_regular, remove_tree

_UNIT = re.compile(r"(.+)-([0-9a-f]{16})")
_ARTIFACT_HASH = re.compile(r"-([0-9a-f]{16})(?:\.|$)")
_DECLARES = re.compile(rb"^cargo::?rerun-if-", re.MULTILINE)
_CHANGED = re.compile(rb"^cargo::?rerun-if-changed=(.*)$", re.MULTILINE)
_OF_PROFILE = frozenset({".fingerprint", "build", "deps", "incremental"})
_OF_TARGET = frozenset({".rustc_info.json", ".rustdoc_fingerprint.json", "CACHEDIR.TAG", "doc"})


class Unit(msgspec.Struct, frozen=True):
    """One compilation unit: a target of a package, compiled in one way.

    Attributes:
        profile: the profile's directory.
        package: the package's name.
        hash: cargo's hash of the unit.
    """

    profile: Path
    package: str
    hash: str

    @property
    def fingerprint(self) -> Path:
        """The directory that marks the unit as up to date."""
        return self.profile / ".fingerprint" / f"{self.package}-{self.hash}"

    @property
    def build(self) -> Path:
        """The directory of a build script or of its run."""
        return self.profile / "build" / f"{self.package}-{self.hash}"


class TargetDirectory(msgspec.Struct, frozen=True):
    """One target or build directory.

    Attributes:
        path: the directory; it need not exist.
    """

    path: Path

    def profiles(self) -> list[Path]:
        """Return the directories of profiles: `debug`, or `TRIPLE/debug` for a named target.

        Cargo makes no symbolic links there. One that code under test made could lead `remove_units`
        and `sweep` to other files, so it makes a directory none of a profile.
        """
        outer = _folders(self.path)
        inner = (each for folder in outer for each in _folders(folder))
        return [folder for folder in (*outer, *inner) if _is_profile(folder)]

    def units(self) -> list[Unit]:
        """Return every unit with a fingerprint or with a directory of a build script."""
        found = {
            Unit(profile, match[1], match[2])
            for profile in self.profiles()
            for folder in (".fingerprint", "build")
            for entry in _listed(profile / folder)
            if (match := _UNIT.fullmatch(entry))
        }
        return sorted(found, key=lambda unit: (str(unit.profile), unit.package, unit.hash))

    def remove(self) -> None:
        """Remove the directory's content; the directory itself may be a mount point."""
        for entry in _listed(self.path):
            remove_tree(self.path / entry)

    def remove_units(self, units: Collection[Unit]) -> None:
        """Remove units and their build output, so that cargo rebuilds them.

        Rustc's own files stay.
        """
        removed: dict[Path, set[str]] = {}
        for unit in units:
            remove_tree(unit.fingerprint)
            remove_tree(unit.build)
            removed.setdefault(unit.profile, set()).add(unit.hash)
        for profile, hashes in removed.items():
            for name in _listed(profile / "deps"):
                if (match := _ARTIFACT_HASH.search(name)) and match[1] in hashes:
                    remove_tree(profile / "deps" / name)

    def sweep(self) -> None:
        """Remove everything but cargo's cache from a target directory, before a build.

        Tests could find programs linked for another tree, and leftovers of tests
        (`CARGO_TARGET_TMPDIR` is in it). Cargo links units that are up to date again.
        """
        profiles = set(self.profiles())
        above = {profile.parent for profile in profiles} - {self.path}
        for name in _listed(self.path):
            entry = self.path / name
            if entry not in profiles and entry not in above and name not in _OF_TARGET:
                remove_tree(entry)
        for folder in above:
            for name in _listed(folder):
                if folder / name not in profiles:
                    remove_tree(folder / name)
        for profile in profiles:
            for name in _listed(profile):
                if name not in _OF_PROFILE and not name.startswith("."):
                    remove_tree(profile / name)

    def remove_documentation(self) -> None:
        """Remove rustdoc's output: otherwise links to removed crates would still resolve."""
        remove_tree(self.path / "doc")

    def remove_incremental(self) -> None:
        """Remove rustc's incremental compilation files."""
        for profile in self.profiles():
            remove_tree(profile / "incremental")

    def is_empty(self) -> bool:
        """Return whether nothing was built in it."""
        return not set(_listed(self.path)) - _OF_TARGET

    def newest(self) -> int:
        """Return the latest modification time of the files that cargo compares, in nanoseconds.

        0: none.
        """
        times = [0]
        for profile in self.profiles():
            for folder in (profile / ".fingerprint", profile / "build", profile / "deps"):
                times += _times(folder, 1 if folder.name == "deps" else 2)
        return max(times)


def have_known_layout(directories: Collection[TargetDirectory]) -> bool:
    """Return whether the directories of one work tree have the layout that this module expects.

    If a build directory is configured, the target directory holds only programs.
    """
    return all(each.is_empty() for each in directories) or any(each.profiles() for each in directories)


def _times(folder: Path, depth: int) -> Iterator[int]:
    with contextlib.suppress(OSError):
        for entry in os.scandir(folder):
            with contextlib.suppress(OSError):
                yield entry.stat(follow_symlinks=False).st_mtime_ns
            if depth > 1 and entry.is_dir(follow_symlinks=False):
                yield from _times(Path(entry.path), depth - 1)


def is_run(unit: Unit) -> bool:
    """Return whether a unit is the run of a build script."""
    return any(name.startswith("run-build-script-") for name in _listed(unit.fingerprint)) or (
        (unit.build / "out").is_dir() or (unit.build / "output").exists()
    )


def is_script(unit: Unit) -> bool:
    """Return whether a unit is a compiled build script."""
    return any(name.endswith(".d") for name in _listed(unit.build))


def is_library(unit: Unit) -> bool:
    """Return whether a unit is a library, or the tests in it."""
    return any(name.startswith(("lib-", "test-lib-")) for name in _listed(unit.fingerprint))


def is_documentation(unit: Unit) -> bool:
    """Return whether a unit is a package's documentation; cargo has no dep-info of it."""
    return any(name.startswith("doc-") for name in _listed(unit.fingerprint))


def is_finished(unit: Unit) -> bool:
    """Return whether the run of a build script finished; cargo does not repeat it then."""
    return (unit.build / "output").is_file() and any(
        name.startswith("run-build-script-") and not name.endswith(".json") for name in _listed(unit.fingerprint)
    )


def declared_inputs(unit: Unit) -> list[str] | None:
    """Return the input paths that a build script declared.

    None: none, so any file may be an input.
    """
    try:
        output = read_regular(unit.build / "output", LONGEST)
    except OSError:
        return None
    if not _DECLARES.search(output):
        return None
    return [os.fsdecode(path.rstrip(b"\r")) for path in _CHANGED.findall(output)]


def inputs(profile: Path, units: Collection[Unit]) -> dict[Unit, list[str] | None]:
    """Return the files that the compiler read for each unit of a profile, from dep-info.

    Returns:
        Unit -> paths, relative ones to the compiler's working directory; None: the dep-info is
            missing, so the inputs are unknown. Units for which cargo has no dep-info are left out.
    """
    files: dict[str, Path] = {}
    for name in _listed(profile / "deps"):
        if name.endswith(".d") and (match := _ARTIFACT_HASH.search(name)):
            files[match[1]] = profile / "deps" / name
    found: dict[Unit, list[str] | None] = {}
    for unit in units:
        if not any(name.startswith("dep-") for name in _listed(unit.fingerprint)):
            continue  # a run of a build script, documentation, or a unit that failed
        named = files.get(unit.hash) or next((unit.build / n for n in _listed(unit.build) if n.endswith(".d")), None)
        found[unit] = _dep_info(named) if named else None
    return found


def _dep_info(path: Path) -> list[str] | None:
    """Return the inputs in a dep-info file: each has its own line, `PATH:`, with escaped spaces."""
    try:
        text = read_regular(path, LONGEST).decode("utf-8", "surrogateescape")
    except OSError:
        return None
    lines = (line for line in text.split("\n") if line.endswith(":") and not line.startswith("#"))
    return [line[:-1].replace("\\ ", " ") for line in lines]


def _is_profile(folder: Path) -> bool:
    return (folder / ".fingerprint").is_dir() and not any((folder / name).is_symlink() for name in _OF_PROFILE)


def _folders(folder: Path) -> list[Path]:
    """Return the directories in a directory, without links."""
    try:
        return [Path(entry.path) for entry in os.scandir(folder) if entry.is_dir(follow_symlinks=False)]
    except OSError:
        return []


def _listed(folder: Path) -> list[str]:
    try:
        return [entry.name for entry in os.scandir(folder)]
    except OSError:  # missing, or its name is too long for the file system
        return []
