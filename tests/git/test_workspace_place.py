"""`[gates] root` names a directory of the commit: a link would lead gates to read and write files elsewhere."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from support.repo import Repo
from trunkline.domain.errors import Refused
from trunkline.domain.stack import GateSettings
from trunkline.gates import slots
from trunkline.gates.gate_workspace import GateWorkspace
from trunkline.gates.run import gate_commit


@pytest.fixture
def elsewhere(tmp_path: Path) -> Path:
    """Return a workspace that is no part of the repository."""
    folder = tmp_path / "elsewhere"
    (folder / "rust").mkdir(parents=True)
    (folder / "rust/Cargo.toml").write_text("[workspace]\n")
    return folder


@pytest.mark.parametrize(("root", "link"), [("rust", "rust"), ("code/rust", "code"), ("code/rust", "code/rust")])
@pytest.mark.parametrize("executor", ["local", "dask", "actions"])
def test_a_root_that_is_a_link_is_refused(repo: Repo, elsewhere: Path, root: str, link: str, executor: str) -> None:
    """Absolute, or one of the directories above it; whatever runs the gates, and before anything runs."""
    (repo.path / link).parent.mkdir(exist_ok=True)
    (repo.path / link).symlink_to(elsewhere if link == "code" else elsewhere / "rust")
    commit = repo.commit("a link", {"a": "a"})
    settings = replace(GateSettings(), root=root, executor=executor)
    with pytest.raises(Refused, match=f"the commit's {link} is a link: no gate runs behind it"):
        gate_commit(repo.path, commit, settings)
    assert not (elsewhere / "rust/target").exists()


def test_a_session_of_nox_refuses_it_too(repo: Repo, elsewhere: Path) -> None:
    """`nox -s gates` and workers ask nobody before: where gates run is looked at there again."""
    (repo.path / "rust").symlink_to(elsewhere / "rust")
    commit = repo.commit("a link", {"a": "a"})
    with slots.slot(repo.adapter, commit) as slot, pytest.raises(Refused, match="rust is a link"):
        GateWorkspace(repo.adapter, slot, "rust", repo.path)


def test_a_directory_is_none(repo: Repo) -> None:
    """Links elsewhere in the tree are its own affair; the top is always a directory."""
    (repo.path / "other").symlink_to("rust")
    commit = repo.commit("a directory", {"rust/Cargo.toml": "[workspace]\n"})
    for root in ("rust", "."):
        slots.refuse_links(repo.adapter, commit, root)
