"""Every task that changes the stack is killed before and after each of its records, and then taken up in three ways.

The kill is an exception in this process (`support.inprocess.Killed`); `tests/e2e/test_kill.py` has the real SIGKILL.
A run tries one point and one way for each task, others for each; with `TRUNKLINE_SOAK`, all of them.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import pytest

from support.inprocess import Killed
from support.soak import rotated
from support.typist import Ran
from support.verbs import Verbs, verbs
from trunkline.domain.records import Record
from trunkline.domain.snapshot import PrState
from trunkline.state import journal
from trunkline.state.lock import RepositoryLock

OPEN = ("one", "two", "three")


def _stage(at: Verbs, branch: str, **files: str) -> None:
    at.desk.clone.git("switch", "--quiet", branch)
    for name, text in files.items():
        (at.desk.clone.path / f"{name}.txt").write_text(text)
        at.desk.clone.git("add", f"{name}.txt")


def _new_stack(at: Verbs) -> None:
    at.desk.own_stack(at.patch, 1, 2, 3)


def _half(at: Verbs) -> None:
    at.desk.own_stack(at.patch, 2)
    at.desk.clone.git("switch", "--quiet", "three")
    at.commit(shared=False)


def _merged(at: Verbs) -> None:
    at.merge(1, "squash", delete=True)
    at.others_commit("two", shared=False)


def _amended(at: Verbs) -> None:
    _stage(at, "two", two="two\nmore\n")
    assert at.type("invoke amend").code == 0


def _restacked(at: Verbs) -> None:
    at.others_commit("main", shared=False)
    assert at.type("invoke restack").code == 0


def _landing(at: Verbs) -> None:
    def merge(number: int, *, head: str, method: str, **_: Any) -> str:
        assert at.desk.hub.tip(at.desk.hub.pulls[number].head) == head
        at.merge(number, method, delete=True)
        return str(at.desk.hub.pulls[number].merge_commit)

    at.others_commit("main", shared=False)
    at.desk.hub.mergeable = True
    at.patch.setattr(at.desk.hub, "merge", merge)


@dataclass(frozen=True)
class Scene:
    """A task and the stack that it runs on."""

    line: str
    prepare: Callable[[Verbs], None]


SCENES = {
    "add": Scene("invoke add half --message Half", lambda at: _stage(at, "two", half="half\n")),
    "submit": Scene("invoke submit", _new_stack),
    "submit in the middle": Scene("invoke submit", _half),
    "amend": Scene("invoke amend", lambda at: _stage(at, "two", two="two\nmore\n")),
    "absorb": Scene(
        "invoke absorb", lambda at: _stage(at, "three", one="one\n1\n", two="two\n2\n", three="three\n3\n")
    ),
    "move": Scene("invoke modify --move 3 --onto 1", lambda _: None),
    "drop": Scene("invoke modify --drop 2", lambda at: _stage(at, "three")),
    "fold": Scene("invoke modify --fold 2", lambda at: _stage(at, "two")),
    "split": Scene("invoke modify --split 12b6250 --branch half", lambda _: None),
    "sync": Scene("invoke sync", _merged),
    "restack": Scene("invoke restack", lambda at: at.others_commit("main", shared=False)),
    "land": Scene("invoke land", _landing),
    "undo of a restack": Scene("invoke undo", _restacked),
    "undo of an amend": Scene("invoke undo", _amended),
}


@dataclass(frozen=True)
class State:
    """The visible state of a stack, without the ids of commits."""

    branches: dict[str, str]
    remote: dict[str, str]
    pulls: list[tuple[str, str, bool, PrState]]
    file: str
    staged: str

    @classmethod
    def of(cls, at: Verbs) -> State:
        """Return the present state."""
        form = "--format=%s %T"
        pulls = sorted((pull.head, pull.base, pull.draft, pull.state) for pull in at.desk.hub.pulls.values())
        return cls(
            {name: at.desk.clone.git("log", form, name) for name in at.heads()},
            {name: at.desk.hub.bare.git("log", form, name) for name in at.remote_heads()},
            pulls,
            (at.desk.root / "stack.toml").read_text(),
            at.desk.clone.git("status", "--porcelain") + at.current(),
        )


def kill(at: Verbs, line: str, number: int, *, after: bool) -> bool:
    """Type a command that is killed before or after a record; return whether it was."""
    numbers = itertools.count()
    real = journal.Journal.append

    def append(self: journal.Journal, lock: RepositoryLock, record: Record) -> None:
        here = next(numbers) == number
        if here and not after:
            raise Killed
        real(self, lock, record)
        if here:
            raise Killed

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(journal.Journal, "append", append)
        try:
            at.type(line)
        except Killed:
            return True
    return False


_FOUND: dict[str, tuple[int, State]] = {}


def finished(name: str) -> tuple[int, State]:
    """Return the number of records of a task without a kill, and its result."""
    if name not in _FOUND:
        with pytest.MonkeyPatch.context() as patch, verbs(patch) as at:
            SCENES[name].prepare(at)
            count = 0
            real = journal.Journal.append

            def append(self: journal.Journal, lock: RepositoryLock, record: Record) -> None:
                nonlocal count
                count += 1
                real(self, lock, record)

            patch.setattr(journal.Journal, "append", append)
            ran = at.type(SCENES[name].line)
            assert ran.code == 0, ran.out + ran.err
            _FOUND[name] = count, State.of(at)
    return _FOUND[name]


def _points(name: str, way: str) -> list[tuple[int, bool]]:
    count, _ = finished(name)
    points = [(number, after) for number in range(count) for after in (False, True)]
    if way == "again":
        points.pop()  # the run is finished: the same line is a run of its own then
    return rotated(points, 7 * list(SCENES).index(name) + 5 * WAYS.index(way))


WAYS = ("continue", "again", "abort")


@pytest.mark.parametrize(
    ("name", "way"), [(name, way) for turn, name in enumerate(SCENES) for way in rotated(WAYS, turn)]
)
def test_a_kill_at_a_record(monkeypatch: pytest.MonkeyPatch, name: str, way: str) -> None:
    """`continue` and the task itself give the same result as without the kill; `abort` restores the state before."""
    scene, (_, end) = SCENES[name], finished(name)
    for number, after in _points(name, way):
        with monkeypatch.context() as patch, verbs(patch) as at:
            scene.prepare(at)
            before, had = State.of(at), at.reachable()
            assert kill(at, scene.line, number, after=after)
            at.story.append(f"killed {'after' if after else 'before'} record {number}")
            ran = at.type("invoke abort" if way == "abort" else scene.line if way == "again" else "invoke continue")
            if way == "abort":
                assert ran.code == 0, _story(at, ran)
                if "no run is open" in ran.out and State.of(at) != before:  # killed after its last record
                    assert State.of(at) == end, _story(at, ran)
                    continue
                _assert_taken_back(at, before, State.of(at))
            else:
                _assert_finished(at, scene, ran, end)
            lost = had - at.reachable()
            assert not lost - at.reachable("--all", "--reflog"), _story(at, ran)
            heads = [pull.head for pull in at.desk.hub.pulls.values() if pull.state is PrState.OPEN]
            assert len(heads) == len(set(heads)), _story(at, ran)
            at.desk.clone.git("fsck", "--connectivity-only", "--no-dangling", "--no-progress")


@pytest.mark.parametrize(
    "line",
    ["amend", "absorb", "restack", "sync", "submit", "rebase --pr 2", "modify --drop 3", "add x --message X", "undo"],
)
def test_half_of_a_rewrite_waits(monkeypatch: pytest.MonkeyPatch, line: str) -> None:
    """An amend that stopped before the replay above keeps other tasks from its branches; `continue` finishes it."""
    with verbs(monkeypatch) as at:
        SCENES["amend"].prepare(at)
        assert kill(at, "invoke amend", 5, after=False)
        before = State.of(at)
        ran = at.type(f"invoke {line}")
        assert ran.code == (5 if line == "undo" else 3), _story(at, ran)
        assert ran.next == ["invoke continue", "invoke abort"], _story(at, ran)
        assert State.of(at) == before
        ran = at.type(ran.next[0])
        assert ran.code == 0, _story(at, ran)
        assert at.desk.contains_here("three", "two")
        assert at.desk.clone.git("show", "three:two.txt") == "two\nmore"


def _assert_finished(at: Verbs, scene: Scene, ran: Ran, end: State) -> None:
    """Check the end, after the printed `continue`, if the task named the open run."""
    if at.desk.open_run() is not None:
        assert "invoke continue" in ran.next, _story(at, ran)
        ran = at.type("invoke continue")
    assert ran.code == 0, _story(at, ran)
    assert at.desk.open_run() is None, _story(at, ran)
    if State.of(at) != end:  # the run had not begun, or was no longer open
        ran = at.type(scene.line)
        assert ran.code == 0, _story(at, ran)
    assert State.of(at) == end, _story(at, ran)


def _assert_taken_back(at: Verbs, before: State, now: State) -> None:
    """Check that all is as before, but for merges, pull requests that were created, and their branches."""
    created = {pull.head for number, pull in at.desk.hub.pulls.items() if number in at.desk.hub.titles}
    merged = {pull.head for pull in at.desk.hub.pulls.values() if pull.state is PrState.MERGED}
    assert now.staged == before.staged, at.story
    for name, log in before.branches.items():
        if name.removeprefix("refs/heads/") not in merged:
            assert now.branches[name] == log, at.story
    for name, log in before.remote.items():
        if name.removeprefix("refs/heads/") not in {*merged, "main"}:
            assert now.remote[name] == log, at.story
    assert created or merged or now.file == before.file, at.story


def _story(at: Verbs, ran: Ran) -> str:
    return "\n".join([*at.story, ran.out, ran.err])
