"""Requirements of a repository before a merge: rulesets, reviews, checks, a queue, a cap on pushes."""

from __future__ import annotations

import pytest

from support.simulated import Octo
from trunkline.sim.client import ENTERPRISE
from trunkline.sim.faults import Fault, FaultKind


def state(octo: Octo, number: int) -> tuple[str, str]:
    """Return GraphQL's mergeable and mergeStateStatus of a pull request."""
    owner, name = octo.slug.split("/")
    asked = f"pullRequest(number:{number}){{mergeable mergeStateStatus}}"
    answer = octo.graphql(f'{{repository(owner:"{owner}",name:"{name}"){{{asked}}}}}')
    seen = answer["data"]["repository"]["pullRequest"]
    return seen["mergeable"], seen["mergeStateStatus"]


def test_required_approvals_block(octo: Octo) -> None:
    """BLOCKED until approved; the refusal names what is missing (docs, "Available rules for rulesets")."""
    octo.github.lever("protect", octo.slug, branch="main", name="trunk", approvals=1)
    assert state(octo, 518) == ("MERGEABLE", "BLOCKED")
    status, answer = octo.rest("PUT", "pulls/518/merge", {})
    assert (status, "At least 1 approving review is required" in answer["message"]) == (405, True)
    octo.github.review(octo.slug, 518, "grace")
    assert state(octo, 518) == ("MERGEABLE", "CLEAN")
    assert octo.rest("PUT", "pulls/518/merge", {})[0] == 200


def test_required_checks_block(octo: Octo) -> None:
    """Expected while missing, failing while red (docs, "Require status checks to pass before merging")."""
    octo.github.lever("protect", octo.slug, branch="main", name="trunk", checks=["build"])
    assert '"build" is expected' in octo.rest("PUT", "pulls/518/merge", {})[1]["message"]
    octo.github.add_check_run(octo.slug, octo.clone.head("s1"), "build", conclusion="FAILURE")
    assert '"build" is failing' in octo.rest("PUT", "pulls/518/merge", {})[1]["message"]
    octo.github.add_check_run(octo.slug, octo.clone.head("s1"), "build")
    assert octo.rest("PUT", "pulls/518/merge", {})[0] == 200


def test_a_push_dismisses_stale_approvals(octo: Octo) -> None:
    """Only a ruleset that demands it dismisses them (docs, "Dismiss stale pull request approvals")."""
    octo.github.lever("protect", octo.slug, branch="main", name="trunk", approvals=1, dismiss_stale=True)
    for number in (518, 519):
        octo.github.review(octo.slug, number, "grace")
    for branch in ("s1", "s2"):
        octo.commit_on(branch, "more", {"more": "x\n"})
    octo.push("s1", "s2")
    states = [[review["state"] for review in octo.pull(number)["reviews"]] for number in (518, 519)]
    assert states == [["DISMISSED"], ["APPROVED"]]


def test_up_to_date_branches_and_linear_history(octo: Octo) -> None:
    """BEHIND until the head contains the base's tip; no merge commits (docs, "Available rules for rulesets")."""
    octo.github.lever("protect", octo.slug, branch="main", name="trunk", up_to_date=True, linear=True)
    linear = "This branch must not contain merge commits."
    assert linear in octo.rest("PUT", "pulls/518/merge", {"merge_method": "merge"})[1]["message"]
    octo.commit_on("main", "trunk moves on", {"trunk": "x\n"})
    octo.push("main")
    assert state(octo, 518) == ("MERGEABLE", "BEHIND")
    answer = octo.rest("PUT", "pulls/518/merge", {"merge_method": "squash"})
    assert (answer[0], "out of date" in answer[1]["message"]) == (405, True)


def test_a_merge_queue(octo: Octo) -> None:
    """merge-async enqueues, the queue merges later or lets go (OpenAPI, merge-async: status enqueued)."""
    octo.github.lever("protect", octo.slug, branch="main", name="trunk", queue=True)
    octo.github.lever("hold_queue", octo.slug, requests=3)
    asked = octo.rest("PUT", "pulls/518/merge-async", {"sha": octo.clone.head("s1")})[1]
    path = f"pulls/518/merge-async/{asked['details']['uuid']}"
    seen = [octo.rest("GET", path)[1]["status"] for _ in range(10)]
    assert list(dict.fromkeys(seen)) == ["pending", "enqueued", "merged"]
    assert octo.pull(518)["state"] == "MERGED"


def test_leaving_the_queue(octo: Octo) -> None:
    """A pull request that leaves the queue is open again, and its request has failed with the reason."""
    octo.github.lever("protect", octo.slug, branch="main", name="trunk", queue=True)
    octo.github.lever("hold_queue", octo.slug, requests=50)
    asked = octo.rest("PUT", "pulls/518/merge-async", {"sha": octo.clone.head("s1")})[1]
    path = f"pulls/518/merge-async/{asked['details']['uuid']}"
    for _ in range(3):
        octo.rest("GET", path)
    octo.github.lever("leave_queue", octo.slug, number=518, reason="a check failed")
    answer = octo.rest("GET", path)[1]
    assert (answer["status"], answer["details"]["message"]) == ("failed", "a check failed")
    assert octo.pull(518)["state"] == "OPEN"


def test_a_cap_on_pushes(octo: Octo) -> None:
    """Pushes can not update more than N branches (ejoffe/spr#422, aviator-co/av#638): nothing of it is taken."""
    octo.github.lever("cap_pushes", octo.slug, refs=2)
    before = octo.remote_refs()
    done = octo.run("git", "push", "--force", "origin", "s4:refs/heads/a", "s4:refs/heads/b", "s4:refs/heads/c")
    assert (done.returncode, "Pushes can not update more than 2 branches" in done.stderr) == (1, True), done.stderr
    assert octo.remote_refs() == before
    octo.push("s4:refs/heads/a", "s4:refs/heads/b")


def test_mergeability_passes_through_unknown(octo: Octo) -> None:
    """After a push it is computed for a while (docs, "Checking mergeability of pull requests")."""
    octo.github.lever("set_mergeability_lag", octo.slug, requests=3)
    octo.commit_on("s1", "more", {"more": "x\n"})
    octo.push("s1")
    seen = [state(octo, 518)[0] for _ in range(4)]
    assert (seen[0], seen[-1]) == ("UNKNOWN", "MERGEABLE")


def test_ci_starts_with_a_push_and_ends_later(octo: Octo) -> None:
    """A new head has its own check runs: in progress, then with their conclusion."""
    octo.github.lever("run_ci", octo.slug, names=["build"], requests=3)
    octo.commit_on("s1", "more", {"more": "x\n"})
    octo.push("s1")
    seen = [octo.rest("GET", "commits/s1/check-runs")[1]["check_runs"] for _ in range(4)]
    assert [runs[0]["status"] for runs in (seen[0], seen[-1])] == ["in_progress", "completed"]
    assert seen[-1][0]["conclusion"] == "success"


def test_an_enterprise_server(octo: Octo) -> None:
    """Its API is below /api/v3, and it has no merge-async (docs, "REST API endpoints", enterprise server)."""
    headers = {"Authorization": "token sim", "Host": ENTERPRISE}
    assert octo.rest("GET", f"/api/v3/repos/{octo.slug}/pulls/518", headers=headers)[1]["number"] == 518
    assert octo.rest("PUT", f"/api/v3/repos/{octo.slug}/pulls/518/merge-async", {}, headers=headers)[0] == 404


def test_a_pull_request_that_somebody_closes(octo: Octo) -> None:
    """The fault `close`: just before the request that it names; the request is answered as ever."""
    route = f"PATCH /repos/{octo.slug}/pulls/518"
    octo.github.arm([Fault(FaultKind.CLOSE, match=route, repository=octo.slug, number=519)])
    assert octo.rest("PATCH", "pulls/518", {"title": "x"})[0] == 200
    assert (octo.pull(518)["state"], octo.pull(519)["state"], octo.github.hits()) == ("OPEN", "CLOSED", 1)


@pytest.mark.parametrize("kind", [FaultKind.PUSH_DROPS, FaultKind.SOMEBODY_PUSHES])
def test_what_a_push_may_meet(octo: Octo, kind: FaultKind) -> None:
    """The faults of pushes: dropped before anything is sent, or somebody was faster; once, and counted."""
    octo.github.arm([Fault(kind, repository=octo.slug, branch="s4")])
    before = octo.remote_refs()["refs/heads/s4"]
    octo.commit_on("s4", "more", {"more": "x\n"})
    done = octo.run("git", "push", f"--force-with-lease=s4:{before}", "origin", "s4")
    message = "Connection reset" if kind is FaultKind.PUSH_DROPS else "rejected"
    assert (done.returncode != 0, message in done.stderr, octo.github.hits()) == (True, True, 1), done.stderr
    after = octo.remote_refs()["refs/heads/s4"]
    assert (after == before) == (kind is FaultKind.PUSH_DROPS)
    octo.push("s4", force=True)
    assert octo.remote_refs()["refs/heads/s4"] == octo.clone.head("s4")
