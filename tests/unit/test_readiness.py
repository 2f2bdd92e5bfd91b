"""The readiness of a pull request, as a function of what GitHub shows."""

from __future__ import annotations

import pytest
from msgspec.structs import replace

from trunkline.domain.names import Oid, PrNumber
from trunkline.domain.readiness import Readiness, Ready, checks_summary, evaluate
from trunkline.domain.snapshot import CheckRun, PrState, PullRequest

PULL = PullRequest(
    number=PrNumber(1), title="", url="", state=PrState.OPEN, draft=False, body="", base="main", head="one",
    head_oid=Oid("a" * 40), head_repository="octo/tiny", mergeable="MERGEABLE", merge_state="CLEAN",
)  # fmt: skip
GREEN = CheckRun("build", "COMPLETED", "SUCCESS")
RED = CheckRun("test", "COMPLETED", "FAILURE")
RUNNING = CheckRun("lint", "IN_PROGRESS", "")
EXPECTED = CheckRun("deploy", "COMPLETED", "EXPECTED")
_BILLING = "The job was not started because your account is locked due to a billing issue."
BILLING = CheckRun("build", "COMPLETED", "FAILURE", (_BILLING,))


@pytest.mark.parametrize(
    ("shown", "state", "why"),
    [
        ({}, Ready.YES, ()),
        ({"checks": (GREEN,)}, Ready.YES, ()),
        ({"merge_state": "UNSTABLE"}, Ready.YES, ()),
        ({"draft": True, "mergeable": "CONFLICTING"}, Ready.DRAFT, ()),
        ({"mergeable": "CONFLICTING", "checks": (RED,)}, Ready.CONFLICT, ()),
        ({"checks": (GREEN, RED, RUNNING)}, Ready.RED, ("test: failure",)),
        ({"checks": (GREEN, RUNNING, EXPECTED)}, Ready.CHECKS, ("lint", "deploy")),
        ({"checks": (RED,), "review": "REVIEW_REQUIRED"}, Ready.RED, ("test: failure",)),
        ({"review": "REVIEW_REQUIRED"}, Ready.REVIEW, ("an approval is required",)),
        ({"review": "CHANGES_REQUESTED"}, Ready.REVIEW, ("changes requested",)),
        (
            {"review": "CHANGES_REQUESTED", "open_threads": 1},
            Ready.CHANGES,
            ("changes requested, 1 thread open",),
        ),
        ({"mergeable": "UNKNOWN"}, Ready.SOON, ()),
        ({"merge_state": "UNKNOWN"}, Ready.SOON, ()),
        ({"merge_state": "BLOCKED"}, Ready.BLOCKED, ("GitHub says BLOCKED",)),
        ({"merge_state": "BEHIND"}, Ready.BLOCKED, ("GitHub says BEHIND",)),
    ],
)
def test_readiness(shown: dict[str, object], state: Ready, why: tuple[str, ...]) -> None:
    """A draft comes before conflicts, conflicts before checks, checks before the review, the review before rules."""
    assert evaluate(replace(PULL, **shown), gates_suffice=False) == Readiness(state, why)


def test_jobs_that_did_not_start_because_of_billing() -> None:
    """CI that is down is no failed check."""
    assert evaluate(replace(PULL, checks=(BILLING,)), gates_suffice=False).state is Ready.CI_DOWN


@pytest.mark.parametrize("check", [RED, RUNNING, BILLING])
def test_receipts_replace_checks(check: CheckRun) -> None:
    """Checks are ignored if the receipts of this machine suffice; the review is not."""
    shown = replace(PULL, checks=(check,))
    assert evaluate(shown, gates_suffice=True).state is Ready.YES
    assert evaluate(replace(shown, review="REVIEW_REQUIRED"), gates_suffice=True).state is Ready.REVIEW


@pytest.mark.parametrize(
    ("checks", "text"),
    [
        ((), "no checks"),
        ((GREEN,), "1 green"),
        ((GREEN, RUNNING), "running: lint"),
        ((RUNNING, RED), "failed: test"),
        ((BILLING,), "CI is down: billing"),
    ],
)
def test_summary_of_checks(checks: tuple[CheckRun, ...], text: str) -> None:
    """The worst check is named first."""
    assert checks_summary(replace(PULL, checks=checks)) == text
