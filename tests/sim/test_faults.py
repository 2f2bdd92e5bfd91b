"""Failures on purpose: what the client sees, and what became of the world."""

from __future__ import annotations

import pytest

from support.simulated import Octo
from trunkline.sim.faults import FaultKind

QUERY = "query Q{viewer{login}}"


def test_a_status_for_so_many_requests(octo: Octo) -> None:
    """Two 502s, then it works; both are in the log."""
    octo.github.inject(FaultKind.STATUS, status=502, times=2)
    assert [octo.rest("GET", "/user")[0] for _ in range(3)] == [502, 502, 200]
    assert [request.status for request in octo.github.requests()[-3:]] == [502, 502, 200]


def test_a_fault_may_choose_its_request(octo: Octo) -> None:
    """By operation name or by route; others pass."""
    octo.github.inject(FaultKind.STATUS, match=f"PATCH /repos/{octo.slug}/pulls/519")
    octo.github.inject(FaultKind.STATUS, match="Q", status=500)
    assert octo.rest("PATCH", "pulls/520", {"title": "x"})[0] == 200
    assert octo.rest("PATCH", "pulls/519", {"title": "x"})[0] == 502
    with pytest.raises(AssertionError):
        octo.graphql(QUERY)
    assert octo.graphql(QUERY) == {"data": {"viewer": {"login": "octocat"}}}


@pytest.mark.gh
def test_the_rate_limit_as_gh_shows_it(octo: Octo) -> None:
    """403 with x-ratelimit-remaining 0 and the reset (docs, "Rate limits for the REST API")."""
    octo.github.inject(FaultKind.RATE_LIMIT)
    done = octo.gh("api", "--include", "user")
    assert done.returncode == 1
    assert done.stdout.startswith("HTTP/1.1 403")
    assert "X-Ratelimit-Remaining: 0" in done.stdout
    assert "API rate limit exceeded" in done.stderr


@pytest.mark.gh
@pytest.mark.parametrize("status", [403, 429])
def test_the_secondary_limit(octo: Octo, status: int) -> None:
    """The response is 403 or 429 with GitHub's sentence; Retry-After comes only if the fault has it."""
    octo.github.inject(FaultKind.SECONDARY_LIMIT, status=status, headers={"Retry-After": "7"})
    done = octo.gh("api", "--include", "user")
    assert done.returncode == 1
    assert done.stdout.startswith(f"HTTP/1.1 {status}")
    assert "Retry-After: 7" in done.stdout
    assert "secondary rate limit" in done.stderr


def test_a_dropped_connection_has_no_effect(octo: Octo) -> None:
    """Dropped before: the client sees the end of the stream, the world is as it was."""
    octo.github.inject(FaultKind.DROP)
    with pytest.raises(OSError, match=r"closed connection|reset"):
        octo.rest("PATCH", "pulls/519", {"title": "x"})
    assert octo.pull(519)["title"] == "Ts2"
    assert octo.github.requests()[-1].status == 0


def test_a_lost_reply_has_its_effect(octo: Octo) -> None:
    """Dropped after: the same for the client, but it was done."""
    octo.github.inject(FaultKind.LOSE_REPLY)
    with pytest.raises(OSError, match=r"closed connection|reset"):
        octo.rest("PATCH", "pulls/519", {"title": "x"})
    assert octo.pull(519)["title"] == "x"


@pytest.mark.gh
def test_gh_does_not_retry_a_lost_merge(octo: Octo) -> None:
    """The merge happened, gh says it failed: exactly one request was sent."""
    octo.github.inject(FaultKind.LOSE_REPLY, match="PullRequestMerge")
    done = octo.gh("pr", "merge", "518", "--squash")
    assert done.returncode == 1
    assert octo.pull(518)["state"] == "MERGED"
    sent = [request.operation for request in octo.github.requests()]
    assert sent[-1] == "PullRequestMerge"
