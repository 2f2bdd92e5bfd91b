"""Flags of rustc and rustdoc that are in force for a command, and how others are added to them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

RUSTFLAGS, RUSTDOCFLAGS = "RUSTFLAGS", "RUSTDOCFLAGS"
ENCODED = {RUSTFLAGS: "CARGO_ENCODED_RUSTFLAGS", RUSTDOCFLAGS: "CARGO_ENCODED_RUSTDOCFLAGS"}
"""The variables whose flags may hold spaces; cargo prefers them to the plain ones."""
SEPARATOR = "\x1f"
"""Between the flags of an encoded variable."""


@dataclass(frozen=True)
class Flags:
    """The flags that cargo passes on.

    Attributes:
        rustc: to rustc.
        rustdoc: to rustdoc.
    """

    rustc: tuple[str, ...] = ()
    rustdoc: tuple[str, ...] = ()

    def of(self, variable: str) -> tuple[str, ...]:
        """Return the flags that a variable would replace."""
        return self.rustc if variable == RUSTFLAGS else self.rustdoc

    def with_added(self, variable: str, flags: tuple[str, ...]) -> Flags:
        """Return the flags with others added at the end, where they have the last word."""
        joined = added(self.of(variable), flags)
        return Flags(joined, self.rustdoc) if variable == RUSTFLAGS else Flags(self.rustc, joined)

    def to_json(self) -> dict[str, list[str]]:
        """Return the flags that are set, by variable."""
        named = {RUSTFLAGS: list(self.rustc), RUSTDOCFLAGS: list(self.rustdoc)}
        return {name: flags for name, flags in named.items() if flags}

    @classmethod
    def from_json(cls, values: Mapping[str, Any]) -> Flags:
        """Return what `to_json` made."""
        return cls(*(tuple(str(flag) for flag in values.get(name, ())) for name in (RUSTFLAGS, RUSTDOCFLAGS)))

    def __bool__(self) -> bool:
        return bool(self.rustc or self.rustdoc)

    def __str__(self) -> str:
        return ", ".join(f"{name}='{' '.join(flags)}'" for name, flags in self.to_json().items())


NO_FLAGS = Flags()


def added(flags: tuple[str, ...], more: tuple[str, ...]) -> tuple[str, ...]:
    """Return flags with more at the end; what stands there already is not repeated."""
    return flags if more and flags[-len(more) :] == more else (*flags, *more)


def as_variable(variable: str, flags: tuple[str, ...]) -> tuple[str, str]:
    """Return the variable and its value that give exactly these flags: the encoded one where one holds a space."""
    if any(not flag or any(character.isspace() for character in flag) for flag in flags):
        return ENCODED[variable], SEPARATOR.join(flags)
    return variable, " ".join(flags)
