"""Why a gate failed: the first error, its place, the known cause and its cure. Pure: text in, text out.

The first error of a failed compilation comes from cargo's JSON messages (adapters/cargo.py). What has no JSON on a
stable toolchain is read from the log, which has no colour in it: libtest's failures, rustfmt's differences, cargo's
own refusals. What is not recognised is quoted, not interpreted.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path

from trunkline.adapters.cargo import CompilerError

_CRASH = r"internal compiler error|the compiler unexpectedly panicked"
# Sentence in the log -> what it means and what mends it. The sentences are cargo's and rustc's own.
_CAUSES = (
    (
        r"the lock file .* needs to be updated but --locked was passed|cannot (?:update|create) the lock file",
        "Cargo.lock is out of date",
        "cargo update --workspace",
    ),
    (
        r"none of the selected packages contains? th|does not contain (?:this|these) feature",
        "no member has a feature of stack.toml",
        "${EDITOR:-vi} stack.toml   # [gates] features",
    ),
    (_CRASH, "the compiler crashed (ICE)", "RUSTC_WRAPPER= cargo check"),
    (r"No space left on device", "the disk is full", "cargo clean"),
    (
        r"failed to (?:download|fetch|get) |Could not resolve host|HTTP request, but --offline|retry without `--off",
        "a dependency is not here and the network cannot be reached",
        "cargo fetch --locked",
    ),
    (r"is not installed for the toolchain", "a component is missing", "rustup component add clippy rustfmt"),
)
_OWN_TREE = re.compile(r"/\S*/gates/\d+/tree/")  # where gates run (adapters/worktrees.py); rustfmt tells whole paths
_NAMED = 3  # tests that a summary names
_WAITING = r"Blocking waiting for file lock"
_PLACE = re.compile(r"^\s*--> (\S+:\d+:\d+)", re.MULTILINE)
_ERROR = re.compile(r"^(error(?:\[E\d+\])?: .+)$", re.MULTILINE)
_CAUSED_BY = re.compile(r"^(?:  |\t)\s*(no matching package.*|failed to .*)$", re.MULTILINE)
_TEST = re.compile(r"^---- (\S+) (?:stdout|stderr) ----$", re.MULTILINE)
_PANIC = re.compile(r"panicked at (\S+:\d+:\d+):\n(.*)$", re.MULTILINE)
_DIFFERENCE = re.compile(r"^Diff in (.+?):\d+:?$", re.MULTILINE)

# libtest: `test evict::keeps_order ... ok`; nextest: `PASS [   0.004s] kv-cache evict::keeps_order`. Its numbering,
# `(1/3)`, and the crate's name stand before the test's.
_PASSED = re.compile(
    r"^test (\S+)(?: - [^\n]*)? \.\.\. ok$|^\s+PASS \[[^\]]*\](?: \([^)]*\))? \S+ (\S+)$", re.MULTILINE
)


def _passed_tests(log: str) -> tuple[str, ...]:
    """Return the names of the tests that ran and passed, in the log's order."""
    return tuple(match[1] or match[2] for match in _PASSED.finditer(log))


def not_run(log: str, filters: Sequence[str]) -> str:
    """Return what is lacking where a test filter ran no test at all, which proves nothing; or ""."""
    passed = _passed_tests(log)
    empty = [each for each in filters if not any(each in name for name in passed)]
    return f"no test ran for {', '.join(empty)}" if empty else ""


def ran(log: str) -> str:
    """Return how many tests passed, for people."""
    passed = _passed_tests(log)
    named = f": {', '.join(passed[:_NAMED])}" if passed else ""
    more = f" and {len(passed) - _NAMED} more" if len(passed) > _NAMED else ""
    return f"{len(passed)} test{'' if len(passed) == 1 else 's'} passed{named}{more}"


def diagnose(log: str, compiler: CompilerError | None, cwd: Path) -> tuple[str, str]:
    """Return why a gate failed, and the command that mends it or "" where none is known.

    Args:
        log: what the gate printed.
        compiler: the first error of cargo's JSON messages, where there is one.
        cwd: where the gate ran; paths are told relative to it.
    """
    for pattern, meaning, cure in _CAUSES:
        if re.search(pattern, log):
            told = _quoted(log)
            return f"{meaning}: {told}" if told else meaning, cure
    if compiler is not None:
        return str(compiler), ""
    for reading in (_failed_test, _quoted):
        if told := reading(log):
            return _OWN_TREE.sub("", told), ""
    if difference := _DIFFERENCE.search(log):
        path = difference[1].removeprefix(f"{cwd.resolve()}/").removeprefix(f"{cwd}/")
        return f"not formatted: {path}", "cargo fmt --all"
    return next((line.strip() for line in reversed(log.splitlines()) if line.strip()), "it printed nothing"), ""


def overdue(log: str, seconds: float) -> str:
    """Return why a gate did not end in time."""
    told = f"it did not end within {seconds:g} s"
    last = next((line for line in reversed(log.splitlines()) if line.strip()), "")
    return f"{told}: it waited for another cargo's lock" if re.search(_WAITING, last) else told


def changed_sources(paths: Sequence[str]) -> tuple[str, str]:
    """Return what it means that a work tree was written to while a gate ran, and what mends it."""
    if any(Path(path).name == "Cargo.lock" for path in paths):
        return "Cargo.lock is out of date: cargo wrote it anew while the gate ran", "cargo update --workspace"
    return f"its sources were written to while it ran: {', '.join(paths[:5])}", ""


def is_compiler_crash(log: str) -> bool:
    """Say whether the compiler itself crashed; sccache is known to cause it (the runbook's troubleshooting)."""
    return bool(re.search(_CRASH, log))


def _failed_test(log: str) -> str:
    """Return libtest's first failure: the test, its panic's words and place (its JSON format is not stable)."""
    name = _TEST.search(log)
    if name is None:
        return ""
    panic = _PANIC.search(log, name.end())
    return f"{name[1]}: {panic[2].strip()} ({panic[1]})" if panic else name[1]


def _quoted(log: str) -> str:
    """Return the first error line of a log with the place or the cause that follows it."""
    first = _ERROR.search(log)
    if first is None:
        return ""
    if place := _PLACE.search(log, first.end()):
        return f"{first[1]} ({place[1]})"
    cause = _CAUSED_BY.search(log, first.end())
    return f"{first[1]} {cause[1]}" if cause else first[1]
