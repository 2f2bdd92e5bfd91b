"""Files that are not what a task expects: of another kind, or removed while they are listed."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from trunkline.commands import ci_workflow
from trunkline.domain.errors import UsageError
from trunkline.git.git import Git
from trunkline.rust import bubblewrap


@pytest.mark.parametrize(
    "spoil",
    [
        lambda top: (top / ".github").write_text("a file\n"),
        lambda top: (top / ci_workflow.PATH).mkdir(parents=True),
    ],
    ids=["a part of the path is a file", "the path is a directory"],
)
@pytest.mark.parametrize("task", [ci_workflow.check, ci_workflow.write])
def test_a_workflow_that_cannot_be_read(
    tmp_path: Path, task: Callable[[Git, str], object], spoil: Callable[[Path], object]
) -> None:
    """The error names the file and a command, in place of an internal error."""
    spoil(tmp_path)
    with pytest.raises(UsageError, match="cannot be read") as refused:
        task(Git(tmp_path), "text")
    assert refused.value.next_commands


def test_files_of_etc_that_are_removed_while_they_are_listed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A deleted file needs no mask; the others are still found."""
    for name in ("gone", "open", "secret"):
        (tmp_path / name).write_text("x")
    (tmp_path / "secret").chmod(0o600)
    (tmp_path / "folder").mkdir()
    listed = bubblewrap._entries(tmp_path)
    (tmp_path / "gone").unlink()
    (tmp_path / "folder").rmdir()
    real = bubblewrap._entries
    monkeypatch.setattr(bubblewrap, "_entries", lambda folder: listed if folder == tmp_path else real(folder))
    assert list(bubblewrap._restricted(tmp_path)) == [tmp_path / "secret"]
    assert real(tmp_path / "folder") == ()
