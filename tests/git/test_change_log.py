"""Every mutation of git and GitHub is in the change log, so that no stale observation decides."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from support.inprocess import Desk, desk
from support.repo import Repo
from trunkline.commands import amend, rewriting
from trunkline.context.observation import World
from trunkline.context.observer import Observer
from trunkline.domain.errors import TrunklineError
from trunkline.domain.names import ZERO_OID, Oid, branch_name, branch_ref, pr_number
from trunkline.domain.repository import Repository
from trunkline.domain.snapshot import PrState, PullRequest
from trunkline.engine import RunResult
from trunkline.git import local_refs, push, refs
from trunkline.git.git import Git
from trunkline.git.push import RefUpdate
from trunkline.github import native_stacks, opening
from trunkline.github.client import GitHub
from trunkline.state import lock as locks
from trunkline.state.change_log import Change, ChangeLog, Part
from trunkline.state.lock import RepositoryLock
from trunkline.system.process import Completed

ONE = branch_name("one")
PULL = PullRequest(
    number=pr_number(1), title="", url="", state=PrState.OPEN, draft=True, body="", base="main", head="one",
    head_oid=ZERO_OID, head_repository="octo/tiny", node_id="I",
)  # fmt: skip


@pytest.fixture
def held(repo: Repo, tmp_path: Path) -> Iterator[tuple[Git, RepositoryLock]]:
    """Return a repository with a remote, and its lock."""
    repo.commit("start")
    repo.git("branch", "one")
    repo.commit("next")
    repo.git("clone", "--quiet", "--bare", ".", str(tmp_path / "bare"))
    repo.git("remote", "add", "origin", str(tmp_path / "bare"))
    with locks.hold(repo.adapter.state_dir(), run="test") as lock:
        yield repo.adapter, lock


def logged(changes: ChangeLog, do: Callable[[], object]) -> list[Change]:
    """Return the changes that a call logs, whether it succeeds or fails."""
    before = changes.position
    with contextlib.suppress(TrunklineError):
        do()
    return list(changes.since(before, Part.ALL))


def test_moves_of_branches(held: tuple[Git, RepositoryLock], repo: Repo) -> None:
    """A moved branch is logged with its tip; a refused move as one whose outcome is unknown; a backup not at all."""
    git, lock = held
    old, new, ref = repo.head("one"), repo.head(), branch_ref(ONE)

    def move(tip: Oid) -> None:
        local_refs.move_ref(git, lock, ref, new=tip, old=old, why="test")

    assert logged(git.changes, lambda: move(new)) == [Change(Part.LOCAL, tip=(ONE, new))]
    assert logged(git.changes, lambda: move(old)) == [Change(Part.LOCAL)]  # it does not hold `old` any more
    assert logged(git.changes, lambda: local_refs.back_up(git, lock, ONE, new)) == []
    assert logged(git.changes, lambda: local_refs.delete(git, lock, ONE, new)) == [Change(Part.LOCAL)]


def test_mutations_by_name(held: tuple[Git, RepositoryLock]) -> None:
    """A mutation changes the local part unless it says otherwise, even if git fails; a query changes nothing."""
    git, lock = held
    assert logged(git.changes, lambda: git.mutate(lock, "no-such-command")) == [Change(Part.LOCAL)]
    assert logged(git.changes, lambda: git.hook("pre-commit", env={})) == [Change(Part.LOCAL)]
    assert logged(git.changes, lambda: git.query("status")) == []
    spec = {branch_ref(ONE): refs.tracking_ref("origin", ONE)}
    assert logged(git.changes, lambda: refs.fetch(git, lock, "origin", spec)) == []
    assert logged(git.changes, lambda: refs.fetch(git, lock, "origin", {branch_ref(ONE): "refs/heads/two"}))


def test_a_push_changes_the_remote_even_if_it_is_refused(held: tuple[Git, RepositoryLock], repo: Repo) -> None:
    """The connection may fail after the remote moved its refs."""
    git, lock = held
    for old in (repo.head("one"), repo.head("one")):  # the second one's lease does not hold
        update = RefUpdate(ONE, old, repo.head())
        (change,) = logged(git.changes, partial(push.push, git, lock, "origin", [update]))
        assert Part.REMOTE in change.parts


MUTATIONS: dict[str, tuple[Callable[[GitHub], object], Change]] = {
    "draft": (
        lambda hub: hub.set_draft(PULL, draft=False),
        Change(Part.REMOTE),
    ),
    "edit": (lambda hub: hub.edit(pr_number(1), base="main"), Change(Part.PULLS, number=pr_number(1))),
    "bodies": (lambda hub: hub.edit_bodies([(PULL, "x"), (PULL, "y")]), Change(Part.REMOTE)),
    "branch": (lambda hub: hub.create_branch(ONE, ZERO_OID), Change(Part.REMOTE)),
    "status": (lambda hub: hub.set_status(ZERO_OID, "test", "passed"), Change(Part.REMOTE)),
    "merge": (lambda hub: hub.merge(pr_number(1), head=ZERO_OID, method="squash"), Change(Part.REMOTE)),
    "cancel": (lambda hub: hub.post("actions/runs/1/cancel", {}, arrived=lambda: False), Change(Part.REMOTE)),
    "native stack": (lambda hub: native_stacks.create(hub, (pr_number(1), pr_number(2))), Change(Part.REMOTE)),
    "dissolve": (lambda hub: native_stacks.unstack(hub, 1), Change(Part.REMOTE)),
}


@pytest.mark.parametrize("name", MUTATIONS)
def test_requests_that_change_something(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """A request that is refused may have taken effect."""
    hub = _hub(monkeypatch, b'HTTP/2.0 422 X\r\n\r\n{"message": "no", "errors": [{"message": "no"}]}')
    request, change = MUTATIONS[name]
    assert change in logged(hub.changes, lambda: request(hub))


def test_requests_that_read(monkeypatch: pytest.MonkeyPatch) -> None:
    """A query changes nothing."""
    hub = _hub(monkeypatch, b'HTTP/2.0 422 X\r\n\r\n{"message": "no"}')
    assert logged(hub.changes, lambda: hub.statuses(ZERO_OID)) == []
    assert logged(hub.changes, lambda: opening.of_branch(hub, ONE)) == []


def _hub(monkeypatch: pytest.MonkeyPatch, response: bytes) -> GitHub:
    """Return GitHub behind a gh that always prints the same response."""

    class Child:
        def finish(self) -> Completed:
            """Return what gh printed."""
            return Completed(("gh", "api"), 1, response, b"", 0.1)

    @contextlib.contextmanager
    def begin(*_: Any, **__: Any) -> Iterator[Child]:
        yield Child()

    monkeypatch.setattr("trunkline.system.process.begin", begin)
    monkeypatch.setattr("trunkline.github.gh.throttle", lambda: None)
    return GitHub(Repository("github.com", "octo", "tiny"), Path())


# -- the kept observation against a new one


@pytest.fixture
def compared(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Compare each observation with a new one; return where they differed."""
    real, nested, different = Observer.observe, [False], list[str]()

    def observe(self: Observer, fresh: Part = Part.NOTHING) -> World:
        world = real(self, fresh)
        if not nested[0]:
            nested[0] = True
            try:
                new = real(Observer(self._scope))
            finally:
                nested[0] = False
            parts = ("snapshot", "trunk", "remote_refs", "branches")
            different.extend(
                f"{part}: {getattr(world, part)} was kept, {getattr(new, part)} is true"
                for part in parts
                if getattr(world, part) != getattr(new, part)
            )
        return world

    monkeypatch.setattr(Observer, "observe", observe)
    return different


def _merged_below(stack: Desk) -> RunResult:
    stack.merge(1)
    return stack.restack()


def _amended(stack: Desk) -> RunResult:
    stack.clone.git("switch", "--quiet", "two")
    (stack.clone.path / "two.txt").write_text("two\nmore\n")
    stack.clone.git("add", "two.txt")
    context = stack.entry_context(2, skip=frozenset()).over_the_stack()
    return rewriting.run(context, amend.plan(context.view(), amend.Request()))


def _rebased(stack: Desk) -> RunResult:
    stack.trunk_commits("trunk moves on", {"TRUNK.md": "moved\n"})
    return stack.rebase(1)


@pytest.mark.parametrize("do", [_merged_below, _amended, _rebased])
def test_what_a_run_keeps_is_what_it_would_observe(
    do: Callable[[Desk], RunResult], compared: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Restack, amend and rebase, and the undo of each: after every change the next decision sees it."""
    with desk(monkeypatch) as stack:
        assert do(stack).error is None
        undone = stack.undo()
        assert undone is not None
        assert undone.error is None
    assert compared == []
