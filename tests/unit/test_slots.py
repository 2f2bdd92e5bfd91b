"""The work trees of gates: created once, although the sessions of a run start together."""

from __future__ import annotations

import fcntl
from pathlib import Path

import pytest

from trunkline.domain.names import Oid
from trunkline.gates import slots
from trunkline.git.state_directory import work_dir


def test_obsolete_trees_are_removed_under_a_lock(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A session that comes later waits: else it would remove what the first one has just created."""
    monkeypatch.setenv("TRUNKLINE_GATES_DIR", str(tmp_path / "far"))
    monkeypatch.setenv("TRUNKLINE_STATE_DIR", str(tmp_path / "state"))
    path = work_dir(tmp_path) / ("long" * 20)
    path.mkdir()
    waited = []

    def remove(_tree: Path) -> None:
        with (path / "trees.lock").open("a+") as lock, pytest.raises(BlockingIOError):
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        waited.append(1)

    monkeypatch.setattr(slots, "remove_tree", remove)
    slot = slots.Slot(path, Oid("a" * 40), "group")
    assert slot.tree.parent.parent == tmp_path / "far"
    removed = len(waited)
    assert removed
    assert (slot.tree, len(waited)) == (slot.tree, removed)


def test_trees_move_with_their_base(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Another base, or none that is shorter: the former trees are removed, and the slot has new ones."""
    monkeypatch.setenv("TRUNKLINE_STATE_DIR", str(tmp_path / "state"))
    path = work_dir(tmp_path) / ("long" * 20)
    path.mkdir()
    slot = slots.Slot(path, Oid("a" * 40), "group")
    former = path / "none"
    for base, place in (("far", "far"), ("other", "other"), ("longer" * 20, ""), ("far", "far")):
        monkeypatch.setenv("TRUNKLINE_GATES_DIR", str(tmp_path / base))
        trees = slot.tree.parent
        assert trees.parent == (tmp_path / place if place else path)
        assert (list(trees.iterdir()), (former / "mark").exists()) == ([], False)
        (trees / "mark").touch()
        former = trees
