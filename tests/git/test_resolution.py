"""Resolutions of a conflict: which states of the work tree are accepted, and what is kept of that work tree."""

from __future__ import annotations

import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from support.inprocess import Desk, desk, refusal
from support.repo import Repo
from trunkline.engine import RunResult

CACHE_TAG = "Signature: 8a477f597d28d172789f06886806bc55\n"


@pytest.fixture
def paused(monkeypatch: pytest.MonkeyPatch) -> Iterator[Desk]:
    """Return a stack of three entries with a restack that paused at the second's first commit."""
    with desk(monkeypatch) as stack:
        stack.conflict(2)
        assert int(refusal(stack.restack).code) == 3
        yield stack


def ended(performed: RunResult | None) -> list[str]:
    """Return the details of a run that came to its end."""
    assert performed is not None
    assert performed.error is None, performed.error
    return [line for outcome in performed.outcomes.values() for line in outcome.details]


def typed(command: str, stack: Desk) -> None:
    """Type a printed command in the user's checkout."""
    subprocess.run(["sh", "-c", command], cwd=stack.clone.path, check=False, capture_output=True)


def kept_commits(stack: Desk) -> list[str]:
    """Return the subjects of the commits that backup refs of work trees hold."""
    refs = [ref for ref in stack.clone.refs() if "/resolution-" in ref]
    return [stack.clone.git("log", "-1", "--format=%s", ref) for ref in refs]


# -- resolutions --------------------------------------------------------------------------------------------------


def _committed(tree: Repo) -> None:
    tree.git("commit", "--quiet", "--no-edit")


def _continued(tree: Repo) -> None:
    tree.git("cherry-pick", "--continue", env={"GIT_EDITOR": "true"})


def _reworded(tree: Repo) -> None:
    tree.git("commit", "--quiet", "--message=said better")


def _amended(tree: Repo) -> None:
    _committed(tree)
    (tree.path / "two.txt").write_text("both, amended\n")
    tree.git("commit", "--quiet", "--all", "--amend", "--message=said better")


def _staged_on_top(tree: Repo) -> None:
    _committed(tree)
    (tree.path / "two.txt").write_text("both, staged later\n")
    tree.git("add", "two.txt")


@pytest.mark.parametrize("how", [_committed, _reworded, _amended, _staged_on_top])
def test_a_resolution_is_taken(paused: Desk, how: Callable[[Repo], None]) -> None:
    """Committed, reworded, amended, or changed after that: pushed with the original author and message."""
    paused.resolve()
    how(paused.tree())
    ended(paused.resume())
    assert paused.hub.bare.subjects("one..two") == ["two 1", "two 2"]
    assert paused.hub.bare.git("show", "two~1:two.txt").startswith("both")
    assert paused.hub.bare.git("log", "-1", "--format=%an", "two~1") == "Grace"
    assert paused.open_run() is None


def test_a_message_that_was_edited_is_kept(paused: Desk) -> None:
    """The stack's message stays; the edited one is in a backup ref that the outcome names."""
    paused.resolve()
    _reworded(paused.tree())
    details = ended(paused.resume())
    assert "said better" in kept_commits(paused)
    assert any("refs/trunkline/backup/" in line for line in details)


def test_a_resolution_needs_no_other_backup(paused: Desk) -> None:
    """`git cherry-pick --continue` leaves the same change: the outcome names nothing as kept."""
    paused.resolve()
    _continued(paused.tree())
    assert not [line for line in ended(paused.resume()) if "kept" in line]


# -- no resolutions -----------------------------------------------------------------------------------------------


def _commit_on_a_branch(tree: Repo) -> None:
    tree.git("cherry-pick", "--abort")
    tree.git("switch", "--quiet", "-c", "mine")
    tree.commit("mine", {"mine.txt": "m\n"})


def _commit_detached(tree: Repo) -> None:
    tree.git("cherry-pick", "--abort")
    tree.commit("mine", {"mine.txt": "m\n"})


def _empty_commit(tree: Repo) -> None:
    tree.git("cherry-pick", "--abort")
    tree.commit("mine")


def _staged_without_the_pick(tree: Repo) -> None:
    tree.git("cherry-pick", "--abort")
    (tree.path / "mine.txt").write_text("m\n")
    tree.git("add", "--all")


def _another_commit_picked(tree: Repo) -> None:
    tree.git("cherry-pick", "--abort")
    tree.git("cherry-pick", "two")


def _another_commit_being_picked(tree: Repo) -> None:
    tree.git("add", "--all")
    tree.git("commit", "--quiet", "--no-edit")
    tree.git("cherry-pick", "--no-commit", "three")
    (Path(tree.git("rev-parse", "--absolute-git-dir")) / "CHERRY_PICK_HEAD").write_text(
        tree.git("rev-parse", "three")
    )


def _several(tree: Repo) -> None:
    (tree.path / "two.txt").write_text("both\n")
    tree.git("add", "--all")
    tree.git("commit", "--quiet", "--no-edit")
    tree.commit("mine", {"mine.txt": "m\n"})


def _elsewhere(tree: Repo) -> None:
    tree.git("cherry-pick", "--abort")
    tree.git("switch", "--quiet", "--detach", "three")
    tree.commit("mine", {"mine.txt": "m\n"})


def _another_root(tree: Repo) -> None:
    tree.git("cherry-pick", "--abort")
    tree.git("switch", "--quiet", "--orphan", "mine")


def _merging(tree: Repo) -> None:
    tree.git("cherry-pick", "--abort")
    tree.git("merge", "--quiet", "--no-commit", "--no-ff", "three", "--strategy=ours")
    (tree.path / "mine.txt").write_text("m\n")
    tree.git("add", "--all")


FOREIGN = [
    _commit_on_a_branch, _commit_detached, _empty_commit, _staged_without_the_pick, _another_commit_picked,
    _another_commit_being_picked, _several, _elsewhere, _another_root, _merging,
]  # fmt: skip


@pytest.mark.parametrize("work", FOREIGN)
def test_other_work_is_no_resolution(paused: Desk, work: Callable[[Repo], None]) -> None:
    """Exit 3, still paused, nothing moved; the printed command leads back to the conflict or to a resolution."""
    remote, tips = paused.remote_tips(), paused.tips()
    (paused.tree().path / "two.txt").write_text("both\n")
    work(paused.tree())
    error = refusal(paused.resume)
    assert int(error.code) == 3, error
    assert (paused.remote_tips(), paused.tips()) == (remote, tips)
    assert error.next_commands[1:] == ("invoke skip", "invoke abort"), error
    typed(error.next_commands[0], paused)
    paused.resolve()
    if work is _staged_without_the_pick or work is _several:
        _from_a_person_who_wants_it(paused)
        return
    ended(paused.resume())
    assert paused.hub.bare.subjects("one..two") == ["two 1", "two 2"]
    assert paused.hub.bare.git("ls-tree", "--name-only", "two~1", "mine.txt") == ""
    paused.assert_stacked()


def _from_a_person_who_wants_it(paused: Desk) -> None:
    """The present files become the resolution by the printed command, because the user confirmed them."""
    ended(paused.resume())
    assert paused.hub.bare.subjects("one..two") == ["two 1", "two 2"]
    assert paused.hub.bare.git("show", "two~1:mine.txt") == "m"


@pytest.mark.parametrize(
    ("work", "end"),
    [(_commit_detached, "continue"), (_elsewhere, "skip"), (_several, "abort")],
)
def test_other_commits_are_kept(paused: Desk, work: Callable[[Repo], None], end: str) -> None:
    """Named in the refusal with their subject; whatever ends the run, a ref holds them."""
    work(paused.tree())
    mine = paused.tree().head()
    error = refusal(paused.resume)
    assert f'{mine[:7]} "mine"' in error.why
    if end == "continue":
        typed(error.next_commands[0], paused)
        paused.resolve()
        ended(paused.resume())
    elif end == "skip":
        ended(paused.resume(skip=True))
    else:
        assert paused.abort() is not None
    assert paused.open_run() is None
    assert paused.clone.git("for-each-ref", "--contains", mine)


def test_a_resolution_on_a_branch_waits(paused: Desk) -> None:
    """A branch may hold other work: the printed command detaches HEAD, and then the resolution is taken."""
    paused.resolve()
    _continued(paused.tree())
    paused.tree().git("switch", "--quiet", "-c", "mine")
    error = refusal(paused.resume)
    assert (int(error.code), "on branch mine" in error.why) == (3, True)
    typed(error.next_commands[0], paused)
    ended(paused.resume())
    assert paused.hub.bare.git("show", "two~1:two.txt") == "both"


# -- files --------------------------------------------------------------------------------------------------------


def _leave_files(stack: Desk) -> None:
    tree = stack.tree().path
    (stack.clone.path / ".git/info/exclude").write_text("*.env\n/target\n/clone\nstack.toml\n")
    (tree / "local.env").write_text("ignored\n")
    (tree / "sub").mkdir()
    (tree / "sub/deep.env").write_text("deep\n")
    (tree / "target").mkdir()
    (tree / "target/CACHEDIR.TAG").write_text(CACHE_TAG)
    Repo.create(tree / "clone").commit("inside", {"x.txt": "x\n"})


@pytest.mark.parametrize("end", ["continue", "abort"])
def test_ignored_files_are_kept(paused: Desk, end: str) -> None:
    """Moved to a directory that the outcome names; a cache directory is removed."""
    path = paused.tree().path
    _leave_files(paused)
    if end == "abort":
        outcome = paused.abort()
        assert outcome is not None
        details = list(outcome.details)
    else:
        paused.resolve()
        details = ended(paused.resume())
    assert not path.exists()
    (line,) = [line for line in details if "local.env" in line]
    place = Path(line.rpartition(": ")[2])
    found = {
        str(each.relative_to(place)) for each in place.rglob("*.*") if ".git" not in each.parts and each.is_file()
    }
    assert found == {"local.env", "sub/deep.env", "clone/x.txt"}
    assert Repo(place / "clone").subjects("HEAD") == ["inside"]


def test_a_repository_in_the_work_tree_is_kept(paused: Desk) -> None:
    """Untracked, not ignored: a backup ref could not hold it."""
    Repo.create(paused.tree().path / "clone").commit("inside", {"x.txt": "x\n"})
    outcome = paused.abort()
    assert outcome is not None
    (line,) = [line for line in outcome.details if "clone" in line]
    assert Repo(Path(line.rpartition(": ")[2]) / "clone").subjects("HEAD") == ["inside"]


def test_files_are_kept_before_the_next_conflict(paused: Desk) -> None:
    """The second conflict of a run uses the same path."""
    paused.trunk_commits("trunk again", {"two-more.txt": "trunk's own\n"})
    assert paused.abort() is not None
    assert int(refusal(paused.restack).code) == 3
    _leave_files(paused)
    paused.resolve()
    error = refusal(paused.resume)
    assert (int(error.code), "two-more.txt" in error.why) == (3, True)
    (line,) = [line for line in error.why.splitlines() if "local.env" in line]
    assert (Path(line.rpartition(": ")[2]) / "local.env").read_text() == "ignored\n"
    paused.resolve()
    ended(paused.resume())


def test_a_work_tree_that_is_broken_is_kept(paused: Desk) -> None:
    """Without its `.git` nothing can be committed there: the directory is moved, and named."""
    paused.resolve()
    paused.clone.git("switch", "--quiet", "two")
    paused.clone.git("update-index", "--assume-unchanged", "two.txt")
    assert int(refusal(paused.resume).code) == 5
    paused.clone.git("update-index", "--no-assume-unchanged", "two.txt")
    path = paused.tree().path
    (path / "mine.txt").write_text("m\n")
    (path / ".git").unlink()
    details = ended(paused.resume())
    assert not path.exists()
    (line,) = [line for line in details if "no longer a git work tree" in line]
    assert (Path(line.rpartition(": ")[2]) / "mine.txt").read_text() == "m\n"


@pytest.mark.parametrize("flag", ["assume-unchanged", "skip-worktree"])
def test_an_edit_of_a_marked_file_is_kept(paused: Desk, flag: str) -> None:
    """Git does not see it; a backup ref holds it before the work tree is removed."""
    paused.resolve()
    paused.tree().git("update-index", f"--{flag}", "a.txt")
    (paused.tree().path / "a.txt").write_text("mine\n")
    assert any("refs/trunkline/backup/" in line for line in ended(paused.resume()))
    kept = [ref for ref in paused.clone.refs() if "/resolution-" in ref]
    assert "mine" in {paused.clone.git("show", f"{ref}:a.txt") for ref in kept}
