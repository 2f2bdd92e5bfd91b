"""Merging: methods, messages, what is refused, what becomes of children."""

from __future__ import annotations

from typing import Any

import pytest

from support.repo import Repo
from support.simulated import Octo


def bare(octo: Octo) -> Repo:
    """Return the simulator's own repository."""
    return Repo(octo.github.bare(octo.slug))


def merge(octo: Octo, number: int, **body: Any) -> tuple[int, Any]:
    """Merge by REST."""
    return octo.rest("PUT", f"pulls/{number}/merge", body)


def test_squash_of_one_commit(octo: Octo) -> None:
    """One commit: its title with the number, and its body (docs, "Merge message for a squash merge")."""
    main = octo.clone.head("main")
    status, answer = merge(octo, 518, merge_method="squash")
    assert [status, answer["merged"]] == [200, True]
    assert octo.message(answer["sha"]) == "feat 1 (#518)\n\nWhy 1.\n"
    assert bare(octo).git("rev-parse", f"{answer['sha']}^@") == main
    assert bare(octo).git("rev-parse", f"{answer['sha']}^{{tree}}") == octo.clone.git("rev-parse", "s1^{tree}")


def test_squash_of_several_commits(octo: Octo) -> None:
    """Several: the pull request's title with the number, and the list of commits (same page)."""
    octo.commit_on("s1", "second\n\nWith a body.\n", {"second": "2\n"})
    octo.push("s1")
    _, answer = merge(octo, 518, merge_method="squash")
    expected = "Ts1 (#518)\n\n* feat 1\n\nWhy 1.\n\n* second\n\nWith a body.\n"
    assert octo.message(answer["sha"]) == expected


def test_squash_with_a_message_of_ones_own(octo: Octo) -> None:
    """commit_title and commit_message replace the defaults (REST, "Merge a pull request")."""
    _, answer = merge(octo, 518, merge_method="squash", commit_title="Mine", commit_message="Text")
    assert octo.message(answer["sha"]) == "Mine\n\nText\n"


def test_merge_commit(octo: Octo) -> None:
    """Two parents, base first, GitHub's title, the pull request's title as body."""
    main = octo.clone.head("main")
    _, answer = merge(octo, 518, merge_method="merge")
    assert octo.message(answer["sha"]) == "Merge pull request #518 from octo/s1\n\nTs1\n"
    assert bare(octo).git("rev-parse", f"{answer['sha']}^@").split() == [main, octo.clone.head("s1")]


def test_rebase_makes_new_commits_always(octo: Octo) -> None:
    """Rebase and merge: new ids even where a fast-forward would do; author and message are kept (docs)."""
    octo.commit_on("s1", "second", {"second": "2\n"})
    octo.push("s1")
    _, answer = merge(octo, 518, merge_method="rebase")
    git, was = bare(octo), octo.clone
    shape = "--format=%an %ae %at %s"
    assert git.git("log", shape, f"{answer['sha']}~2..{answer['sha']}") == was.git("log", shape, "main..s1")
    assert answer["sha"] != was.head("s1")
    assert git.git("rev-parse", f"{answer['sha']}^{{tree}}") == was.git("rev-parse", "s1^{tree}")


def test_rebase_onto_a_trunk_that_moved(octo: Octo) -> None:
    """The replay is a real three-way merge: trunk's own change is kept."""
    octo.commit_on("main", "other", {"README.md": "start\nmore\n"})
    octo.push("main")
    _, answer = merge(octo, 518, merge_method="rebase")
    assert bare(octo).git("show", f"{answer['sha']}:README.md") == "start\nmore"
    assert bare(octo).git("show", f"{answer['sha']}:f1") == "1"


def test_a_conflict_is_refused(octo: Octo) -> None:
    """405 "Pull Request is not mergeable"; mergeable is false and the state dirty."""
    octo.commit_on("main", "clash", {"f1": "other\n"})
    octo.push("main")
    seen = octo.rest("GET", "pulls/518")[1]
    assert [seen["mergeable"], seen["mergeable_state"]] == [False, "dirty"]
    status, answer = merge(octo, 518, merge_method="squash")
    assert [status, answer["message"]] == [405, "Pull Request is not mergeable"]
    assert octo.pull(518)["state"] == "OPEN"


@pytest.mark.parametrize(
    ("number", "body", "status", "message"),
    [
        (519, {}, 405, "Pull Request is still a draft"),
        (518, {"sha": "0" * 40}, 409, "Head branch was modified. Review and try the merge again."),
    ],
)
def test_what_is_refused(octo: Octo, number: int, body: dict[str, str], status: int, message: str) -> None:
    """Draft and a head that is not the expected one (REST, "Merge a pull request": 405 and 409)."""
    main = octo.remote_refs()["refs/heads/main"]
    seen, answer = merge(octo, number, **body)
    assert [seen, answer["message"]] == [status, message]
    assert octo.remote_refs()["refs/heads/main"] == main


def test_a_method_that_is_off(octo: Octo) -> None:
    """A repository may forbid a method."""
    octo.github.configure(octo.slug, squash_allowed=False)
    status, answer = merge(octo, 518, merge_method="squash")
    assert [status, answer["message"]] == [405, "Squash merges are not allowed on this repository."]


def test_merging_twice_is_refused(octo: Octo) -> None:
    """A merged pull request is not mergeable."""
    assert merge(octo, 518)[0] == 200
    assert merge(octo, 518)[0] == 405


def test_the_button_retargets_children(octo: Octo) -> None:
    """Deleted by the web button: the child goes to the parent's base and stays open (docs, "Managing branches")."""
    octo.github.merge(octo.slug, 518, delete_branch="web")
    child = octo.pull(519)
    assert [child["state"], child["base"]] == ["OPEN", "main"]
    assert octo.events(519) == ["AUTOMATIC_BASE_CHANGE_SUCCEEDED_EVENT"]
    refs = octo.remote_refs()
    assert "refs/heads/s1" not in refs
    assert refs["refs/pull/518/head"] == octo.clone.head("s1")


def test_delete_branch_on_merge_retargets_children(octo: Octo) -> None:
    """The repository's setting does it too, for a merge by the API."""
    octo.github.configure(octo.slug, delete_branch_on_merge=True)
    assert merge(octo, 518, merge_method="squash")[0] == 200
    assert octo.pull(519)["base"] == "main"
    assert "refs/heads/s1" not in octo.remote_refs()


def test_a_squashed_parent_leaves_the_child_as_it_was(octo: Octo) -> None:
    """Without deletion the child keeps its base; its commits are still compared with the old branch."""
    octo.github.merge(octo.slug, 518)
    assert octo.pull(519)["base"] == "s1"
    assert octo.rest("GET", "pulls/519")[1]["commits"] == 1


def test_a_merged_pull_request_keeps_its_commits(octo: Octo) -> None:
    """After the merge, GitHub still lists the pull request's own commits, also after a merge commit."""
    octo.github.merge(octo.slug, 518, method="merge")
    seen = octo.rest("GET", "pulls/518")[1]
    assert [seen["commits"], seen["additions"], seen["merged"]] == [1, 1, True]


def test_merge_async_is_polled(octo: Octo) -> None:
    """202 with a uuid, pending when first polled, then merged (OpenAPI description, merge-async)."""
    status, asked = octo.rest(
        "PUT", "pulls/518/merge-async", {"merge_method": "squash", "sha": octo.clone.head("s1")}
    )
    assert [status, asked["status"]] == [202, "pending"]
    poll = f"pulls/518/merge-async/{asked['details']['uuid']}"
    assert octo.rest("GET", poll)[1]["status"] == "pending"
    assert octo.rest("GET", poll)[1] == {
        "status": "merged",
        "details": {"message": "Pull request was merged.", "sha": octo.pull(518)["merge_commit"]},
    }
    again = octo.rest("PUT", "pulls/518/merge-async", {})
    assert [again[0], again[1]["status"]] == [200, "merged"]


def test_merge_async_fails_later_if_the_head_moved(octo: Octo) -> None:
    """Pushed between request and execution: "the merge will be cancelled" (same source)."""
    _, asked = octo.rest("PUT", "pulls/518/merge-async", {"merge_method": "squash"})
    octo.amend("s1")
    octo.push("s1", force=True)
    poll = f"pulls/518/merge-async/{asked['details']['uuid']}"
    octo.rest("GET", poll)
    assert octo.rest("GET", poll)[1]["status"] == "failed"
    assert octo.pull(518)["state"] == "OPEN"


def test_merge_async_refuses_at_once_what_it_can_see(octo: Octo) -> None:
    """A draft is 400 failed; a second request is 409 with the first one's uuid (same source)."""
    assert octo.rest("PUT", "pulls/519/merge-async", {})[0] == 400
    _, first = octo.rest("PUT", "pulls/518/merge-async", {})
    status, second = octo.rest("PUT", "pulls/518/merge-async", {"merge_method": "squash"})
    assert status == 409
    assert second["details"]["uuid"] == first["details"]["uuid"]
    assert octo.rest("GET", "pulls/518/merge-async/nope")[0] == 404
