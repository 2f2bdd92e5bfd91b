"""Untracked files of the user in the way of a checkout: every task names them and leaves them unchanged."""

from __future__ import annotations

import pytest

from support.killing import Kill, YardLanding
from support.landing import Landing

pytestmark = pytest.mark.gh


def track_on_trunk(landing: Landing, name: str) -> None:
    """Let trunk begin to track a path, and check out #519's branch, where the user has a file of that name."""
    landing.clone.git("switch", "--quiet", "feat/two")
    landing.author.git("switch", "--quiet", "main")
    landing.author.git("pull", "--quiet", "origin", "main", env=landing.environment())
    landing.author.commit(f"track {name}", {name: "trunk's\n"}, author="Mallory")
    landing.push_as_author("main")
    (landing.clone.path / ".git/info/exclude").write_text(f"{name}\n")
    (landing.clone.path / name).write_text("SECRET=1\n")


@pytest.mark.parametrize(
    "task",
    [
        ("rebase", "--pr", "519"), ("rebase", "--pr", "519", "--dry-run"), ("onto", "--pr", "519"),
        ("restack",), ("restack", "--dry-run"), ("plan", "--pr", "519"),
    ],
    ids=" ".join,
)  # fmt: skip
def test_an_ignored_file_that_trunk_begins_to_track(stack: Landing, task: tuple[str, ...]) -> None:
    """Git overwrites it without a word; here it is named before any ref moves, by dry runs and by `plan` too."""
    track_on_trunk(stack, "local.env")
    before = stack.world()
    ran = stack.invoke(*task)
    assert (ran.code, "local.env (ignored)" in ran.err) == (5, True), ran.out + ran.err
    assert "feat/two of #519" in ran.err
    assert "mv -n local.env local.env.mine" in ran.err
    assert stack.world() == before
    assert (stack.clone.path / "local.env").read_text() == "SECRET=1\n"


def test_undo_keeps_a_file_that_it_would_overwrite(stack: Landing) -> None:
    """The rebase took a tracked file away; the user made one of that name since, ignored: undo names it."""
    clone = stack.clone
    stack.author.git("switch", "--quiet", "main")
    stack.author.git("pull", "--quiet", "origin", "main", env=stack.environment())
    stack.author.commit("drop the lock file", {"Cargo.lock": None}, author="Mallory")
    stack.push_as_author("main")
    clone.git("switch", "--quiet", "feat/two")
    ran = stack.invoke("onto", "--pr", "519")
    assert ran.code == 0, ran.out + ran.err
    (clone.path / ".git/info/exclude").write_text("Cargo.lock\n")
    (clone.path / "Cargo.lock").write_text("mine\n")
    before = stack.world()
    for flags in ((), ("--dry-run",)):
        ran = stack.invoke("undo", *flags)
        assert (ran.code, "Cargo.lock (ignored)" in ran.err) == (5, True), ran.out + ran.err
        assert stack.world() == before
        assert (clone.path / "Cargo.lock").read_text() == "mine\n"


def test_switch_keeps_an_ignored_file(stack: Landing) -> None:
    """The entry's branch has a file of that name: the checkout stays, and the file is named; so does the dry run."""
    (stack.clone.path / "src/entry.rs").write_text("mine\n")
    (stack.clone.path / ".git/info/exclude").write_text("entry.rs\n")
    before = stack.world()
    for flags in ((), ("--dry-run",)):
        ran = stack.invoke("switch", "--pr", "519", *flags)
        assert (ran.code, "src/entry.rs (ignored)" in ran.err) == (5, True), ran.out + ran.err
        assert stack.world() == before
        assert (stack.clone.path / "src/entry.rs").read_text() == "mine\n"


def test_a_dry_run_ends_as_the_run_will_where_a_branch_is_checked_out_elsewhere(
    stack: Landing, tmp_path: object
) -> None:
    """Another work tree has #520's branch: the whole-stack tasks that move it refuse, and their dry runs too."""
    stack.land_setting('rewrite = "always"')
    stack.clone.git("worktree", "add", "--quiet", f"{tmp_path}/other", "feat/three")
    before = stack.world()
    for task in ("restack", "land"):
        for flags in ((), ("--dry-run",)):
            ran = stack.invoke(task, *flags, *(("--yes",) if task == "land" else ()))
            assert (ran.code, f"{tmp_path}/other" in ran.err) == (5, True), (task, flags, ran.out, ran.err)
            assert stack.world() == before


@pytest.mark.slow
@pytest.mark.parametrize("task", ["continue", "abort"])
def test_an_edit_of_a_file_that_git_does_not_look_at_survives_a_kill(stack: YardLanding, task: str) -> None:
    """Marked --assume-unchanged and edited; killed between the checkout's move and the ref's: the edit is kept."""
    clone = stack.clone
    clone.git("switch", "--quiet", "feat/two")
    clone.git("update-index", "--assume-unchanged", "Cargo.toml")
    mine = (clone.path / "Cargo.toml").read_text() + "# mine\n"
    (clone.path / "Cargo.toml").write_text(mine)
    assert stack.kill(Kill("read-tree", "after", 0), "onto", "--pr", "519").code == -9
    ran = stack.invoke(task)
    assert ran.code == 0, ran.out + ran.err
    assert (clone.path / "Cargo.toml").read_text() == mine
    assert clone.git("status", "--porcelain") == ""
    assert "h Cargo.toml" in clone.git("ls-files", "-v")
