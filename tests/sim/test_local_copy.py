"""A copy of the user's clone on the simulated GitHub: its local branches as pull requests."""

from __future__ import annotations

from pathlib import Path

import pytest

from support import needs
from support.inprocess import Quiet
from support.repo import Repo
from trunkline.commands import serve
from trunkline.commands.local_copy import read_local_stack
from trunkline.domain.errors import UsageError
from trunkline.sim.sandbox import local_copy

STACK = """\
schema = 1
trunk = "master"

[[entry]]
pr = 7
branch = "feat/one"
title = "One of mine"
"""


@pytest.fixture
def clone(tmp_path: Path) -> Repo:
    """Return a clone on `master` with two stacked branches and one on trunk, without a remote."""
    made = Repo.create(tmp_path / "my crate")
    made.git("branch", "--move", "master")
    made.commit("Begin", {"a.txt": "a\n"})
    for branch in ("feat/one", "feat/two"):
        made.git("switch", "--quiet", "--create", branch)
        made.commit(f"Add {branch}", {f"{branch}.txt": "1\n"})
    made.git("switch", "--quiet", "--create", "aside", "master")
    made.commit("Add aside", {"aside.txt": "1\n"})
    return made


@needs.ssh_keygen
def test_local_branches_become_pull_requests(clone: Repo, tmp_path: Path) -> None:
    """Each has its base and title; the checkout has the same branches, and the clone is unchanged."""
    (clone.path / "stack.toml").write_text(STACK)
    before = (clone.refs(), clone.git("config", "--list", "--local"))
    stack = read_local_stack(clone.path)
    assert (stack.slug, stack.trunk, stack.checked_out) == ("local/my-crate", "master", "aside")
    with local_copy(tmp_path / "world", stack) as place:
        pulls = place.github.state()["repositories"]["local/my-crate"]["pulls"]
        shown = {int(number): (pull["head"], pull["base"], pull["title"]) for number, pull in pulls.items()}
        assert shown == {
            7: ("feat/one", "master", "One of mine"),
            8: ("aside", "master", "Add aside"),
            9: ("feat/two", "feat/one", "Add feat/two"),
        }
        assert place.git("branch", "--show-current") == "aside"
        assert place.git("rev-parse", "feat/two@{upstream}") == clone.head("feat/two")
        assert (place.checkout / "stack.toml").read_text() == STACK
        assert place.git("status", "--porcelain") == ""
        assert place.git("config", "user.signingKey") == str(place.root / "signer.pub")
        assert (
            (place.root / "allowed_signers")
            .read_text()
            .startswith(f"{place.git('config', 'user.email')} ssh-ed25519 ")
        )
        assert place.git("remote", "get-url", "origin") == "git@github.com:local/my-crate.git"
    assert (clone.refs(), clone.git("config", "--list", "--local")) == before


def test_the_remotes_trunk_counts(clone: Repo) -> None:
    """Trunk is where the last fetch left it; a branch that is only fetched is not served."""
    clone.git("remote", "add", "origin", "https://github.com/acme/kv.git")
    clone.git("update-ref", "refs/remotes/origin/dev", "feat/one")
    clone.git("symbolic-ref", "refs/remotes/origin/HEAD", "refs/remotes/origin/dev")
    stack = read_local_stack(clone.path / ".git" / "..")
    assert (stack.slug, stack.trunk) == ("acme/kv", "dev")
    assert [(pull.branch, pull.base) for pull in stack.pulls] == [("aside", "dev"), ("feat/two", "dev")]


def test_what_cannot_be_served(clone: Repo, tmp_path: Path) -> None:
    """Each error names the command that helps."""
    shallow = tmp_path / "shallow"
    clone.git("clone", "--quiet", "--depth=1", f"file://{clone.path}", str(shallow))
    clone.git("branch", "--move", "master", "production")
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "file").touch()
    Repo.create(tmp_path / "empty")
    guessed = f"invoke sim.serve --repository '{clone.path}' --trunk BRANCH"
    for path, trunk, word, typed in (
        (tmp_path / "nowhere", "", "no such directory", "invoke sim.serve --example"),
        (shallow, "", "shallow clone", f"git -C {shallow} fetch --unshallow"),
        (tmp_path / "empty", "", "no commit yet", ""),
        (clone.path, "", "which branch", guessed),
        (
            clone.path,
            "nope",
            "there is no branch nope",
            f"invoke sim.serve --repository '{clone.path}' --trunk BRANCH",
        ),
    ):
        with pytest.raises(UsageError) as refused:
            read_local_stack(path, trunk)
        assert word in refused.value.what
        assert typed in refused.value.next_commands[0]
    reporter = Quiet()
    with pytest.raises(UsageError, match="two repositories"):
        serve.serve("", reporter, example=True, repository=str(clone.path))
    with pytest.raises(UsageError, match="is not empty"):
        serve.serve(str(tmp_path / "full"), reporter, repository=str(clone.path), trunk="production")
