"""Reads what cargo prints while it runs: its own messages apart from those of the programs that it compiles and runs.

With `--message-format=json` each message of a compiler is a record on stdout (The Cargo Book, "External tools";
The rustc book, "JSON Output"), and `build-finished` says whether everything compiled. What comes on stdout after that
was printed by a program: by tests, mostly. On stderr cargo says what it does and why it stops; a program that it
runs prints there after a line of cargo's that names it. Text of a program is never searched for causes.
"""

from __future__ import annotations

import json
import re
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from trunkline.rust.units import Artifact, BuildScript, artifact_of, build_script_of
from trunkline.system.logged_process import Stream
from trunkline.system.process import Completed

_KEPT = 20_000
"""Lines kept of each kind: the end counts, and a test may print without end."""
_RUNS = re.compile(r"^(?: {5}Running| {3}Doc-tests) (`?)")
"""Cargo's line before a program that it starts (cargo's shell, `status`: right-aligned to 12 columns).

With --verbose a command stands there in backticks, before `build-finished` a compiler's.
"""
_PROGRAM = re.compile(r"^ {5}Running (?:unittests )?[^(]*\((.*)\)$|^ {3}Doc-tests (.*)$")
_RESULT = re.compile(r"^test result: \w+\. (\d+) passed; (\d+) failed; ")
_ERROR = re.compile(r"^error(?:\[E\d+\])?: ")
_ENDED = "error: process didn't exit successfully: `"
_CRASH_LEVEL = "error: internal compiler error"  # rustc_errors, Level::Bug
_WITH_VALUE = frozenset({"--config", "--color", "--explain", "-C", "-Z"})  # of cargo itself
_REPORTING = frozenset({"bench", "build", "check", "clippy", "doc", "test"})


@dataclass(frozen=True)
class CompilerError:
    """One error of rustc, rustdoc or clippy.

    Attributes:
        message: its first line, in the compiler's own words.
        place: `file:line:column`, the file as cargo names it (relative to the workspace), or "".
        code: `E0425`, or "" (lints and rustdoc have none).
        package: the package that was compiled, `NAME` or `NAME VERSION` from outside the workspace; "" unknown.
        crash: the compiler's report of a defect of its own.
    """

    message: str
    place: str
    code: str
    package: str = ""
    crash: bool = False

    def __str__(self) -> str:
        head = f"error[{self.code}]: {self.message}" if self.code else self.message
        return f"{head} ({self.place})" if self.place else head


def toolchain_argument(argv: Sequence[str]) -> tuple[str, ...]:
    """Return the toolchain that a cargo command names: `("+1.89.0",)` or ()."""
    return tuple(argv[1:2]) if argv[1:2] and argv[1].startswith("+") else ()


def subcommand_of(argv: Sequence[str]) -> str:
    """Return the subcommand of a cargo command, "" where there is none or another program is run."""
    at = _subcommand_index(argv)
    return argv[at] if at else ""


def _subcommand_index(argv: Sequence[str]) -> int:
    """Return where the subcommand stands, after cargo's own options; 0: nowhere."""
    at = 1 + len(toolchain_argument(argv))
    while argv[0] == "cargo" and at < len(argv):
        if not argv[at].startswith("-"):
            return at
        at += 2 if argv[at] in _WITH_VALUE else 1
    return 0


def reporting(argv: Sequence[str]) -> tuple[str, ...]:
    """Return a command with its compilers' messages as records where its subcommand has them, else as it is."""
    own = argv[: argv.index("--")] if "--" in argv else argv
    if subcommand_of(argv) not in _REPORTING or any(part.startswith("--message-format") for part in own):
        return tuple(argv)
    at = _subcommand_index(argv) + 1
    return (*argv[:at], "--message-format=json", *argv[at:])


@dataclass
class CargoOutput:
    """The output of one command, sorted while it comes.

    Attributes:
        structured: its stdout has records.
        errors: the compilers' errors, in order.
        finished: whether everything compiled; None: cargo did not come so far.
        units: compilation units that are done.
        artifacts: those of the repository's own packages, fresh ones too.
        scripts: build scripts of its packages that ran, now or before.
        programs: the programs that cargo ran, as cargo names them.
        results: of each harness that reported: how many programs had begun by then, and how many tests it ran.
        own: stderr before cargo ran a program: cargo's own words.
        later: stderr from the first program on: cargo's and the programs'.
        printed: stdout, without records: after `finished` the programs'.
        last: the last line with something in it, of either stream.
    """

    structured: bool
    errors: list[CompilerError] = field(default_factory=list)
    finished: bool | None = None
    units: int = 0
    artifacts: list[Artifact] = field(default_factory=list)
    scripts: list[BuildScript] = field(default_factory=list)
    programs: list[str] = field(default_factory=list)
    results: list[tuple[int, int]] = field(default_factory=list)
    own: deque[str] = field(default_factory=lambda: deque(maxlen=_KEPT))
    later: deque[str] = field(default_factory=lambda: deque(maxlen=_KEPT))
    printed: deque[str] = field(default_factory=lambda: deque(maxlen=_KEPT))
    last: str = ""

    @classmethod
    def of(cls, done: Completed, *, structured: bool = False) -> CargoOutput:
        """Return the output of a command that has ended."""
        output = cls(structured)
        for stream, text in ((Stream.STDOUT, done.stdout), (Stream.STDERR, done.stderr)):
            for line in text.splitlines(keepends=True):
                output.take(stream, line)
        return output

    def take(self, stream: Stream, line: bytes) -> bytes:
        """Read one line; return what a person's log gets in its place."""
        record = self._record(line) if stream is Stream.STDOUT else None
        if record is not None:
            return self._recorded(record)
        text = line.decode("utf-8", "replace").rstrip("\r\n")
        self.last = text.strip() or self.last
        if stream is Stream.STDOUT:
            self.printed.append(text)
            if (tests := libtest_result(text)) is not None:
                self.results.append((len(self.programs), tests))
        elif self.structured and (self.later or self._runs_a_program(text)):
            self.later.append(text)
            if program := _PROGRAM.match(text):
                self.programs.append(program[1] or program[2])
        else:
            self.own.append(text)
        return line

    def _runs_a_program(self, text: str) -> bool:
        match = _RUNS.match(text)
        return match is not None and (not match[1] or self.finished is not None)

    def _record(self, line: bytes) -> dict[str, Any] | None:
        """Return a line of stdout as cargo's record; None: it is none, or comes when programs print."""
        if not self.structured or self.finished is not None or not line.startswith(b'{"reason":'):
            return None
        try:
            record = json.loads(line)
        except ValueError:
            return None
        return record if isinstance(record, dict) else None

    def _recorded(self, record: dict[str, Any]) -> bytes:
        reason = record.get("reason")
        if reason == "build-finished":
            self.finished = bool(record.get("success"))
        elif reason in {"compiler-artifact", "build-script-executed"}:
            self.units += 1
            if artifact := artifact_of(record):
                self.artifacts.append(artifact)
            elif script := build_script_of(record):
                self.scripts.append(script)
        elif reason == "compiler-message":
            if error := _compiler_error(record):
                self.errors.append(error)
            return str((record.get("message") or {}).get("rendered") or "").encode("utf-8", "replace")
        return b""

    @property
    def tests(self) -> tuple[tuple[str, int], ...]:
        """Each program that cargo ran, with how many tests ran in it.

        Where each has one result they belong together in order. Where a program has a harness of its own, a result
        belongs to the program that had begun last; on a busy machine lines of stdout may come late.
        """
        if len(self.results) == len(self.programs):
            return tuple((name, tests) for name, (_, tests) in zip(self.programs, self.results, strict=True))
        return tuple(
            (name, sum(tests for begun, tests in self.results if begun == at))
            for at, name in enumerate(self.programs, 1)
        )

    @property
    def first_error(self) -> CompilerError | None:
        """The first error with a place, else the first; None: there is none."""
        return next((error for error in self.errors if error.place), self.errors[0] if self.errors else None)

    @property
    def closing(self) -> tuple[str, ...]:
        """The lines of cargo's last error: `error: ...` and what it adds to that, causes included; () for none.

        Cargo prints the reason why it ends as the last thing that it does; what it quotes of a program is indented.
        """
        lines = list(self.later) or list(self.own)
        starts = [at for at, line in enumerate(lines) if _ERROR.match(line)]
        for at in starts:
            if lines[at].startswith(_ENDED) and lines[at + 1 : at + 2] in (["--- stdout"], ["--- stderr"]):
                return tuple(lines[at:])  # what follows is quoted, at the margin
        return tuple(lines[starts[-1] :]) if starts else ()


def libtest_result(line: str) -> int | None:
    """Return how many tests ran by the last line of Rust's test harness; None: it is another line."""
    match = _RESULT.match(line)
    return int(match[1]) + int(match[2]) if match else None


def _compiler_error(record: dict[str, Any]) -> CompilerError | None:
    """Return a `compiler-message` record as an error; None: it is a warning or a note."""
    try:
        message = record["message"]
        if not message["level"].startswith("error"):
            return None
        spans = [span for span in message["spans"] if span["is_primary"]]
        place = f"{spans[0]['file_name']}:{spans[0]['line_start']}:{spans[0]['column_start']}" if spans else ""
        code = (message["code"] or {}).get("code") or ""
        text, crash = _first_line(message), message["level"] == _CRASH_LEVEL
    except (KeyError, TypeError, AttributeError):
        return None
    return CompilerError(
        text, place, code if re.fullmatch(r"E\d{4}", code) else "", _package(str(record.get("package_id"))), crash
    )


def _first_line(message: dict[str, Any]) -> str:
    """Return an error's first line; where that says nothing by itself, with the compiler's note to it."""
    text = str(message["message"]).partition("\n")[0]
    notes = [str(child["message"]) for child in message.get("children", ())]
    if text.endswith("panicked") and notes:  # a procedural macro: help: message: ...
        return f"{text}: {notes[0].removeprefix('message: ')}"
    if text.startswith("linking with ") and len(notes) > 1:  # the linker's own words
        lines = [line.strip() for line in notes[-1].splitlines() if line.strip()]
        return f"{text}: {lines[0]}" if lines else text
    return text


def _package(spec: str) -> str:
    """Return the package of a Package ID Specification: its name, and the version where it comes from elsewhere."""
    where, _, fragment = spec.partition("#")
    name, _, version = fragment.rpartition("@")
    if where.startswith("path+"):
        return name or where.rstrip("/").rpartition("/")[2]
    return f"{name} {version}".strip()
