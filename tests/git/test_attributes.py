"""A replay merges by the attributes of the commit that it lands on, not by those of what is checked out."""

from __future__ import annotations

import pytest

from support.repo import Repo
from trunkline.domain.names import Oid
from trunkline.domain.replay_plan import Replay
from trunkline.git import attributes, history, replay
from trunkline.git.git import Git

UNION = "*.txt merge=union\n"


def diverged(repo: Repo) -> None:
    """Make `main` and `entry` add different lines at the end of one file."""
    repo.commit("start", {"log.txt": "start\n"})
    repo.git("switch", "--quiet", "-c", "entry")
    repo.commit("entry's line", {"log.txt": "start\nentry\n"})
    repo.git("switch", "--quiet", "main")
    repo.commit("trunk's line", {"log.txt": "start\ntrunk\n"})


def replayed(repo: Repo, git: Git | None = None) -> Replay:
    """Replay `entry` onto `main` in memory, from whatever is checked out."""
    git, fork = git or repo.adapter, repo.head("main~1")
    return replay.replay(git, history.chain(git, fork, repo.head("entry")), repo.head("main"), by="A <a@x> 1 +0000")


def test_a_merge_driver_of_the_checked_out_branch_does_not_count(repo: Repo) -> None:
    """Another branch sets merge=union and is checked out: the conflict stays a conflict."""
    diverged(repo)
    repo.git("switch", "--quiet", "-c", "other")
    repo.commit("union", {".gitattributes": UNION})
    assert replayed(repo).conflict is not None


def test_a_merge_driver_that_is_only_in_the_index_does_not_count(repo: Repo) -> None:
    """Git falls back to the index where the work tree has no such file."""
    diverged(repo)
    (repo.path / ".gitattributes").write_text(UNION)
    repo.git("add", ".gitattributes")
    (repo.path / ".gitattributes").unlink()
    assert replayed(repo).conflict is not None


@pytest.mark.parametrize("where", [".gitattributes", "nested/.gitattributes"])
def test_a_merge_driver_of_trunk_counts_wherever_one_stands(repo: Repo, where: str) -> None:
    """Trunk has merge=union, an old branch without that file is checked out: clean, as `git rebase` finds it."""
    folder = where.rpartition("/")[0]
    name = f"{folder}/log.txt" if folder else "log.txt"
    repo.commit("start", {name: "start\n"})
    repo.git("branch", "old")
    repo.git("switch", "--quiet", "-c", "entry")
    repo.commit("entry's line", {name: "start\nentry\n"})
    repo.git("switch", "--quiet", "main")
    repo.commit("trunk's line", {name: "start\ntrunk\n", where: UNION})
    repo.git("switch", "--quiet", "old")
    git = repo.adapter
    found = replayed(repo, git)
    assert found.conflict is None
    assert git.query("show", f"{found.tip}:{name}").text == "start\ntrunk\nentry"


def test_attributes_that_an_own_commit_brings_count_from_then_on(repo: Repo) -> None:
    """Each commit is merged onto the one before it, attributes included."""
    repo.commit("start", {"log.txt": "start\n"})
    repo.git("switch", "--quiet", "-c", "entry")
    repo.commit("union", {".gitattributes": UNION})
    repo.commit("entry's line", {"log.txt": "start\nentry\n"})
    repo.git("switch", "--quiet", "main")
    repo.commit("trunk's line", {"log.txt": "start\ntrunk\n"})
    assert replayed(repo).conflict is None


def test_a_link_is_no_attribute_file(repo: Repo) -> None:
    """Git does not follow a link of that name, and neither does the scratch work tree."""
    repo.commit("start", {"x": "1\n"})
    (repo.path / ".gitattributes").symlink_to("/etc/hosts")
    linked = repo.commit("linked")
    assert attributes.files_in_tree(repo.adapter, repo.adapter.tree(linked)) == {}


def test_the_attribute_files_of_one_tree_from_those_of_another(repo: Repo) -> None:
    """Added, changed and removed files are found by what differs between the trees."""
    commits: list[Oid] = [
        repo.commit("none", {"x": "1\n"}),
        repo.commit("two", {".gitattributes": UNION, "a/b/.gitattributes": "* text\n"}),
        repo.commit("one changed, one gone", {".gitattributes": "* -text\n", "a/b/.gitattributes": None}),
    ]
    step_by_step = repo.adapter
    for commit in commits:
        fresh = repo.adapter
        expected = attributes.files_in_tree(fresh, fresh.tree(commit))
        assert attributes.files_in_tree(step_by_step, step_by_step.tree(commit)) == expected
    assert [len(files) for files in step_by_step.attributes.values()] == [0, 2, 1]
    at_once = repo.adapter
    attributes.load(at_once, [at_once.tree(commit) for commit in commits])
    assert at_once.attributes == step_by_step.attributes
