"""Export a report as JUnit XML for CI servers, or as a Mermaid diagram for Markdown."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from trunkline.domain.names import short
from trunkline.domain.receipt import Receipt, Verdict
from trunkline.domain.report import Evidenced, Report
from trunkline.domain.status import State
from trunkline.report.escape import for_terminal
from trunkline.report.stack import entry_state, mark_of

if TYPE_CHECKING:
    from junitparser import TestCase

_CLASSES = {"green": "good", "red": "bad", "yellow": "warn"}
_STYLES = (
    "  classDef good stroke:#1a7f37,stroke-width:2px",
    "  classDef bad stroke:#cf222e,stroke-width:2px",
    "  classDef warn stroke:#9a6700,stroke-width:2px",
)


def junit(report: Report) -> str:
    """Return the gates and checks of open entries as JUnit XML: a suite per entry, a case per gate.

    Gates that did not or could not run are skipped. Passes without proof (stale, flaky) are skipped
    too, with the reason.
    """
    from junitparser import JUnitXml, TestSuite  # noqa: PLC0415 -- 40 ms, for an export only

    found = JUnitXml(f"trunkline {report.repository}")
    for entry in report.entries:
        if entry.status.standing.state is State.MERGED:
            continue
        of = entry.status.entry
        suite = TestSuite(_plain(of.full_label))
        for each in entry.all:
            suite.add_testcase(_case(each, str(of.branch)))
        found.add_testsuite(suite)
    found.update_statistics()
    return str(found.tostring().decode()) + "\n"


def receipts_junit(name: str, receipts: Sequence[Receipt]) -> str:
    """Return receipts as JUnit XML: one suite, a case for each run, newest first.

    Args:
        name: the suite's name.
        receipts: the receipts.
    """
    from junitparser import Failure, JUnitXml, TestCase, TestSuite  # noqa: PLC0415 -- 40 ms, for an export only

    suite = TestSuite(_plain(name))
    for receipt in receipts:
        case = TestCase(_plain(receipt.gate), _plain(f"{receipt.host} {receipt.started}".strip()), receipt.seconds)
        if not receipt.passed:
            why = receipt.failure.get("diagnosis") or receipt.lacked or f"exit code {receipt.exit_code}"
            case.result = [Failure(_plain(why), _plain(receipt.failure.get("cause", "")))]
        suite.add_testcase(case)
    found = JUnitXml("receipts")
    found.add_testsuite(suite)
    found.update_statistics()
    return str(found.tostring().decode()) + "\n"


def _case(evidence: Evidenced, branch: str) -> TestCase:
    from junitparser import Failure, Skipped, TestCase  # noqa: PLC0415 -- 40 ms, for an export only

    ran = evidence.outcome
    case = TestCase(evidence.name, _plain(branch), ran.seconds if ran else 0.0)
    if ran is None:
        case.result = [Skipped("not run on this commit")]
    elif evidence.failed:
        failure = Failure(_plain(ran.diagnosis or ran.words), ran.cause or ran.verdict.value)
        failure.text = _plain(evidence.log)
        case.result = [failure]
    elif not ran.proven or ran.verdict is not Verdict.PASSED:
        case.result = [Skipped(_plain(": ".join(part for part in (ran.words, ran.diagnosis) if part)))]
    return case


def mermaid(report: Report) -> str:
    """Return the stack as a Mermaid flowchart that starts at trunk."""
    stack = report.status.stack
    at = f" at {short(report.status.trunk)}" if report.status.trunk else ""
    lines = ["flowchart BT", f'  trunk["{_label(f"{stack.trunk}{at}")}"]']
    below, links = "trunk", list[str]()
    for position, entry in enumerate(report.entries):
        row = entry.status
        name = f"pr{row.entry.number}" if row.entry.number is not None else f"entry{position}"
        title = row.entry.title or (row.pr.title if row.pr else "")
        label = "<br/>".join(
            _label(part) for part in (f"{row.entry.label} {title}".strip(), str(row.entry.branch), entry_state(row))
        )
        tone = _CLASSES.get(mark_of(row)[1], "")
        lines.append(f'  {below} --- {name}["{label}"]{f":::{tone}" if tone else ""}')
        if row.pr and row.pr.url.startswith("https://") and not set(row.pr.url) & set('"<>\\ \n'):
            links.append(f'  click {name} "{row.pr.url}"')
        below = name
    return "\n".join([*lines, *links, *_STYLES]) + "\n"


def _label(text: str) -> str:
    """Return foreign text as a quoted Mermaid label, with special characters as entities."""
    return "".join(each if each.isalnum() or each in " -_/.:," else f"#{ord(each)};" for each in for_terminal(text))


def _plain(text: str) -> str:
    """Return text without characters that XML does not allow."""
    return for_terminal(text, lines=True)
