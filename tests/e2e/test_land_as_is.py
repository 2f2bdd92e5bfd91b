"""`invoke land` merges approved heads as they are, and rewrites only what has to be: counted at the simulator."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from support.killing import Yard, YardLanding
from support.landing import SLUG, Landing, rewrites
from support.repo import Repo
from support.stacking import OWN

pytestmark = pytest.mark.gh

QUICK = ("--skip", "fmt,gates", "--yes")
NO_WAIT: Any = {"TRUNKLINE_WAIT_FACTOR": "0"}
NUMBERS = tuple(OWN)


@pytest.fixture
def stack(grounds: Yard) -> Iterator[YardLanding]:
    """Return the small stack, nothing merged, on a trunk that moved on elsewhere."""
    with grounds.prepared("open", Landing.move_trunk) as prepared:
        assert isinstance(prepared, YardLanding)
        yield prepared


def guard(stack: Landing, **demands: Any) -> None:
    """Require CI and an approval on main; each push starts CI and dismisses approvals; every entry has both."""
    stack.github.lever("run_ci", SLUG, names=["build"], requests=4)
    stack.github.lever(
        "protect", SLUG, branch="main", name="main", approvals=1, checks=["build"], dismiss_stale=True, **demands
    )
    for number, (branch, _) in OWN.items():
        stack.github.add_check_run(SLUG, stack.remote_head(branch), "build")
        stack.github.review(SLUG, number, "reviewer")


def tally(stack: Landing) -> tuple[int, int, int]:
    """Return CI runs started, approvals dismissed, and heads force-pushed, so far."""
    found = stack.github.lever("tally", SLUG)
    return found["ci_runs"], found["dismissed"], found["force_pushes"]


def touch_the_line_below(stack: Landing) -> None:
    """Let #519 change a line that #518 adds, with #520 on top of it again."""
    author = stack.author
    old = author.git("rev-parse", "feat/two")
    author.git("switch", "--quiet", "feat/two")
    author.commit("widen the arena", {"src/arena.rs": rewrites(9)}, author="Grace")
    stack.push_as_author("feat/two")
    author.git("rebase", "--quiet", "--onto", "feat/two", old, "feat/three")
    stack.push_as_author("feat/three", force=True)
    stack.clone.git("fetch", "--quiet", "origin", env=stack.environment())


def messages(stack: Landing) -> list[str]:
    """Return the messages of trunk's newest three commits, oldest first."""
    bare = Repo(stack.github.bare(SLUG))
    return [bare.git("log", "-1", "--format=%B", f"main~{back}").strip() for back in (2, 1, 0)]


def test_approved_heads_are_merged_without_a_push(stack: YardLanding) -> None:
    """No CI run, no dismissed approval, no force-push; each squash names the entry's own commits only."""
    guard(stack)
    before, heads = tally(stack), [stack.pr(number)["head_oid"] for number in NUMBERS]
    ran = stack.invoke("land", *QUICK, **NO_WAIT)
    assert ran.code == 0, ran.out + ran.err
    assert tally(stack) == before
    assert [stack.pr(number)["state"] for number in NUMBERS] == ["MERGED"] * 3
    assert [stack.pr(number)["head_oid"] for number in NUMBERS] == heads
    assert ran.out.count("nothing to rewrite: ") == 3
    first, second, third = messages(stack)
    assert first.splitlines()[0] == "PR 518 (#518)"
    listed = "* entry struct\n\n* use the arena\n\nBody: with #518 and @somebody"
    assert second.startswith(f"PR 519 (#519)\n\n{listed}"), second
    assert "arena 1" not in second
    assert third == "evict (#520)"
    assert stack.clone.git("show", "origin/main:src/evict.rs") == "//! Evict."


def test_rewriting_every_entry_starts_ci_and_dismisses_approvals(stack: YardLanding) -> None:
    """The opposite of the test above: `rewrite = "always"` stops for a new approval at the first entry."""
    guard(stack)
    stack.land_setting('rewrite = "always"')
    before = tally(stack)
    ran = stack.invoke("land", *QUICK, **NO_WAIT)
    assert (ran.code, "an approval is required" in ran.err) == (3, True), ran.out + ran.err
    assert [now - then for now, then in zip(tally(stack), before, strict=True)] == [1, 1, 1]


def test_only_what_changes_lines_from_below_is_rewritten(stack: YardLanding) -> None:
    """The middle one of three is rewritten once, for that reason; the one above it stays as it is."""
    touch_the_line_below(stack)
    stack.github.lever("run_ci", SLUG, names=["build"], requests=4)
    before = tally(stack)
    ran = stack.invoke("land", "--dry-run")
    why = "merging it as it is would conflict with origin/main in src/arena.rs"
    assert ran.out.splitlines()[-4:-1] == [
        "  1. #518 feat/one  Arena: merged as it is",
        f"  2. #519 feat/two  Entry: rewritten because {why}",
        "  3. #520 feat/three  Eviction: merged as it is",
    ]
    ran = stack.invoke("land", *QUICK, **NO_WAIT)
    assert ran.code == 0, ran.out + ran.err
    assert [now - then for now, then in zip(tally(stack), before, strict=True)] == [1, 0, 1]
    assert f"#519 is rewritten because {why}" in ran.out
    assert [stack.pr(number)["state"] for number in NUMBERS] == ["MERGED"] * 3
    assert stack.clone.git("show", "origin/main:src/arena.rs") == rewrites(9).strip()


def test_never_refuses_to_rewrite(stack: YardLanding) -> None:
    """Exit 5 with the entry and the reason, before anything moves."""
    touch_the_line_below(stack)
    stack.land_setting('rewrite = "never"')
    before = stack.world()
    ran = stack.invoke("land", *QUICK, **NO_WAIT)
    assert (ran.code, "#519 cannot be merged as it is" in ran.err) == (5, True), ran.out + ran.err
    assert "would conflict with" in ran.err
    assert stack.world() == before
    command = ran.err.rstrip().rpartition("next: ")[2]
    ran = stack.invoke(*command.split()[1:], **NO_WAIT)
    assert (ran.code, stack.pr(518)["state"]) == (0, "MERGED"), ran.err


@pytest.mark.parametrize(
    ("demands", "flags", "why"),
    [
        ({"up_to_date": True}, (), "demand branches that are up to date"),
        ({"linear": True}, ("--method", "rebase"), "merging by rebase would bring 3 commits that are not its own"),
    ],
)
def test_rules_that_demand_rewriting_are_named(
    stack: YardLanding, demands: dict[str, bool], flags: tuple[str, ...], why: str
) -> None:
    """Up-to-date branches, or linear history with rebase merges: the reason of each affected entry."""
    guard(stack, **demands)
    ran = stack.invoke("land", "--dry-run", "--json", *flags)
    merges = {each["pr"]: each["rewritten_because"] for each in ran.json["merges"]}
    assert why in merges[519], merges
    assert bool(merges[518]) == ("up_to_date" in demands)


def test_the_world_changes_before_the_merge(stack: YardLanding) -> None:
    """A new rule stops it and names the command that rewrites; if trunk moves, gates run on the merge's result."""
    stack.github.review(SLUG, 518, "reviewer", state="CHANGES_REQUESTED")
    ran = stack.invoke("land", "--skip", "fmt", "--yes", "--pr", "518", "--require", "gates", **NO_WAIT)
    assert ran.code == 3, ran.out + ran.err
    stack.github.review(SLUG, 518, "reviewer", state="APPROVED")
    stack.github.lever("protect", SLUG, branch="main", name="new", up_to_date=True)
    ran = stack.invoke("continue", "--yes", **NO_WAIT)
    assert (ran.code, "#518 can no longer be merged as it is" in ran.err) == (5, True), ran.out + ran.err
    assert ran.err.rstrip().splitlines()[-1].startswith("next: invoke land")
    stack.github.lever("protect", SLUG, branch="main", name="new")
    stack.author.git("switch", "--quiet", "main")
    stack.author.commit("trunk moves again", {"TRUNK.md": "again\n"}, author="Mallory")
    stack.push_as_author("main")
    ran = stack.invoke("continue", "--yes", **NO_WAIT)
    assert ran.code == 0, ran.out + ran.err
    assert "the gates run on what merging #518 gives" in ran.out
    tree = stack.clone.git("rev-parse", "origin/main^{tree}")
    receipts = (stack.clone.path / ".git/trunkline/receipts").glob("*.json")
    proven = {path.name.partition(".")[0]: path.read_text() for path in receipts if tree in path.read_text()}
    assert len(proven) == 6, sorted(proven)
