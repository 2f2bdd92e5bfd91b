"""Files of the state directory are durable: contents and directory entries are synced before a call returns."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from trunkline.system.files import append_line, replace_bytes


@pytest.fixture
def calls(monkeypatch: pytest.MonkeyPatch) -> list[tuple[str, str]]:
    """Record each write, fsync and rename with the path that it concerns, in order."""
    noted: list[tuple[str, str]] = []
    real_write, real_fsync, real_replace = os.write, os.fsync, Path.replace

    def path_of(handle: int) -> str:
        return str(Path(f"/proc/self/fd/{handle}").readlink())

    def write(handle: int, data: bytes) -> int:
        noted.append(("write", path_of(handle)))
        return real_write(handle, data)

    def fsync(handle: int) -> None:
        noted.append(("fsync", path_of(handle)))
        real_fsync(handle)

    def replace(source: Path, target: Path) -> Path:
        noted.append(("rename", str(target)))
        return real_replace(source, target)

    monkeypatch.setattr(os, "write", write)
    monkeypatch.setattr(os, "fsync", fsync)
    monkeypatch.setattr(Path, "replace", replace)
    return noted


pytestmark = pytest.mark.skipif(not Path("/proc/self/fd").is_dir(), reason="names descriptors by /proc")


def test_a_new_journal_line_and_its_file_are_durable(tmp_path: Path, calls: list[tuple[str, str]]) -> None:
    """The line is synced first, then the directory entry of the new file."""
    path = tmp_path / "journal.jsonl"
    append_line(path, b"{}")
    assert calls == [("write", str(path)), ("fsync", str(path)), ("fsync", str(tmp_path))]


def test_a_later_journal_line_is_durable(tmp_path: Path, calls: list[tuple[str, str]]) -> None:
    """A line in an existing file takes one write and one fsync."""
    path = tmp_path / "journal.jsonl"
    path.write_bytes(b"")
    append_line(path, b"{}")
    assert calls == [("write", str(path)), ("fsync", str(path))]


def test_a_short_write_is_an_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A write of fewer bytes than the line raises an error: half a line is not a record."""
    monkeypatch.setattr(os, "write", lambda _handle, data: len(data) - 1)
    with pytest.raises(OSError, match="short write"):
        append_line(tmp_path / "journal.jsonl", b"{}")


def test_a_replaced_file_is_durable_before_and_after_the_rename(tmp_path: Path, calls: list[tuple[str, str]]) -> None:
    """Content is synced before the rename: a power cut leaves the old file or the new one, never an empty one."""
    path = tmp_path / "state.json"
    replace_bytes(path, b"{}")
    assert [kind for kind, _ in calls] == ["fsync", "rename", "fsync"]
    assert calls[0][1] != str(path)
    assert calls[1:] == [("rename", str(path)), ("fsync", str(tmp_path))]


def test_a_line_is_never_appended_through_a_link(tmp_path: Path) -> None:
    """A symbolic link in place of the journal is refused: its target could be any file of the user."""
    (tmp_path / "elsewhere").write_bytes(b"")
    (tmp_path / "journal.jsonl").symlink_to(tmp_path / "elsewhere")
    with pytest.raises(OSError, match="symbolic link"):
        append_line(tmp_path / "journal.jsonl", b"{}")
    assert (tmp_path / "elsewhere").read_bytes() == b""
