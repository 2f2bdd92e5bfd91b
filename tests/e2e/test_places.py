"""Other places: a remote that is not origin, a trunk that is not main, an enterprise host, several work trees."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from support.killing import Yard, YardLanding
from support.landing import SLUG, Landing
from support.repo import Repo
from trunkline.sim.client import ENTERPRISE

pytestmark = pytest.mark.gh
QUICK = ("--skip", "fmt,gates", "--yes")


@pytest.fixture
def unmerged(grounds: Yard) -> Iterator[YardLanding]:
    """Return the small stack as it was opened."""
    with grounds.prepared("nothing merged") as prepared:
        yield prepared


def declare(landing: Landing, **values: str) -> None:
    """Change top-level values of the checkout's stack.toml."""
    path = landing.clone.path / "stack.toml"
    lines = path.read_text().splitlines(keepends=True)
    kept = [line for line in lines if not line.startswith(tuple(f"{key} = " for key in values))]
    kept.insert(1, "".join(f'{key} = "{value}"\n' for key, value in values.items()))
    path.write_text("".join(kept))


def test_a_remote_of_another_name(stack: YardLanding) -> None:
    """`upstream` is observed, fetched from and pushed to; no output names origin."""
    stack.clone.git("remote", "rename", "origin", "upstream")
    declare(stack, remote="upstream")
    assert stack.invoke("status").out.rstrip().endswith("next: invoke rebase --pr 519")
    ran = stack.invoke("rebase", "--pr", "519", *QUICK)
    assert "pushed" in ran.out, ran.out + ran.err
    assert "origin" not in ran.out + ran.err
    assert stack.remote_head("feat/two") == stack.clone.refs()["refs/remotes/upstream/feat/two"]
    assert stack.clone.subjects("upstream/main..feat/two") == ["entry struct", "use the arena"]


def test_a_trunk_of_another_name(unmerged: YardLanding) -> None:
    """`develop`: the whole stack lands there; main stays where it was."""
    author = unmerged.author
    author.git("push", "--quiet", "origin", "main:develop", env=unmerged.environment())
    edit = ("gh", "api", "-X", "PATCH", f"repos/{SLUG}/pulls/518", "-f", "base=develop")
    assert unmerged.run(*edit).code == 0
    main = unmerged.remote_head("main")
    declare(unmerged, trunk="develop")
    ran = unmerged.invoke("land", *QUICK)
    assert ran.code == 0, ran.out + ran.err
    assert [unmerged.pr(number)["state"] for number in (518, 519, 520)] == ["MERGED"] * 3
    assert unmerged.remote_head("main") == main
    subjects = Repo(unmerged.github.bare(SLUG)).subjects("develop")
    assert subjects == ["start", "PR 518 (#518)", "PR 519 (#519)", "evict (#520)"]


def test_an_enterprise_host(unmerged: YardLanding) -> None:
    """A landing works on another host with its own token and an API below /api/v3 without merge-async."""
    url = f"git@{ENTERPRISE}:{SLUG}.git"
    unmerged.clone.git("remote", "set-url", "origin", url)
    alone: Any = {"GH_TOKEN": "", "GITHUB_TOKEN": "", "GH_HOST": ""}
    doctor = unmerged.invoke("doctor", **alone)
    assert f"octocat on {ENTERPRISE}, ADMIN in {SLUG}" in doctor.out, doctor.out
    ran = unmerged.invoke("land", *QUICK, **alone)
    assert ran.code == 0, ran.out + ran.err
    assert [unmerged.pr(number)["state"] for number in (518, 519, 520)] == ["MERGED"] * 3


def test_from_another_work_tree(stack: YardLanding) -> None:
    """The task is typed in a linked work tree; journal and lease are the clone's, both checkouts stay as they are."""
    linked = stack.clone.path.parent / "linked"
    stack.clone.git("worktree", "add", "--quiet", "--detach", str(linked), "main")
    head = (stack.clone.path / ".git/HEAD").read_text()
    ran = stack.invoke("rebase", "--pr", "519", *QUICK, cwd=linked)
    assert "pushed" in ran.out, ran.out + ran.err
    assert (stack.clone.path / ".git/HEAD").read_text() == head
    assert Repo(linked).git("status", "--porcelain") == ""
    runs = stack.invoke("log", "--json").json["runs"]
    assert [run["pr"] for run in runs] == [519]


WAYS = [("squash", "squash"), ("squash", "merge"), ("rebase", "squash"), ("merge", "rebase"), ("merge", "merge")]
"""GitHub refuses to rebase a pull request whose parent's commits trunk holds in another form."""


@pytest.mark.parametrize(("first", "second"), WAYS)
def test_several_ancestors_merged_at_once(unmerged: YardLanding, first: str, second: str) -> None:
    """From git-town's tests: two entries below are merged by different methods, and only the own commit is left."""
    unmerged.github.merge(SLUG, 518, method=first, delete_branch="web")
    unmerged.author.git("fetch", "--quiet", "origin", env=unmerged.environment())
    unmerged.author.git("switch", "--quiet", "--detach", "origin/main")
    unmerged.author.commit("trunk moves on", {"TRUNK.md": "moved\n"})
    unmerged.author.git("push", "--quiet", "origin", "HEAD:main", env=unmerged.environment())
    assert unmerged.run("gh", "pr", "ready", "519", "--repo", SLUG).code == 0
    unmerged.github.merge(SLUG, 519, method=second, delete_branch="web")
    ran = unmerged.invoke("rebase", "--pr", "520", *QUICK)
    assert "pushed" in ran.out, ran.out + ran.err
    assert unmerged.clone.subjects("origin/main..feat/three") == ["evict"]


def test_the_parent_deletes_what_the_child_modifies(unmerged: YardLanding) -> None:
    """From git-town's tests: the conflict is predicted with its file, and no deleted file is restored."""
    author = unmerged.author
    author.git("switch", "--quiet", "feat/three")
    author.commit("edit the entry", {"src/entry.rs": "//! Entry, edited.\n"})
    unmerged.push_as_author("feat/three")
    author.git("switch", "--quiet", "feat/two")
    author.commit("delete the entry", {"src/entry.rs": None})
    unmerged.push_as_author("feat/two")
    ran = unmerged.invoke("restack", "--dry-run")
    assert "conflict in" in ran.out
    assert "src/entry.rs" in ran.out
    ran = unmerged.invoke("restack", "--yes")
    assert (ran.code, "src/entry.rs" in ran.err) == (3, True)


@pytest.mark.parametrize("merge", [True, False], ids=["merged", "open"])
def test_the_parent_grew_after_the_child_left_it(unmerged: YardLanding, merge: bool) -> None:  # noqa: FBT001 -- drawn
    """After a review fix on #518 without a force-push the fork point is certain: no question."""
    author = unmerged.author
    author.git("switch", "--quiet", "feat/one")
    author.commit("review fix", {"src/fix.rs": "//! Fix.\n"}, author="Grace")
    unmerged.push_as_author("feat/one")
    if merge:
        unmerged.github.merge(SLUG, 518, delete_branch="web")
    ran = unmerged.invoke("restack", "--yes")
    assert ran.code == 0, ran.out + ran.err
    assert "#518 went on from there" in ran.out
    base = "origin/main" if merge else "origin/feat/one"
    unmerged.clone.git("fetch", "--quiet", "origin", env=unmerged.environment())
    assert unmerged.clone.subjects(f"{base}..feat/two") == ["entry struct", "use the arena"]
    assert unmerged.clone.subjects("feat/two..feat/three") == ["evict"]
