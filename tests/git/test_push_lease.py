"""The push lease against a real remote: a branch that somebody else moved is never overwritten."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from support.repo import Repo
from trunkline.domain.errors import ExternalError, Refused
from trunkline.domain.names import Oid, branch_name, branch_ref
from trunkline.git import local_refs, push, refs
from trunkline.git.git import Git
from trunkline.git.push import RefUpdate
from trunkline.state import lock
from trunkline.state.lock import RepositoryLock
from trunkline.system.process import Completed

ONE, TWO = branch_name("one"), branch_name("two")


@pytest.fixture
def remote(tmp_path: Path, repo: Repo) -> Repo:
    """Return a bare remote, `origin` of the repository, with two branches of one commit."""
    bare = Repo.create(tmp_path / "bare")
    bare.git("config", "core.bare", "true")
    repo.commit("base", {"a": "0\n"})
    repo.git("remote", "add", "origin", str(bare.path))
    repo.git("push", "--quiet", "origin", "HEAD:refs/heads/one", "HEAD:refs/heads/two")
    return bare


@pytest.fixture
def held(repo: Repo) -> Iterator[RepositoryLock]:
    """Return proof that refs may be moved."""
    with lock.hold(repo.adapter.state_dir(), run="r") as proof:
        yield proof


def moved_by_somebody(repo: Repo, branch: str) -> Oid:
    """Push a foreign commit to a branch and fetch it, as an editor does in the background; return it."""
    base = repo.head()
    foreign = repo.commit("foreign", {"foreign": "1\n"})
    repo.git("push", "--quiet", "origin", f"HEAD:refs/heads/{branch}")
    repo.git("fetch", "--quiet", "origin")
    repo.git("reset", "--quiet", "--hard", base)
    return foreign


def test_a_commit_that_was_fetched_since_the_plan_is_not_overwritten(
    repo: Repo, remote: Repo, held: RepositoryLock
) -> None:
    """The lease names the commit of the plan: a lease on the tracking ref would have let the push through."""
    planned = repo.head()
    foreign = moved_by_somebody(repo, "one")
    ours = repo.commit("ours", {"b": "1\n"})
    with pytest.raises(Refused):
        push.push(repo.adapter, held, "origin", [RefUpdate(ONE, planned, ours)])
    assert remote.head("one") == foreign


def test_one_branch_that_moved_keeps_all_others_from_moving(repo: Repo, remote: Repo, held: RepositoryLock) -> None:
    """A push of several branches is all or none."""
    planned = repo.head()
    foreign = moved_by_somebody(repo, "two")
    ours = repo.commit("ours", {"b": "1\n"})
    with pytest.raises(Refused):
        push.push(repo.adapter, held, "origin", [RefUpdate(ONE, planned, ours), RefUpdate(TWO, planned, ours)])
    assert (remote.head("one"), remote.head("two")) == (planned, foreign)


def test_a_branch_that_moved_is_not_deleted(repo: Repo, remote: Repo, held: RepositoryLock) -> None:
    """Deleting is a push, under the same lease."""
    planned = repo.head()
    foreign = moved_by_somebody(repo, "one")
    with pytest.raises(Refused):
        push.delete_remote(repo.adapter, held, "origin", ONE, planned)
    assert remote.head("one") == foreign


def test_a_push_that_git_reports_as_done_is_still_verified(
    repo: Repo, remote: Repo, held: RepositoryLock, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A hook of the remote moves the branch back after the push: what the remote holds decides, not git's reply."""
    planned, ours = repo.head(), repo.commit("ours", {"b": "1\n"})
    hook = remote.path / ".git" / "hooks" / "post-receive"
    hook.parent.mkdir(exist_ok=True)
    hook.write_text(f"#!/bin/sh\ngit update-ref {branch_ref(ONE)} {planned}\n")
    hook.chmod(0o755)
    monkeypatch.setenv("TRUNKLINE_ATTEMPTS", "1")
    with pytest.raises(Exception, match=r"did not take the push|not confirmed"):
        push.push(repo.adapter, held, "origin", [RefUpdate(ONE, planned, ours)])


def test_a_local_branch_that_moved_is_not_overwritten(repo: Repo, held: RepositoryLock) -> None:
    """Each move of a ref names the value that it must still have."""
    first = repo.commit("first", {"a": "1\n"})
    second = repo.commit("second", {"a": "2\n"})
    ref = branch_ref(branch_name("main"))
    repo.git("switch", "--quiet", "--detach")
    with pytest.raises(Refused):
        local_refs.move_ref(repo.adapter, held, ref, new=first, old=first, why="test")
    assert repo.head("main") == second


def test_a_ref_that_git_cannot_write(repo: Repo, held: RepositoryLock, monkeypatch: pytest.MonkeyPatch) -> None:
    """On a full disk git gives no reason, and the ref has its old value: the error is no concurrent move."""
    first, second = repo.commit("first", {"b": "0\n"}), repo.commit("second", {"b": "1\n"})
    why = b"fatal: cannot update ref 'refs/heads/main': couldn't write '.git/refs/heads/main.lock'"
    failed = Completed(("git", "update-ref"), 128, b"", why, 0.0)
    monkeypatch.setattr(Git, "mutate", lambda *_, **__: failed)
    with pytest.raises(ExternalError) as found:
        local_refs.move_ref(repo.adapter, held, branch_ref(branch_name("main")), new=first, old=second, why="test")
    assert found.value.what == "git could not move refs/heads/main"
    assert found.value.next_commands == ("df .",)


@pytest.mark.parametrize("lags", [1, 2])
def test_a_remote_that_shows_a_push_late_is_read_again(
    repo: Repo, remote: Repo, held: RepositoryLock, monkeypatch: pytest.MonkeyPatch, lags: int
) -> None:
    """The remote accepted the push and shows the old tip for a while: one push, no error."""
    planned, ours = repo.head(), repo.commit("ours", {"b": "1\n"})
    listed, stale = refs.list_remote, iter([{branch_ref(ONE): planned}] * lags)
    monkeypatch.setattr(refs, "list_remote", lambda *args: next(stale, None) or listed(*args))
    spoken: list[str] = []
    git = repo.adapter.with_echo(spoken.append)
    assert push.push(git, held, "origin", [RefUpdate(ONE, planned, ours)]) is push.Pushed.MOVED
    assert (remote.head("one"), len(spoken)) == (ours, 1)


def test_a_push_that_is_never_shown_is_reported_as_pushed(
    repo: Repo, remote: Repo, held: RepositoryLock, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Reading again is bounded; the error does not claim that the branch is as it was."""
    planned, ours = repo.head(), repo.commit("ours", {"b": "1\n"})
    monkeypatch.setattr(refs, "list_remote", lambda *_: {branch_ref(ONE): planned})
    spoken: list[str] = []
    with pytest.raises(ExternalError, match="pushed; not confirmed yet: origin does not show one at") as failed:
        push.push(repo.adapter.with_echo(spoken.append), held, "origin", [RefUpdate(ONE, planned, ours)])
    assert failed.value.next_commands == ("invoke continue",)
    assert (remote.head("one"), len(spoken)) == (ours, 1)


def hooked(repo: Repo, script: str) -> None:
    """Install a pre-push hook."""
    hook = repo.path / ".git/hooks/pre-push"
    hook.parent.mkdir(exist_ok=True)
    hook.write_text(f"#!/bin/sh\n{script}\n")
    hook.chmod(0o755)


def test_a_refused_push_is_continued(repo: Repo, remote: Repo, held: RepositoryLock) -> None:
    """The task push would ask for gates that the run skips, and would push one branch of several."""
    planned, ours = repo.head(), repo.commit("ours", {"b": "1\n"})
    hooked(repo, "exit 1")
    with pytest.raises(Refused, match="did not take the push") as refused:
        push.push(repo.adapter, held, "origin", [RefUpdate(ONE, planned, ours)])
    assert refused.value.next_commands == ("invoke continue",)
    assert remote.head("one") == planned


def test_a_git_that_was_killed_may_have_pushed(repo: Repo, remote: Repo, held: RepositoryLock) -> None:
    """A signal ended the push: the remote's refs decide, as after any other end."""
    planned, ours = repo.head(), repo.commit("ours", {"b": "1\n"})
    hooked(repo, "kill -9 $PPID")
    with pytest.raises(ExternalError, match="did not take the push") as failed:
        push.push(repo.adapter, held, "origin", [RefUpdate(ONE, planned, ours)])
    assert failed.value.next_commands == ("invoke continue",)
    assert remote.head("one") == planned


def test_a_push_mirror_is_named(repo: Repo, remote: Repo, held: RepositoryLock) -> None:
    """Git pushes no single branch there; after the printed command it does, and deletes nothing."""
    planned, ours = repo.head(), repo.commit("ours", {"b": "1\n"})
    repo.git("config", "remote.origin.mirror", "true")
    with pytest.raises(Refused, match="only as a mirror") as refused:
        push.push(repo.adapter, held, "origin", [RefUpdate(ONE, planned, ours)])
    repo.git(*refused.value.next_commands[0].split()[1:])
    assert push.push(repo.adapter, held, "origin", [RefUpdate(ONE, planned, ours)]) is push.Pushed.MOVED
    assert (remote.head("one"), remote.head("two")) == (ours, planned)
