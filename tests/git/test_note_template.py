"""The file of the note's template: trunk's, or an untracked one; never a branch's own, never through a link."""

from __future__ import annotations

import os
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from support.repo import Repo
from trunkline.domain.errors import UsageError
from trunkline.domain.note import Template
from trunkline.domain.stack import NoteSettings
from trunkline.operations import note_template

NAME = "docs/note.md.j2"
KEY = "-----BEGIN OPENSSH PRIVATE KEY-----"


def template(repo: Repo, name: str = NAME) -> Template | None:
    """Read the template with stack.toml's `template = name`, trunk being the branch main."""
    trunk = repo.head("main")
    project = SimpleNamespace(git=repo.adapter, tracking="origin/main")
    view: Any = SimpleNamespace(
        project=project, git=repo.adapter, tracking=project.tracking, stack=SimpleNamespace(note=NoteSettings(name)),
        world=SimpleNamespace(trunk=trunk),
    )  # fmt: skip
    return note_template.template_of(view)


def refused(repo: Repo, name: str = NAME) -> str:
    """Return why the template is not read."""
    with pytest.raises(UsageError, match=r"note\.template: .* cannot be read") as found:
        template(repo, name)
    assert KEY not in str(found.value)
    return found.value.why


@pytest.fixture
def key(tmp_path: Path) -> Path:
    """Return a private file outside the repository."""
    path = tmp_path / "id_ed25519"
    path.write_text(KEY)
    return path


def test_trunks_version_counts_whatever_the_branch_and_the_checkout_have(repo: Repo) -> None:
    """A pull request that rewrites the template does not decide what its own note says."""
    repo.commit("start", {NAME: "trunk's"})
    repo.git("switch", "--quiet", "-c", "feature")
    repo.commit("mine", {NAME: "the branch's"})
    (repo.path / NAME).write_text("edited")
    assert template(repo) == Template(NAME, "trunk's")


def test_a_file_that_git_does_not_track_is_a_persons_own(repo: Repo) -> None:
    """As stack.toml itself may be."""
    repo.commit("start")
    (repo.path / "docs").mkdir()
    (repo.path / NAME).write_text("mine ☃", encoding="utf-8")
    assert template(repo) == Template(NAME, "mine ☃")
    assert template(repo, "") is None


def test_a_branchs_own_template_is_not_used(repo: Repo) -> None:
    """The branch's template is code that only the pull request has."""
    repo.commit("start")
    repo.git("switch", "--quiet", "-c", "feature")
    repo.commit("template", {NAME: "the branch's"})
    assert "origin/main has no such file; a branch's own template is not used" in refused(repo)


@pytest.mark.parametrize("at", ["the file", "its directory"])
@pytest.mark.parametrize("where", ["trunk", "checkout"])
def test_a_link_is_not_followed(repo: Repo, key: Path, at: str, where: str) -> None:
    """Neither one that trunk tracks, nor one in the checkout, nor one on the way there."""
    repo.commit("start")
    if at == "the file":
        (repo.path / "docs").mkdir()
        (repo.path / NAME).symlink_to(os.path.relpath(key, repo.path / "docs"))
    else:
        key.rename(key.parent / "note.md.j2")
        (repo.path / "docs").symlink_to(key.parent)
    if where == "trunk":
        repo.commit("link")
    assert refused(repo)


def test_what_is_no_file_of_text(repo: Repo) -> None:
    """A directory, a FIFO, a device, bytes, too much."""
    repo.commit("start", {"tracked/a": "a", "large": "x" * (note_template.LONGEST + 1)})
    (repo.path / "bytes").write_bytes(b"\xff")
    (repo.path / "huge").write_bytes(b"x" * (note_template.LONGEST + 1))
    os.mkfifo(repo.path / "fifo")
    assert refused(repo, "fifo") == "it is a FIFO"
    assert refused(repo, "bytes").startswith("it is not UTF-8")
    assert refused(repo, "tracked").startswith("origin/main has no file there")
    assert refused(repo, "large") == refused(repo, "huge") == f"it has more than {note_template.LONGEST} bytes"
    assert refused(repo, "absent") == "No such file or directory"
    assert refused(repo, "bytes/x")


def test_an_odd_name_is_a_name(repo: Repo) -> None:
    """No pathspec magic, no glob."""
    repo.commit("start", {"[ab].j2": "odd", "a.j2": "a", ":(top)x": "y"})
    assert template(repo, "[ab].j2") == Template("[ab].j2", "odd")
    assert template(repo, ":(top)x") == Template(":(top)x", "y")
