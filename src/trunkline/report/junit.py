"""Write a report or receipts as JUnit XML for CI servers; needs junitparser, of an extra."""

from __future__ import annotations

from collections.abc import Sequence

from junitparser import Failure, JUnitXml, Skipped, TestCase, TestSuite

from trunkline.domain.receipt import Receipt, Verdict
from trunkline.domain.report import Evidenced, Report
from trunkline.domain.status import State
from trunkline.report.escape import for_terminal


def of_report(report: Report) -> str:
    """Return the gates and checks of open entries as JUnit XML: a suite per entry, a case per gate.

    Gates that did not or could not run are skipped. Passes without proof (stale, flaky) are skipped
    too, with the reason.
    """
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


def of_receipts(name: str, receipts: Sequence[Receipt]) -> str:
    """Return receipts as JUnit XML: one suite, a case for each run, newest first.

    Args:
        name: the suite's name.
        receipts: the receipts.
    """
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


def _plain(text: str) -> str:
    """Return text without characters that XML does not allow."""
    return for_terminal(text, lines=True)
