"""Prepare the work tree of a gate's group: a fresh checkout, and valid build output."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

import msgspec

from trunkline.domain.flags import ENCODED
from trunkline.domain.receipt import Toolchain
from trunkline.gates.catalogue import Gate
from trunkline.gates.invalidation import BuildCache, Conditions, Reset
from trunkline.gates.slots import Slot
from trunkline.git.git import Git
from trunkline.rust import build_places, cargo, outside_packages, target_directory
from trunkline.system import process
from trunkline.system.files import private_directory, remove_tree

_COPY_SECONDS = 600.0
_FLAGS = frozenset({*ENCODED, *ENCODED.values()})


class Workplace(msgspec.Struct, frozen=True):
    """The work tree of a group of gates.

    Attributes:
        git: the repository.
        slot: the slot of the gate's group; the group's lock is held.
        root: the Cargo workspace's directory in the work tree, relative.
    """

    git: Git
    slot: Slot
    root: str

    def prepare(self, gate: Gate, toolchain: Toolchain, run: str, *, least: Reset, strict: bool) -> None:
        """Check out the slot's commit, and remove outdated build output."""
        checkout = self.slot.checkout(self.git, self.root)
        for directory, aside in self._asides():
            if aside.exists():  # a gate was killed while it used a copy
                remove_tree(directory)
                aside.rename(directory)
        removed = checkout.check_out(
            self.slot.commit, incomparable=lambda: self._cache.record.unlink(missing_ok=True)
        )
        # Other variables affect only the tree's packages.
        on_all = cargo.LIBRARY_VARIABLES
        inherited = {name: value for name, value in cargo.environment({}).items() if name not in on_all}
        in_force = {name: value for name, value in cargo.environment({}).items() if name in on_all}
        self._cache.prepare(Conditions(
            commit=self.slot.commit,
            run=run,
            gate=gate.name,
            variables=_hash(gate.env),
            common=_hash({name: value for name, value in gate.env.items() if name not in _FLAGS}),
            toolchain=_hash({"rustc": toolchain.rustc, "cargo": toolchain.cargo}),
            surroundings=_hash({
                **in_force,
                **outside_packages.vendored(self.slot.tree, self.root),
                "config": cargo.outer_config(self.slot.tree),
                "box": str(gate.sandbox),
            }),
            inherited=_hash(inherited),
            sandbox=gate.sandbox,
            least=least,
            strict=strict,
            removed=removed,
        ))  # fmt: skip
        checkout.restore_outputs()

    def prepare_next_command(self) -> None:
        """Prepare for another command of the same gate."""
        self._cache.empty_scripts()

    def finish(self) -> None:
        """Record that the gate finished."""
        self._cache.finish()

    def read_outside(self) -> tuple[str, ...]:
        """Return the files outside the work tree that the compiler read for the tree's packages."""
        return self._cache.read_outside()

    def modified_sources(self) -> tuple[str, ...]:
        """Return the sources that the gate modified."""
        return self.slot.checkout(self.git, self.root).modified_paths()

    def directories(self) -> list[Path]:
        """Return the directories that cargo writes to."""
        return [self.slot.tree / path for path in build_places.locations(self.slot.tree, self.root)]

    @contextmanager
    def private_copy(self) -> Iterator[None]:
        """Replace cargo's directories by temporary copies within the context."""
        for directory, aside in self._asides():
            if directory.is_dir():
                directory.rename(aside)
                _copy(aside, directory)
        try:
            yield
        finally:
            for directory, aside in self._asides():
                remove_tree(directory)
                if aside.exists():
                    aside.rename(directory)

    def _asides(self) -> Iterator[tuple[Path, Path]]:
        for number, directory in enumerate(self.directories()):
            yield directory, self.slot.tree.with_name(f"{self.slot.tree.name}.aside{number}")

    @property
    def _cache(self) -> BuildCache:
        tree = self.slot.tree
        return BuildCache(self.git, tree, self.root, tree.with_name(f"{tree.name}.cache.json"))


def _copy(source: Path, to: Path) -> None:
    """Copy a target directory without incremental files.

    Blocks are shared if the file system can.
    """
    private_directory(to)
    profiles = set(target_directory.TargetDirectory(source).profiles())
    for entry in source.iterdir():
        if entry in profiles:
            (to / entry.name).mkdir()
            _copy_all([each for each in entry.iterdir() if each.name != "incremental"], to / entry.name)
        else:
            _copy_all([entry], to)


def _copy_all(entries: list[Path], to: Path) -> None:
    if entries:
        argv = ["cp", "--archive", "--reflink=auto", "--target-directory", str(to), "--", *map(str, entries)]
        process.run(argv, cwd=to, env=process.environment(), timeout=_COPY_SECONDS)


def _hash(values: Mapping[str, str]) -> str:
    return hashlib.sha256(json.dumps(dict(values), sort_keys=True).encode("utf-8", "surrogateescape")).hexdigest()
