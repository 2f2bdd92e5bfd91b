"""Directories of the commit in which gates work: a link would lead them to read, write and remove files elsewhere."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from support.repo import Repo
from trunkline.domain.errors import Refused
from trunkline.domain.receipt import Toolchain, Verdict
from trunkline.domain.stack import GateSettings
from trunkline.gates import execute, slots
from trunkline.gates.catalogue import Gate
from trunkline.gates.gate_workspace import GateWorkspace
from trunkline.gates.run import gate_commit
from trunkline.rust.target_directory import TargetDirectory


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
    """`nox -s gates` and workers check the place of the gates themselves."""
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


@pytest.mark.parametrize("link", ["target", "out"])
def test_a_target_directory_behind_a_link_is_left_alone(repo: Repo, elsewhere: Path, link: str) -> None:
    """A commit's `target`, or a part of its `[build] target-dir`: the gate fails, and nothing there is removed."""
    repo.commit("start", {"Cargo.toml": "[workspace]\n", ".cargo/config.toml": '[build]\ntarget-dir = "out/rust"\n'})
    (repo.path / link).symlink_to(elsewhere)
    commit = repo.commit("a link")
    gate = Gate("build", ("true",), {}, "code", (), 60.0)
    with slots.slot(repo.adapter, commit) as slot:
        workspace = GateWorkspace(repo.adapter, slot, ".", repo.path)
        outcome = execute.execute(workspace, gate, fresh=False, toolchain=Toolchain("", ""), say=lambda _: None)
    assert (outcome.verdict, outcome.fix) == (Verdict.FAILED, f"git rm -- {link}")
    assert (elsewhere / "rust/Cargo.toml").read_text() == "[workspace]\n"


def test_links_in_a_target_directory_lead_nowhere(tmp_path: Path) -> None:
    """Code of a gate can make them; they are removed, and what they lead to is no build output."""
    target, other = TargetDirectory(tmp_path / "target"), tmp_path / "other"
    name = "tiny-0123456789abcdef"
    for place in (target.path / "debug", target.path / "triple/debug", other, other / "debug"):
        (place / ".fingerprint" / name).mkdir(parents=True)
        (place / "build" / name).mkdir(parents=True)
        (place / "notes.txt").touch()
    kept = sorted(other.rglob("*"))
    assert [unit.package for unit in target.units()] == ["tiny", "tiny"]
    (target.path / "evil").symlink_to(other)
    (target.path / "triple/evil").symlink_to(other)
    (target.path / "debug/build").rename(target.path / "away")
    (target.path / "debug/build").symlink_to(other / "build")
    target.sweep()
    target.remove_units(target.units())
    assert sorted(other.rglob("*")) == kept
    assert [path for path in target.path.rglob("*") if path.is_symlink()] == []
