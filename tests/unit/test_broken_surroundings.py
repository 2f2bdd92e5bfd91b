"""Errors of the file system are named; they are no defects and have no traceback."""

from __future__ import annotations

import errno
import fcntl
import os
from pathlib import Path

import pytest
from invoke.exceptions import Exit

from trunkline.domain.errors import ExitCode, ExternalError, UsageError
from trunkline.git.git import Git
from trunkline.state import lock
from trunkline.system import files, process
from trunkline.tasks.session import task_session


@pytest.mark.parametrize(
    "error",
    [
        OSError(errno.ENOSPC, "No space left on device"),
        OSError(errno.EFBIG, "File too large"),
        FileExistsError(errno.EEXIST, "File exists", "/x/.git/trunkline"),
        NotADirectoryError(errno.ENOTDIR, "Not a directory", "/x/.git/trunkline/runs"),
        OSError(errno.EMFILE, "Too many open files", "/x/.git/trunkline/runs"),
        OSError(errno.ELOOP, "Too many levels of symbolic links", "/x/.git/trunkline/runs"),
        OSError(errno.ESTALE, "Stale file handle", "/x/.git/trunkline/runs"),
    ],
)
def test_what_a_file_system_refuses_is_no_defect(error: OSError, capsys: pytest.CaptureFixture[str]) -> None:
    """Full disks, limits on file sizes, and files where directories belong: exit 6, one error."""
    with pytest.raises(Exit) as left, task_session("status", json_wanted=False):
        raise error
    assert left.value.code == ExternalError.code
    assert "cannot be" in capsys.readouterr().err


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give a file to another user")
def test_a_path_of_ours_that_root_made(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """`sudo trunkline` leaves files of root: the command gives them back to the user."""
    state = tmp_path / ".git/trunkline"
    state.mkdir(parents=True)
    os.chown(tmp_path / ".git", 1234, 1234)
    monkeypatch.setattr(os, "geteuid", lambda: 1234)
    with pytest.raises(Exit), task_session("status", json_wanted=False):
        raise PermissionError(errno.EACCES, "Permission denied", str(state / "runs"))
    assert capsys.readouterr().err.splitlines()[-1] == f'next: sudo chown -R "$(id -un)" {state}'


def test_a_repository_of_another_user(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Git does not use it; the command that allows it is printed, not one for a directory without a repository."""
    said = f"fatal: detected dubious ownership in repository at '{tmp_path}'\nTo add an exception ...".encode()

    def refuses(argv: tuple[str, ...], **_: object) -> process.Completed:
        return process.Completed(argv, 128, b"", said, 0.0)

    monkeypatch.setattr(process, "run", refuses)
    with pytest.raises(UsageError, match="belongs to another user") as refused:
        Git(tmp_path).common_dir()
    assert refused.value.next_commands == (f"git config --global --add safe.directory {tmp_path}",)


def test_a_defect_is_reported_where_no_log_can_be_written(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """The disk is full while a defect is reported: exit 70, no traceback."""

    def full(*_: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device", "defect.log")

    monkeypatch.setattr("trunkline.tasks.session.append_line", full)
    with pytest.raises(Exit) as left, task_session("status", json_wanted=False):
        raise ZeroDivisionError
    assert left.value.code == ExitCode.DEFECT
    shown = capsys.readouterr().err
    assert "defect: ZeroDivisionError" in shown
    assert shown.splitlines()[-1].startswith("next: ls -ld /")


def test_a_defect_is_reported_where_the_state_directory_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Every user can write to the directory above it: exit 70, no traceback."""
    shared = tmp_path / "shared"
    shared.mkdir()
    shared.chmod(0o777)
    monkeypatch.setenv("TRUNKLINE_STATE_DIR", str(shared / "state"))
    with pytest.raises(Exit) as left, task_session("status", json_wanted=False):
        raise ZeroDivisionError
    assert left.value.code == ExitCode.DEFECT
    assert "can be written by every user" in capsys.readouterr().err


@pytest.mark.parametrize("number", [errno.ENOLCK, errno.ENOSYS, errno.EOPNOTSUPP])
def test_a_file_system_without_locks_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, number: int) -> None:
    """Some network file systems: no lock, no run."""

    def unsupported(*_: object) -> None:
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr(fcntl, "flock", unsupported)
    with pytest.raises(ExternalError, match="cannot be locked, so nothing was done"), lock.hold(tmp_path, run="r"):
        raise AssertionError("a run began without a lock")


def test_a_failed_append_names_its_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The system names no file for a write to a handle."""

    def full(*_: object) -> int:
        raise OSError(errno.EFBIG, "File too large")

    monkeypatch.setattr(os, "write", full)
    with pytest.raises(OSError, match=r"journal\.jsonl") as failed:
        files.append_line(tmp_path / "journal.jsonl", b"{}")
    assert failed.value.errno == errno.EFBIG


def test_wrong_usage_leads_to_the_flags(capsys: pytest.CaptureFixture[str]) -> None:
    """An error that names no command: neither `doctor` nor `continue` of another run mends a flag."""
    with pytest.raises(Exit), task_session("modify", json_wanted=False):
        raise UsageError("--rename 2: --branch has the new name")
    assert capsys.readouterr().err.splitlines()[-1] == "next: invoke --help modify"
