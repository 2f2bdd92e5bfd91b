"""Branches that GitHub itself moves when asked: "Update branch", "Update with rebase", and a rename."""

from __future__ import annotations

import pytest

from support.repo import Repo
from support.simulated import Octo


@pytest.fixture
def behind(octo: Octo) -> Octo:
    """Return a stack whose trunk moved on."""
    octo.commit_on("main", "trunk goes on", {"trunk.txt": "1\n"})
    octo.push("main")
    return octo


def test_update_branch_merges_the_base(behind: Octo) -> None:
    """202; a merge commit, the head first, by GitHub (docs, "Update a pull request branch"); no force push."""
    before = behind.clone.head("s1")
    assert behind.rest("PUT", "pulls/518/update-branch", {"expected_head_sha": before})[0] == 202
    tip = behind.pull(518)["head_oid"]
    parents = Repo(behind.github.bare(behind.slug)).git("log", "-1", "--format=%P %cn", tip).split()
    assert parents == [before, behind.clone.head("main"), "GitHub"]
    assert behind.message(tip).rstrip() == "Merge branch 'main' into s1"
    assert (behind.events(518), behind.remote_refs()["refs/heads/s1"]) == ([], tip)


def test_gh_updates_a_branch(behind: Octo) -> None:
    """`gh pr update-branch`, with `--rebase` too: linear, new ids, a force push; then it is up to date."""
    before = behind.clone.head("s1")
    assert behind.gh("pr", "update-branch", "518", "--rebase").returncode == 0
    tip = behind.pull(518)["head_oid"]
    bare = Repo(behind.github.bare(behind.slug))
    assert bare.git("rev-parse", f"{tip}^") == behind.clone.head("main")
    assert (tip == before, behind.events(518)) == (False, ["HEAD_REF_FORCE_PUSHED_EVENT"])
    assert "already up-to-date" in behind.gh("pr", "update-branch", "518").stdout
    assert behind.gh("pr", "update-branch", "519").returncode == 0  # its base moved


def test_what_an_update_refuses(behind: Octo) -> None:
    """422: another head, nothing new on the base (nevermined-io/payments#449), a conflict; nothing moves."""
    before = behind.remote_refs()
    other = behind.rest("PUT", "pulls/518/update-branch", {"expected_head_sha": "0" * 40})
    nothing = behind.rest("PUT", "pulls/519/update-branch", {})
    behind.commit_on("main", "conflict", {"f1": "other\n"})
    behind.push("main")
    conflict = behind.rest("PUT", "pulls/518/update-branch", {})
    assert [(status, answer["message"]) for status, answer in (other, nothing, conflict)] == [
        (422, "expected head sha didn't match current head ref."),
        (422, "There are no new commits on the base branch."),
        (422, "merge conflict between base and head"),
    ]
    assert behind.remote_refs()["refs/heads/s1"] == before["refs/heads/s1"]


def test_a_renamed_base_retargets(octo: Octo) -> None:
    """Pull requests on it are retargeted, its rules and the default branch follow (docs, "Renaming a branch")."""
    octo.github.lever("protect", octo.slug, branch="main", name="r", linear=True)
    status, answer = octo.rest("POST", "branches/main/rename", {"new_name": "trunk"})
    assert (status, answer["name"], answer["protected"]) == (201, "trunk", True)
    assert (octo.pull(518)["base"], octo.pull(518)["state"]) == ("trunk", "OPEN")
    assert octo.rest("GET", f"/repos/{octo.slug}")[1]["default_branch"] == "trunk"
    refs = octo.remote_refs()
    assert ("refs/heads/main" in refs, refs["HEAD"]) == (False, octo.clone.head("main"))


def test_a_renamed_head_closes(octo: Octo) -> None:
    """The pull request of a renamed branch is closed, and those on it are retargeted (docs, "Renaming a branch")."""
    assert octo.rest("POST", "branches/s1/rename", {"new_name": "one"})[0] == 201
    assert (octo.pull(518)["state"], octo.pull(518)["head"]) == ("CLOSED", "s1")
    assert (octo.pull(519)["state"], octo.pull(519)["base"]) == ("OPEN", "one")
    assert octo.events(519) == ["AUTOMATIC_BASE_CHANGE_SUCCEEDED_EVENT"]


def test_what_a_rename_refuses(octo: Octo) -> None:
    """404: no such branch; 422: the name is taken, or missing."""
    assert octo.rest("POST", "branches/none/rename", {"new_name": "x"})[0] == 404
    assert octo.rest("POST", "branches/s1/rename", {"new_name": "s2"})[0] == 422
    assert octo.rest("POST", "branches/s1/rename", {})[0] == 422
