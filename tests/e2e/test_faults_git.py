"""Landings under unusual git configurations and leftovers of git."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from support import needs
from support.killing import Kill, Yard, YardLanding, warm
from support.landing import SLUG, Landing, own_stack
from support.repo import Repo

pytestmark = [pytest.mark.gh, pytest.mark.slow]


@pytest.fixture
def landing(grounds: Yard) -> Iterator[YardLanding]:
    """Return the small stack with #518 merged and receipts for the result of #519's replay."""
    with grounds.prepared("warm", warm) as prepared:
        assert isinstance(prepared, YardLanding)
        yield prepared


def assert_landed(landing: Landing) -> None:
    """#519 is rebased, pushed and ready."""
    landing.clone.git("fetch", "--quiet", "origin", env=landing.environment())
    assert landing.clone.subjects("origin/main..origin/feat/two")[:2] == ["entry struct", "use the arena"]
    assert landing.pr(519)["draft"] is False


def test_leaked_git_variables_lead_nowhere(landing: YardLanding) -> None:
    """A calling hook sets GIT_DIR, GIT_INDEX_FILE and GIT_WORK_TREE: our git works where the task was typed."""
    other = Repo.create(landing.clone.path.parent / "other")
    other.commit("other", {"o.txt": "o\n"})
    before = other.refs(), other.git("status", "--porcelain")
    leaked = {
        "GIT_DIR": f"{other.path}/.git", "GIT_INDEX_FILE": f"{other.path}/.git/index",
        "GIT_WORK_TREE": str(other.path), "GIT_OBJECT_DIRECTORY": f"{other.path}/.git/objects",
    }  # fmt: skip
    ran = landing.invoke("rebase", "--pr", "519", cwd=landing.clone.path, **leaked)
    assert ran.code == 0, ran.out + ran.err
    assert_landed(landing)
    assert (other.refs(), other.git("status", "--porcelain")) == before


def test_hooks_of_the_user_do_not_run_during_the_replay(landing: YardLanding) -> None:
    """No hook but pre-push runs: each would write its name to a file."""
    ran_file = landing.clone.path.parent / "ran"
    for name in (
        "pre-commit",
        "commit-msg",
        "post-commit",
        "pre-rebase",
        "post-rewrite",
        "post-checkout",
        "pre-push",
    ):
        hook = landing.clone.path / ".git/hooks" / name
        hook.parent.mkdir(exist_ok=True)
        hook.write_text(f"#!/bin/sh\necho {name} >> {ran_file}\n")
        hook.chmod(0o755)
    assert landing.invoke("rebase", "--pr", "519").code == 0
    assert ran_file.read_text().split() == ["pre-push"]


def test_settings_that_push_more_push_nothing_more(landing: YardLanding) -> None:
    """push.followTags, push.default=matching and a mirror's refspec: one ref moves on the remote, by its lease."""
    clone = landing.clone
    clone.git("tag", "--annotate", "v1", "--message", "v1", landing.heads[519])
    for key, value in (("push.followTags", "true"), ("push.default", "matching"), ("push.autoSetupRemote", "true"),
                       ("remote.origin.push", "+refs/heads/*:refs/heads/*")):  # fmt: skip
        clone.git("config", key, value)
    assert landing.invoke("rebase", "--pr", "519").code == 0
    (move,) = landing.github.pushes(SLUG)[-1]
    assert move[2] == "refs/heads/feat/two"
    assert "refs/tags/v1" not in Repo(landing.github.bare(SLUG)).refs()


def test_a_push_address_elsewhere_is_refused(landing: YardLanding) -> None:
    """A pushurl names another repository than the pull request's: exit 5 before anything."""
    landing.clone.git("remote", "set-url", "--push", "origin", "git@github.com:mallory/tiny.git")
    before = landing.world()
    ran = landing.invoke("rebase", "--pr", "519")
    assert (ran.code, "mallory/tiny" in ran.err) == (5, True)
    assert landing.world() == before


@pytest.mark.parametrize("name", ["refs/heads/feat/two.lock", "index.lock"])
def test_a_stale_lock_is_named_and_left(landing: YardLanding, name: str) -> None:
    """A git that died left its lock: exit 5, the lock is named, nothing moved; removed by a person, continue ends."""
    landing.clone.git("switch", "--quiet", "feat/two")
    lock = landing.clone.path / ".git" / name
    lock.write_text("")
    ran = landing.invoke("rebase", "--pr", "519")
    assert (ran.code, name.rpartition("/")[2] in ran.err) == (5, True), ran.err
    assert "File exists" in ran.err
    assert landing.clone.head("feat/two") == landing.heads[519]
    assert lock.exists()
    lock.unlink()
    assert landing.clone.git("status", "--porcelain") == ""
    ran = landing.invoke("continue")
    assert ran.code == 0, ran.out + ran.err
    assert_landed(landing)


def test_odd_names_and_line_ends_are_bytes(landing: YardLanding) -> None:
    """A quote, a newline and an umlaut in names, CRLF and autocrlf: contents arrive as they were committed."""
    landing.author.git("switch", "--quiet", "feat/two")
    odd = "ünï 'q'\n\"x\".txt"
    landing.author.commit("odd", {odd: "a\r\nb\r\n", "-rf": "dash\n"})
    landing.push_as_author("feat/two")
    landing.clone.git("config", "core.autocrlf", "true")
    ran = landing.invoke("rebase", "--pr", "519", "--skip", "gates,fmt")
    assert ran.code == 0, ran.out + ran.err
    names = ("-z", "--name-only", "-r", "--full-tree")
    assert odd in landing.clone.git("ls-tree", *names, "feat/two").split("\0")
    tip, was = (landing.clone.git("rev-parse", f"{side}:{odd}") for side in ("feat/two", "origin/feat/two"))
    assert tip == was


def test_a_base_deletion_that_closed_the_pull_request_stops(landing: YardLanding) -> None:
    """The pull request was closed by its base's deletion: exit 5, nothing is pushed over a closed one."""
    assert landing.invoke("rebase", "--pr", "519").code == 0
    landing.github.merge(SLUG, 519, method="squash", delete_branch="rest")
    pushes = landing.github.pushes(SLUG)
    ran = landing.invoke("rebase", "--pr", "520")
    assert (ran.code, "closed" in ran.err) == (5, True), ran.err
    assert landing.github.pushes(SLUG) == pushes


def test_a_head_that_github_shows_late_is_waited_for(landing: YardLanding) -> None:
    """After the push GitHub shows the old head for a while: ready waits for the new one, and marks that."""
    landing.kill(Kill("record", "before", 16), "rebase", "--pr", "519")
    landing.github.set_lag(SLUG, 5)
    ran = landing.invoke("continue", TRUNKLINE_WAIT_FACTOR="0")
    assert ran.code == 0, ran.out + ran.err
    assert_landed(landing)
    assert landing.pr(519)["head_oid"] == landing.remote_head("feat/two")


def test_a_trunk_that_was_rewound_holds_no_merge(landing: YardLanding) -> None:
    """GitHub reports MERGED, but trunk has no merge commit any more: the task refuses."""
    before = landing.author.git("rev-parse", "main")
    landing.author.git("push", "--quiet", "--force", "origin", f"{before}:main", env=landing.environment())
    assert landing.pr(518)["state"] == "MERGED"
    ran = landing.invoke("rebase", "--pr", "519")
    assert (ran.code, "origin/main does not contain that commit" in ran.err) == (5, True), ran.err
    assert landing.remote_head("feat/two") == landing.heads[519]


@needs.ssh_keygen
def test_a_signing_key_that_fails_is_no_conflict(landing: YardLanding) -> None:
    """Commits are signed again and the key is missing: the error says that, and nothing moved."""
    for key, value in (("commit.gpgSign", "true"), ("gpg.format", "ssh"), ("user.signingKey", "/nowhere/key")):
        landing.clone.git("config", key, value)
    ran = landing.invoke("rebase", "--pr", "519")
    assert ran.code in {2, 5, 6}, ran.out
    assert "/nowhere/key" in ran.err
    assert "/replay/" not in landing.clone.git("worktree", "list", "--porcelain")
    assert landing.remote_head("feat/two") == landing.heads[519]


def test_a_partial_clone_fetches_what_it_lacks(landing: YardLanding) -> None:
    """`git clone --filter=blob:none`: blobs come as the replay needs them."""
    partial = Repo(landing.clone.path.parent / "partial")
    remote = landing.clone.git("remote", "get-url", "origin")
    flags = ("--quiet", "--filter=blob:none")
    landing.author.git("clone", *flags, remote, str(partial.path), env=landing.environment())
    own_stack(partial, (landing.clone.path / "stack.toml").read_text())
    ran = landing.invoke("rebase", "--pr", "519", "--skip", "fmt,gates", cwd=partial.path)
    assert "rebased" in ran.out, ran.out + ran.err
    assert_landed(landing)
    assert partial.git("config", "remote.origin.promisor") == "true"


def test_a_sparse_checkout_is_gated_whole(landing: YardLanding) -> None:
    """Only the top is checked out; the gates see everything, and the checkout stays sparse."""
    landing.clone.git("status")  # what it does not know to be unchanged, sparse-checkout leaves there
    landing.clone.git("sparse-checkout", "set", "--cone", "nowhere")
    assert not (landing.clone.path / "src/lib.rs").exists()
    path = landing.clone.path / "stack.toml"
    path.write_text(path.read_text().replace('run = ["true"]', 'run = ["test", "-f", "src/entry.rs"]', 1))
    ran = landing.invoke("rebase", "--pr", "519")
    assert ran.code == 0, ran.out + ran.err
    assert_landed(landing)
    assert not (landing.clone.path / "src/lib.rs").exists()


def test_submodules_are_reported(landing: YardLanding) -> None:
    """A replay keeps a submodule; a gate that cannot check it out reports the reason."""
    author = landing.author
    author.git("switch", "--quiet", "feat/two")
    (author.path / ".gitmodules").write_text('[submodule "vendored"]\n\tpath = vendored\n\turl = ./x.git\n')
    author.git("add", ".gitmodules")
    author.git("update-index", "--add", "--cacheinfo", f"160000,{landing.heads[518]},vendored")
    author.git("commit", "--quiet", "-m", "a submodule")
    landing.push_as_author("feat/two")
    ran = landing.invoke("rebase", "--pr", "519")
    assert ran.code == 0, ran.out + ran.err
    assert "the submodule vendored could not be checked out for gates: " in ran.out
    assert landing.clone.git("ls-tree", "feat/two", "vendored").startswith("160000 commit")
