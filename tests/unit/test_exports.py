"""A report for other programs, and its first sentence."""

from __future__ import annotations

import xml.etree.ElementTree as ET

import pytest
from junitparser import JUnitXml

from support.repo import Repo
from trunkline.domain.names import PrNumber, branch_name, oid
from trunkline.domain.receipt import GateOutcome, Receipt, Toolchain, Verdict
from trunkline.domain.report import EntryReport, Evidenced, Report, verdict
from trunkline.domain.stack import Entry, Stack
from trunkline.domain.status import EntryState, EntryStatus, StackStatus, State
from trunkline.gates.shown_paths import relative_paths
from trunkline.git.state_directory import work_dir
from trunkline.report import html, junit, mermaid

FAILED = GateOutcome(
    "test", Verdict.FAILED, seconds=2.5, diagnosis="one <test> failed", cause="command-failed", since="x"
)
STALE = GateOutcome("doc", Verdict.STALE, diagnosis="another toolchain")
TITLE = 'a "title" ] --> evil <b> #1;'


def _entry(number: int, state: State, *gates: Evidenced) -> EntryReport:
    entry = Entry(PrNumber(number), branch_name(f"b{number}"), TITLE)
    gated = tuple((each.name, each.outcome) for each in gates)
    return EntryReport(EntryStatus(entry, None, EntryState(entry.pr, state), None, 1, gated), gates, ())


def _report(*entries: EntryReport) -> Report:
    stack = Stack(branch_name("main"), "origin", tuple(each.status.entry for each in entries))
    status = StackStatus(stack, None, tuple(each.status for each in entries), "invoke gates --pr 2")
    return Report("2026-11-28T10:00:00", "octo/tiny", "https://github.com/octo/tiny", status, entries, ())


GATES = (
    Evidenced("build", "", GateOutcome("build", Verdict.PASSED)),
    Evidenced("test", "", FAILED, "line\n```\n\x1b[2K"),
    Evidenced("doc", "", STALE),
    Evidenced("msrv", "", None),
)
FOUND = _report(_entry(1, State.MERGED), _entry(2, State.DRAFT, *GATES), _entry(3, State.DRAFT))


def test_the_first_sentence_says_what_failed() -> None:
    """Else where the lowest open entry is."""
    assert verdict(FOUND) == "#2: test failed."
    assert verdict(_report(_entry(2, State.READY))) == "#2 ready to land."
    assert verdict(_report(_entry(2, State.READY), _entry(3, State.DRAFT))) == "#2 ready to land; 1 entry above it."
    assert verdict(_report(_entry(1, State.MERGED))) == "The pull request is merged."
    assert html.markdown(FOUND).splitlines()[2] == "**#2: test failed.** Next: `invoke gates --pr 2`"


def test_a_failure_in_markdown_has_the_end_of_its_log() -> None:
    """In a block that the log cannot end; nothing of it reaches a terminal as it is."""
    message = html.markdown(FOUND)
    assert "### #2 test: failed" in message
    assert "````text\nline\n```\n" in message
    assert "\x1b" not in message


def test_junit_tells_failed_and_skipped_apart() -> None:
    """A suite for each open entry; what proves nothing is no pass."""
    found = JUnitXml.fromstring(junit.of_report(FOUND))
    suite, empty = found
    assert (suite.name, suite.tests, suite.failures, suite.skipped, empty.tests) == ("#2 b2", 4, 1, 2, 0)
    results = {case.name: [(type(each).__name__, each.message) for each in case.result] for case in suite}
    assert results == {
        "build": [], "test": [("Failure", "one <test> failed")],
        "doc": [("Skipped", "stale: another toolchain")], "msrv": [("Skipped", "not run on this commit")],
    }  # fmt: skip


def test_mermaid_takes_no_orders_from_a_title() -> None:
    """A title with Mermaid syntax is still a label."""
    message = mermaid.mermaid(FOUND)
    assert message.startswith('flowchart BT\n  trunk["main"]\n')
    assert (
        '  trunk --- pr1["#35;1 a #34;title#34; #93; --#62; evil #60;b#62; #35;1#59;<br/>b1<br/>merged"]:::good\n'
        in message
    )
    assert "\n  pr1 --- pr2[" in message
    assert ":::bad\n" in message


def test_paths_of_this_machine_are_taken_out(repo: Repo, monkeypatch: pytest.MonkeyPatch) -> None:
    """Of the checkout, of every place of the gates, and of the home directory."""
    monkeypatch.setenv("TRUNKLINE_GATES_DIR", "/var/far")
    work = work_dir(repo.adapter.common_dir())
    text = (
        f"{repo.path}/src/lib.rs:3 {work}/gates/0/t/lib/src/a.rs {work}/gates/1/tree/b.rs"
        f" /var/far/0123456789ab/lib/c.rs ({repo.path}) {repo.path}-other"
    )
    shown = relative_paths(repo.adapter)(text)
    assert shown == f"src/lib.rs:3 src/a.rs b.rs c.rs (.) {repo.path}-other"
    monkeypatch.setenv("HOME", "/home/ada")
    assert relative_paths(repo.adapter)("/home/ada/.cargo/x /home/adam") == "~/.cargo/x /home/adam"


def test_a_receipt_of_somebody_else_stays_xml() -> None:
    """Gate, machine and cause are what a receipt says; control characters and noncharacters are no XML."""
    odd = "\x1b\ufffe\uffff\ud800]]><x a='&'>"
    receipt = Receipt(
        odd, oid("1" * 40), oid("2" * 40), (), {}, (), Toolchain("", ""), "", "none", "2026-11-28T10:00:00+00:00",
        1.0, 1, "log", "", host=odd, failure={"cause": odd, "diagnosis": odd},
    )  # fmt: skip
    (case,) = ET.fromstring(junit.of_receipts(odd, [receipt])).iter("testcase")  # noqa: S314 -- ours
    assert case.attrib["name"] == r"\x1b\ufffe\uffff\ud800]]><x a='&'>"
