"""Undo and abort give back index and files exactly as `amend --all` and `add --all` found them."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from support.inprocess import Desk, desk, kill_at
from trunkline.commands import add, amend, rewriting
from trunkline.domain.names import branch_name


@pytest.fixture
def stack(monkeypatch: pytest.MonkeyPatch) -> Iterator[Desk]:
    """Yield a stack whose middle entry is checked out, with one change of each kind."""
    with desk(monkeypatch) as found:
        found.own_stack(monkeypatch)
        clone = found.clone
        clone.git("switch", "--quiet", "two")
        files = (
            "staged",
            "unstaged",
            "both",
            "deleted",
            "deleted-staged",
            "mode",
            "mode-staged",
            "emptied",
            "renamed",
        )
        clone.commit("files", {f"{name}.txt": f"{name}\n" * 9 for name in files})
        clone.git("push", "--quiet", "origin", "two")
        path = clone.path
        (path / "staged.txt").write_text("staged edit\n")
        (path / "both.txt").write_text("first edit\n")
        (path / "mode-staged.txt").chmod(0o755)
        (path / "new-staged.txt").write_text("new\n")
        clone.git("add", "staged.txt", "both.txt", "mode-staged.txt", "new-staged.txt")
        clone.git("rm", "--quiet", "deleted-staged.txt")
        clone.git("mv", "renamed.txt", "renamed-to.txt")
        (path / "both.txt").write_text("second edit\n")
        (path / "unstaged.txt").write_text("edit\n")
        (path / "deleted.txt").unlink()
        (path / "mode.txt").chmod(0o755)
        (path / "emptied.txt").write_text("")
        (path / "untracked.txt").write_text("untracked\n")
        yield found


def state(stack: Desk) -> tuple[str, dict[str, tuple[int, bytes]]]:
    """Return what git shows of the checkout, and mode and content of each file."""
    files = (path for path in stack.clone.path.iterdir() if path.is_file())
    found = {path.name: (path.stat().st_mode, path.read_bytes()) for path in files}
    return stack.clone.git("status", "--porcelain=v2", "--branch"), found


def amended(stack: Desk) -> None:
    """Run `amend --all`."""
    context = stack.entry_context(2).over_the_stack()
    assert rewriting.run(context, amend.plan(context.view(), amend.Request(all=True))).error is None


def added(stack: Desk) -> None:
    """Run `add half --all`."""
    request = add.Request(branch_name("half"), "Add half", all=True)
    assert add.run(add.plan(stack.stack_context(), request)).error is None


@pytest.mark.parametrize("verb", [amended, added])
@pytest.mark.parametrize("ends", ["undo", *range(3, 6)])
def test_index_and_files_are_restored(
    stack: Desk, monkeypatch: pytest.MonkeyPatch, verb: type, ends: str | int
) -> None:
    """After an undo, and after an abort of a run that was killed at a record."""
    before = state(stack)
    if isinstance(ends, int):
        assert kill_at(monkeypatch, ends, lambda: verb(stack))
        assert stack.open_run() is None or stack.abort() is not None
    else:
        verb(stack)
        after = state(stack)
        for wanted in (before, after, before):  # undo, redo, undo
            undone = stack.undo()
            assert undone is not None
            assert undone.error is None
            assert state(stack) == wanted
    assert state(stack) == before
