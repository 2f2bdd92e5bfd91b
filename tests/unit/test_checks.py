"""Checks of an entry: matches of a structural search, their evaluation, and the tests that ran."""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping
from typing import Any

import pytest

from trunkline.domain.check import Expect, PatternCheck, evaluate
from trunkline.domain.errors import UsageError
from trunkline.domain.stack import DEFAULT_GATES, GateSettings
from trunkline.gates import libtest
from trunkline.gates.catalogue import catalogue
from trunkline.gates.pattern_search import _hunks
from trunkline.report.checklist import age
from trunkline.rust import structure

UNSAFE: Mapping[str, Any] = {"kind": "function_item", "has": {"kind": "function_modifiers", "regex": "unsafe"}}
SOURCE = """\
impl Cache {
    pub fn remove_cache_entry(&mut self, id: u32) -> Result<bool, Error> {
        for entry in self.entries(id) {
            self.pool.deallocate(entry.block)?;
        }
        Ok(true)
    }

    fn other(&mut self) {
        pool.deallocate(entry.block);
    }
}

#[cfg(test)]
// A comment between an attribute and its item.
#[inline]
unsafe fn gated(at: usize) -> u8 {
    0
}

unsafe fn bare<T>(at: T) where T: Copy {}

#[cfg( test )]
mod tests {
    unsafe fn within() {}
}

mod inner {
    #![cfg(test)]
    unsafe fn inner() {}
}
"""


def found(pattern: Any, inside: tuple[str, ...] = (), **sources: str) -> list[tuple[int, bool]]:
    """Search and return (line, whether it lies inside)."""
    files = {name.replace("__", "/") + ".rs": text for name, text in (sources or {"src__lib": SOURCE}).items()}
    return [(match.line, match.inside) for match in structure.search(files, pattern, inside, files.get)]


@pytest.mark.parametrize(
    ("inside", "expected"),
    [
        ((), [(4, True), (10, True)]),
        (("fn remove_cache_entry",), [(4, True), (10, False)]),
        (("fn other", "fn remove_cache_entry"), [(4, True), (10, True)]),
        (("impl Cache",), [(4, True), (10, True)]),
        (("mod tests",), [(4, False), (10, False)]),
        (("for $E in $I { $$$ }",), [(4, True), (10, False)]),
    ],
)
def test_where_a_call_lies(inside: tuple[str, ...], expected: list[tuple[int, bool]]) -> None:
    """A function is named without its signature; a pattern is a place too."""
    assert found("$POOL.deallocate(entry.block)", inside) == expected


def test_an_attribute_governs_its_item_and_what_is_in_it() -> None:
    """Outer and inner attributes, however spaced, with others and comments between; of the item and of its module."""
    assert found(UNSAFE, ("#[cfg(test)]",)) == [(17, True), (21, False), (25, True), (30, True)]


def test_an_attribute_of_a_module_governs_its_file() -> None:
    """`#[cfg(test)] mod raw;` gates src/raw.rs, src/raw/deep.rs, and src/old/mod.rs its `mod old;`."""
    function = "unsafe fn at() {}\n"
    sources = {
        "src__lib": "#[cfg(test)]\nmod raw;\nmod plain;\n#[cfg(test)]\nmod old;\n",
        "src__raw": f"mod deep;\n{function}",
        "src__raw__deep": function,
        "src__plain": function,
        "src__old__mod": function,
    }
    assert found(UNSAFE, ("#[cfg(test)]",), **sources) == [(2, True), (1, True), (1, False), (1, True)]


@pytest.mark.parametrize(
    ("pattern", "why"),
    [
        ("foo(((", "no Rust"),
        ("x y z", "no Rust"),
        ("", "No AST root"),
        ({"kind": "nokind"}, "nokind"),
        ({"foo": 1}, "unknown field `foo`"),
    ],
)
def test_what_is_no_pattern_is_refused(pattern: Any, why: str) -> None:
    """With a pattern that cannot match, `absent` would always hold; the error has ast-grep's message."""
    with pytest.raises(UsageError) as refused:
        found(pattern)
    assert why in refused.value.why
    assert "Stack backtrace" not in refused.value.why


def evaluated(expect: Expect, *inside: bool, files: int = 1, paths: tuple[str, ...] = ()) -> tuple[bool, int]:
    """Evaluate as many matches, and return (holds, matches shown)."""
    source = "".join("fn in_it() { here(); }\n" if each else "fn out() { here(); }\n" for each in inside)
    matches = structure.search({"a.rs": source}, "here()", ("fn in_it",), lambda _: None)
    evaluation = evaluate(PatternCheck("x", "", "here()", expect, ("fn in_it",), paths), matches, files)
    return evaluation.holds, len(evaluation.shown)


def test_what_matches_come_to() -> None:
    """Only matches inside count; `inside` shows those outside; a path that selects nothing holds for nothing."""
    assert evaluated(Expect.PRESENT, True, False) == (True, 1)
    assert evaluated(Expect.PRESENT, False) == (False, 1)
    assert evaluated(Expect.PRESENT) == (False, 0)
    assert evaluated(Expect.ABSENT, False) == (True, 0)
    assert evaluated(Expect.ABSENT, False, True) == (False, 1)
    assert evaluated(Expect.INSIDE, True, True) == (True, 2)
    assert evaluated(Expect.INSIDE, True, False, False) == (False, 2)
    assert evaluated(Expect.INSIDE) == (True, 0)
    assert evaluated(Expect.ABSENT, files=0, paths=("gone/**",)) == (False, 0)
    assert evaluated(Expect.ABSENT, files=0) == (True, 0)


def test_the_lines_that_a_patch_adds() -> None:
    """Return them per file; a line of a hunk that looks like a header is not one."""
    old, new, zeros = "a" * 40, "b" * 40, "0" * 40
    patch = [
        "diff --git a/src/a.rs b/src/a.rs", f"index {old}..{new} 100644", "--- a/src/a.rs", "+++ b/src/a.rs",
        "@@ -3 +3,2 @@ fn f() {", "-old", "\\ No newline at end of file", "+new", "+++ b/src/not-a-file.rs",
        "@@ -9,2 +10,0 @@", "-x", "-y",
        "diff --git a/b c.rs b/b c.rs", f"index {zeros}..{new}", "--- /dev/null", "+++ b/b c.rs\t",
        "@@ -0,0 +1 @@", "+@@ -1 +1 @@",
    ]  # fmt: skip
    assert [each for each in _hunks([line.encode() for line in patch]) if each[1]] == [
        ((old, new), frozenset({3, 4})),
        ((zeros, new), frozenset({1})),
    ]


LIBTEST = """\
running 3 tests
test evict::oldest_first ... ok
test evict::ignored ... ignored
test stats::counts - should panic ... ok

test result: ok. 2 passed; 0 failed; 1 ignored; 0 measured; 7 filtered out; finished in 0.00s
"""
NEXTEST = """\
    Starting 1 test across 2 binaries (7 tests skipped)
        PASS [   0.004s] (1/1) kv-cache evict::oldest_first
     Summary [   0.004s] 1 test run: 1 passed, 7 skipped
"""


def test_which_tests_ran() -> None:
    """Each filter needs a test of its own that ran and passed; an ignored one did not run."""
    assert libtest.not_run(LIBTEST, ("oldest", "stats::")) == ""
    assert libtest.not_run(LIBTEST, ("oldest", "ignored", "gone")) == "no test ran for ignored, gone"
    assert libtest.not_run(NEXTEST, ("evict",)) == ""
    assert libtest.not_run(NEXTEST, ("stats",)) == "no test ran for stats"
    assert libtest.ran(LIBTEST) == "2 tests passed: evict::oldest_first, stats::counts"


def test_how_long_ago() -> None:
    """One unit, rounded down; what was looked at just now is now."""
    now = dt.datetime(2026, 11, 24, 12, tzinfo=dt.timezone.utc)
    day = "2026-11-24T"
    times = ["", f"{day}11:59:30.123+00:00", f"{day}11:55:59Z", f"{day}09:00:00Z", "2025-11-19T09:00:00Z"]
    assert [age(at, now) for at in times] == ["now", "now", "4 min", "3 h", "370 d"]


def test_the_names_of_the_default_gates() -> None:
    """The catalogue has the gates whose names no check may take."""
    assert tuple(gate.name for gate in catalogue(GateSettings())) == DEFAULT_GATES
