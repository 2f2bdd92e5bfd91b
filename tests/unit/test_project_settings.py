"""Invoke's project settings in the program `trunkline`: `run: {dry: true}` is a dry run there too."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest

from trunkline.tasks.project_settings import take_dry_run


@pytest.fixture(autouse=True)
def _restored(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("INVOKE_RUN_DRY", "1")  # otherwise a value set by the test would stay
    monkeypatch.delenv("INVOKE_RUN_DRY")


def dry(directory: Path) -> bool:
    """Return whether the tasks of a program in this directory are dry runs."""
    os.environ.pop("INVOKE_RUN_DRY", None)
    take_dry_run(directory)
    return os.environ.get("INVOKE_RUN_DRY") == "1"


@pytest.mark.parametrize(
    ("name", "text", "expected"),
    [
        ("invoke.yaml", "run: {dry: true}\n", True),
        ("invoke.yml", "run:\n  dry: yes\n", True),
        ("invoke.json", '{"run": {"dry": true}}', True),
        ("invoke.yaml", "run: {dry: false}\n", False),
        ("invoke.yaml", "run: [dry]\n", False),
        ("invoke.yaml", "", False),
        ("invoke.py", "raise SystemExit(1)\n", False),
    ],
)
def test_the_settings_of_the_checkout_count(tmp_path: Path, name: str, text: str, expected: bool) -> None:  # noqa: FBT001 -- a table
    """In the working directory and from below it; invoke.py is code of the checkout, and is not run."""
    (tmp_path / ".git").mkdir()
    (tmp_path / name).write_text(text)
    (tmp_path / "src/deep").mkdir(parents=True)
    assert [dry(tmp_path), dry(tmp_path / "src/deep")] == [expected, expected]


def test_settings_outside_the_checkout_do_not_count(tmp_path: Path) -> None:
    """The checkout's top is the last directory that is searched."""
    (tmp_path / "invoke.yaml").write_text("run: {dry: true}\n")
    (tmp_path / "clone/.git").mkdir(parents=True)
    assert not dry(tmp_path / "clone")


def test_the_environment_ranks_above_them(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """As in Invoke."""
    (tmp_path / "invoke.yaml").write_text("run: {dry: true}\n")
    monkeypatch.setenv("INVOKE_RUN_DRY", "0")
    take_dry_run(tmp_path)
    assert os.environ["INVOKE_RUN_DRY"] == "0"


@pytest.mark.parametrize("text", ["run: {dry: true", "[" * 50_000, "x" * 70_000, "!!python/object/apply:os.abort []"])
def test_settings_that_cannot_be_read_stop_the_program(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], text: str
) -> None:
    """They may ask for a dry run: exit 2, with the file and a way on."""
    (tmp_path / "invoke.yaml").write_text(text)
    with pytest.raises(SystemExit) as left:
        take_dry_run(tmp_path)
    assert left.value.code == 2
    printed = capsys.readouterr().err
    assert f"error: {tmp_path}/invoke.yaml cannot be read" in printed
    assert "next: INVOKE_RUN_DRY=0 trunkline" in printed


def test_a_fifo_is_no_settings_file(tmp_path: Path) -> None:
    """A FIFO would wait for a writer."""
    subprocess.run(["mkfifo", str(tmp_path / "invoke.yaml")], check=True)
    assert not dry(tmp_path)
