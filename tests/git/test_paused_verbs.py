"""Tasks that pause at a conflict: `abort`, and `undo` after `continue` or `skip`, restore exactly what was.

A run tries one way for each task, in turn; with `TRUNKLINE_SOAK`, all.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import pytest

from support.soak import rotated
from support.typist import Ran
from support.verbs import SHARED, Verbs, verbs


def _stacked(at: Verbs) -> None:
    """Let #2 write the shared file, and #3 change its line; #2 is checked out."""
    clone = at.desk.clone
    clone.git("switch", "--quiet", "two")
    clone.commit("two writes", {SHARED: "m1\n"})
    assert at.type("invoke restack --no-push").code == 0
    clone.git("switch", "--quiet", "three")
    clone.commit("three adds", {SHARED: "m1\nm2\n"})
    assert at.type("invoke restack").code == 0
    clone.git("switch", "--quiet", "two")


def _staged(text: str, branch: str = "two", *, staged: bool = True) -> Callable[[Verbs], None]:
    def prepare(at: Verbs) -> None:
        _stacked(at)
        at.desk.clone.git("switch", "--quiet", branch)
        (at.desk.clone.path / SHARED).write_text(text)
        if staged:
            at.desk.clone.git("add", SHARED)

    return prepare


def _clean(branch: str) -> Callable[[Verbs], None]:
    def prepare(at: Verbs) -> None:
        _stacked(at)
        at.desk.clone.git("switch", "--quiet", branch)

    return prepare


def _trunk(branch: str) -> Callable[[Verbs], None]:
    def prepare(at: Verbs) -> None:
        _clean(branch)(at)
        at.desk.trunk_commits("trunk", {SHARED: "m9\n"})

    return prepare


def _landable(at: Verbs) -> None:
    _trunk("main")(at)
    at.merge(1, "squash", delete=True)


SCENES: dict[str, tuple[str, Callable[[Verbs], None]]] = {
    "amend": ("invoke amend", _staged("m1\nm3\n")),
    "amend all": ("invoke amend --all", _staged("m1\nm3\n", staged=False)),
    "absorb": ("invoke absorb", _staged("m3\n")),
    "add below": ("invoke add half --message half --above 1", _staged("m3\n", "one")),
    "add": ("invoke add half --message half --above 2", _staged("m1\nm3\n")),
    "restack": ("invoke restack", _trunk("three")),
    "sync": ("invoke sync", _trunk("main")),
    "rebase": ("invoke rebase --pr 2", _landable),
}
WAYS = ("abort", "undo", "skip and undo", "redo")
CASES = [(name, way) for number, name in enumerate(SCENES) for way in rotated(WAYS, -number)]


@dataclass(frozen=True)
class State:
    """Every ref that a user or GitHub has, with the files."""

    branches: dict[str, str]
    remote: dict[str, str]
    pulls: list[tuple[str, str, bool]]
    file: str
    checkout: str
    text: str

    @classmethod
    def of(cls, at: Verbs) -> State:
        """Return the present state."""
        path = at.desk.clone.path / SHARED
        changed = at.desk.clone.git("diff", "HEAD", "--stat")
        return cls(
            at.heads(), at.remote_heads(),
            sorted((pull.head, pull.base, pull.draft) for pull in at.desk.hub.pulls.values()),
            (at.desk.root / "stack.toml").read_text(), f"{at.current()} {changed}",
            path.read_text() if path.exists() else "",
        )  # fmt: skip


@pytest.mark.parametrize(("name", "way"), CASES)
def test_what_was_is_restored(monkeypatch: pytest.MonkeyPatch, name: str, way: str) -> None:
    """Refs, pull requests, stack.toml, the branch checked out, and files with their changes are as before."""
    line, prepare = SCENES[name]
    with verbs(monkeypatch) as at:
        prepare(at)
        before = after = State.of(at)
        ran = at.type(line)
        assert ran.code == 3, _report(at, ran)
        if way == "abort":
            ran = at.type("invoke abort")
        else:
            ran = _to_its_end(at, "skip" if way.startswith("skip") else "continue")
            after = State.of(at)
            ran = at.type("invoke undo")
        assert ran.code == 0, _report(at, ran)
        now = State.of(at)
        created = {ref: tip for ref, tip in now.branches.items() if ref not in before.branches}
        assert created.keys() <= {"refs/heads/half"}, _report(at, ran)  # an added entry's branch stays
        assert {**before.branches, **created} == now.branches, _report(at, ran)
        assert (before.remote, before.pulls, before.file) == (now.remote, now.pulls, now.file), _report(at, ran)
        assert (before.text, before.checkout) == (now.text, now.checkout), _report(at, ran)
        if way == "redo":
            ran = at.type("invoke undo")
            assert ran.code == 0, _report(at, ran)
            assert State.of(at).branches == after.branches, _report(at, ran)


def _to_its_end(at: Verbs, task: str) -> Ran:
    ran = Ran(3, "", "")
    for number in range(6):
        if at.desk.open_run() is None:
            break
        if task == "continue":
            at.desk.resolve(text=f"m1\nm2\nm3\nround {number}\n")
        ran = at.type(f"invoke {task}")
    assert ran.code == 0, _report(at, ran)
    return ran


def _report(at: Verbs, ran: Ran) -> str:
    return "\n".join([*at.story, ran.out, ran.err])
