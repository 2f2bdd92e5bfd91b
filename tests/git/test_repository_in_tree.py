"""A branch holds a directory that looks like a bare repository, with a configuration that names a command."""

from __future__ import annotations

from pathlib import Path

import pytest

from support.repo import Repo
from trunkline.context.loading import top_of
from trunkline.domain.errors import TrunklineError, UsageError
from trunkline.git.git import Git


@pytest.fixture
def inside(repo: Repo) -> Path:
    """Return that directory; its command creates the file `ran` beside it."""
    made = repo.path / "crates/foo"
    for name in ("objects", "refs"):
        (made / name).mkdir(parents=True)
    (made / "HEAD").write_text("ref: refs/heads/main\n")
    (made / "config").write_text(
        f'[core]\n\tbare = false\n\tworktree = .\n\tsshCommand = "touch {made.parent / "ran"}; false"\n'
        '[remote "origin"]\n\turl = git@github.com:octo/tiny.git\n'
    )
    return made


def test_a_branch_brings_a_repository_with_commands(
    repo: Repo, inside: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Plain git runs the command there; trunkline's git does not use the repository."""
    ran = inside.parent / "ran"
    monkeypatch.delenv("GIT_SSH_COMMAND", raising=False)
    Repo(inside).git("ls-remote", "origin", check=False)
    assert ran.exists()
    ran.unlink()
    with pytest.raises(TrunklineError, match="ls-remote"):
        Git(inside).query("ls-remote", "origin", network=True)
    with pytest.raises(UsageError, match="bare repository"):
        top_of(Git(inside))
    assert not ran.exists()
    assert top_of(Git(inside.parent)).cwd == repo.path


def test_a_bare_repository_of_ours(tmp_path: Path) -> None:
    """The mirror of a worker and the cache of a submodule are named as such; a work tree of it is not bare."""
    Git(tmp_path).scratch("init", "--quiet", "--bare", ".")
    mirror = Git(tmp_path, git_dir=".")
    assert mirror.query("rev-parse", "--is-bare-repository").text == "true"
    assert mirror.common_dir() == tmp_path
    assert not mirror.at(tmp_path).git_dir
