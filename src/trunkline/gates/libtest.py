"""Parse the output of Rust's test harness (libtest) and find the messages of failed tests.

Its JSON format is not stable. Output of the tests themselves is quoted, never interpreted.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

_NAMED = 3  # tests named in a summary
_SHOWN = 300  # characters of a test's own message
_RESULT = "test result: FAILED. "
PASSED = "test result: ok. "
"""The first words of a harness whose tests passed."""
_END_OF_MESSAGE = ("note: run with `RUST_BACKTRACE", "stack backtrace:")
_PANIC = re.compile(r"^thread '(.*)'(?: \(\d+\))? panicked at (\S+:\d+:\d+):$")
_OLD_PANIC = re.compile(r"^thread '(.*)' panicked at '(.*)', (\S+:\d+:\d+)$")  # before Rust 1.73

# libtest: `test evict::keeps_order ... ok`; nextest: `PASS [   0.004s] kv-cache
# evict::keeps_order`. nextest's counter, `(1/3)`, and the crate's name precede the test's name.
_PASSED = re.compile(
    r"^test (\S+)(?: - [^\n]*)? \.\.\. ok$|^\s+PASS \[[^\]]*\](?: \([^)]*\))? \S+ (\S+)$", re.MULTILINE
)


def _passed_tests(log: str) -> tuple[str, ...]:
    """Return the names of the passed tests, in the log's order."""
    return tuple(match[1] or match[2] for match in _PASSED.finditer(log))


def not_run(log: str, filters: Sequence[str]) -> str:
    """Return the test filters that matched no test, as a message; or "".

    A filter without a test proves nothing.
    """
    passed = _passed_tests(log)
    empty = [each for each in filters if not any(each in name for name in passed)]
    return f"no test ran for {', '.join(empty)}" if empty else ""


def ran(log: str) -> str:
    """Return the number and names of passed tests, for people."""
    passed = _passed_tests(log)
    named = f": {', '.join(passed[:_NAMED])}" if passed else ""
    more = f" and {len(passed) - _NAMED} more" if len(passed) > _NAMED else ""
    return f"{len(passed)} test{'' if len(passed) == 1 else 's'} passed{named}{more}"


def failures(lines: Sequence[str]) -> tuple[tuple[str, str], ...]:
    """Return the failed tests of the last failed harness: (name, message), in its order.

    The harness lists their names between `failures:` and its result, after all output of the tests.
    The output of each test precedes that list, under a heading with its name.
    """
    results = [at for at, line in enumerate(lines) if line.startswith(_RESULT)]
    if not results:
        return ()
    begins = next((at for at in range(results[-1], -1, -1) if lines[at] == "failures:"), None)
    if begins is None:
        return ()
    names = [line[4:] for line in lines[begins + 1 : results[-1]] if line.startswith("    ")]
    headings = {f"---- {name} {stream} ----": name for name in names for stream in ("stdout", "stderr")}
    at = {headings[line]: number for number, line in enumerate(lines[:begins]) if line in headings}
    starts = sorted([*at.values(), begins])
    sections = {name: lines[start + 1 : next(end for end in starts if end > start)] for name, start in at.items()}
    return tuple((name, _message(name, sections.get(name, ()))) for name in names)


def _message(name: str, section: Sequence[str]) -> str:
    """Return why a test failed: harness note, last panic, returned error or last line."""
    lines = [line.rstrip() for line in section]
    for at in range(len(lines) - 1, -1, -1):
        if lines[at].startswith("note: test did not panic as expected"):
            return lines[at].removeprefix("note: ")
        if lines[at] == "note: panic did not contain expected string":
            return _one_line([lines[at].removeprefix("note: "), *lines[at + 1 : at + 3]])
    panics = [(at, match) for at, line in enumerate(lines) if (match := _PANIC.match(line))]
    own = [each for each in panics if each[1][1] == name] or panics
    if own:
        at, match = own[-1]
        return f"{_one_line(_until_note(lines[at + 1 :]))} ({match[2]})".lstrip()
    if old := [match for line in lines if (match := _OLD_PANIC.match(line))]:
        return f"{old[-1][2]} ({old[-1][3]})"
    for at in range(len(lines) - 1, -1, -1):
        if lines[at].startswith("Error: "):
            return f"returned an error: {_one_line([lines[at].removeprefix('Error: '), *lines[at + 1 :]])}"
    return next((line.strip() for line in reversed(lines) if line.strip()), "")


def _until_note(lines: Sequence[str]) -> Sequence[str]:
    end = next((at for at, line in enumerate(lines) if line.startswith(_END_OF_MESSAGE)), len(lines))
    return lines[:end]


def _one_line(lines: Sequence[str]) -> str:
    text = " ".join(" ".join(lines).split())
    return text if len(text) <= _SHOWN else f"{text[:_SHOWN]}..."
