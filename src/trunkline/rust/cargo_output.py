"""Parse cargo's output line by line, and keep cargo's messages apart from those of other programs.

With `--message-format=json` each compiler message is a record on stdout (The Cargo Book, "External
tools"; The rustc book, "JSON Output"), and `build-finished` says whether everything compiled. Later
lines on stdout come from programs, mostly tests. On stderr cargo prints its progress and errors; a
program's stderr follows a line of cargo that names it. Output of programs is never searched for the
cause of a failure.
"""

from __future__ import annotations

import json
import re
from collections import deque
from collections.abc import Sequence
from typing import Any

import msgspec

from trunkline.rust.units import Artifact, BuildScript, artifact_of, build_script_of
from trunkline.system.logged_process import Stream
from trunkline.system.process import Completed

_KEPT = 20_000
"""Lines kept of each kind; only the end matters, and a test may print without limit."""
_RUNS = re.compile(r"^(?: {5}Running| {3}Doc-tests) (`?)")
"""Cargo's line before a program that it starts.

Source: cargo's shell, `status`: right-aligned to 12 columns. With --verbose it contains a command
in backticks; before `build-finished` that is a compiler.
"""
_PROGRAM = re.compile(r"^ {5}Running (?:unittests )?[^(]*\((.*)\)$|^ {3}Doc-tests (.*)$")
_RESULT = re.compile(r"^test result: \w+\. (\d+) passed; (\d+) failed; ")
_ERROR = re.compile(r"^error(?:\[E\d+\])?: ")
_ENDED = "error: process didn't exit successfully: `"
_CRASH_LEVEL = "error: internal compiler error"  # rustc_errors, Level::Bug
NO_ROOM = re.compile(
    r"\(os error (?:28|122)\)|No space left on device|Disk quota exceeded|terminated with signal 7 \[Bus error\]"
)
"""The disk or the quota is full: ENOSPC, EDQUOT, or SIGBUS of a linker, which maps its output (mmap(2))."""
_WITH_VALUE = frozenset({"--config", "--color", "--explain", "-C", "-Z"})  # options of cargo itself that take a value
_REPORTING = frozenset({"bench", "build", "check", "clippy", "doc", "test"})


class CompilerError(msgspec.Struct, frozen=True):
    """One error of rustc, rustdoc or clippy.

    Attributes:
        message: its first line, as the compiler prints it.
        place: `file:line:column`, with the file relative to the workspace, or "".
        code: `E0425`, or "" (lints and rustdoc have none).
        package: the package that was compiled: `NAME`, or `NAME VERSION` from outside the
            workspace; "" unknown.
        crash: an internal compiler error.
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
    """Return the toolchain argument of a cargo command: `("+1.89.0",)` or ()."""
    return tuple(argv[1:2]) if argv[1:2] and argv[1].startswith("+") else ()


def subcommand_of(argv: Sequence[str]) -> str:
    """Return the subcommand of a cargo command; "": none, or another program."""
    at = _subcommand_index(argv)
    return argv[at] if at else ""


def _subcommand_index(argv: Sequence[str]) -> int:
    """Return the index of the subcommand, after cargo's own options; 0: there is none."""
    at = 1 + len(toolchain_argument(argv))
    while argv[0] == "cargo" and at < len(argv):
        if not argv[at].startswith("-"):
            return at
        at += 2 if argv[at] in _WITH_VALUE else 1
    return 0


def reporting(argv: Sequence[str]) -> tuple[str, ...]:
    """Return a command with JSON messages enabled, if its subcommand supports them."""
    own = argv[: argv.index("--")] if "--" in argv else argv
    if subcommand_of(argv) not in _REPORTING or any(part.startswith("--message-format") for part in own):
        return tuple(argv)
    at = _subcommand_index(argv) + 1
    return (*argv[:at], "--message-format=json", *argv[at:])


class CargoOutput(msgspec.Struct):
    """The output of one command, classified line by line.

    Attributes:
        structured: stdout contains JSON records.
        errors: the compiler errors, in order.
        finished: whether everything compiled; None: cargo has not finished compiling.
        units: number of finished compilation units.
        artifacts: units of the repository's own packages, fresh ones included.
        scripts: build scripts of its packages that ran, now or earlier.
        programs: the programs that cargo ran, as cargo names them.
        results: for each test harness: the number of programs started by then, and of tests run.
        own: stderr before the first program: cargo's own messages.
        later: stderr from the first program on: of cargo and of programs.
        printed: stdout without records: of programs, after `finished`.
        last: the last line of either stream that is not blank.
    """

    structured: bool
    errors: list[CompilerError] = msgspec.field(default_factory=list)
    finished: bool | None = None
    units: int = 0
    artifacts: list[Artifact] = msgspec.field(default_factory=list)
    scripts: list[BuildScript] = msgspec.field(default_factory=list)
    programs: list[str] = msgspec.field(default_factory=list)
    results: list[tuple[int, int]] = msgspec.field(default_factory=list)
    own: deque[str] = msgspec.field(default_factory=lambda: deque(maxlen=_KEPT))
    later: deque[str] = msgspec.field(default_factory=lambda: deque(maxlen=_KEPT))
    printed: deque[str] = msgspec.field(default_factory=lambda: deque(maxlen=_KEPT))
    last: str = ""

    @classmethod
    def of(cls, done: Completed, *, structured: bool = False) -> CargoOutput:
        """Parse the output of a finished command."""
        output = cls(structured)
        for stream, text in ((Stream.STDOUT, done.stdout), (Stream.STDERR, done.stderr)):
            for line in text.splitlines(keepends=True):
                output.parse_line(stream, line)
        return output

    def parse_line(self, stream: Stream, line: bytes) -> bytes:
        """Parse one line; return the text for the log."""
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
        """Return a line of stdout as a record of cargo.

        None: it is none, or a program printed it.
        """
        if not self.structured or self.finished is not None or not line.startswith(b'{"reason":'):
            return None
        try:
            record = json.loads(line)
        except (ValueError, RecursionError):
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
        """Each program that cargo ran, with the number of tests that it ran.

        If there are as many results as programs, they are paired in order. Otherwise a program has
        its own test harness; then a result belongs to the program started last. On a busy machine
        lines of stdout may arrive late.
        """
        if len(self.results) == len(self.programs):
            return tuple((name, tests) for name, (_, tests) in zip(self.programs, self.results, strict=True))
        return tuple(
            (name, sum(tests for started, tests in self.results if started == at))
            for at, name in enumerate(self.programs, 1)
        )

    @property
    def first_error(self) -> CompilerError | None:
        """The first error with a place, else the first; None: there is none."""
        return next((error for error in self.errors if error.place), self.errors[0] if self.errors else None)

    @property
    def closing(self) -> tuple[str, ...]:
        """The lines of cargo's last error: `error: ...` and everything after it; () for none.

        Cargo prints the reason for its exit last; it indents what it quotes of a program.
        """
        lines = list(self.later) or list(self.own)
        starts = [at for at, line in enumerate(lines) if _ERROR.match(line)]
        for at in starts:
            if lines[at].startswith(_ENDED) and lines[at + 1 : at + 2] in (["--- stdout"], ["--- stderr"]):
                return tuple(lines[at:])  # the quoted output that follows is not indented
        return tuple(lines[starts[-1] :]) if starts else ()


def libtest_result(line: str) -> int | None:
    """Return the number of tests from the last line of Rust's test harness; None: another line."""
    match = _RESULT.match(line)
    return int(match[1]) + int(match[2]) if match else None


def _compiler_error(record: dict[str, Any]) -> CompilerError | None:
    """Parse a `compiler-message` record; None: it is a warning or a note."""
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
    """Return an error's first line, with the compiler's note if the line alone is meaningless."""
    text = str(message["message"]).partition("\n")[0]
    notes = [str(child["message"]) for child in message.get("children", ())]
    if text.endswith("panicked") and notes:  # a procedural macro: help: message: ...
        return f"{text}: {notes[0].removeprefix('message: ')}"
    if text.startswith("linking with ") and len(notes) > 1:  # the linker's own message
        lines = [line.strip() for line in notes[-1].splitlines() if line.strip()]
        said = next((line for line in lines if NO_ROOM.search(line)), lines[0] if lines else "")
        return f"{text}: {said}" if said else text
    return text


def _package(spec: str) -> str:
    """Return the package of a Package ID Specification: name, and version if external."""
    where, _, fragment = spec.partition("#")
    name, _, version = fragment.rpartition("@")
    if where.startswith("path+"):
        return name or where.rstrip("/").rpartition("/")[2]
    return f"{name} {version}".strip()
