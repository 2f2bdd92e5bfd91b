"""Flags of rustc and rustdoc for a command, and how to add others."""

from __future__ import annotations

import msgspec

RUSTFLAGS, RUSTDOCFLAGS = "RUSTFLAGS", "RUSTDOCFLAGS"
ENCODED = {RUSTFLAGS: "CARGO_ENCODED_RUSTFLAGS", RUSTDOCFLAGS: "CARGO_ENCODED_RUSTDOCFLAGS"}
"""The variables whose flags may contain spaces; cargo prefers them to the plain ones."""
SEPARATOR = "\x1f"
"""The separator of flags in an encoded variable."""


class Flags(msgspec.Struct, frozen=True):
    """The flags that cargo passes to rustc and rustdoc.

    Attributes:
        rustc: flags for rustc.
        rustdoc: flags for rustdoc.
    """

    rustc: tuple[str, ...] = ()
    rustdoc: tuple[str, ...] = ()

    def of(self, variable: str) -> tuple[str, ...]:
        """Return the flags that setting a variable would replace."""
        return self.rustc if variable == RUSTFLAGS else self.rustdoc

    def with_added(self, variable: str, flags: tuple[str, ...]) -> Flags:
        """Return the flags with others at the end, where they take precedence."""
        joined = added(self.of(variable), flags)
        return Flags(joined, self.rustdoc) if variable == RUSTFLAGS else Flags(self.rustc, joined)

    def to_json(self) -> dict[str, list[str]]:
        """Return the flags that are set, by variable."""
        named = {RUSTFLAGS: list(self.rustc), RUSTDOCFLAGS: list(self.rustdoc)}
        return {name: flags for name, flags in named.items() if flags}

    def __bool__(self) -> bool:
        return bool(self.rustc or self.rustdoc)

    def __str__(self) -> str:
        return ", ".join(f"{name}='{' '.join(flags)}'" for name, flags in self.to_json().items())


NO_FLAGS = Flags()


def added(flags: tuple[str, ...], more: tuple[str, ...]) -> tuple[str, ...]:
    """Return flags with more at the end, without duplicates."""
    return flags if more and flags[-len(more) :] == more else (*flags, *more)


def as_variable(variable: str, flags: tuple[str, ...]) -> tuple[str, str]:
    """Return the variable and value for exactly these flags.

    The encoded variable is used if a flag contains a space.
    """
    if any(not flag or any(character.isspace() for character in flag) for flag in flags):
        return ENCODED[variable], SEPARATOR.join(flags)
    return variable, " ".join(flags)
