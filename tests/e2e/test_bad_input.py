"""Nonsense, wrong places, missing tools: an exit code, one clear message, the next command; every ref as it was."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from support.landing import Landing, Ran, own_stack
from support.repo import Repo

pytestmark = pytest.mark.gh


def edit(landing: Landing, old: str, new: str) -> None:
    """Change the clone's stack.toml."""
    path = landing.clone.path / "stack.toml"
    text = path.read_text()
    assert old in text
    path.write_text(text.replace(old, new, 1))


def a_number_that_is_none(landing: Landing) -> Ran:
    return landing.invoke("rebase", "--pr", "five")


def a_pr_outside_the_stack(landing: Landing) -> Ran:
    return landing.invoke("rebase", "--pr", "999")


def a_pr_github_does_not_know(landing: Landing) -> Ran:
    edit(landing, "pr = 519", "pr = 777")
    return landing.invoke("rebase", "--pr", "777")


def no_pr_and_no_branch_of_the_stack(landing: Landing) -> Ran:
    return landing.invoke("rebase")


def no_pr_for_a_step(landing: Landing) -> Ran:
    return landing.invoke("gates")


def an_entry_below_not_merged(landing: Landing) -> Ran:
    return landing.invoke("rebase", "--pr", "520")


def broken_toml(landing: Landing) -> Ran:
    edit(landing, 'trunk = "main"', "trunk = main")
    return landing.invoke("rebase", "--pr", "519")


def a_misspelt_key(landing: Landing) -> Ran:
    edit(landing, 'title = "Entry"', 'titel = "Entry"')
    return landing.invoke("rebase", "--pr", "519")


def a_duplicate_pr(landing: Landing) -> Ran:
    edit(landing, "pr = 519", "pr = 518")
    return landing.invoke("rebase", "--pr", "518")


def a_duplicate_branch(landing: Landing) -> Ran:
    edit(landing, "feat/two", "feat/one")
    return landing.invoke("rebase", "--pr", "519")


def a_branch_that_is_an_option(landing: Landing) -> Ran:
    edit(landing, "feat/two", "--upload-pack=touch pwned")
    return landing.invoke("rebase", "--pr", "519")


def a_branch_that_is_a_refspec(landing: Landing) -> Ran:
    edit(landing, "feat/two", "+feat/two:main")
    return landing.invoke("rebase", "--pr", "519")


def a_newer_schema(landing: Landing) -> Ran:
    edit(landing, "schema = 1", "schema = 2")
    return landing.invoke("rebase", "--pr", "519")


def no_stack_toml(landing: Landing) -> Ran:
    (landing.clone.path / "stack.toml").unlink()
    return landing.invoke("rebase", "--pr", "519")


def no_such_remote(landing: Landing) -> Ran:
    edit(landing, 'remote = "origin"', 'remote = "upstream"')
    return landing.invoke("rebase", "--pr", "519")


def a_remote_not_on_github(landing: Landing) -> Ran:
    landing.clone.git("remote", "set-url", "origin", "/somewhere/else")
    return landing.invoke("rebase", "--pr", "519")


def an_unknown_step(landing: Landing) -> Ran:
    return landing.invoke("rebase", "--pr", "519", "--skip", "gaits")


def a_fork_point_that_is_none(landing: Landing) -> Ran:
    return landing.invoke("onto", "--pr", "519", "--fork-point", "--exec=touch pwned")


def the_branch_of_another_pr(landing: Landing) -> Ran:
    edit(landing, 'branch = "feat/two"', 'branch = "feat/three-b"')
    return landing.invoke("rebase", "--pr", "519")


def no_trunk_there(landing: Landing) -> Ran:
    edit(landing, 'trunk = "main"', 'trunk = "trunk"')
    return landing.invoke("rebase", "--pr", "519")


def dirty_switch(landing: Landing) -> Ran:
    (landing.clone.path / "tasks.py").write_text("# mine\n")
    return landing.invoke("switch", "--pr", "519")


def a_fetch_url_and_a_push_url(landing: Landing) -> Ran:
    landing.clone.git("remote", "set-url", "--push", "origin", "git@github.com:evil/tiny.git")
    return landing.invoke("rebase", "--pr", "519")


def a_merged_pr(landing: Landing) -> Ran:
    return landing.invoke("push", "--pr", "518", "--yes")


CASES: dict[Callable[[Landing], Ran], tuple[int, str]] = {
    a_number_that_is_none: (2, "five is not in stack.toml"),
    a_pr_outside_the_stack: (2, "#518, #519, #520"),
    a_pr_github_does_not_know: (2, "octo/tiny has no pull request #777"),
    no_pr_and_no_branch_of_the_stack: (2, "next: invoke rebase --pr 519"),
    no_pr_for_a_step: (2, "next: invoke gates --pr 519"),
    an_entry_below_not_merged: (5, "#519 below is not merged yet"),
    broken_toml: (2, "stack.toml:2: not TOML"),
    a_misspelt_key: (2, "did you mean 'title'?"),
    a_duplicate_pr: (2, "518 is already used in line"),
    a_duplicate_branch: (2, "'feat/one' is already used in line"),
    a_branch_that_is_an_option: (2, "a tool would read it as an option"),
    a_branch_that_is_a_refspec: (2, "not a branch name git accepts"),
    a_newer_schema: (2, "schema 2 is newer than this trunkline"),
    no_stack_toml: (2, "there is no stack.toml here"),
    no_such_remote: (2, "no remote upstream"),
    a_remote_not_on_github: (2, "is not on GitHub"),
    an_unknown_step: (2, "there is no step of that name"),
    a_fork_point_that_is_none: (2, "not a pull request number: '--exec'"),
    the_branch_of_another_pr: (2, "GitHub has feat/two"),
    no_trunk_there: (2, "origin has no branch trunk"),
    dirty_switch: (5, "tasks.py"),
    a_fetch_url_and_a_push_url: (5, "pushes to evil/tiny"),
    a_merged_pr: (5, "#518 is merged already"),
}


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.__name__)
def test_bad_input(landing: Landing, case: Callable[[Landing], Ran]) -> None:
    """Each wrong input has its exit code and its message; the last line is a command; nothing moves."""
    code, said = CASES[case]
    before = (landing.clone.refs(), landing.github.pushes("octo/tiny"))
    ran = case(landing)
    assert ran.code == code, ran.out + ran.err
    assert said in ran.err
    assert "Traceback" not in ran.out + ran.err
    assert ran.err.rstrip().splitlines()[-1].startswith("next: ")
    assert (landing.clone.refs(), landing.github.pushes("octo/tiny")) == before
    assert not list(landing.clone.path.glob("**/pwned"))


def path_without(tmp_path: Path, *missing: str) -> str:
    """Return a PATH on which some programs are not to be found."""
    bin_dir = tmp_path / "bin"
    bin_dir.mkdir()
    for name in {"git", "gh", "cargo", "sh", "rustup", "rustc", "rustfmt", "env"} - set(missing):
        found = shutil.which(
            name, path=f"{Path(shutil.which('python3') or '').parent}:/usr/bin:/bin"
        ) or shutil.which(name)
        if found:
            (bin_dir / name).symlink_to(found)
    return str(bin_dir)


def test_no_git(landing: Landing, tmp_path: Path) -> None:
    """Git is not installed: exit 6."""
    ran = landing.invoke("rebase", "--pr", "519", PATH=path_without(tmp_path, "git", "gh"))
    assert (ran.code, "git is not installed" in ran.err) == (6, True)


def test_no_cargo(landing: Landing, tmp_path: Path) -> None:
    """Cargo is not installed: the fmt step stops with exit 1 and how to get it; nothing was pushed."""
    bin_dir = path_without(tmp_path, "cargo", "rustup", "rustc", "rustfmt", "gh")
    shutil.copy(shutil.which("gh", path=landing.environment()["PATH"]) or "", Path(bin_dir) / "gh")
    ran = landing.invoke("rebase", "--pr", "519", PATH=bin_dir)
    assert (ran.code, "rustup.rs" in ran.err) == (1, True), ran.err
    assert landing.remote_head("feat/two") == landing.heads[519]


def test_not_signed_in(landing: Landing) -> None:
    """No credentials: exit 4 and `gh auth login`."""
    ran = landing.invoke("rebase", "--pr", "519", GH_TOKEN="")
    assert (ran.code, ran.err.rstrip().splitlines()[-1]) == (4, "next: gh auth login")


def test_a_bad_token(landing: Landing) -> None:
    """Credentials that GitHub does not accept: exit 4 too, though gh exits 1."""
    ran = landing.invoke("rebase", "--pr", "519", GH_TOKEN="expired")
    clear = "next: unset GH_TOKEN   # GitHub does not accept the token in it; then: gh auth login"
    assert (ran.code, ran.err.rstrip().splitlines()[-1]) == (4, clear)


def test_not_a_repository(landing: Landing, tmp_path: Path) -> None:
    """Outside any repository: exit 2."""
    (tmp_path / "empty").mkdir()
    shutil.copy(landing.clone.path / "tasks.py", tmp_path / "empty")
    ran = landing.invoke("rebase", "--pr", "519", cwd=tmp_path / "empty")
    assert (ran.code, "is not in a git repository" in ran.err) == (2, True)


def test_a_shallow_clone(landing: Landing, tmp_path: Path) -> None:
    """A shallow clone cannot prove where own commits begin: exit 5 and how to deepen it."""
    shallow = tmp_path / "shallow"
    landing.clone.git("clone", "--quiet", "--depth=1", landing.github.remote("octo/tiny"), str(shallow),
                      env=landing.environment())  # fmt: skip
    before = Repo(shallow).refs()
    own_stack(Repo(shallow), (landing.clone.path / "stack.toml").read_text())
    ran = landing.invoke("rebase", "--pr", "519", cwd=shallow)
    assert (ran.code, ran.err.rstrip().splitlines()[-1]) == (5, "next: git fetch --unshallow origin")
    assert Repo(shallow).refs() == before


def test_the_program_in_a_repository_without_tasks(landing: Landing) -> None:
    """`trunkline` is the same collection, where there is only a stack.toml; a bad flag is exit 2."""
    (landing.clone.path / "tasks.py").unlink()
    ran = landing.run("trunkline", "verify-merged", "--pr", "519")
    assert (ran.code, "#518 squash-merged" in ran.out) == (0, True), ran.err
    assert landing.run("trunkline", "--list").out.count("\n") > 12
    wrong = landing.run("trunkline", "rebase", "--bogus")
    assert (wrong.code, wrong.err.splitlines()[-1]) == (2, "next: trunkline --list")


def test_list_and_completion(landing: Landing) -> None:
    """Invoke's own --list and completion know the tasks."""
    listed = landing.invoke("--list").out
    for name in ("rebase", "verify-merged", "continue", "abort", "checklist"):
        assert f"  {name} " in listed
    assert "verify-merged" in landing.invoke("--complete", "--", "invoke ").out.split()
