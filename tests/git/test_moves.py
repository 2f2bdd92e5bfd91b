"""Moves of refs through one git process, one after the other: each is a separate transaction."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import threading
from collections.abc import Iterator, Sequence
from typing import Any

import pytest

from support.repo import Repo
from trunkline.domain.errors import ExternalError, Refused
from trunkline.domain.names import Oid, branch_name, branch_ref
from trunkline.gates import slots
from trunkline.git import local_refs
from trunkline.git.git import Git
from trunkline.state import lock
from trunkline.state.lock import RepositoryLock
from trunkline.system import children, process

MAIN, SIDE = branch_ref(branch_name("main")), branch_ref(branch_name("side"))


@pytest.fixture
def commits(repo: Repo) -> list[Oid]:
    """Return three commits; `main` and `side` are at the last."""
    made = [repo.commit(f"c{number}", {"a": f"{number}\n"}) for number in range(3)]
    repo.git("branch", "side")
    repo.git("switch", "--quiet", "--detach")
    return made


@pytest.fixture
def held(repo: Repo) -> Iterator[RepositoryLock]:
    """Return proof that refs may be moved."""
    with lock.hold(repo.adapter.state_dir(), run="r") as proof:
        yield proof


@pytest.fixture
def git(repo: Repo) -> Git:
    """Return the repository."""
    return repo.adapter


def test_several_moves_are_one_process(
    git: Git, repo: Repo, held: RepositoryLock, commits: list[Oid], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each move is complete when the next begins, and the reflog has its message."""
    start, started = children.start, list[str]()

    def noted(argv: Sequence[str], **more: Any) -> subprocess.Popen[bytes]:
        started.extend(part for part in argv if part == "update-ref")
        return start(argv, **more)

    monkeypatch.setattr(children, "start", noted)
    with local_refs.update_ref_session(git, held, why="restack"):
        local_refs.move_ref(git, held, MAIN, new=commits[0], old=commits[2], why="one")
        assert repo.head("main") == commits[0]
        local_refs.move_ref(git, held, SIDE, new=commits[1], old=commits[2], why="two")
        local_refs.move_ref(git, held, SIDE, new=commits[0], old=commits[1], why="three")
        assert repo.head("side") == commits[0]
    assert started == ["update-ref"]
    assert repo.git("log", "-g", "-1", "--format=%gs", "main") == "trunkline r: restack"
    assert not (repo.path / ".git/refs/heads/main.lock").exists()
    local_refs.move_ref(git, held, MAIN, new=commits[2], old=commits[0], why="alone")
    assert repo.head("main") == commits[2]


def test_a_ref_that_moved_meanwhile_is_refused_and_the_next_one_moves(
    git: Git, repo: Repo, held: RepositoryLock, commits: list[Oid]
) -> None:
    """Each move names what it expects; one that is refused leaves the others alone."""
    with local_refs.update_ref_session(git, held, why="restack"):
        repo.git("update-ref", MAIN, commits[1])
        with pytest.raises(Refused, match="refs/heads/main moved while we worked"):
            local_refs.move_ref(git, held, MAIN, new=commits[0], old=commits[2], why="one")
        local_refs.move_ref(git, held, SIDE, new=commits[0], old=commits[2], why="two")
    assert (repo.head("main"), repo.head("side")) == (commits[1], commits[0])


def test_a_lock_is_reported(git: Git, repo: Repo, held: RepositoryLock, commits: list[Oid]) -> None:
    """A lock that another git holds is reported as a lock, not as a move."""
    (repo.path / ".git/refs/heads/main.lock").touch()
    with (
        local_refs.update_ref_session(git, held, why="restack"),
        pytest.raises(Refused, match="refs/heads/main is locked"),
    ):
        local_refs.move_ref(git, held, MAIN, new=commits[0], old=commits[2], why="one")
    assert repo.head("main") == commits[2]


def test_a_git_that_was_killed_is_started_again(
    git: Git, repo: Repo, held: RepositoryLock, commits: list[Oid]
) -> None:
    """A new process makes the move."""
    with local_refs.update_ref_session(git, held, why="restack"):
        local_refs.move_ref(git, held, MAIN, new=commits[0], old=commits[2], why="one")
        os.killpg(git.sessions[0].child.pid, signal.SIGKILL)
        local_refs.move_ref(git, held, SIDE, new=commits[0], old=commits[2], why="two")
        local_refs.move_ref(git, held, MAIN, new=commits[1], old=commits[0], why="three")
    assert (repo.head("main"), repo.head("side")) == (commits[1], commits[0])


def test_a_git_that_dies_before_it_says_so_has_moved_it(
    git: Git, repo: Repo, held: RepositoryLock, commits: list[Oid], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The ref has the new value, so it counts as moved by this process."""
    reporter = process.Coprocess.send
    monkeypatch.setattr(process.Coprocess, "send", lambda *args: reporter(*args)[:2])
    with local_refs.update_ref_session(git, held, why="restack"):
        local_refs.move_ref(git, held, MAIN, new=commits[0], old=commits[2], why="one")
    assert repo.head("main") == commits[0]


def test_a_git_that_does_not_answer_is_ended(
    git: Git, repo: Repo, held: RepositoryLock, commits: list[Oid], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its time is bounded, and nothing is left of it."""
    monkeypatch.setattr("trunkline.git.git.LOCAL_SECONDS", 0.1)
    monkeypatch.setattr(children, "GRACE_SECONDS", 0.1)
    stack = contextlib.ExitStack()
    stack.enter_context(local_refs.update_ref_session(git, held, why="restack"))
    child = git.sessions[0].child
    os.kill(child.pid, signal.SIGSTOP)
    with pytest.raises(ExternalError, match="did not respond"), stack:
        local_refs.move_ref(git, held, MAIN, new=commits[0], old=commits[2], why="one")
    assert child.returncode is not None
    assert git.sessions == []
    assert repo.head("main") == commits[2]


def test_work_trees_are_registered_one_at_a_time(git: Git, commits: list[Oid]) -> None:
    """A slot waits for other adds and prunes, because git's prune removes a work tree that is being added."""
    taken = threading.Event()

    def take() -> None:
        with slots.slot(git, commits[0]):
            taken.set()

    taking = threading.Thread(target=take)
    with slots.registration_lock(git):
        taking.start()
        assert not taken.wait(0.3)
    taking.join()
    assert taken.is_set()
