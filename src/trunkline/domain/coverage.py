"""Find the changed files that no gate verified, from what the gates compiled and ran.

A unit is a crate as cargo builds it, with the name that nextest gives its test program: `kv` is the
library of package `kv`, `kv::bin/serve` a binary, `kv::eviction` an integration test,
`kv::example/demo` an example and `kv::bench/speed` a benchmark.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

import msgspec

_SETTINGS = frozenset({
    "Cargo.toml", "Cargo.lock", "rust-toolchain", "rust-toolchain.toml", "clippy.toml", ".clippy.toml",
    "rustfmt.toml", ".rustfmt.toml",
})  # fmt: skip
_CARGO_SETTINGS = frozenset({"config", "config.toml"})
_PROSE = (".md", ".txt", ".rst", ".adoc", ".svg", ".png", ".jpg", ".gif")
NOT_COMPILED = "no gate compiled it"
NOT_READ = "no gate read it"
NOT_RUN = "compiled, but none of its tests ran"


@dataclass(frozen=True)
class Sources:
    """The files of a tree that gates read, by path from the top of the repository.

    Attributes:
        units: by unit, the files that its compiler or build script read.
        ran: the units whose test program ran at least one test.
    """

    units: Mapping[str, frozenset[str]] = field(default_factory=dict, hash=False)
    ran: frozenset[str] = frozenset()

    def __or__(self, other: Sources) -> Sources:
        """Return the union of both."""
        names = {*self.units, *other.units}
        empty = frozenset[str]()
        units = {name: self.units.get(name, empty) | other.units.get(name, empty) for name in names}
        return Sources(units, self.ran | other.ran)

    @property
    def compiled(self) -> frozenset[str]:
        """Every file that was read."""
        return frozenset().union(*self.units.values())

    @property
    def tested(self) -> frozenset[str]:
        """The files of units in which a test ran."""
        return frozenset().union(*(self.units.get(name, frozenset()) for name in self.ran))

    @property
    def only_tests(self) -> frozenset[str]:
        """The files that are only in integration tests."""
        tests = [files for name, files in self.units.items() if _is_integration_test(name)]
        rest = [files for name, files in self.units.items() if not _is_integration_test(name)]
        return frozenset[str]().union(*tests) - frozenset[str]().union(*rest)

    def to_json(self) -> dict[str, Any]:
        """Return JSON values; equal sources give equal values."""
        return {"units": {name: sorted(self.units[name]) for name in sorted(self.units)}, "ran": sorted(self.ran)}

    @classmethod
    def from_json(cls, values: Any) -> Sources:
        """Return the value that `to_json` was called on.

        Raises:
            ValueError: the JSON is invalid.
        """
        try:
            units = {str(name): frozenset(map(str, files)) for name, files in values["units"].items()}
            return cls(units, frozenset(map(str, values["ran"])))
        except (KeyError, TypeError, AttributeError) as error:
            raise ValueError(f"not the sources of a gate: {error}") from error


def _is_integration_test(unit: str) -> bool:
    _, separated, name = unit.partition("::")
    return bool(separated) and "/" not in name


class ChangedFile(msgspec.Struct, frozen=True):
    """A file changed by an entry.

    Attributes:
        path: its path from the top of the repository.
        holds_tests: it has `#[test]` functions.
    """

    path: str
    holds_tests: bool = False


class Unverified(msgspec.Struct, frozen=True):
    """A changed file that no gate verified.

    Attributes:
        path: its path from the top of the repository.
        why: the reason.
        prose: it is documentation or an image, which no gate needs to read.
    """

    path: str
    why: str
    prose: bool = False

    def __str__(self) -> str:
        return f"{self.path} ({self.why})"

    def to_json(self) -> dict[str, Any]:
        """Return JSON values."""
        return {"path": self.path, "why": self.why, "prose": self.prose}


_SHOWN = 5


class Coverage(msgspec.Struct, frozen=True):
    """The changed files that no gate verified.

    Attributes:
        known: the list is known, because the gates ran on this machine.
        unverified: the files, code before prose.
    """

    known: bool
    unverified: tuple[Unverified, ...] = ()

    @property
    def code(self) -> tuple[Unverified, ...]:
        """The files that a gate should have verified."""
        return tuple(each for each in self.unverified if not each.prose)

    def sentence(self) -> str:
        """Return `verified, except: a.rs (no gate compiled it)`, or "" without exceptions."""
        if not self.unverified:
            return ""
        named = ", ".join(str(each) for each in self.unverified[:_SHOWN])
        more = len(self.unverified) - _SHOWN
        return f"verified, except: {named}" + (f" and {more} more" if more > 0 else "")

    def to_json(self) -> dict[str, Any]:
        """Return JSON values."""
        return {"known": self.known, "unverified": [each.to_json() for each in self.unverified]}


def unverified(changed: Iterable[ChangedFile], sources: Sources) -> tuple[Unverified, ...]:
    """Return the changed files that no gate verified: code before prose, each in their order.

    Args:
        changed: the files that an entry adds or changes.
        sources: the files that the passed gates read.
    """
    compiled, tested, only_tests = sources.compiled, sources.tested, sources.only_tests
    found = []
    for each in changed:
        if each.path in compiled:
            if each.path not in tested and (each.holds_tests or each.path in only_tests):
                found.append(Unverified(each.path, NOT_RUN))
        elif not _is_setting(each.path, compiled):
            why = NOT_COMPILED if each.path.endswith(".rs") else NOT_READ
            found.append(Unverified(each.path, why, prose=each.path.lower().endswith(_PROSE)))
    return tuple(sorted(found, key=lambda each: each.prose))


def _is_setting(path: str, compiled: frozenset[str]) -> bool:
    """Return whether a file is a setting of cargo or a compiler.

    This holds if a file beside or below it was compiled.
    """
    folder, _, name = path.rpartition("/")
    if name in _CARGO_SETTINGS and (folder == ".cargo" or folder.endswith("/.cargo")):
        folder = folder.removesuffix(".cargo").rstrip("/")
    elif name not in _SETTINGS:
        return False
    prefix = f"{folder}/" if folder else ""
    return any(file.startswith(prefix) for file in compiled)
