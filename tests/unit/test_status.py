"""The one state of each entry of a stack."""

from __future__ import annotations

from dataclasses import replace

import pytest

from trunkline.domain.names import Oid, PrNumber
from trunkline.domain.readiness import Ready
from trunkline.domain.snapshot import CheckRun, PrState, PullRequest
from trunkline.domain.status import Facts, State, standings

_HEAD, _OTHER = Oid("a" * 40), Oid("b" * 40)
_PR = PullRequest(
    PrNumber(1),
    "Title",
    "https://github.com/o/r/pull/1",
    PrState.OPEN,
    draft=False,
    body="",
    base="main",
    head="a",
    head_oid=_HEAD,
    head_repository="o/r",
    mergeable="MERGEABLE",
    merge_state="CLEAN",
)
_FACTS = Facts(PrNumber(1), _PR, asked=True, local=_HEAD, remote=_HEAD, on_base=True)
_BILLING = "The job was not started because your account is locked due to a billing issue."


def _with(**changes: object) -> Facts:
    return replace(_FACTS, pr=replace(_PR, **changes))  # type: ignore[arg-type]  # a table of cases, by field name


def _check(status: str, conclusion: str, *annotations: str) -> Facts:
    return _with(checks=(CheckRun("build", status, conclusion, annotations),))


@pytest.mark.parametrize(
    ("facts", "state"),
    [
        pytest.param(_FACTS, State.READY, id="ready"),
        pytest.param(_with(state=PrState.MERGED), State.MERGED, id="merged"),
        pytest.param(replace(_with(state=PrState.MERGED), on_base=False), State.MERGED, id="merged before restack"),
        pytest.param(_with(state=PrState.CLOSED), State.CLOSED, id="closed"),
        pytest.param(replace(_FACTS, pr=None), State.MISSING, id="not on GitHub"),
        pytest.param(replace(_FACTS, on_base=False, local=_OTHER), State.RESTACK, id="restack before push"),
        pytest.param(replace(_FACTS, on_base=None), State.READY, id="base unknown: GitHub's word stands"),
        pytest.param(replace(_FACTS, local=_OTHER), State.PUSH, id="local differs"),
        pytest.param(replace(_FACTS, local=None), State.READY, id="no local branch"),
        pytest.param(replace(_FACTS, remote=_OTHER), State.READY, id="an old tracking ref"),
        pytest.param(_with(draft=True), State.DRAFT, id="draft"),
        pytest.param(_with(mergeable="CONFLICTING"), State.CONFLICT, id="conflict"),
        pytest.param(_with(review="REVIEW_REQUIRED"), State.REVIEW, id="review"),
        pytest.param(_with(merge_state="UNKNOWN"), State.GITHUB, id="unknown is not yes"),
        pytest.param(_with(merge_state="BLOCKED"), State.RULE, id="a rule"),
        pytest.param(_check("IN_PROGRESS", ""), State.CI, id="checks run"),
        pytest.param(_check("COMPLETED", "FAILURE"), State.RED, id="red"),
        pytest.param(_check("COMPLETED", "FAILURE", _BILLING), State.CI, id="billing is not red"),
        pytest.param(replace(_FACTS, pr=None, asked=False), State.UNKNOWN, id="offline"),
        pytest.param(replace(_FACTS, pr=None, asked=False, remote=_OTHER), State.PUSH, id="offline, to push"),
        pytest.param(replace(_FACTS, pr=None, asked=False, on_base=False), State.RESTACK, id="offline, to restack"),
    ],
)
def test_state_of_one(facts: Facts, state: State) -> None:
    """An entry at the bottom has the state of its own facts."""
    (standing,) = standings([facts], gates_suffice=False)

    assert state is standing.state


def test_billing_is_said() -> None:
    """A billing failure says that CI is not operational, with the annotation."""
    (standing,) = standings([_check("COMPLETED", "FAILURE", _BILLING)], gates_suffice=False)

    assert (Ready.CI_DOWN.value, f"build: {_BILLING}") == standing.why


def test_blocked_by_the_nearest_below_that_is_not_merged() -> None:
    """What is ready waits for the entry below it, unless that is merged."""
    merged, second, third = _with(state=PrState.MERGED), replace(_FACTS, number=PrNumber(2)), _with(draft=True)
    stack = [merged, second, replace(third, number=PrNumber(3)), replace(_FACTS, number=PrNumber(4))]

    told = [str(standing) for standing in standings(stack, gates_suffice=False)]

    assert told == ["merged", "ready to land", "draft", "blocked by #3"]
