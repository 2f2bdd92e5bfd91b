"""The checks of an entry, declared in stack.toml: conditions on its tree beyond the gates."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import Enum
from typing import Any

import msgspec

AnyPattern = str | Mapping[str, Any]
"""An ast-grep pattern, or an ast-grep rule as a table."""


class Expect(Enum):
    """The expected result of a pattern search."""

    PRESENT = "present"
    ABSENT = "absent"
    INSIDE = "inside"


@dataclass(frozen=True)
class Named:
    """The fields of every check.

    Attributes:
        name: a short name, unique within its entry, different from all gates.
        title: its text in the checklist.
    """

    name: str
    title: str

    @property
    def text(self) -> str:
        """The title, or the name if there is none."""
        return self.title or self.name


@dataclass(frozen=True)
class PatternCheck(Named):
    """A structural search of the Rust sources.

    Attributes:
        pattern: the pattern to search for.
        expect: present: at least once; absent: never; inside: wherever it is, it lies in one of
            `inside`.
        inside: `#[attribute]`, `fn NAME`, `mod NAME`, `impl TYPE`, `trait NAME`, or an ast-grep
            pattern.
        paths: git pathspecs with globs, from the repository's top; empty: the lines that the entry
            itself adds.
    """

    pattern: AnyPattern = field(hash=False)
    expect: Expect = Expect.PRESENT
    inside: tuple[str, ...] = ()
    paths: tuple[str, ...] = ()

    @property
    def one_line(self) -> str:
        """The pattern on one line."""
        return self.pattern if isinstance(self.pattern, str) else json.dumps(self.pattern, sort_keys=True)


@dataclass(frozen=True)
class CommandCheck(Named):
    """A command with an expected exit code, run in the directory of the Cargo workspace."""

    run: tuple[str, ...]
    exit: int = 0
    env: Mapping[str, str] = field(default_factory=dict, hash=False)


@dataclass(frozen=True)
class TestCheck(Named):
    """Tests that must pass; at least one test must run for each filter.

    Attributes:
        tests: filters, as `cargo test` takes them.
        args: arguments for `cargo test` instead of the test gate's selection; None: that selection.
    """

    tests: tuple[str, ...]
    args: tuple[str, ...] | None = None


@dataclass(frozen=True)
class ManualCheck(Named):
    """A condition that a person confirms with a reason, for exactly this tree."""


Check = PatternCheck | CommandCheck | TestCheck | ManualCheck


class Match(msgspec.Struct, frozen=True):
    """A match of a pattern.

    Attributes:
        path: the file, from the repository's top.
        line: its first line number, from 1.
        end: its last line number.
        code: its first line.
        inside: it is in one of the check's `inside` items, or the check has none.
    """

    path: str
    line: int
    end: int
    code: str
    inside: bool

    def __str__(self) -> str:
        """Return `path:line: code`."""
        return f"{_printable(self.path)}:{self.line}: {self.code}"


def _printable(path: str) -> str:
    r"""Return a path on one line, with escapes (`a\nb.rs`, `\xff` for a stray byte)."""
    text = path.encode("utf-8", "surrogateescape").decode("utf-8", "backslashreplace")
    return "".join(char if char.isprintable() else char.encode("unicode_escape").decode() for char in text)


class Evaluation(msgspec.Struct, frozen=True):
    """The result of a pattern check.

    Attributes:
        holds: the check holds.
        summary: the reason, in one line.
        shown: the matches to show.
    """

    holds: bool
    summary: str
    shown: tuple[Match, ...]


def evaluate(check: PatternCheck, matches: tuple[Match, ...], files: int) -> Evaluation:
    """Return whether the matches are as expected.

    Args:
        check: the check.
        matches: all matches in the searched sources.
        files: the number of searched files; a check with paths fails without files, so that it does
            not pass after its path was renamed.
    """
    within = tuple(match for match in matches if match.inside)
    outside = tuple(match for match in matches if not match.inside)
    searched = f"{files} file{'' if files == 1 else 's'}" + ("" if check.paths else " that the entry changes")
    place = f" inside {' or '.join(check.inside)}" if check.inside else ""
    if not files and check.paths:
        return Evaluation(False, f"{', '.join(check.paths)}: no Rust file of the commit matches", ())
    if check.expect is Expect.PRESENT:
        message = f"found{place}" if within else f"not found{place} in {searched}"
        return Evaluation(bool(within), message, within or outside)
    if check.expect is Expect.ABSENT:
        message = f"found{place}, but must not be" if within else f"not found{place} in {searched}, as it must be"
        return Evaluation(not within, message, within)
    if outside:
        return Evaluation(False, f"{len(outside)} of {len(matches)} not{place}", outside)
    return Evaluation(True, f"{len(matches)} found in {searched}" + (f", all{place}" if matches else ""), matches)
