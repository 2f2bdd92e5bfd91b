"""`invoke plan`: the prediction of a landing, and the runbook that people wrote by hand."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from support.killing import Yard, YardLanding
from support.landing import SLUG, Landing

pytestmark = pytest.mark.gh

# The headings of the runbook that a maintainer wrote by hand for #519, in their order.
BY_HAND = [
    "# PR #519 Rebase Plan",
    "## Context",
    "## Prerequisites",
    "## Rebase Workflow",
    "### 1. Verify PR #518 is merged",
    "### 2. Switch to PR #519 branch",
    "### 3. Fetch and rebase onto updated main",
    "### 4. Format and verify",
    "### 5. Force-push rebased branch",
    "### 6. Mark PR #519 as ready",
    "### 7. Update PR description with reviewer note",
    "## Reviewer Note",
    "## Verification Checklist",
    "## Next Steps After #519",
    "## Troubleshooting",
    "### Rebase conflicts",
    "### CI failures after rebase",
    "### sccache corruption",
    "## Reference",
]


def _conflicting(landing: Landing) -> None:
    """#518 is squash-merged; trunk then rewrites what #520 adds; #519 is approved."""
    landing.merge_parent()
    landing.author.git("pull", "--quiet", "origin", "main", env=landing.environment())
    landing.author.commit("trunk evicts too", {"src/evict.rs": "//! Evict otherwise.\n"}, author="Mallory")
    landing.push_as_author("main")
    landing.github.review(SLUG, 519, "grace")
    landing.github.add_billing_failure(SLUG, landing.heads[519])


@pytest.fixture
def stack(grounds: Yard) -> Iterator[YardLanding]:
    """Return the small stack as `_conflicting` leaves it."""
    with grounds.prepared("conflicting", _conflicting) as prepared:
        assert isinstance(prepared, YardLanding)
        yield prepared


def test_what_would_happen(stack: YardLanding) -> None:
    """The plan is that of rebase; it names the conflict to come and its file; nothing moves."""
    before = stack.world()
    ran = stack.invoke("plan", "--pr", "519", "--json")
    assert ran.code == 0, ran.err
    dry = stack.invoke("rebase", "--pr", "519", "--dry-run", "--json")
    assert ran.json["plan"] == dry.json["plan"]
    assert ran.json["conflict"] is None
    (above,) = ran.json["above"]
    assert above["pr"] == 520
    assert "conflict in" in above["description"]
    assert "src/evict.rs" in above["description"]
    assert [(each["pr"], each["as_is"]) for each in ran.json["merges"]] == [(519, True), (520, False)]
    message = "\n".join(ran.json["effects"])
    assert "#519: a push dismisses its approval" in message
    assert "#519: a push starts its checks again, 2 on the present head" in message
    assert stack.world() == before


def test_the_runbook(stack: YardLanding) -> None:
    """Every section that was written by hand is there, in order, with the facts of now; the same twice."""
    ran = stack.invoke("plan", "--pr", "519", "--markdown")
    assert ran.code == 0, ran.err
    lines = ran.out.splitlines()
    headings = [line for line in lines if line.startswith("#") and not line.startswith("# by")]
    assert [heading for heading in headings if heading in BY_HAND] == BY_HAND
    one, trunk = stack.heads[518], stack.remote_head("main")
    assert f"git rebase --onto {trunk} {one} feat/two" in lines
    assert f"git push --force-with-lease=refs/heads/feat/two:{stack.heads[519]} origin feat/two" in lines
    assert "has 5 commits over `origin/main`; 2 of them its own" in ran.out
    assert "- `src/evict.rs`" not in ran.out
    assert "cargo +1.89.0" not in ran.out, "the small stack's gates are its own"
    assert "❌ GitHub Actions: not operational: a billing failure" in ran.out
    assert "**Next in stack:** PR-3 will use `pool.deallocate(entry.block)`." in lines
    assert stack.invoke("plan", "--pr", "519", "--markdown").out == ran.out


def test_refused_as_rebase_is(stack: YardLanding) -> None:
    """A plan refuses the same situations as a rebase."""
    ran = stack.invoke("plan", "--pr", "520", "--markdown")
    assert (ran.code, ran.out) == (5, "")
    assert "#519 below is not merged yet" in ran.err


def test_diff_since_the_review(stack: YardLanding) -> None:
    """The own commits only; after an amend and a rebase, the comparison is with the head that was reviewed."""
    ran = stack.invoke("diff", "--pr", "519", "--json")
    assert ran.code == 0, ran.err
    assert [each["path"] for each in ran.json["diff"]["files"]] == ["src/entry.rs", "src/lib.rs"]
    ran = stack.invoke("diff", "--pr", "519", "--since-review", "--json")
    assert ran.code == 0, ran.err
    found = ran.json["diff"]
    assert (found["review"]["author"], found["review"]["head"]) == ("grace", stack.heads[519])
    assert found["text"].startswith("1:  ")
    ran = stack.invoke("diff", "--pr", "520", "--since-review")
    assert ran.code == 5
    assert "#520" in ran.err
