"""The messages for directories and machines where no task can work yet."""

from __future__ import annotations

import errno
import shlex
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from invoke.exceptions import Exit

from support.inprocess import Quiet
from support.repo import Repo
from trunkline.commands import doctor, verify
from trunkline.config import reading
from trunkline.context.loading import top_of
from trunkline.domain.cause import Cause, CauseId
from trunkline.domain.errors import ExitCode, UsageError
from trunkline.domain.health import Finding
from trunkline.git import refs
from trunkline.git.git import Git
from trunkline.github.client import GitHub
from trunkline.tasks import program, project_settings
from trunkline.tasks.session import task_session


def test_the_program_alone_says_how_to_begin(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """No task, exit code 0: the first commands, and the list of all."""
    monkeypatch.setattr("sys.argv", ["trunkline"])
    program.main()
    shown = capsys.readouterr().out
    assert all(word in shown for word in ("trunkline doctor", "trunkline init", "trunkline status", "--list"))


def test_help_begins_with_the_first_commands(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Then the tasks, then Invoke's own options."""
    monkeypatch.setattr("sys.argv", ["trunkline", "--help"])
    with pytest.raises(SystemExit) as ended:
        program.main()
    shown = capsys.readouterr().out
    assert not ended.value.code
    places = [shown.index(each) for each in ("trunkline doctor", "Subcommands:", "  absorb ", "Options before")]
    assert places == sorted(places)


@pytest.mark.parametrize(("number", "command"), [(errno.EROFS, "ls -ld /some"), (errno.ENOSPC, "df /some")])
def test_a_file_system_that_refuses_is_no_defect(
    number: int, command: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """Exit code 6 with the path, not 70; another error of the operating system stays a defect."""
    with pytest.raises(Exit) as ended, task_session("init", json_wanted=False):
        raise OSError(number, "refused", "/some/file")
    assert ended.value.code == ExitCode.OUTSIDE
    assert f"next: {command}" in capsys.readouterr().err.splitlines()
    with pytest.raises(Exit) as defect, task_session("init", json_wanted=False):
        raise OSError(errno.EBADF, "ours", "/some/file")
    assert defect.value.code == ExitCode.DEFECT


def test_doctor_before_init(repo: Repo, monkeypatch: pytest.MonkeyPatch) -> None:
    """Without a stack.toml it checks cargo and the sign-in, which `init` and the gates need."""
    repo.git("remote", "add", "origin", "git@github.com:octo/tiny.git")
    asked: list[str] = []

    def refused(github: GitHub) -> Iterator[Finding]:
        asked.append(github.repository.slug)
        raise UsageError("you are not signed in to GitHub", next_command="gh auth login")

    monkeypatch.setattr(doctor, "_account", refused)
    without = Cause(CauseId.PROGRAM, "cargo is not installed", "cargo", "install rustup: https://rustup.rs")
    monkeypatch.setattr("trunkline.rust.cargo.Tools.missing", lambda *_: without)
    found = {each.about: each for each in doctor.examine(Quiet(), cwd=repo.path)}
    assert (found["cargo"].message, found["sign-in"].fix) == ("cargo is not installed", "gh auth login")
    assert "sign-in" not in {each.about for each in doctor.examine(Quiet(), offline=True, cwd=repo.path)}
    assert asked == ["octo/tiny"]


def test_no_work_tree(repo: Repo, tmp_path: Path) -> None:
    """Inside `.git` the checkout is named; of a bare repository, the command that makes one."""
    with pytest.raises(UsageError, match="inside the git directory") as inside:
        top_of(Git(repo.path / ".git"))
    assert inside.value.next_commands == (f"cd {shlex.quote(str(repo.path))}",)
    bare = tmp_path / "bare.git"
    repo.commit("start", {"a.txt": "0\n"})
    repo.git("clone", "--quiet", "--bare", ".", str(bare))
    with pytest.raises(UsageError, match="bare repository") as found:
        top_of(Git(bare))
    place = tmp_path / "checkout"
    assert found.value.next_commands == (f"git worktree add {place}", f"cd {place}")
    Repo(bare).git("worktree", "add", "--quiet", str(place))
    with pytest.raises(UsageError, match="bare repository") as again:
        top_of(Git(bare))
    assert again.value.next_commands == (f"cd {place}",)


def test_a_stack_toml_that_is_a_broken_link(tmp_path: Path) -> None:
    """`init` would find the same link: the command removes it."""
    (tmp_path / "stack.toml").symlink_to("nowhere")
    with pytest.raises(UsageError, match="a link to a file that does not exist") as found:
        reading.read(tmp_path / "stack.toml")
    assert found.value.next_commands[0].startswith("rm ")


def test_verify_without_a_remote(repo: Repo) -> None:
    """The command adds the remote, with the address of the only other one; `--remote origin` would change nothing."""
    with pytest.raises(UsageError, match="has no remote origin") as found:
        verify.remote_of(repo.adapter, "")
    assert found.value.next_commands[0].startswith("git remote add origin")
    repo.git("remote", "add", "renamed", "git@github.com:octo/tiny.git")
    with pytest.raises(UsageError, match="has no remote origin") as renamed:
        refs.remote_url(repo.adapter, "origin")
    assert renamed.value.next_commands == ("git remote add origin git@github.com:octo/tiny.git",)


def test_a_directory_that_was_removed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """The shell may be in the work tree of a conflict, which a run removed: wrong usage, not a defect."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "gone").mkdir()
    monkeypatch.chdir("gone")
    (tmp_path / "gone").rmdir()
    with pytest.raises(Exit) as ended, task_session("status", json_wanted=False):
        Path.cwd()
    assert ended.value.code == 2
    assert "the current directory was removed" in capsys.readouterr().err
    project_settings.take_dry_run()  # the program begins with it, and leaves the error to the task


def test_a_full_disk_behind_the_list_of_tasks() -> None:
    """An error without a traceback, as of a task."""
    with Path("/dev/full").open("w") as full:
        argv = [sys.executable, "-c", "from trunkline.tasks.program import main; main()", "--list"]
        done = subprocess.run(argv, stdout=full, stderr=subprocess.PIPE, text=True, check=False)
    assert (done.returncode, done.stderr.splitlines()[0]) == (6, "error: standard output cannot be written")


def test_no_directory_for_temporary_files(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Every disk is full, or files are limited to no bytes; the current directory is still there."""
    monkeypatch.setattr(tempfile, "tempdir", None)
    monkeypatch.setattr(tempfile, "_candidate_tempdir_list", list)
    with pytest.raises(Exit) as ended, task_session("status", json_wanted=False), tempfile.TemporaryFile():
        pass
    printed = capsys.readouterr().err
    assert ended.value.code == 6
    assert "a temporary file cannot be written" in printed
    assert "next: df " in printed
