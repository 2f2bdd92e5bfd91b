"""`invoke land --together`: several entries land without a push in between, or none does."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from support.killing import Kill, Yard, YardLanding
from support.landing import SLUG, Landing, rewrites
from support.repo import Repo
from support.stacking import OWN
from trunkline.sim.faults import Fault, FaultKind

pytestmark = pytest.mark.gh

QUICK = ("--skip", "fmt,gates", "--yes")
NO_WAIT: Any = {"TRUNKLINE_WAIT_FACTOR": "0"}
NUMBERS = tuple(OWN)


def guard(stack: Landing) -> None:
    """Let main demand a check and an approval, which a push dismisses; every entry has both."""
    stack.github.lever("run_ci", SLUG, names=["build"], requests=4)
    stack.github.lever("protect", SLUG, branch="main", name="main", approvals=1, checks=["build"], dismiss_stale=True)
    for number, (branch, _) in OWN.items():
        stack.github.add_check_run(SLUG, stack.remote_head(branch), "build")
        stack.github.review(SLUG, number, "reviewer")


def prepare(landing: Landing) -> None:
    """Move trunk, mark every entry as ready, and guard main."""
    landing.move_trunk()
    ready(landing)


def ready(landing: Landing) -> None:
    """Mark every entry as ready, and guard main."""
    for number in NUMBERS:
        landing.github.lever("set_ready", SLUG, number=number)
    guard(landing)


@pytest.fixture
def stack(grounds: Yard) -> Iterator[YardLanding]:
    """Return the small stack, approved and green, on a trunk that moved on elsewhere."""
    with grounds.prepared("approved", prepare) as prepared:
        assert isinstance(prepared, YardLanding)
        yield prepared


@pytest.fixture
def native(grounds: Yard) -> Iterator[YardLanding]:
    """Return the small stack, approved and green, on trunk's tip and linked as a native stack."""
    with grounds.prepared("approved-there", ready) as prepared:
        assert isinstance(prepared, YardLanding)
        prepared.github.lever("stack_natively", SLUG, numbers=list(NUMBERS))
        yield prepared


def states(stack: Landing) -> list[str]:
    """Return the states of the three pull requests."""
    return [stack.pr(number)["state"] for number in NUMBERS]


def tally(stack: Landing) -> dict[str, int]:
    """Return CI runs started, approvals dismissed, and heads force-pushed, so far."""
    found: dict[str, int] = stack.github.lever("tally", SLUG)
    return found


def merges(stack: Landing) -> list[str]:
    """Return the paths of the merge requests that GitHub received."""
    return [each.path for each in stack.github.requests() if each.method == "PUT" and "/merge" in each.path]


def test_one_after_the_other(stack: YardLanding) -> None:
    """Verified first, then merged: no CI run, no dismissed approval, no force-push."""
    before = tally(stack)
    plan = stack.invoke("land", "--together", "--dry-run", "--json").json["plan"]["steps"]
    order = [(step["step"], step.get("pr")) for step in plan]
    assert order.index(("onto", 520)) < order.index(("together", None)) < order.index(("merge", 518))
    ran = stack.invoke("land", "--together", *QUICK, **NO_WAIT)
    assert ran.code == 0, ran.out + ran.err
    assert states(stack) == ["MERGED"] * 3
    assert tally(stack) == before
    trunk = Repo(stack.github.bare(SLUG))
    assert trunk.subjects("main")[-3:] == ["PR 518 (#518)", "PR 519 (#519)", "evict (#520)"]
    assert stack.clone.git("show", "origin/main:src/evict.rs") == "//! Evict."


def test_a_native_stack_is_one_request(native: YardLanding) -> None:
    """One merge-async request for the top one, pinned to its head, merges all; a second run has nothing to do."""
    before = tally(native)
    head = native.pr(520)["head_oid"]
    shown = native.invoke("land", "--together", "--dry-run").out
    assert "with one request: GitHub's native stack" in shown
    ran = native.invoke("land", "--together", *QUICK, **NO_WAIT)
    assert ran.code == 0, ran.out + ran.err
    assert (states(native), tally(native)) == (["MERGED"] * 3, before)
    assert merges(native) == [f"/repos/{SLUG}/pulls/520/merge-async"]
    request = next(iter(native.github.state()["repositories"][SLUG]["merges"].values()))
    assert request["sha"] == head
    again = native.invoke("land", "--together", *QUICK)
    assert (again.code, "nothing to do" in again.out) == (0, True), again.out + again.err


def test_up_to_an_entry(native: YardLanding) -> None:
    """GitHub retargets and rebases what stays."""
    ran = native.invoke("land", "--together", "--up-to", "519", *QUICK, **NO_WAIT)
    assert ran.code == 0, ran.out + ran.err
    assert (states(native), native.pr(520)["base"]) == (["MERGED", "MERGED", "OPEN"], "main")


def test_a_reason_of_github_is_quoted(native: YardLanding) -> None:
    """All or none: one is closed during the request, so nothing is merged; the next command is printed."""
    route = f"PUT /repos/{SLUG}/pulls/520/merge-async"
    native.github.arm([Fault(FaultKind.CLOSE, match=route, repository=SLUG, number=518)])
    ran = native.invoke("land", "--together", *QUICK, **NO_WAIT)
    assert (ran.code, "Pull request #518 in the stack is closed" in ran.err) == (5, True), ran.out + ran.err
    assert states(native) == ["CLOSED", "OPEN", "OPEN"]
    ran = native.invoke("continue", "--yes", **NO_WAIT)
    assert (ran.code, "#518 is closed" in ran.err, "rescue --pr 518" in ran.err) == (5, True, True), ran.err


@pytest.mark.slow
@pytest.mark.parametrize("ejected", [False, True], ids=["whole", "ejected"])
def test_a_merge_queue_takes_a_native_stack(native: YardLanding, *, ejected: bool) -> None:
    """Waited for as one; where an entry is ejected, what is below it counts, and the rest lands later."""
    native.github.lever("protect", SLUG, branch="main", name="main", queue=True)
    native.github.lever("hold_queue", SLUG, requests=4)
    kill = Kill(f"repos/{SLUG}/pulls/520/merge-async", "after", 0 if ejected else 99)
    ran = native.kill(kill, "land", "--together", *QUICK, **NO_WAIT)
    if ejected:
        for _ in range(2):
            native.run("gh", "api", f"repos/{SLUG}/pulls/518")
        native.github.lever("leave_queue", SLUG, number=519, reason="a check failed")
        while states(native)[0] == "OPEN":
            native.run("gh", "api", f"repos/{SLUG}/pulls/518")
        assert states(native) == ["MERGED", "OPEN", "OPEN"]
        ran = native.invoke("continue", "--yes", **NO_WAIT)
    assert (ran.code, states(native)) == (0, ["MERGED"] * 3), ran.out + ran.err


def test_an_entry_that_must_be_rewritten_stops_it(stack: YardLanding) -> None:
    """Exit 5 before anything moves, with the command for those below it."""
    author = stack.author
    old = author.git("rev-parse", "feat/two")
    author.git("switch", "--quiet", "feat/two")
    author.commit("widen the arena", {"src/arena.rs": rewrites(9)}, author="Grace")
    stack.push_as_author("feat/two")
    author.git("rebase", "--quiet", "--onto", "feat/two", old, "feat/three")
    stack.push_as_author("feat/three", force=True)
    stack.clone.git("fetch", "--quiet", "origin", env=stack.environment())
    before = stack.world()
    ran = stack.invoke("land", "--together", *QUICK, **NO_WAIT)
    assert (ran.code, "#519 cannot be landed together with the others" in ran.err) == (5, True), ran.out + ran.err
    assert "next: invoke land --together --up-to 518" in ran.err
    assert stack.world() == before


def test_a_native_stack_that_is_not_linear_stops_it(native: YardLanding) -> None:
    """Trunk moved: restack keeps the stack whole with one push, and then it lands with one request."""
    native.move_trunk()
    ran = native.invoke("land", "--together", *QUICK, **NO_WAIT)
    assert (ran.code, "only if it holds the tip of origin/main" in ran.err) == (5, True), ran.out + ran.err
    assert native.invoke("restack", "--yes").code == 0
    native.github.lever("protect", SLUG, branch="main", name="main")
    ran = native.invoke("land", "--together", *QUICK, **NO_WAIT)
    assert (ran.code, states(native)) == (0, ["MERGED"] * 3), ran.out + ran.err


@pytest.mark.slow
def test_merged_meanwhile_by_somebody_else(native: YardLanding) -> None:
    """The bottom one is merged on the web meanwhile, and GitHub rebases the others: it counts, they follow."""
    native.github.lever("protect", SLUG, branch="main", name="main")
    assert native.kill(Kill("record", "after", 20), "land", "--together", *QUICK, **NO_WAIT).code == -9
    assert states(native) == ["OPEN"] * 3
    native.github.merge(SLUG, 518)
    ran = native.invoke("continue", "--yes", **NO_WAIT)
    assert ran.code == 0, ran.out + ran.err
    assert states(native) == ["MERGED"] * 3
    landed = ["start", "PR 518 (#518)", "PR 519 (#519)", "evict (#520)"]
    assert Repo(native.github.bare(SLUG)).subjects("main") == landed


def test_somebody_pushes_while_it_runs(native: YardLanding) -> None:
    """Commits pushed by others need a confirmation that `--yes` does not give; nothing is merged."""
    assert native.kill(Kill("record", "after", 20), "land", "--together", *QUICK, **NO_WAIT).code == -9
    native.author.git("switch", "--quiet", "feat/two")
    native.author.commit("theirs", {"theirs.txt": "theirs\n"}, author="Mallory")
    native.push_as_author("feat/two")
    ran = native.invoke("continue", "--yes", **NO_WAIT)
    assert (ran.code, "theirs" in ran.err, states(native)) == (3, True, ["OPEN"] * 3), ran.out + ran.err


@pytest.mark.slow
@pytest.mark.parametrize(
    "point",
    [
        Kill("record", "after", 40),
        Kill(f"repos/{SLUG}/pulls/520/merge-async", "after", 0),
        Kill("record", "after", 43),
    ],
    ids=str,
)
def test_killed_with_a_native_stack(native: YardLanding, point: Kill) -> None:
    """Before the request, after it, and after the merge: continue finishes it, and it is not repeated."""
    assert native.kill(point, "land", "--together", *QUICK, **NO_WAIT).code == -9
    ran = native.invoke("continue", "--yes", **NO_WAIT)
    assert (ran.code, states(native)) == (0, ["MERGED"] * 3), ran.out + ran.err
    assert len(merges(native)) == 1


@pytest.mark.slow
def test_killed_between_two_merges(stack: YardLanding) -> None:
    """Continue merges the rest; abort leaves what is merged."""
    route = f"repos/{SLUG}/pulls/518/merge-async"
    assert stack.kill(Kill(route, "after", 0), "land", "--together", *QUICK, **NO_WAIT).code == -9
    ran = stack.invoke("continue", "--yes", **NO_WAIT)
    assert (ran.code, states(stack)) == (0, ["MERGED"] * 3), ran.out + ran.err
