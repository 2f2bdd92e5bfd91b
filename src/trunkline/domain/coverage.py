"""Which files of a change no gate verified. Pure: what the gates compiled and ran in, what they left out.

A unit is a crate as cargo builds it, named as nextest names its test program: `kv` is the library of package `kv`,
`kv::bin/serve` a binary, `kv::eviction` an integration test, `kv::example/demo` and `kv::bench/speed` as they say.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

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
    """What gates read of a tree, by paths from the repository's top.

    Attributes:
        units: unit -> the files that its compiler, or its build script, read.
        ran: the units in whose test program at least one test ran.
    """

    units: Mapping[str, frozenset[str]] = field(default_factory=dict, hash=False)
    ran: frozenset[str] = frozenset()

    def __or__(self, other: Sources) -> Sources:
        """Return what both read."""
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
        """The files of test programs in which a test ran."""
        return frozenset().union(*(self.units.get(name, frozenset()) for name in self.ran))

    @property
    def only_tests(self) -> frozenset[str]:
        """The files that are in integration tests and in nothing else."""
        tests = [files for name, files in self.units.items() if _is_integration_test(name)]
        rest = [files for name, files in self.units.items() if not _is_integration_test(name)]
        return frozenset[str]().union(*tests) - frozenset[str]().union(*rest)

    def to_json(self) -> dict[str, Any]:
        """Return JSON values, the same for the same sources."""
        return {"units": {name: sorted(self.units[name]) for name in sorted(self.units)}, "ran": sorted(self.ran)}

    @classmethod
    def from_json(cls, values: Any) -> Sources:
        """Return what `to_json` made.

        Raises:
            ValueError: it is something else.
        """
        try:
            units = {str(name): frozenset(map(str, files)) for name, files in values["units"].items()}
            return cls(units, frozenset(map(str, values["ran"])))
        except (KeyError, TypeError, AttributeError) as error:
            raise ValueError(f"not the sources of a gate: {error}") from error


def _is_integration_test(unit: str) -> bool:
    _, separated, name = unit.partition("::")
    return bool(separated) and "/" not in name


@dataclass(frozen=True)
class ChangedFile:
    """A file that an entry changes.

    Attributes:
        path: from the repository's top.
        holds_tests: it has `#[test]` functions.
    """

    path: str
    holds_tests: bool = False


@dataclass(frozen=True)
class Unverified:
    """A changed file that no gate verified.

    Attributes:
        path: from the repository's top.
        why: what is lacking.
        prose: it is a document or a picture, which no gate is expected to read.
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


@dataclass(frozen=True)
class Coverage:
    """Which files of a change no gate verified.

    Attributes:
        known: it is known what the gates read: they ran on this machine.
        unverified: the files, code before prose.
    """

    known: bool
    unverified: tuple[Unverified, ...] = ()

    @property
    def code(self) -> tuple[Unverified, ...]:
        """The files that a gate was expected to verify."""
        return tuple(each for each in self.unverified if not each.prose)

    def sentence(self, shown: int = _SHOWN) -> str:
        """Return `verified, except: a.rs (no gate compiled it)`, or "" where there is no exception."""
        if not self.unverified:
            return ""
        named = ", ".join(str(each) for each in self.unverified[:shown])
        more = len(self.unverified) - shown
        return f"verified, except: {named}" + (f" and {more} more" if more > 0 else "")

    def to_json(self) -> dict[str, Any]:
        """Return JSON values."""
        return {"known": self.known, "unverified": [each.to_json() for each in self.unverified]}


def unverified(changed: Iterable[ChangedFile], sources: Sources) -> tuple[Unverified, ...]:
    """Return the changed files that no gate verified, code before prose, each in the order of the change.

    Args:
        changed: the files that an entry adds or changes.
        sources: what all gates that passed read.
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
    """Return whether cargo or a compiler takes its settings from this file: something beside or below it compiled."""
    folder, _, name = path.rpartition("/")
    if name in _CARGO_SETTINGS and (folder == ".cargo" or folder.endswith("/.cargo")):
        folder = folder.removesuffix(".cargo").rstrip("/")
    elif name not in _SETTINGS:
        return False
    prefix = f"{folder}/" if folder else ""
    return any(file.startswith(prefix) for file in compiled)
