"""Objects under `git replace` or grafts: trunkline reads and replays the real objects."""

from __future__ import annotations

import pytest

from support.repo import Repo
from trunkline.domain.names import Oid
from trunkline.git import history, replay


@pytest.fixture
def stack(repo: Repo) -> Repo:
    """Main with two commits; `one` forked from the first, with two commits of its own."""
    repo.commit("start", {"base.txt": "0\n"})
    repo.git("switch", "--quiet", "-c", "one")
    repo.commit("first", {"a.txt": "real\n"})
    repo.commit("second", {"b.txt": "b\n"})
    repo.git("switch", "--quiet", "main")
    repo.commit("trunk", {"trunk.txt": "t\n"})
    return repo


def _replayed(repo: Repo) -> Oid:
    """Replay `one` onto main as a task does, and let a branch hold it."""
    git = repo.adapter
    base = history.merge_base(git, repo.head("main"), repo.head("one"))
    assert base is not None
    own = history.chain(git, base, repo.head("one"))
    done = replay.replay(git, own, repo.head("main"), by=replay.committer(git))
    replay.check_replayed(git, own, base=repo.head("main"), tip=done.tip)
    git.scratch("branch", "replayed", done.tip)
    return done.tip


def _real(repo: Repo, *args: str) -> str:
    return repo.git(*args, env={"GIT_NO_REPLACE_OBJECTS": "1", "GIT_GRAFT_FILE": "/dev/null"})


def test_a_replacement_is_not_replayed(stack: Repo) -> None:
    """The commit and its file are those that the pull request shows, not those that this clone shows instead."""
    first = stack.head("one~1")
    tree = stack.git("rev-parse", "main^{tree}")
    other = stack.git("commit-tree", tree, "-p", "main~1", "-m", "only here")
    stack.git("replace", first, other)
    tip = _replayed(stack)
    assert _real(stack, "log", "--format=%s", f"main..{tip}").splitlines() == ["second", "first"]
    assert _real(stack, "show", f"{tip}:a.txt") == "real"


def test_a_replaced_file_is_not_published(stack: Repo) -> None:
    """A blob that is shown otherwise is what it is."""
    blob = stack.git("rev-parse", "one:a.txt")
    other = stack.git("hash-object", "-w", "--stdin", stdin="secret\n")
    stack.git("replace", blob, other)
    assert _real(stack, "rev-parse", f"{_replayed(stack)}:a.txt") == blob


def test_a_graft_does_not_change_what_is_own(stack: Repo) -> None:
    """A graft that gives the second commit no parent would leave the first one out."""
    (stack.path / ".git/info/grafts").write_text(f"{stack.head('one')} {stack.head('main~1')}\n")
    tip = _replayed(stack)
    assert _real(stack, "log", "--format=%s", f"main..{tip}").splitlines() == ["second", "first"]
