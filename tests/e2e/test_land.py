"""`invoke land`: the stack lands itself, bottom first; what stops it, and what a kill leaves."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

import pytest

from support.killing import Kill, Yard, YardLanding
from support.landing import SLUG, Landing
from support.repo import Repo
from support.soak import sample
from support.stacking import OWN
from trunkline.sim.faults import FaultKind

pytestmark = pytest.mark.gh

QUICK = ("--skip", "fmt,gates", "--yes")
NO_WAIT: Any = {"TRUNKLINE_WAIT_FACTOR": "0"}


@pytest.fixture
def stack(grounds: Yard) -> Iterator[YardLanding]:
    """Return the small stack, nothing merged, on a trunk that moved on."""
    with grounds.prepared("open", Landing.move_trunk) as prepared:
        assert isinstance(prepared, YardLanding)
        yield prepared


def states(landing: Landing) -> list[str]:
    """Return the states of the three pull requests."""
    return [landing.pr(number)["state"] for number in OWN]


def trunk(landing: Landing) -> list[str]:
    """Return trunk's subjects on the remote, oldest first."""
    return Repo(landing.github.bare(SLUG)).subjects("main")


LANDED = ["start", "trunk moves on", "PR 518 (#518)", "PR 519 (#519)", "evict (#520)"]


def test_the_stack_lands_itself(stack: YardLanding) -> None:
    """Three squashes on trunk, none of them twice; no pull request closed; no branch is left."""
    files = stack.clone.git("status", "--porcelain")
    ran = stack.invoke("land", *QUICK, **NO_WAIT)
    assert ran.code == 0, ran.out + ran.err
    assert states(stack) == ["MERGED"] * 3
    assert trunk(stack) == LANDED
    for number, (branch, _) in OWN.items():
        assert f"refs/heads/{branch}" not in stack.clone.refs()
        assert stack.remote_head(branch) == ""
        assert stack.pr(number)["base"] == "main"
    assert stack.clone.git("status", "--porcelain") == files
    assert stack.clone.git("show", "origin/main:src/evict.rs") == "//! Evict."


def test_dry_run_prints_the_whole_plan(stack: YardLanding) -> None:
    """Every step of every entry, with predicted conflicts; nothing moves."""
    before = stack.world()
    ran = stack.invoke("land", "--dry-run", "--json")
    assert ran.code == 0, ran.err
    plan = [(step["step"], step.get("pr")) for step in ran.json["plan"]["steps"]]
    assert [step for step in plan if step[0] == "merge"] == [("merge", 518), ("merge", 519), ("merge", 520)]
    assert plan[-1] == ("cleanup", None)
    assert ran.json["merges"] == [{"pr": number, "as_is": True, "rewritten_because": ""} for number in OWN]
    assert "gives the same result as a replay of its own commits" in ran.out
    assert stack.world() == before


def test_what_is_merged_is_reported_first_and_last(stack: YardLanding) -> None:
    """In which order, before a long plan and behind it; and with the question, whose default is no."""
    ran = stack.invoke("land", "--dry-run")
    lines = ran.out.splitlines()
    order = ["  1. #518 feat/one  Arena", "  2. #519 feat/two  Entry", "  3. #520 feat/three  Eviction"]
    assert lines[1:5] == ["lands 3 pull requests on origin/main, in this order:", *order]
    planned = [f"{line}: merged as it is" for line in order]
    assert lines[-5:-1] == ["would land 3 pull requests on origin/main, in this order:", *planned]
    assert lines[-1] == "next: invoke land"
    before = stack.world()
    asked = stack.on_terminal("land", "--skip", "fmt,gates", "--pr", "518", typed=b"\n")
    assert re.search(r"1\. #518 feat/one  Arena\r?\nPublish\? \[y/N\]", asked.out), asked.out
    assert (asked.code, stack.world()) == (0, before)


@pytest.mark.parametrize("skipped", ["gates", "fmt,gates", "checks"])
def test_receipts_that_are_not_made_merge_nothing(stack: YardLanding, skipped: str) -> None:
    """`--require gates` with the gates skipped: contradictory, before anything runs; by stack.toml, too."""
    before = stack.world()
    ran = stack.invoke("land", "--require", "gates", "--skip", skipped)
    assert (ran.code, "contradict each other" in ran.err) == (2, True), ran.out + ran.err
    assert "receipts of this machine" not in ran.out
    assert stack.world() == before
    stack.land_setting('require = "gates"')
    assert stack.invoke("land", "--skip", skipped).code == 2


@pytest.mark.parametrize("method", ["rebase", "merge"])
def test_other_merge_methods(stack: YardLanding, method: str) -> None:
    """With another merge method by flag, the entries above still recognise the merge."""
    ran = stack.invoke("land", *QUICK, "--method", method, **NO_WAIT)
    assert ran.code == 0, ran.out + ran.err
    own = [subject for _, subjects in OWN.values() for subject in subjects]
    assert [subject for subject in trunk(stack) if subject in own] == own


def test_up_to_an_entry(stack: YardLanding) -> None:
    """`--pr 518`: the others stay open, the next one is retargeted before the branch below goes."""
    ran = stack.invoke("land", *QUICK, "--pr", "518", **NO_WAIT)
    assert ran.code == 0, ran.out + ran.err
    assert states(stack) == ["MERGED", "OPEN", "OPEN"]
    assert stack.pr(519)["base"] == "main"
    assert stack.remote_head("feat/one") == ""


def test_no_child_is_closed_when_its_base_goes(stack: YardLanding) -> None:
    """github/gh-stack#443, cli/cli#14223: GitHub deletes the merged branch; its child was retargeted before."""
    stack.github.configure(SLUG, delete_branch_on_merge=True)
    ran = stack.invoke("land", *QUICK, "--pr", "518", **NO_WAIT)
    assert ran.code == 0, ran.out + ran.err
    assert (states(stack), stack.remote_head("feat/one")) == (["MERGED", "OPEN", "OPEN"], "")
    asked = [f"{each.method} {each.path}" for each in stack.github.requests()]
    retargeted = asked.index(f"PATCH /repos/{SLUG}/pulls/519")
    assert retargeted < next(
        at for at, line in enumerate(asked) if line.startswith(f"PUT /repos/{SLUG}/pulls/518/merge")
    )
    assert not [line for line in asked if line.startswith("DELETE")]


def test_a_red_check_stops_it(stack: YardLanding) -> None:
    """Exit 1 with the check's name; nothing is merged; once it is green, continue goes on."""
    assert stack.invoke("rebase", "--pr", "518", "--skip", "fmt,gates").code == 0
    head = stack.remote_head("feat/one")
    stack.github.add_check_run(SLUG, head, "build", conclusion="FAILURE")
    ran = stack.invoke("land", *QUICK, "--pr", "518", **NO_WAIT)
    assert (ran.code, "build: failure" in ran.err) == (1, True), ran.err
    assert states(stack) == ["OPEN"] * 3
    assert ran.err.rstrip().splitlines()[-1] == "next: invoke continue --yes"


def test_checks_that_do_not_end_are_waited_for_so_long(stack: YardLanding) -> None:
    """Pending: bounded, exit 6, resumable; and nothing merged."""
    assert stack.invoke("rebase", "--pr", "518", "--skip", "fmt,gates").code == 0
    stack.github.add_check_run(SLUG, stack.remote_head("feat/one"), "build", status="IN_PROGRESS")
    ran = stack.invoke("land", *QUICK, "--pr", "518", **NO_WAIT)
    assert (ran.code, "waits for checks" in ran.err) == (6, True), ran.err
    assert states(stack) == ["OPEN"] * 3


def test_changes_requested_wait_for_a_person(stack: YardLanding) -> None:
    """Exit 3; an approval later, continue lands it."""
    stack.github.review(SLUG, 518, "reviewer", state="CHANGES_REQUESTED")
    ran = stack.invoke("land", *QUICK, "--pr", "518", **NO_WAIT)
    assert (ran.code, "changes requested by @reviewer" in ran.err) == (3, True), ran.err
    stack.github.review(SLUG, 518, "reviewer", state="APPROVED")
    ran = stack.invoke("continue", **NO_WAIT)
    assert ran.code == 0, ran.out + ran.err
    assert states(stack)[0] == "MERGED"


def test_a_lagging_head_is_waited_for(stack: YardLanding) -> None:
    """GitHub shows the pushed head only after a while: never merged before it does."""
    stack.github.set_lag(SLUG, 3)
    ran = stack.invoke("land", *QUICK, **NO_WAIT)
    assert ran.code == 0, ran.out + ran.err
    assert trunk(stack) == LANDED


def test_ci_that_starts_with_each_push_is_waited_for(stack: YardLanding) -> None:
    """Checks begin with every new head, mergeability is unknown for a while: each merge waits for both."""
    stack.github.lever("run_ci", SLUG, names=["build", "test"], requests=8)
    stack.github.lever("set_mergeability_lag", SLUG, requests=6)
    stack.land_setting('rewrite = "always"')
    ran = stack.invoke("land", *QUICK, **NO_WAIT)
    assert ran.code == 0, ran.out + ran.err
    assert "waits for checks: build, test" in ran.out
    assert ran.out.count("2 checks passed") == 3
    assert trunk(stack) == LANDED


def test_a_merge_queue_is_waited_for(stack: YardLanding) -> None:
    """The entry is enqueued with its head pinned; its position is shown; the next entry waits until trunk has it."""
    stack.github.lever("protect", SLUG, branch="main", name="main only by queue", queue=True)
    ran = stack.invoke("land", *QUICK, **NO_WAIT)
    assert ran.code == 0, ran.out + ran.err
    assert ran.out.count("is number 1 in the merge queue") == 3
    assert trunk(stack) == LANDED


def test_leaving_the_merge_queue_stops_it(stack: YardLanding) -> None:
    """The time is up: exit 6. Taken out meanwhile, continue enqueues it again and lands it."""
    stack.github.lever("protect", SLUG, branch="main", name="queue", queue=True)
    stack.github.lever("hold_queue", SLUG, requests=500)
    ran = stack.invoke("land", *QUICK, "--pr", "518", **NO_WAIT)
    assert (ran.code, "#518 is still in the merge queue" in ran.err) == (6, True), ran.err
    stack.github.lever("leave_queue", SLUG, number=518, reason="checks failed")
    assert states(stack)[0] == "OPEN"
    stack.github.lever("hold_queue", SLUG, requests=2)
    ran = stack.invoke("continue", **NO_WAIT)
    assert (ran.code, states(stack)[0]) == (0, "MERGED"), ran.out + ran.err


def test_a_rule_that_blocks_is_named(stack: YardLanding) -> None:
    """Exit code 3 with the ruleset's name and requirements; `continue` lands after the approval."""
    stack.github.lever("protect", SLUG, branch="main", name="Two pairs of eyes", approvals=1, checks=["build"])
    ran = stack.invoke("land", *QUICK, "--pr", "518", **NO_WAIT)
    assert (ran.code, states(stack)[0]) == (3, "OPEN"), ran.out + ran.err
    assert 'main has ruleset "Two pairs of eyes": approvals, checks' in ran.err
    stack.github.review(SLUG, 518, "grace")
    stack.github.add_check_run(SLUG, stack.remote_head("feat/one"), "build")
    ran = stack.invoke("continue", **NO_WAIT)
    assert ran.code == 0, ran.out + ran.err
    assert states(stack)[0] == "MERGED"


@pytest.mark.parametrize("name", ["open", "unmoved"])
def test_a_native_stack_is_merged_and_never_retargeted(grounds: Yard, name: str) -> None:
    """merge-async only; GitHub moves the bases above and rebases them, and its versions are taken."""
    moved = name == "open"
    with grounds.prepared(name, Landing.move_trunk if moved else _nothing) as stack:
        number = stack.github.lever("stack_natively", SLUG, numbers=[518, 519, 520])
        ran = stack.invoke("land", *QUICK, "--pr", "519", **NO_WAIT)
        assert ran.code == 0, ran.out + ran.err
        assert f"#519 is in GitHub's native stack {number}: GitHub retargets it" in ran.out
        rewritten = f"#518 is rewritten because GitHub merges its native stack {number} only if it holds the tip of"
        assert (rewritten in ran.out) == moved
        assert ran.out.count("lease held") == (2 if moved else 0)
        assert [stack.pr(number)["state"] for number in OWN] == ["MERGED", "MERGED", "OPEN"]
        assert "CHANGED_BASE" not in str(stack.pr(519)["events"])


def _nothing(_: Landing) -> None:
    """Leave trunk as it is."""


def test_a_branch_with_unpushed_work_or_of_others_stays(stack: YardLanding) -> None:
    """git-spice#1107: the local branch holds more than was merged; a pull request outside the stack needs another."""
    stack.author.git("switch", "--quiet", "--create", "other", "feat/two")
    stack.author.commit("built on it", {"other.txt": "o\n"})
    stack.push_as_author("other")
    stack.github.open_pull_request(SLUG, head="other", base="feat/two", title="Other", body="", number=600)
    assert stack.invoke("land", "--yes", "--pr", "518", "--skip", "fmt,gates,cleanup", **NO_WAIT).code == 0
    stack.clone.git("switch", "--quiet", "feat/one")
    mine = stack.clone.commit("not pushed", {"mine.txt": "m\n"})
    stack.clone.git("switch", "--quiet", "main")
    ran = stack.invoke("land", *QUICK, "--pr", "519", **NO_WAIT)
    assert ran.code == 0, ran.out + ran.err
    assert "feat/one stays" in ran.out
    assert stack.clone.head("feat/one") == mine
    assert "feat/two stays: #600 is based on it, and would be closed" in ran.out
    assert stack.pr(600)["state"] == "OPEN"


def test_nonsense_is_refused(stack: YardLanding) -> None:
    """Unknown choices, and two last entries: exit code 2, before any request."""
    for flags in (("--require", "luck"), ("--method", "ours"), ("--pr", "999"), ("--pr", "519", "--up-to", "518")):
        assert stack.invoke("land", *QUICK, *flags).code == 2
    assert (states(stack), trunk(stack)) == (["OPEN"] * 3, LANDED[:2])


def test_a_merge_whose_reply_was_lost_is_not_done_twice(stack: YardLanding) -> None:
    """The connection drops after GitHub merged: the pull request is observed again, and the landing continues."""
    route = "PUT /repos/octo/tiny/pulls/{}/merge-async"
    stack.github.inject(FaultKind.LOSE_REPLY, match=route.format(518), times=1)
    stack.github.inject(FaultKind.STATUS, match=route.format(519), status=405, times=1)
    ran = stack.invoke("land", *QUICK, **NO_WAIT)
    assert (ran.code, "#519 is not merged: GitHub does not allow it" in ran.err) == (5, True), ran.err
    assert "next: invoke continue --yes\nnext: invoke open --pr 519" in ran.err
    ran = stack.invoke("continue", **NO_WAIT)
    assert ran.code == 0, ran.out + ran.err
    assert trunk(stack) == LANDED


@pytest.mark.slow
@pytest.mark.parametrize("number", sample([27, 12, 26, 28, 29, 55], 2))
def test_continue_finishes_a_killed_landing(stack: YardLanding, number: int) -> None:
    """Killed after a record, around the merges above all: continue lands the rest, nothing twice."""
    assert stack.kill(Kill("record", "after", number), "land", *QUICK, **NO_WAIT).code == -9
    ran = stack.invoke("continue", **NO_WAIT)
    assert ran.code == 0, ran.out + ran.err
    assert (states(stack), trunk(stack)) == (["MERGED"] * 3, LANDED)


def test_abort_leaves_what_is_merged(stack: YardLanding) -> None:
    """Killed in the second entry: abort puts that one back, but not onto the branch of what landed, which will go."""
    stack.land_setting('rewrite = "always"')
    assert stack.kill(Kill("record", "after", 50), "land", *QUICK, **NO_WAIT).code == -9
    assert states(stack) == ["MERGED", "OPEN", "OPEN"]
    ran = stack.invoke("abort", **NO_WAIT)
    assert ran.code == 0, ran.out + ran.err
    assert stack.remote_head("feat/two") == stack.heads[519]
    assert (stack.pr(519)["draft"], stack.pr(519)["base"]) == (True, "main")
    assert "#519 a draft again, targets main" in ran.out
    assert states(stack) == ["MERGED", "OPEN", "OPEN"]
