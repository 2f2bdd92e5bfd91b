"""Count the tests that a gate ran, by unit: no test verifies nothing, whatever the exit code."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence

from trunkline.rust.cargo_output import CargoOutput, subcommand_of

# nextest's reporter (https://nexte.st/docs/reporting): `    PASS [   0.004s] (1/3) kv::eviction
# keeps_order`.
_NEXTEST_TEST = re.compile(r"^\s+(?:PASS|FAIL|LEAK|SLOW) \[[^\]]*\](?: \([^)]*\))? (\S+) \S+$")
_NEXTEST_SUMMARY = re.compile(r"^\s+Summary \[[^\]]*\] (\d+)(?:/\d+)? tests? run:")


def tests_run(argv: Sequence[str], output: CargoOutput) -> int | None:
    """Return the number of tests that a gate ran.

    None: its command runs no tests, as far as known.
    """
    subcommand = subcommand_of(argv)
    if subcommand == "nextest":
        counts = [int(match[1]) for line in _lines(output) if (match := _NEXTEST_SUMMARY.match(line))]
        return counts[-1] if counts else 0
    if subcommand == "test" or output.programs:
        return sum(tests for _, tests in output.results)
    return None


def units_run(argv: Sequence[str], output: CargoOutput) -> frozenset[str]:
    """Return the units in which a gate ran tests, from nextest's output.

    Empty for other commands.
    """
    if subcommand_of(argv) != "nextest":
        return frozenset()
    return frozenset(match[1] for line in _lines(output) if (match := _NEXTEST_TEST.match(line)))


def _lines(output: CargoOutput) -> Iterator[str]:
    yield from output.own
    yield from output.later
    yield from output.printed
