"""Find the cause of a gate's failure from its output: the tool's message, and how to fix it.

The functions are pure: output in, cause out. Structured output comes first: cargo's JSON records
show whether everything compiled, and contain the compiler's errors. Test results come from lines of
the test harness. Cargo's own errors are recognised by their first words. Anything else is quoted
without interpretation.
"""

from __future__ import annotations

import json
import re
import shlex
from collections.abc import Sequence
from pathlib import Path

from msgspec.structs import replace

from trunkline.domain.cause import Cause, CauseId
from trunkline.gates import libtest, refusal
from trunkline.gates.build_script import build_script
from trunkline.gates.refusal import Place
from trunkline.rust.cargo_output import NO_ROOM, CargoOutput, CompilerError, subcommand_of
from trunkline.rust.rustflags import FlagsUnknown
from trunkline.system.logged_process import Stream

_SHOWN = 500  # characters of a test's message
_RUNS_PROGRAMS = frozenset({"bench", "run", "test"})
_CRASH = re.compile(r"^(?:error: internal compiler error\b|(?:error|note): the compiler unexpectedly panicked\b)")
_COMPILING = re.compile(
    r"^error: (?:could not compile |failed to run `rustc` |process didn't exit successfully: `.*rustc -vV`)"
)
_COMPILER_ENDED = re.compile(r"process didn't exit successfully: `.*` \(exit status: 101\)$")
_REPORT = (
    re.compile(r"^note: we would appreciate a bug report: https?://"),
    re.compile(r"^note: rustc \S+ .*running on \S+$"),
)
"""Notes at the end of a compiler's crash report (rustc_driver, `report_ice`)."""
_WAITING = r"Blocking waiting for file lock"
_DIFFERENCE = re.compile(r"^Diff in (.+?):\d+:?$")
_METADATA = "`cargo metadata` exited with an error: "
_PLACE = re.compile(r"^\s*--> (\S+:\d+:\d+)$")
_NEXTEST_FAILED = re.compile(r"^\s+(?:FAIL|SIG[A-Z]+|ABORT|TIMEOUT) \[[^\]]*\](?: \([^)]*\))? (\S+) (\S+)$")


def explain(argv: Sequence[str], output: CargoOutput, place: Place) -> Cause:
    """Return the cause of a command's failure.

    Args:
        argv: the command.
        output: its output.
        place: the work tree.
    """
    closing = output.closing
    if subcommand_of(argv) == "fmt":
        return _unformatted(output, place)
    if output.finished and subcommand_of(argv) in _RUNS_PROGRAMS:
        return _failed_program(output, place)
    if (error := output.first_error) is not None and not output.finished:
        return _compile_error(error, closing, place)
    cause = None
    if output.structured:  # the output of any other command may come from a program
        own = tuple(output.own)
        cause = build_script(closing, own, place) or refusal.refusal(closing, own, place)
    if cause is not None and cause.id is CauseId.NO_LIBRARY:
        return _without_library(cause, argv)
    return cause or _unrecognised(output, place)


def _without_library(cause: Cause, argv: Sequence[str]) -> Cause:
    """Return the cause with the command that runs every test instead of the library's."""
    run = json.dumps([part for part in argv if part != "--lib"])
    text = f"{cause.text}: the gate runs the tests of libraries alone (--lib)"
    return replace(cause, text=text, fix=f"${{EDITOR:-vi}} stack.toml   # in the table of the gate: run = {run}")


def refused(stderr: str, place: Place) -> Cause | None:
    """Return the reason why cargo stopped before compilation; None: an unknown message.

    Args:
        stderr: cargo's output.
        place: the work tree.
    """
    output = CargoOutput(structured=True)
    for line in stderr.splitlines():
        output.parse_line(Stream.STDERR, line.encode())
    return refusal.refusal(output.closing, tuple(output.own), place)


def unknown_flags(error: FlagsUnknown, place: Place) -> Cause:
    """Return the cause if the flags in force cannot be determined."""
    said = " ".join(error.stderr.split())
    return refused(error.stderr, place) or Cause(CauseId.COMMAND, f"{error.what}: {error.why or said}")


def linked_output(link: str) -> Cause:
    """Return the cause if a symbolic link of the commit leads to a target directory.

    Args:
        link: the link, relative to the work tree.
    """
    text = f"the commit's {link} is a link; cargo would build behind it, so the gate did not run"
    return Cause(CauseId.CONFIG, text, link, f"git rm -- {shlex.quote(link)}")


def outside_output(gate: str, setting: str) -> Cause:
    """Return the cause if a gate's own setting moves its build out of the work tree.

    Args:
        gate: the gate.
        setting: the argument, or the variable with its value.
    """
    why = "output of other commits would count there as up to date"
    text = f"{setting} moves the build out of the gates' work tree: {why}"
    return Cause(CauseId.CONFIG, text, setting, f"${{EDITOR:-vi}} stack.toml   # [gates.{gate}]: without {setting}")


def is_compiler_crash(output: CargoOutput) -> bool:
    """Return whether the compiler itself crashed; sccache is known to cause that.

    A message alone does not count, because macros, build scripts and tests may print it. The
    compiler must have exited with the code of a panic while cargo was still compiling, and its
    report must be complete.
    """
    closing = output.closing
    if output.finished or not closing or not _COMPILING.match(closing[0]):
        return False
    ended = any(_COMPILER_ENDED.search(word) for word in refusal.own_words(closing))
    lines = [line.strip() for line in output.own]
    begun = any(error.crash for error in output.errors) or any(_CRASH.match(line) for line in lines)
    return ended and begun and all(any(note.match(line) for line in lines) for note in _REPORT)


def overdue(last_line: str, seconds: float) -> str:
    """Return the message of a timeout."""
    message = f"it did not end within {seconds:g} s"
    return f"{message}: it waited for another cargo's lock" if re.search(_WAITING, last_line) else message


def changed_sources(argv: Sequence[str], paths: Sequence[str], place: Place) -> Cause:
    """Return the cause if sources were modified while a gate ran."""
    locked = bool({"--locked", "--frozen"} & set(argv))  # then cargo did not write it, but a program
    if not locked and any(Path(path).name == "Cargo.lock" for path in paths):
        return refusal.stale_lock(place, "Cargo.lock is out of date: cargo wrote it anew while the gate ran")
    return Cause(CauseId.SOURCES, f"its sources were written to while it ran: {', '.join(paths[:5])}")


def _compile_error(error: CompilerError, closing: Sequence[str], place: Place) -> Cause:
    last = refusal.last_error(closing, place)
    if not error.place and NO_ROOM.search(error.message):
        return refusal.disk_full(error.message, place)
    if error.crash:
        return Cause(CauseId.CRASH, f"the compiler crashed (ICE): {error}", error.message, "", last)
    outside = f"{error.package}: " if " " in error.package else ""
    text = place.relative(f"{outside}{error}")
    return Cause(CauseId.COMPILE, text, place.relative(error.place) or text, "", last)


def _failed_program(output: CargoOutput, place: Place) -> Cause:
    """Return the cause of a failed test program: its tests, else its exit and last output."""
    closing = output.closing
    last = refusal.last_error(closing, place)
    tests = libtest.failures(tuple(output.printed))
    if tests:
        name, why = tests[0]
        more = (
            f"; {len(tests) - 1} more failed: {', '.join(each for each, _ in tests[1:3])}" if len(tests) > 1 else ""
        )
        more += ", ..." if len(tests) > 3 else ""  # noqa: PLR2004 -- as many as are named above
        return Cause(CauseId.TEST, place.relative(f"{name}: {why}" if why else name) + more, "", "", last)
    ended = next((word for word in refusal.own_words(closing)[1:]), "")
    how = refusal.ENDED.search(ended)
    said = _last_words(output, closing)
    text = f"the test program ended with {how[1]}" if how else "the test program failed"
    return Cause(CauseId.TEST_PROGRAM, place.relative(f"{text}: {said}" if said else text), "", "", last)


def _last_words(output: CargoOutput, closing: Sequence[str]) -> str:
    """Return the last lines that a program printed on stderr, else on stdout.

    Lines of earlier programs, whose tests passed, are left out.
    """
    lines = list(output.later)
    lines = lines[: len(lines) - len(closing)]
    begins = next((at for at in range(len(lines) - 1, -1, -1) if lines[at].startswith("     Running ")), -1)
    said = [line.strip() for line in lines[begins + 1 :] if line.strip()]
    lines = list(output.printed)
    ended = next((at for at in range(len(lines) - 1, -1, -1) if lines[at].startswith(libtest.PASSED)), -1)
    printed = [line.strip() for line in lines[ended + 1 :] if line.strip() and not line.startswith("running ")]
    return "; ".join((said or printed)[-2:])


def _unformatted(output: CargoOutput, place: Place) -> Cause:
    """Return the cause of a failed `cargo fmt`: difference, syntax or metadata error."""
    lines = [line.removeprefix(_METADATA) for line in output.own]
    starts = [at for at, line in enumerate(lines) if line.startswith("error: ")]
    if not starts:  # beside an error, `cargo fmt --all` would not help
        for line in output.printed:
            if difference := _DIFFERENCE.match(line):
                path = place.relative(difference[1])
                return Cause(CauseId.FORMAT, f"not formatted: {path}", path, place.command_line("cargo fmt --all"))
        return _unrecognised(output, place)
    # rustfmt's first error; after an error of cargo, `cargo fmt` prints its usage, separated by a
    # blank line.
    metadata = any(line.startswith(_METADATA) for line in output.own)
    closing = _before_usage(lines[starts[0] :]) if metadata else lines[starts[0] :]
    if metadata and (cause := refusal.refusal(closing, (), place)):
        return cause
    head = refusal.last_error(closing, place)
    if at := next((match[1] for line in closing if (match := _PLACE.match(line))), ""):
        return Cause(
            CauseId.COMPILE, place.relative(f"{head} ({at})").removeprefix("error: "), place.relative(at), "", head
        )
    return Cause(CauseId.COMMAND, refusal.quoted(closing, place), "", "", head)


def _before_usage(lines: Sequence[str]) -> Sequence[str]:
    usage = next((at for at, line in enumerate(lines) if line.startswith("Usage: cargo fmt")), len(lines) + 2)
    return lines[: max(1, usage - 2)]


def _unrecognised(output: CargoOutput, place: Place) -> Cause:
    """Return a failure without a known cause: the last error line, else the last line."""
    closing = output.closing
    if closing:
        head = "error: " if closing[0].startswith("error: ") else ""
        text = head + refusal.quoted(closing, place)
        return Cause(CauseId.COMMAND, text, "", "", refusal.last_error(closing, place))
    if failed := [match for line in output.own if (match := _NEXTEST_FAILED.match(line))]:
        names = dict.fromkeys(match[2] for match in failed)
        return Cause(CauseId.TEST, ", ".join(names), "", "", output.last)
    return Cause(CauseId.COMMAND, place.relative(output.last) or "it printed nothing", "", "", output.last)
