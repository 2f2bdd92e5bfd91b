"""Invalidate cargo's build output between trees, so that verdicts equal those of a clean checkout.

Cargo compares modification times and the files that dep-info lists. A work tree in which all files
have the same time (`git/fresh_tree.py`) hides every change from it. So this module compares the
tree that a target directory was last used for with the new one, and removes:

- if only contents of Rust sources changed, and dep-info lists each of them: the packages that read
  them, and their dependents;
- if anything else changed (manifests, clippy.toml, data files, symbolic links, modes, added or
  removed files, the toolchain): all packages of the tree. External dependencies and rustc's
  incremental files stay;
- if something changed that may affect dependencies (`.cargo/`, `[gates.NAME] env`, cargo's
  configuration outside the tree, submodules), or times lie in the future: everything.

Build scripts that may run again run with an empty OUT_DIR.
"""

from __future__ import annotations

import enum
import json
import os
import time
from collections.abc import Collection, Iterable, Iterator
from pathlib import Path

import msgspec
from msgspec.structs import asdict

from trunkline.domain.reuse import Reuse
from trunkline.git.git import Git
from trunkline.rust import build_places, target_directory
from trunkline.rust.manifests import dependents, run_by_compiler, users
from trunkline.rust.target_directory import TargetDirectory, Unit
from trunkline.rust.tree_facts import TreeFacts
from trunkline.system.files import replace_bytes


class Reset(enum.IntEnum):
    """Amount of a target directory to rebuild."""

    SOME = 0
    MEMBERS = 1
    EMPTY_MEMBERS = 2
    ALL = 3


LEAST = {Reuse.ALL: Reset.SOME, Reuse.DEPENDENCIES: Reset.EMPTY_MEMBERS, Reuse.NOTHING: Reset.ALL}
"""Reusable results -> the least part of a target directory to rebuild."""


class Conditions(msgspec.Struct, frozen=True):
    """Conditions of a gate that is about to run.

    Attributes:
        commit: the commit checked out.
        run: the run's name; undeclared inputs of build scripts are read once per run.
        gate: the gate's name.
        variables: a hash of the gate's variables.
        common: the same without compiler flags, which cargo tracks itself; equal for the gates of a
            group.
        toolchain: a hash of the toolchain.
        surroundings: a hash of everything that affects external dependencies.
        inherited: a hash of the other variables that the gate inherits.
        sandbox: code of the tree must not affect the verdict of another tree.
        least: the least part to rebuild, once per run.
        strict: rebuild all packages of the tree for every new commit.
        removed: files that the commit does not have, removed by the checkout; None: any.
    """

    commit: str
    run: str
    gate: str
    variables: str = ""
    common: str = ""
    toolchain: str = ""
    surroundings: str = ""
    inherited: str = ""
    sandbox: bool = False
    least: Reset = Reset.SOME
    strict: bool = False
    removed: tuple[str, ...] | None = ()


class State(msgspec.Struct):
    """The last use of a target directory, stored where gates cannot write in a sandbox.

    Attributes:
        finished: the last gate finished; output of an interrupted gate is not reused.
        commit: the commit.
        run: the run.
        variables: gate -> hash of its variables.
        common: see Conditions.
        toolchains: gate -> hash of its toolchain.
        surroundings: see Conditions.
        inherited: see Conditions.
        members: the packages of the tree.
        outside: files outside the tree that the compiler read -> size, times and inode.
        ran: code of the tree or of its dependencies could write to the directory during
            compilation.
        locked: the external packages in the lock file.
    """

    finished: bool = False
    commit: str = ""
    run: str = ""
    variables: dict[str, str] = msgspec.field(default_factory=dict)
    common: str = ""
    toolchains: dict[str, str] = msgspec.field(default_factory=dict)
    surroundings: str = ""
    inherited: str = ""
    members: list[str] = msgspec.field(default_factory=list)
    outside: dict[str, list[int]] = msgspec.field(default_factory=dict)
    ran: bool = False
    locked: list[list[str]] = msgspec.field(default_factory=list)


class BuildCache(msgspec.Struct, frozen=True):
    """The target directories of one work tree, and the record of their last use.

    Attributes:
        git: the repository.
        top: the work tree.
        root: the Cargo workspace's directory in it, relative.
        record: the file with the state; in a sandbox, gates cannot write it.
    """

    git: Git
    top: Path
    root: str
    record: Path

    def prepare(self, conditions: Conditions) -> Reset:
        """Remove outdated build output; the directory counts as unfinished until `finish`."""
        state = self._state()
        tree = TreeFacts(self.git.at(self.top), self.top, self.root)
        reset, changed = self._reset(state, conditions, tree)
        members = set(tree.packages) | set(state.members if state else ())
        for directory in self._directories():
            if reset is Reset.ALL:
                directory.remove()
                continue
            directory.sweep()
            removed = {
                unit
                for unit in directory.units()
                if target_directory.is_run(unit) and not target_directory.is_finished(unit)
            }
            if reset >= Reset.MEMBERS:
                removed |= {unit for unit in directory.units() if unit.package in members}
            else:
                removed |= self._affected(directory, changed, tree)
                new_run = state is None or state.run != conditions.run
                rerun = self._scripts_to_rerun(conditions.removed, tree)
                removed |= self._scripts(directory, removed, tree, new_run=new_run, changed=changed, rerun=rerun)
            directory.remove_units(removed)
            if reset >= Reset.MEMBERS:
                directory.remove_documentation()
            if reset is Reset.EMPTY_MEMBERS:
                directory.remove_incremental()
        self._write(self._begun(state if reset is not Reset.ALL else None, conditions, tree))
        return reset

    def empty_scripts(self) -> None:
        """Remove the output of build scripts that cargo would run again now."""
        tree = TreeFacts(self.git.at(self.top), self.top, self.root)
        for directory in self._directories():
            directory.remove_units(self._scripts(directory, (), tree, new_run=False))

    def finish(self) -> None:
        """Record that the gate finished, whatever its verdict."""
        state = self._state()
        if state is None:
            return
        state.finished = True
        state.outside = self._outside(set(state.members))
        self._write(state)

    def read_outside(self) -> tuple[str, ...]:
        """Return the files outside the work tree that the compiler read for the finished gates."""
        state = self._state()
        return tuple(state.outside) if state else ()

    def _reset(self, state: State | None, conditions: Conditions, tree: TreeFacts) -> tuple[Reset, frozenset[str]]:
        """Return the extent of the rebuild; if it is partial, also the sources whose contents changed."""
        first = state is None or state.run != conditions.run
        reset = conditions.least if first else Reset.SOME
        if reset is Reset.ALL or state is None or not target_directory.have_known_layout(self._directories()):
            return Reset.ALL, frozenset()
        if (
            (state.surroundings, state.common) != (conditions.surroundings, conditions.common)
            or state.variables.get(conditions.gate, conditions.variables) != conditions.variables
            or any(each.newest() > time.time_ns() for each in self._directories())
        ):
            return Reset.ALL, frozenset()
        changes = tree.changes(state.commit, conditions.commit)
        if changes is None or any(change.acts_on_dependencies for change in changes):
            return Reset.ALL, frozenset()
        sources = frozenset(change.path for change in changes if change.is_source)
        if (
            not state.finished
            or state.inherited != conditions.inherited
            or state.toolchains.get(conditions.gate, conditions.toolchain) != conditions.toolchain
            or (conditions.strict and state.commit != conditions.commit)
            or len(sources) < len(changes)
            or (sources and not sources <= self._read(tree))
            or (sources and self._is_ambiguous(tree))
            or state.outside != _stamps(state.outside)
        ):
            reset = max(reset, Reset.MEMBERS)
        if conditions.sandbox and self._is_tainted(state, reset, sources, tree):
            return Reset.ALL, frozenset()
        return reset, sources

    def _is_ambiguous(self, tree: TreeFacts) -> bool:
        """Return whether a built package shares its name with another one in the tree."""
        duplicated = {name for name, package in tree.packages.items() if package.duplicated}
        return bool(duplicated) and any(
            unit.package in duplicated for directory in self._directories() for unit in directory.units()
        )

    def _is_tainted(self, state: State, reset: Reset, sources: Collection[str], tree: TreeFacts) -> bool:
        """Return whether foreign code could have written to the directory.

        Foreign code is code that is not part of this tree's own compilation.
        """
        if not {(name, version) for name, version in state.locked} <= tree.locked():
            return True
        if not state.ran:
            return False
        running = run_by_compiler(tree.packages)
        read = {unit.package for each in self._directories() for unit in self._affected(each, sources, tree)}
        return reset >= Reset.MEMBERS or bool(read & running)

    def _directories(self) -> list[TargetDirectory]:
        return [TargetDirectory(self.top / path) for path in build_places.locations(self.top, self.root)]

    def _readers(self, directory: TargetDirectory, tree: TreeFacts) -> Iterator[tuple[Unit, set[str] | None]]:
        """Yield the compiled units of the tree's packages, each with the files that it read.

        None: unknown.
        """
        for profile in directory.profiles():
            units = [unit for unit in directory.units() if unit.profile == profile and unit.package in tree.packages]
            for unit, names in target_directory.inputs(profile, units).items():
                yield unit, None if names is None else {path for name in names for path in tree.within(name)}

    def _read(self, tree: TreeFacts) -> set[str]:
        """Return the files of the tree that dep-info lists."""
        found: set[str] = set()
        for directory in self._directories():
            for _, files in self._readers(directory, tree):
                found |= files or set()
        return found

    def _affected(self, directory: TargetDirectory, changed: Collection[str], tree: TreeFacts) -> set[Unit]:
        """Return the units of packages that read or own changed files, and of their dependents."""
        if not changed:
            return set()
        sources = set(changed)
        readers = dict(self._readers(directory, tree))
        direct = {unit for unit, files in readers.items() if files is None or files & sources}
        names = {unit.package for unit in direct} | {owner for path in changed if (owner := tree.owner(path))}
        # Documentation may include sources of unrelated packages; only a compiler lists them.
        compiled = {unit.package for unit in readers}
        names |= {
            unit.package
            for unit in directory.units()
            if unit.package in tree.packages.keys() - compiled and target_directory.is_documentation(unit)
        }
        # A macro may read sources of unrelated packages, which no dep-info lists.
        names |= users(tree.reading_macros, tree.packages)
        names = dependents(names, tree.packages)
        read_for_scripts = names | tree.reading_macros
        return {
            unit
            for unit in directory.units()
            if (
                unit.package in names
                or (unit.package in tree.reading_macros and not target_directory.is_library(unit))
            )
            # A compiled build script depends on its own sources, not on those of its package.
            and not (
                target_directory.is_script(unit)
                and unit not in direct
                and not tree.packages[unit.package].script_needs & read_for_scripts
            )
        }

    def _scripts(
        self,
        directory: TargetDirectory,
        removed: Collection[Unit],
        tree: TreeFacts,
        *,
        new_run: bool,
        changed: Collection[str] = (),
        rerun: Collection[str] = (),
    ) -> set[Unit]:
        """Return the runs of build scripts that may run again.

        Each then starts with an empty OUT_DIR.
        """
        runs = [unit for unit in directory.units() if target_directory.is_run(unit) and unit.package in tree.packages]
        names = {unit.package for unit in removed}
        for unit in runs:
            inputs = target_directory.declared_inputs(unit)
            folder = self.top / tree.packages[unit.package].folder
            paths = [Path(os.path.normpath(folder / each)) for each in inputs or ()]
            # Cargo always runs a script with a missing input (its fingerprint.rs: "MissingFile").
            missing = any(not path.exists() for path in paths)
            elsewhere = any(self.top not in path.parents or ".git" in path.parts for path in paths)
            touched = bool(changed) and (unit.package in tree.roaming_scripts or self._is_in(changed, paths))
            if missing or touched or unit.package in rerun or (new_run and (inputs is None or elsewhere)):
                names.add(unit.package)
        names = dependents(names, tree.packages) if names else names
        return {unit for unit in runs if unit.package in names}

    def _scripts_to_rerun(self, removed: Collection[str] | None, tree: TreeFacts) -> set[str]:
        """Return the packages whose build scripts may have written removed files, as sources that git ignores.

        Cargo would not run them again: it compares what a script reads.
        """
        owners = {tree.owner(path) for path in removed or ()}
        if removed is None or any(path.startswith('"') for path in removed):
            owners = {*tree.packages}
        return {name for name in owners if name and tree.packages[name].script} | (
            tree.roaming_scripts if owners else set()
        )

    def _is_in(self, changed: Collection[str], paths: Collection[Path]) -> bool:
        """Return whether a changed file is one of these paths or below one, links resolved."""
        files = [self.top / each for each in changed]
        places = {*paths, *(path.resolve() for path in paths)}
        return any(not places.isdisjoint((each, *each.parents)) for file in files for each in (file, file.resolve()))

    def _outside(self, members: set[str]) -> dict[str, list[int]]:
        """Return the files outside the work tree that the compiler read for the tree's packages."""
        found: set[str] = set()
        for directory in self._directories():
            for profile in directory.profiles():
                units = [unit for unit in directory.units() if unit.profile == profile and unit.package in members]
                for names in target_directory.inputs(profile, units).values():
                    found.update(name for name in names or () if name.startswith("/"))
        top = f"{self.top}/"
        return _stamps(name for name in found if not os.path.normpath(name).startswith(top))

    def _begun(self, state: State | None, conditions: Conditions, tree: TreeFacts) -> State:
        before = state or State()
        return State(
            commit=conditions.commit,
            run=conditions.run,
            variables={**before.variables, conditions.gate: conditions.variables},
            common=conditions.common,
            toolchains={**before.toolchains, conditions.gate: conditions.toolchain},
            surroundings=conditions.surroundings,
            inherited=conditions.inherited,
            members=sorted({*tree.packages}),
            outside=before.outside,
            ran=before.ran or tree.runs_code(),
            locked=sorted([list(each) for each in tree.locked() | {(n, v) for n, v in before.locked}]),
        )

    def _state(self) -> State | None:
        try:
            return State(**json.loads(self.record.read_bytes()))
        except (OSError, ValueError, TypeError, RecursionError):
            return None

    def _write(self, state: State) -> None:
        replace_bytes(self.record, json.dumps(asdict(state)).encode())


def _stamps(paths: Iterable[str]) -> dict[str, list[int]]:
    """Return a fingerprint of each file; [] for a missing one."""
    found: dict[str, list[int]] = {}
    for path in paths:
        try:
            conditions = os.stat(path)  # noqa: PTH116 -- many
        except OSError:
            found[path] = []
        else:
            found[path] = [conditions.st_size, conditions.st_mtime_ns, conditions.st_ctime_ns, conditions.st_ino]
    return found
