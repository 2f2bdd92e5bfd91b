"""Forks: pull requests whose head is in another repository."""

from __future__ import annotations

import pytest

from support.simulated import Octo

FIELDS = "isCrossRepository headRefName headRepositoryOwner { login } headRepository { %s }"


@pytest.fixture
def fork(octo: Octo) -> str:
    """Return the slug of ann's fork, the remote `ann`, whose branch `topic` is #521."""
    slug: str = octo.github.lever("fork", octo.slug, owner="ann")
    octo.git("remote", "add", "ann", octo.github.remote(slug))
    octo.commit_on("s4", "from ann", {"ann.txt": "1\n"})
    octo.git("push", "--quiet", "ann", "s4:topic")
    assert (
        octo.gh("pr", "create", "--head", "ann:topic", "--base", "main", "--title", "T", "--body", "B").returncode
        == 0
    )
    return slug


def head(octo: Octo, fields: str) -> dict[str, object]:
    """Return the head of #521 by GraphQL."""
    owner, name = octo.slug.split("/")
    answer = octo.graphql(
        f'{{ repository(owner: "{owner}", name: "{name}") {{ pullRequest(number: 521) {{ {FIELDS % fields} }} }} }}'
    )
    pull: dict[str, object] = answer["data"]["repository"]["pullRequest"]
    return pull


def test_a_fork_has_the_branches(octo: Octo) -> None:
    """A copy of every branch, no pull request; GitHub names the parent (docs, "Create a fork")."""
    status, made = octo.rest("POST", "forks", {})
    assert (status, made["fork"], made["full_name"].partition("/")[0]) == (202, True, "octocat")
    assert octo.rest("POST", "forks", {})[1]["id"] == made["id"]
    assert octo.rest("GET", f"/repos/{made['full_name']}/git/ref/heads/s3")[0] == 200
    assert octo.rest("GET", f"/repos/{made['full_name']}/pulls")[1] == []
    assert octo.gh_json("repo", "view", made["full_name"], "--json", "isFork,parent")["isFork"]


def test_the_head_is_in_the_fork(octo: Octo, fork: str) -> None:
    """REST and GraphQL name the fork; the branch is none of the repository, refs/pull/N/head is."""
    assert head(octo, "nameWithOwner isFork") == {
        "isCrossRepository": True,
        "headRefName": "topic",
        "headRepositoryOwner": {"login": "ann"},
        "headRepository": {"nameWithOwner": fork, "isFork": True},
    }
    found = octo.rest("GET", "pulls/521")[1]["head"]
    assert (found["label"], found["repo"]["full_name"]) == ("ann:topic", fork)
    assert [pull["number"] for pull in octo.rest("GET", "pulls?head=ann:topic")[1]] == [521]
    refs = octo.remote_refs()
    assert ("refs/heads/topic" in refs, refs["refs/pull/521/head"]) == (False, octo.clone.head("s4"))


def test_a_push_to_the_fork_moves_the_head(octo: Octo, fork: str) -> None:
    """A force push moves it, too; without the branch the pull request is closed until it is pushed again."""
    tip = octo.commit_on("s4", "more", {"more.txt": "1\n"})
    octo.git("push", "--quiet", "ann", "s4:topic")
    assert octo.pull(521)["head_oid"] == octo.remote_refs()["refs/pull/521/head"] == tip
    octo.git("push", "--quiet", "--force", "ann", "s3:topic")
    assert octo.events(521) == ["HEAD_REF_FORCE_PUSHED_EVENT"]
    octo.git("push", "--quiet", "ann", ":topic")
    assert (octo.pull(521)["state"], octo.pull(518)["state"]) == ("CLOSED", "OPEN")
    octo.git("push", "--quiet", "ann", "s4:topic")
    assert octo.rest("PATCH", "pulls/521", {"state": "open"})[0] == 200  # the branch is there again, and only grew
    assert octo.pull(521)["head_oid"] == octo.github.state()["repositories"][fork]["refs"]["topic"] == tip


def test_a_branch_of_the_same_name(octo: Octo, fork: str) -> None:
    """A push to the repository's own branch moves no pull request of a fork, and each has one of its own."""
    octo.push("s4:topic")
    made = octo.rest("POST", "pulls", {"title": "T", "head": "topic", "base": "main"})
    again = octo.rest("POST", "pulls", {"title": "T", "head": "ann:topic", "base": "main"})
    assert (made[0], again[0], again[1]["errors"][0]["message"]) == (
        201, 422, "A pull request already exists for ann:topic."
    )  # fmt: skip
    octo.push(":topic")
    assert (octo.pull(521)["state"], octo.pull(made[1]["number"])["state"]) == ("OPEN", "CLOSED")
    assert octo.pull(521)["fork"] == fork


@pytest.mark.usefixtures("fork")
def test_merging_keeps_the_forks_branch(octo: Octo) -> None:
    """The commits are here; `delete_branch_on_merge` deletes no branch of a fork (docs, "Managing branches")."""
    octo.github.configure(octo.slug, delete_branch_on_merge=True)
    assert octo.rest("PUT", "pulls/521/merge", {"merge_method": "merge"})[0] == 200
    pull = octo.pull(521)
    assert pull["state"] == "MERGED"
    assert octo.message(pull["merge_commit"]).splitlines()[0] == "Merge pull request #521 from ann/topic"


def test_a_deleted_fork(octo: Octo, fork: str) -> None:
    """The pull request stays open without a head repository; a rename of its base closes it (google/gson#2405)."""
    octo.github.lever("delete_fork", fork)
    assert (head(octo, "name")["headRepository"], octo.pull(521)["state"]) == (None, "OPEN")
    octo.github.lever("rename_branch", octo.slug, branch="main", new="trunk")
    assert (octo.pull(521)["state"], octo.pull(518)["state"]) == ("CLOSED", "OPEN")


@pytest.mark.usefixtures("fork")
def test_what_a_fork_cannot(octo: Octo) -> None:
    """No native stack (docs, stacked pull requests); no head of a user without a fork."""
    octo.github.lever("enable_stacks", octo.slug)
    status, answer = octo.rest("POST", "stacks", {"pull_requests": [521, 518]})
    assert (status, answer["errors"][0]["message"]) == (422, "Pull request #521 is from a fork")
    assert octo.rest("POST", "pulls", {"title": "T", "head": "bob:s4", "base": "main"})[0] == 422
    assert octo.rest("PUT", "pulls/521/update-branch", {})[0] == 501
