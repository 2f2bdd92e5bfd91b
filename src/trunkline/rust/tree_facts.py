"""Analyse a checked-out tree: its packages, the package of a file, the changes between commits."""

from __future__ import annotations

import os
import re
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path, PurePosixPath

import msgspec
from msgspec.structs import replace

from trunkline.domain.errors import TrunklineError
from trunkline.git.git import Git
from trunkline.rust import build_places, cargo
from trunkline.rust.manifests import Package, packages
from trunkline.system.files import LONGEST, read_regular

_REGULAR = frozenset({"100644", "100755"})
_SUBMODULE = "160000"
# These patterns match words, because the files that code reads are not declared. False positives
# only cost time.
_READS_FILES = re.compile(rb"\b(?:fs|File|Command|read_dir|[Ww]alk[Dd]ir|glob)\b")
_HAS_OTHER_SOURCES = re.compile(rb"\binclude!|\bpath\s*=\s*r?#*\"")
_OF_CARGO = (
    rb"CARGO(?:_(?:MANIFEST|PKG|CFG|FEATURE|ENCODED)_\w+)?|OUT_DIR|TARGET|HOST|PROFILE|DEBUG|OPT_LEVEL|NUM_JOBS"
    rb"|RUSTC|RUSTDOC|DOCS_RS|DEP_\w+"
)
_LEAVES_PACKAGE = (
    rb"\.\./|[\"/]\.\.[\"/]",  # ".." alone, or at the end of a path
    rb"\.(?:parent|ancestors|pop|components)\(|\b(?:ParentDir|canonicalize|read_link|set_current_dir|current_dir)\b",
    # A path of the package, cut or changed as text.
    rb"\b(?:with_file_name|set_file_name|strip_suffix|r?split\w*|r?find|replacen?|trim_end_matches|truncate)\(",
    rb"\[[^\]\n]*\.\.[^\]\n]*\]|/proc/",
    rb"\bCommand\b|\bcargo_metadata\b|workspace|\bproject_root\b|\bdiscover\b",
    rb"\binclude!|\bmod\s+\w+\s*;",
    # A variable other than cargo's own may name any directory (`[env]` with `relative = true`).
    rb"\bvars(?:_os)?\(|\b(?:(?:option_)?env!|var|var_os)\s*\(\s*(?!\"(?:" + _OF_CARGO + rb")\")",
)
NAMES_OTHER_PLACES = re.compile(b"|".join(_LEAVES_PACKAGE))
"""Code of a build script that may read files outside its package."""
_INCLUDES = re.compile(rb"include|\\\\")  # a key may be written with escapes
_NOT_INCLUDED = frozenset(
    {"Cargo.toml", "clippy.toml", ".clippy.toml", "rustfmt.toml", ".rustfmt.toml", "stack.toml"}
)
_TOOLCHAINS = frozenset({"rust-toolchain", "rust-toolchain.toml"})


class ChangedPath(msgspec.Struct, frozen=True):
    """A path that differs between two commits.

    Attributes:
        path: the path.
        is_source: a Rust source of which only the content changed.
        acts_on_dependencies: the change may affect the compilation of code from outside the tree.
    """

    path: str
    is_source: bool
    acts_on_dependencies: bool


@dataclass(frozen=True)
class TreeFacts:
    """A checked-out tree.

    Attributes:
        git: the repository, used from the work tree.
        top: the work tree.
        root: the Cargo workspace's directory in it, relative.
    """

    git: Git
    top: Path
    root: str

    @cached_property
    def packages(self) -> dict[str, Package]:
        """The packages of the tree by name; vendored ones too."""
        return packages(self.top, [path for path in self._files if PurePosixPath(path).name == "Cargo.toml"])

    @cached_property
    def _files(self) -> dict[str, str]:
        """The tree's files by path, with their modes, from one git process."""
        listed = os.fsdecode(self.git.query("ls-files", "-z", "--stage").stdout).split("\0")
        entries = (entry.partition("\t") for entry in listed if entry)
        return {path: about.split(" ", 1)[0] for about, _, path in entries}

    @cached_property
    def reading_macros(self) -> set[str]:
        """The macro packages that may read files, dependencies in the tree included."""
        consists = {name: self._with_needs(name) for name, each in self.packages.items() if each.macro}
        code = {name for names in consists.values() for name in names}
        reading = {name for name in code if self._may_read(name)}
        return {name for name, names in consists.items() if names & reading}

    @cached_property
    def roaming_scripts(self) -> set[str]:
        """The packages whose build scripts may read other packages' files, declared or not."""
        return {
            name
            for name, each in self.packages.items()
            if each.script
            and (
                each.script_needs & set(self.packages)
                or self._any_matches([each.script_path], NAMES_OTHER_PLACES)
                or (
                    self._reaches_others(each)
                    and (each.script_needs or self._any_matches([each.script_path], _READS_FILES))
                )
            )
        }

    def _may_read(self, name: str) -> bool:
        """Return whether a macro's code may read files, or is partly outside its directory."""
        package = self.packages[name]
        if package.library_elsewhere or self._has_links(package):
            return True
        sources = self._sources(name)
        return self._any_matches(sources, _READS_FILES) or self._any_matches(sources, _HAS_OTHER_SOURCES)

    def _reaches_others(self, package: Package) -> bool:
        """Return whether a package's directory contains other packages, or links."""
        prefix = f"{package.folder}/" if package.folder else ""
        nested = any(
            each.folder.startswith(prefix) for each in self.packages.values() if each.folder != package.folder
        )
        return nested or self._has_links(package)

    def _has_links(self, package: Package) -> bool:
        """Return whether links in a package's directory may lead to sources."""
        prefix = f"{package.folder}/" if package.folder else ""
        linked = (Path(os.path.realpath(self.top / path)) for path in self._links if path.startswith(prefix))
        return any(each.suffix == ".rs" or each.is_dir() for each in linked)

    @cached_property
    def _links(self) -> list[str]:
        """The symbolic links of the tree."""
        return [path for path, mode in self._files.items() if mode == "120000"]

    def _with_needs(self, name: str) -> set[str]:
        found, waiting = {name}, [name]
        while waiting:
            more = (self.packages[waiting.pop()].needs & set(self.packages)) - found
            found |= more
            waiting += more
        return found

    def _sources(self, name: str) -> list[str]:
        folder = self.packages[name].folder
        prefix = f"{folder}/" if folder else ""
        return [path for path in self._files if path.startswith(prefix) and path.endswith(".rs")]

    def _any_matches(self, paths: Iterable[str], pattern: re.Pattern[bytes]) -> bool:
        """Return whether a file matches, or cannot be read."""
        for path in paths:
            try:
                if pattern.search(read_regular(self.top / path, LONGEST)):
                    return True
            except OSError:
                return True
        return False

    @cached_property
    def _bases(self) -> tuple[str, ...]:
        """The directories that relative paths in dep-info may start from."""
        cwd = Path(os.path.normpath(self.top / self.root))
        return tuple(dict.fromkeys((f"{build_places.workspace_root(self.top, cwd)}", f"{cwd}", f"{self.top}")))

    @cached_property
    def _folders(self) -> dict[str, str]:
        """Cache of the real paths of directories named in dep-info."""
        return {}

    @cached_property
    def _real_top(self) -> str:
        return f"{os.path.realpath(self.top)}/"

    def within(self, name: str) -> list[str]:
        """Return the tree's paths that a name in dep-info may mean, links resolved.

        []: outside the tree.
        """
        names = [os.path.join(base, name) for base in self._bases]  # noqa: PTH118 -- an absolute one stays
        real = (self._real(each) for each in names)
        return [path.removeprefix(self._real_top) for path in real if path and path.startswith(self._real_top)]

    def _real(self, path: str) -> str:
        folder, name = os.path.split(path)
        if folder not in self._folders:
            self._folders[folder] = os.path.realpath(folder)
        real = os.path.join(self._folders[folder], name)  # noqa: PTH118 -- thousands of them
        if os.path.islink(real):  # noqa: PTH114
            return os.path.realpath(real)
        return real if os.path.lexists(real) else ""

    def owner(self, path: str) -> str | None:
        """Return the package whose directory contains a file, the innermost.

        None: no package does.
        """
        folders = {package.folder: package.name for package in self.packages.values()}
        for parent in PurePosixPath(path).parents:
            if (folder := "" if str(parent) == "." else str(parent)) in folders:
                return folders[folder]
        return None

    def changes(self, old: str, new: str) -> list[ChangedPath] | None:
        """Return the paths that differ between two commits.

        None: the old commit no longer exists.
        """
        if old == new:
            return []
        try:
            raw = self.git.query("diff-tree", "-r", "-z", "--raw", "--no-renames", "--end-of-options", old, new)
        except TrunklineError:
            return None
        fields = os.fsdecode(raw.stdout).split("\0")
        found = [_change(facts, path) for facts, path in zip(fields[::2], fields[1::2], strict=False)]
        if self._configuration_is_linked:
            return [
                replace(each, acts_on_dependencies=each.acts_on_dependencies or not each.is_source) for each in found
            ]
        if not self._configuration_includes:
            return found
        # Any TOML file may be included by cargo's configuration, except those with a meaning of
        # their own.
        return [
            replace(each, acts_on_dependencies=True)
            if each.path.endswith(".toml") and PurePosixPath(each.path).name not in _NOT_INCLUDED
            else each
            for each in found
        ]

    @cached_property
    def _configuration_includes(self) -> bool:
        """True if the tree has a cargo configuration that includes other files."""
        pure = map(PurePosixPath, self._files)
        configured = [str(path) for path in pure if path.parent.name == ".cargo" and path.name.startswith("config")]
        return self._any_matches(configured, _INCLUDES)

    @cached_property
    def _configuration_is_linked(self) -> bool:
        """True if a cargo configuration is reached through a symbolic link."""
        return any(".cargo" in PurePosixPath(path).parts for path in self._links)

    def locked(self) -> set[tuple[str, str]]:
        """Return the packages from outside the tree in its lock files, as (name, version)."""
        found: set[tuple[str, str]] = set()
        for base in self._bases:
            try:
                found |= cargo.lock_packages(read_regular(Path(base) / "Cargo.lock", LONGEST).decode("utf-8"))
            except (OSError, ValueError):
                continue
        return found

    def runs_code(self) -> bool:
        """Return whether code of the tree or of its dependencies may run during compilation."""
        configured = any(".cargo" in PurePosixPath(path).parent.parts for path in self._files)
        running = any(package.script or package.macro for package in self.packages.values())
        return running or configured or self._configuration_is_linked


def _change(facts: str, path: str) -> ChangedPath:
    old, new, _, _, status = facts.removeprefix(":").split(" ")
    pure = PurePosixPath(path)
    return ChangedPath(
        path,
        is_source=status == "M" and old == new and old in _REGULAR and pure.suffix == ".rs",
        acts_on_dependencies=_SUBMODULE in {old, new} or ".cargo" in pure.parts or pure.name in _TOOLCHAINS,
    )
