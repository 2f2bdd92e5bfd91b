"""Changes that others make on GitHub's page: forks, "Update branch", the rename of a branch."""

from __future__ import annotations

import pytest

from support.landing import SLUG, Landing

pytestmark = pytest.mark.gh


def subjects(landing: Landing, base: str, head: str) -> list[str]:
    """Return the subjects of a remote branch's commits above another one, oldest first."""
    return landing.clone.git("log", "--reverse", "--format=%s", f"origin/{base}..origin/{head}").splitlines()


@pytest.mark.parametrize("method", ["merge", "rebase"])
def test_update_branch_before_a_restack(open_stack: Landing, method: str) -> None:
    """The bottom's own commits stay, no merge is left, and the entries above follow."""
    branches = [("main", "feat/one"), ("feat/one", "feat/two"), ("feat/two", "feat/three")]
    before = [subjects(open_stack, *pair) for pair in branches]
    open_stack.move_trunk()
    open_stack.github.lever("update_branch", SLUG, number=518, method=method)
    ran = open_stack.invoke("restack", "--yes")
    assert ran.code == 0, ran.out + ran.err
    assert [subjects(open_stack, *pair) for pair in branches] == before
    assert [open_stack.remote_head(head) == open_stack.clone.head(head) for _, head in branches] == [True] * 3
    open_stack.clone.git("merge-base", "--is-ancestor", "origin/main", "feat/three")


def test_a_renamed_branch(open_stack: Landing) -> None:
    """GitHub closes its pull request and retargets the one above; `rescue` and `restack` bring both back."""
    path = f"repos/{SLUG}/branches/feat/two/rename"
    assert open_stack.run("gh", "api", "-X", "POST", path, "-f", "new_name=feat/zwei").code == 0
    assert (open_stack.pr(519)["state"], open_stack.pr(520)["base"]) == ("CLOSED", "feat/zwei")
    assert open_stack.invoke("status").out.rstrip().endswith("next: invoke rescue --pr 519")
    for task in (("rescue", "--pr", "519", "--yes"), ("restack", "--yes")):
        ran = open_stack.invoke(*task)
        assert ran.code == 0, ran.out + ran.err
    assert (open_stack.pr(519)["state"], open_stack.pr(520)["base"]) == ("OPEN", "feat/two")
    assert [open_stack.pr(number)["head_oid"] for number in (519, 520)] == [open_stack.heads[n] for n in (519, 520)]


def test_a_fork_in_the_stack(open_stack: Landing) -> None:
    """Its branch is never pushed to the repository, also where a local one has its name; `init` leaves it out."""
    clone, fork = open_stack.clone, open_stack.github.lever("fork", SLUG, owner="ann")
    clone.git("switch", "--quiet", "--create", "topic", "origin/feat/three")
    clone.commit("from ann", {"ann.txt": "1\n"})
    clone.git("push", "--quiet", open_stack.github.remote(fork), "topic", env=open_stack.environment())
    made = ("--head", "ann:topic", "--base", "feat/three", "--title", "Topic", "--body", "")
    assert open_stack.run("gh", "pr", "create", *made).code == 0
    file = clone.path / "stack.toml"
    file.write_text(file.read_text() + '\n[[entry]]\npr = 521\nbranch = "topic"\n')
    before = open_stack.world()
    assert "its branch is in ann/tiny" in open_stack.invoke("status").out
    for task in ("restack", "submit", "sync", "land"):
        ran = open_stack.invoke(task, "--yes")
        assert (ran.code, "error: #521 comes from ann/tiny" in ran.err) == (5, True), ran.out + ran.err
    assert open_stack.world() == before
    assert open_stack.invoke("init", "--update").code == 0
    assert "521" not in file.read_text()
