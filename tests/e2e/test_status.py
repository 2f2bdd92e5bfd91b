"""`invoke status`: the picture of a stack, in the states that a maintainer meets."""

from __future__ import annotations

import sys
from typing import Any

import pytest

from support.killing import YardLanding
from support.landing import SLUG, Landing

pytestmark = pytest.mark.gh


def seen(landing: Landing, *flags: str) -> dict[str, Any]:
    """Return the stack as in `status --json`."""
    ran = landing.invoke("status", "--json", *flags)
    assert ran.code == 0, ran.err
    return dict(ran.json["stack"])


def states(picture: dict[str, Any]) -> list[str]:
    """Return each entry's state, bottom first."""
    return [entry["state"] for entry in picture["entries"]]


def test_after_the_parent_was_merged(stack: YardLanding) -> None:
    """Status shows what is merged, what that left behind, and one command; nothing moves."""
    before = stack.world()
    picture = seen(stack)
    assert states(picture) == ["merged", "restack", "draft"]
    assert [entry["own_commits"] for entry in picture["entries"]] == [None, 2, 1]
    assert picture["next"] == "invoke rebase --pr 519"
    assert "origin/main moved on since it was fetched" in picture["notes"]
    ran = stack.invoke("status")
    assert ran.code == 0
    assert "✓ #518 Arena  merged 20" in ran.out
    assert "! #519 Entry  needs rebase" in ran.out
    assert ran.out.splitlines()[-1] == "next: invoke rebase --pr 519"
    assert stack.world() == before


def test_offline_sends_no_request(stack: YardLanding) -> None:
    """Without a request, status shows git's local state and is marked as offline."""
    stack.clone.git("fetch", "--quiet", "origin", env=stack.environment())
    before = stack.github.requests()
    picture = seen(stack, "--offline")
    assert stack.github.requests() == before
    assert states(picture) == ["restack", "unknown", "unknown"]
    assert picture["notes"] == ["offline: GitHub's state is unknown; origin is as of the last fetch"]


def test_a_failed_gate_is_reported_everywhere(stack: YardLanding) -> None:
    """`gates --json` has every verdict although it failed; status and report then show which one, and since when."""
    path = stack.clone.path / "stack.toml"
    path.write_text(path.read_text().replace('[gates.test]\nrun = ["true"]', '[gates.test]\nrun = ["false"]'))
    assert stack.invoke("trust", "--yes").code == 0
    stack.clone.git("branch", "--quiet", "feat/two", "origin/feat/two")
    ran = stack.invoke("gates", "--pr", "519", "--json")
    assert ran.code == 1, ran.out + ran.err
    (step,) = ran.json["steps"]
    verdicts = {each["gate"]: each["verdict"] for each in step["data"]["outcomes"]}
    assert verdicts == {**dict.fromkeys(("build", "clippy", "fmt", "doc", "msrv"), "passed"), "test": "failed"}
    (failed,) = [each for each in ran.json["error"]["outcomes"] if each["gate"] == "test"]
    assert (failed["cause"], failed["log"] != "", failed["seconds"] >= 0) == ("command-failed", True, True)
    entry = seen(stack, "--offline")["entries"][1]
    assert entry["gates"] == verdicts
    assert entry["verdicts"]["test"].startswith("failed since 20")
    picture = stack.invoke("status", "--offline").out
    assert "✗ #519" in picture
    assert "gates 5 of 6 passed  ✗ test failed since 20" in picture
    report = stack.invoke("report", "--offline", "--markdown").out
    assert "- [ ] **test** failed since 20" in report


def test_receipts_and_what_others_pushed(stack: YardLanding) -> None:
    """A landing's gates are listed; commits of a colleague that were not fetched come first."""
    ran = stack.invoke("rebase", "--pr", "519", "--yes")
    assert ran.code == 0, ran.out + ran.err
    picture = seen(stack)
    assert states(picture) == ["merged", "ready", "restack"]
    assert set(picture["entries"][1]["gates"].values()) == {"passed"}
    assert picture["next"] == "invoke restack"
    stack.author.git("switch", "--quiet", "feat/three")
    stack.author.commit("theirs", {"theirs.txt": "theirs\n"}, author="Mallory")
    stack.push_as_author("feat/three")
    picture = seen(stack)
    assert states(picture) == ["merged", "ready", "fetch"]
    assert picture["next"] == "git fetch origin"


def test_one_round_trip(stack: YardLanding) -> None:
    """One request for a stack of any length; native stacks are queried once."""
    seen(stack)
    before = len(stack.github.requests())
    seen(stack)
    assert len(stack.github.requests()) == before + 1


def test_what_a_task_loads(stack: YardLanding) -> None:
    """A list of tasks imports neither tables nor templates; a status the tables and the observer."""
    heavy = {"jinja2", "nox", "rich", "tenacity", "tomlkit", "trunkline.context.loading"}

    def loaded(*args: str) -> set[str]:
        ran = stack.run(sys.executable, "-X", "importtime", "-m", "invoke", *args)
        assert ran.code == 0, ran.err
        return heavy & {line.rpartition("|")[2].strip() for line in ran.err.splitlines()}

    assert loaded("--list") == set()
    assert loaded("status") == {"rich", "trunkline.context.loading"}


@pytest.mark.parametrize(
    "task",
    [("restack", "--dry-run"), ("rebase", "--pr", "519", "--dry-run"), ("checklist", "--pr", "519")],
    ids=lambda task: task[0],
)
def test_a_task_sends_one_query_for_the_stack(stack: YardLanding, task: tuple[str, ...]) -> None:
    """A task that plans sends the query for the pull requests once."""
    stack.run("gh", "api", "rate_limit")
    before = len(stack.github.requests())
    stack.invoke(*task)
    asked = stack.github.requests()[before:]
    assert [request.operation for request in asked if request.operation == "Stack"] == ["Stack"]


def test_a_pull_request_that_base_deletion_closed(stack: YardLanding) -> None:
    """Closed without a merge: status prints the command that reopens it."""
    stack.run("gh", "pr", "close", "520", "--repo", SLUG)
    picture = seen(stack)
    assert states(picture)[2] == "closed"
    assert picture["next"] == "invoke rescue --pr 520"


def test_reviewers_their_requests_and_a_renamed_branch(stack: YardLanding) -> None:
    """Reviewers by name, open threads counted, failed checks by name; a branch renamed on GitHub is reported."""
    stack.github.review(SLUG, 520, "grace", state="CHANGES_REQUESTED", threads=2)
    stack.github.add_check_run(SLUG, stack.pr(520)["head_oid"], "ci / build", conclusion="FAILURE")
    path = stack.clone.path / "stack.toml"
    path.write_text(path.read_text().replace('branch = "feat/two"', 'branch = "feat/deux"'))
    ran = stack.invoke("status", "--json")
    entries = ran.json["stack"]["entries"]
    assert [entry["state"] for entry in entries] == ["merged", "renamed", "draft"]
    assert entries[2]["pull_request"]["reviewers"] == [{"login": "grace", "state": "CHANGES_REQUESTED"}]
    assert entries[2]["pull_request"]["failed_checks"] == ["ci / build"]
    assert ran.json["stack"]["next"] == "invoke init --update"
    assert (
        "changes requested by @grace, 2 threads open  ·  failed: ci / build" in ran.err + stack.invoke("status").out
    )
    assert stack.invoke("init", "--update").code == 0
    assert seen(stack)["entries"][1]["state"] == "restack"


def test_native_stacks(stack: YardLanding) -> None:
    """Number, position and what is not linked, with the command; each is in the JSON, too."""
    stack.github.lever("enable_stacks", SLUG)
    ran = stack.invoke("status")
    shown = "GitHub shows the open entries as separate pull requests, not as a native stack"
    assert f"{shown}; to link them: invoke restack" in " ".join(ran.out.split()), ran.out
    assert stack.invoke("restack", "--yes").code == 0
    number = seen(stack)["native"]["stack"]
    assert f"2 of 2 in native stack {number}" in stack.invoke("status").out
    picture = seen(stack)
    assert picture["native"] == {"linked": "linked", "stack": number}
    assert picture["entries"][2]["native"] == {"stack": number, "position": 2, "size": 2}
    assert seen(stack, "--offline")["native"] is None
    found = stack.invoke("init", "--dry-run", "--json").json
    assert found["native"] == [{"stack": number, "prs": [519, 520]}]
