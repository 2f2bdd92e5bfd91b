"""`invoke rescue`: a pull request that base deletion closed comes back with its number; what stops it; kills."""

from __future__ import annotations

import json
from collections.abc import Iterator

import pytest

from support.killing import Kill, Yard, YardLanding
from support.landing import SLUG, Landing
from support.soak import sample
from trunkline.sim.faults import FaultKind

pytestmark = pytest.mark.gh


def _closed(landing: Landing) -> None:
    """Merge #518 as `gh pr merge --delete-branch` does: the branch goes by the API, and #519 is closed with it."""
    landing.merge_parent(delete="rest")


@pytest.fixture
def stack(grounds: Yard) -> Iterator[YardLanding]:
    """Return the small stack with #519 closed for good, as it seems."""
    with grounds.prepared("closed", _closed) as prepared:
        assert isinstance(prepared, YardLanding)
        yield prepared


def assert_rescued(stack: Landing) -> None:
    """#519 is open with its head, on main; the old base is deleted again; nothing else moved."""
    pull = stack.pr(519)
    assert (pull["state"], pull["base"], pull["head_oid"]) == ("OPEN", "main", stack.heads[519])
    assert stack.remote_head("feat/one") == ""
    assert stack.pr(520)["state"] == "OPEN"


def test_the_pull_request_is_reopened(stack: YardLanding) -> None:
    """`status` names `rescue` for a closed pull request; after it the entry lands as usual."""
    assert stack.pr(519)["state"] == "CLOSED"
    assert stack.invoke("status").out.rstrip().endswith("next: invoke rescue --pr 519")
    refused = stack.invoke("rebase", "--pr", "519", "--yes")
    assert (refused.code, "next: invoke rescue --pr 519" in refused.err) == (5, True)
    ran = stack.invoke("rescue", "--pr", "519", "--yes")
    assert ran.code == 0, ran.out + ran.err
    assert_rescued(stack)
    again = stack.invoke("rescue", "--pr", "519", "--yes")
    assert (again.code, "#519 is open" in again.err) == (5, True)
    landed = stack.invoke("rebase", "--pr", "519", "--yes", "--skip", "fmt,gates")
    assert landed.code in {0, 1}, landed.out + landed.err
    assert stack.pr(519)["draft"] is False


def test_dry_run_changes_nothing(stack: YardLanding) -> None:
    """The plan, with the commands that a person would type."""
    before = stack.world()
    ran = stack.invoke("rescue", "--pr", "519", "--dry-run", "--json")
    assert ran.code == 0, ran.err
    (step,) = ran.json["plan"]["steps"]
    assert step["description"].startswith(
        f"restore feat/one at {stack.heads[518][:7]}, reopen #519, target main, delete"
    )
    assert step["commands"][1] == "gh pr reopen 519"
    assert stack.world() == before


def test_a_deleted_head_is_restored_too(stack: YardLanding) -> None:
    """Both branches deleted: both are restored, the head stays."""
    done = stack.run("gh", "api", "-X", "DELETE", f"repos/{SLUG}/git/refs/heads/feat/two")
    assert done.code == 0, done.err
    ran = stack.invoke("rescue", "--pr", "519", "--yes")
    assert ran.code == 0, ran.out + ran.err
    assert stack.pr(519)["state"] == "OPEN"
    assert stack.remote_head("feat/two") == stack.heads[519]


def test_where_github_refuses(stack: YardLanding) -> None:
    """The head was force-pushed meanwhile: the reason, the base removed again, the replacement's exact command."""
    stack.author.git("switch", "--quiet", "feat/two")
    stack.author.git("commit", "--quiet", "--amend", "-m", "rewritten")
    stack.push_as_author("feat/two", force=True)
    ran = stack.invoke("rescue", "--pr", "519", "--yes")
    assert ran.code == 5, ran.out
    assert "force-pushed" in ran.err
    assert stack.remote_head("feat/one") == ""
    create, update = (line.removeprefix("next: ") for line in ran.err.splitlines() if line.startswith("next: "))
    assert update == "invoke init --update   # then: the new one takes the place of #519"
    made = stack.run("sh", "-c", create)
    assert made.code == 0, create + made.err
    number = int(made.out.rstrip().rsplit("/", 1)[1])
    assert (stack.pr(number)["base"], stack.pr(number)["draft"], stack.pr(number)["body"]) == (
        "main",
        True,
        stack.pr(519)["body"],
    )


def test_a_reply_that_was_lost(stack: YardLanding) -> None:
    """The response to the reopening is lost: the pull request is observed again, and not reopened twice."""
    stack.github.inject(FaultKind.LOSE_REPLY, match=f"PATCH /repos/{SLUG}/pulls/519", times=1)
    ran = stack.invoke("rescue", "--pr", "519", "--yes", TRUNKLINE_WAIT_FACTOR="0")
    assert ran.code == 0, ran.out + ran.err
    assert_rescued(stack)


@pytest.mark.slow
@pytest.mark.parametrize("number", sample(range(7), 3))
def test_killed_after_each_record(stack: YardLanding, number: int) -> None:
    """Continue finishes it from anywhere."""
    killed = stack.kill(Kill("record", "after", number), "rescue", "--pr", "519", "--yes")
    assert killed.code == -9, json.dumps([killed.out, killed.err])
    ran = stack.invoke("continue")
    assert ran.code == 0, ran.out + ran.err
    assert_rescued(stack)


def test_abort_takes_the_restored_base_away(stack: YardLanding) -> None:
    """Killed before the reopening: abort leaves the remote as it was; once open, it is not closed again."""
    before = stack.world()
    assert stack.kill(Kill("-X", "after", 0), "rescue", "--pr", "519", "--yes").code == -9
    assert stack.remote_head("feat/one") == stack.heads[518]
    ran = stack.invoke("abort")
    assert ran.code == 0, ran.out + ran.err
    assert stack.world() == before
    assert stack.kill(Kill("-X", "after", 1), "rescue", "--pr", "519", "--yes").code == -9
    ran = stack.invoke("abort")
    assert (ran.code, "#519 is open again and stays so" in ran.out) == (0, True), ran.out + ran.err
    assert stack.pr(519)["state"] == "OPEN"
    assert "no run is open" in stack.invoke("continue").out
