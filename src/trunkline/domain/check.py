"""The checks of an entry: what must hold of its tree beyond the gates, as stack.toml declares it."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import Enum
from typing import Any

AnyPattern = str | Mapping[str, Any]
"""An ast-grep pattern, or an ast-grep rule as a table."""


class Expect(Enum):
    """What a pattern must do in the sources that are searched."""

    PRESENT = "present"
    ABSENT = "absent"
    INSIDE = "inside"


@dataclass(frozen=True)
class Named:
    """What every check has.

    Attributes:
        name: short and unique within its entry; not a gate's.
        title: what it says, for people; a line of the checklist.
    """

    name: str
    title: str

    @property
    def text(self) -> str:
        """What it says, or its name."""
        return self.title or self.name


@dataclass(frozen=True)
class PatternCheck(Named):
    """A structural search of the Rust sources.

    Attributes:
        pattern: what is searched.
        expect: present: at least once; absent: never; inside: wherever it is, it lies in one of `inside`.
        inside: `#[attribute]`, `fn NAME`, `mod NAME`, `impl TYPE`, `trait NAME`, or an ast-grep pattern.
        paths: git pathspecs with globs, from the repository's top; empty: the lines that the entry itself adds.
    """

    pattern: AnyPattern = field(hash=False)
    expect: Expect = Expect.PRESENT
    inside: tuple[str, ...] = ()
    paths: tuple[str, ...] = ()

    @property
    def sought(self) -> str:
        """The pattern as one line."""
        return self.pattern if isinstance(self.pattern, str) else json.dumps(self.pattern, sort_keys=True)


@dataclass(frozen=True)
class CommandCheck(Named):
    """A command that must end with an exit code, at the Cargo workspace's directory."""

    run: tuple[str, ...]
    exit: int = 0
    env: Mapping[str, str] = field(default_factory=dict, hash=False)


@dataclass(frozen=True)
class TestCheck(Named):
    """Tests that must pass: for each filter at least one must have run.

    Attributes:
        tests: filters, as `cargo test` takes them.
        args: what `cargo test` is given instead of the test gate's selection; None: that.
    """

    tests: tuple[str, ...]
    args: tuple[str, ...] | None = None


@dataclass(frozen=True)
class ManualCheck(Named):
    """Something that a person has looked at, and ticks with a reason; on exactly this tree."""


Check = PatternCheck | CommandCheck | TestCheck | ManualCheck


@dataclass(frozen=True)
class Match:
    """Where a pattern was found.

    Attributes:
        path: the file, from the repository's top.
        line: of its beginning, from 1.
        end: the line of its end.
        code: its first line.
        inside: it lies in one of the check's `inside`, or there is none.
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
    r"""Return a path on one line, escaped where it cannot be printed (`a\nb.rs`, `\xff` for a stray byte)."""
    text = path.encode("utf-8", "surrogateescape").decode("utf-8", "backslashreplace")
    return "".join(char if char.isprintable() else char.encode("unicode_escape").decode() for char in text)


@dataclass(frozen=True)
class Judgement:
    """What a search comes to.

    Attributes:
        holds: the check holds.
        summary: why, in one line.
        shown: the matches that a person should look at.
    """

    holds: bool
    summary: str
    shown: tuple[Match, ...]


def judge(check: PatternCheck, matches: tuple[Match, ...], files: int) -> Judgement:
    """Decide whether what was found is what was expected.

    Args:
        check: the check.
        matches: everything found in the sources that count.
        files: how many files were searched. None at all holds for nothing that names its paths: a check over a
            path that was renamed must not pass for want of something to search.
    """
    within = tuple(match for match in matches if match.inside)
    outside = tuple(match for match in matches if not match.inside)
    searched = f"{files} file{'' if files == 1 else 's'}" + ("" if check.paths else " that the entry changes")
    place = f" inside {' or '.join(check.inside)}" if check.inside else ""
    if not files and check.paths:
        return Judgement(False, f"{', '.join(check.paths)}: no Rust file of the commit matches", ())
    if check.expect is Expect.PRESENT:
        message = f"found{place}" if within else f"not found{place} in {searched}"
        return Judgement(bool(within), message, within or outside)
    if check.expect is Expect.ABSENT:
        message = f"found{place}, but must not be" if within else f"not found{place} in {searched}, as it must be"
        return Judgement(not within, message, within)
    if outside:
        return Judgement(False, f"{len(outside)} of {len(matches)} not{place}", outside)
    return Judgement(True, f"{len(matches)} found in {searched}" + (f", all{place}" if matches else ""), matches)
