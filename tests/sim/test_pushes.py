"""Effects of pushes on pull requests, with real git over the simulator's ssh."""

from __future__ import annotations

import pytest

from support.simulated import Octo


def test_a_push_moves_the_head(octo: Octo) -> None:
    """A fast-forward moves head and refs/pull/N/head and leaves no force-push event."""
    new = octo.commit_on("s3", "more", {"more": "1\n"})
    octo.push("s3")
    assert octo.pull(520)["head_oid"] == new
    assert octo.remote_refs()["refs/pull/520/head"] == new
    assert octo.events(520) == []


def test_a_force_push_is_an_event(octo: Octo) -> None:
    """HeadRefForcePushedEvent has the heads before and after (GraphQL reference), also after a second one."""
    first, second = octo.clone.head("s3"), octo.amend("s3", "1\n")
    octo.push("s3", force=True)
    third = octo.amend("s3", "2\n")
    octo.push("s3", force=True)
    events = octo.pull(520)["events"]
    assert [event["kind"] for event in events] == ["HEAD_REF_FORCE_PUSHED_EVENT"] * 2
    assert [(e["before"], e["after"]) for e in events] == [(first, second), (second, third)]
    assert octo.pull(520)["head_oid"] == third


def test_pull_refs_are_fresh_before_anybody_asks(octo: Octo) -> None:
    """A fetch right after a push sees refs/pull/N/head moved: the hook moves it, no request is needed."""
    new = octo.amend("s2")
    before = len(octo.github.requests())
    octo.push("s2", force=True)
    assert octo.remote_refs()["refs/pull/519/head"] == new
    assert len(octo.github.requests()) == before


def test_an_old_head_can_still_be_fetched(octo: Octo) -> None:
    """GitHub serves any commit it has by its id, a force-pushed one too."""
    old = octo.clone.head("s2")
    octo.amend("s2")
    octo.push("s2", force=True)
    fresh = octo.clone.path.parent / "fresh"
    octo.git("clone", "--quiet", "--single-branch", "--branch=main", octo.github.remote(octo.slug), str(fresh))
    octo.git("-C", str(fresh), "fetch", "--quiet", "origin", old)
    assert octo.git("-C", str(fresh), "rev-parse", "FETCH_HEAD") == old


def test_pull_refs_cannot_be_pushed(octo: Octo) -> None:
    """refs/pull/* is read-only: "deny updating a hidden ref" (ad-m/github-push-action#143)."""
    done = octo.run("git", "push", "origin", "main:refs/pull/518/head")
    assert done.returncode == 1
    assert "deny updating a hidden ref" in done.stderr


def test_a_base_deleted_by_push_closes_children(octo: Octo) -> None:
    """Deleted by a push: the child is closed and cannot come back, the branch's own PR too (cli/cli#1168)."""
    octo.push(":s1")
    assert octo.pull(519)["state"] == "CLOSED"
    assert octo.events(519) == ["BASE_REF_DELETED_EVENT", "CLOSED_EVENT"]
    assert octo.pull(518)["state"] == "CLOSED"
    assert octo.remote_refs()["refs/pull/518/head"] == octo.clone.head("s1")
    status, answer = octo.rest("PATCH", "pulls/519", {"state": "open"})
    assert status == 422
    assert answer["errors"][0]["message"] == "state cannot be changed. The s1 branch has been deleted."


def test_a_closed_child_is_rescued(octo: Octo) -> None:
    """Push the old base again, reopen, retarget, delete the base again (workaround of cli/cli#1168)."""
    octo.push(":s1")
    octo.push("s1")
    assert octo.rest("PATCH", "pulls/519", {"state": "open"})[0] == 200
    assert octo.rest("PATCH", "pulls/519", {"base": "main"})[0] == 200
    octo.push(":s1")
    assert octo.pull(519)["state"] == "OPEN"
    assert octo.pull(519)["base"] == "main"


def test_a_base_that_contains_the_head_merges_it(octo: Octo) -> None:
    """A push to the base that brings the head in marks the PR MERGED ("indirect merge", docs About merges)."""
    octo.git("switch", "--quiet", "main")
    octo.git("merge", "--quiet", "--no-ff", "-m", "by hand", "s1")
    octo.push("main")
    pull = octo.pull(518)
    assert pull["state"] == "MERGED"
    assert pull["merge_commit"] == octo.clone.head("main")
    assert octo.events(518) == ["MERGED_EVENT", "CLOSED_EVENT"]
    seen = octo.rest("GET", "pulls/518")[1]
    assert [seen["merged"], seen["commits"]] == [True, 1]


def test_a_base_that_moves_merges_nothing_else(octo: Octo) -> None:
    """Trunk moving on by other commits leaves the pull requests open."""
    octo.commit_on("main", "other", {"other": "1\n"})
    octo.push("main")
    assert [octo.pull(number)["state"] for number in (518, 519, 520)] == ["OPEN"] * 3


def test_no_commits_left_closes_for_good(octo: Octo) -> None:
    """Force-pushing the head onto its base closes the PR; its stored head is then the base, so it stays closed."""
    octo.push("s1:s2", force=True)
    assert octo.pull(519)["state"] == "CLOSED"
    octo.push("s2", force=True)
    assert octo.pull(519)["state"] == "CLOSED"


def test_each_push_takes_effect_by_itself(octo: Octo) -> None:
    """Two pushes without a request in between: the first takes effect even if the second reverts it."""
    octo.push(":s1")
    octo.push("s1")
    assert octo.pull(519)["state"] == "CLOSED"


def test_a_stack_pushed_at_once(octo: Octo) -> None:
    """One atomic push of rewritten branches: every head moves, nothing is merged or closed by order."""
    octo.amend("s1")
    for number in (2, 3):
        octo.git("switch", "--quiet", f"s{number}")
        octo.git("rebase", "--quiet", "--onto", f"s{number - 1}", "HEAD~1")
    before = len(octo.github.pushes(octo.slug))
    octo.git("push", "--quiet", "--atomic", "--force", "origin", "s1", "s2", "s3")
    assert [octo.pull(number)["state"] for number in (518, 519, 520)] == ["OPEN"] * 3
    assert octo.pull(520)["head_oid"] == octo.clone.head("s3")
    pushes = octo.github.pushes(octo.slug)[before:]
    assert [[ref for _, _, ref in push] for push in pushes] == [[f"refs/heads/s{n}" for n in (1, 2, 3)]]


def test_a_closed_pull_request_does_not_follow_its_branch(octo: Octo) -> None:
    """Its head stays; a rewritten branch cannot be reopened (isaacs/github#361), a grown one can."""
    head = octo.clone.head("s3")
    octo.rest("PATCH", "pulls/520", {"state": "closed"})
    octo.amend("s3")
    octo.push("s3", force=True)
    assert octo.pull(520)["head_oid"] == head
    status, answer = octo.rest("PATCH", "pulls/520", {"state": "open"})
    assert status == 422
    assert answer["errors"][0]["message"] == "state cannot be changed. The s3 branch was force-pushed or recreated."
    octo.push(f"{head}:s3", force=True)
    octo.git("reset", "--quiet", "--hard", head)
    grown = octo.commit_on("s3", "more", {"more": "1\n"})
    octo.push("s3")
    assert octo.rest("PATCH", "pulls/520", {"state": "open"})[0] == 200
    assert octo.pull(520)["head_oid"] == grown


def test_github_may_notice_a_push_late(octo: Octo) -> None:
    """With a lag, the old head is answered for that many requests; git itself is not late."""
    old, new = octo.clone.head("s3"), octo.amend("s3")
    octo.github.set_lag(octo.slug, 2)
    octo.push("s3", force=True)
    heads = [octo.rest("GET", "pulls/520")[1]["head"]["sha"] for _ in range(3)]
    assert heads == [old, old, new]


@pytest.mark.parametrize("name", ["octo/nope", "../octo/x", "octo/demo1.git/../x"])
def test_an_unknown_repository(octo: Octo, name: str) -> None:
    """The simulated ssh prints GitHub's message."""
    done = octo.run("git", "ls-remote", f"git@github.com:{name}.git")
    assert done.returncode == 128
    assert "ERROR: Repository not found." in done.stderr


def test_only_github_is_reached(octo: Octo) -> None:
    """The simulated ssh connects to no other host."""
    done = octo.run("git", "ls-remote", "git@example.invalid:octo/x.git")
    assert done.returncode == 128
    assert "the simulator knows no git@example.invalid" in done.stderr
