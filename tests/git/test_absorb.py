"""`absorb`: each staged hunk goes to the own commit that last touched its lines, and nowhere else."""

from __future__ import annotations

import json
from collections.abc import Iterator

import pytest

from support.inprocess import Desk, desk, refusal
from support.typist import typist
from trunkline.commands import absorb, rewriting
from trunkline.domain.absorb import Absorbed
from trunkline.domain.errors import Paused
from trunkline.engine import RunResult


@pytest.fixture
def stack(monkeypatch: pytest.MonkeyPatch) -> Iterator[Desk]:
    """Yield a stack of three entries, with the topmost one checked out."""
    with desk(monkeypatch) as made:
        made.clone.git("switch", "--quiet", "three")
        yield made


def stage(stack: Desk, **files: str) -> None:
    """Write and stage files of the clone; `_` in a name stands for `-`."""
    for name, text in files.items():
        path = stack.clone.path / f"{name.replace('_', '-')}.txt"
        path.write_text(text)
        stack.clone.git("add", path.name)


def rows(stack: Desk, pr: int = 3) -> tuple[Absorbed, ...]:
    """Return what `absorb` would do."""
    return absorb.plan(stack.entry_context(pr).over_the_stack())[0]


def absorbed(stack: Desk, pr: int = 3) -> RunResult:
    """Run `absorb`."""
    context = stack.entry_context(pr, skip=frozenset()).over_the_stack()
    _, plan = absorb.plan(context)
    assert plan is not None
    return rewriting.run(context, plan)


def staged(stack: Desk) -> list[str]:
    """Return the staged paths."""
    return stack.clone.git("diff", "--cached", "--name-only").splitlines()


def test_each_hunk_to_its_commit(stack: Desk) -> None:
    """Changes of three entries go to three commits; the files of the checkout stay as they are."""
    subjects = stack.clone.git("log", "--format=%s %an %at", "main..three")
    stage(stack, one="one\n1\n", two_more="two\n2\n", three="3\n")
    assert [(row.path, row.commit and row.commit.subject) for row in rows(stack)] == [
        ("one.txt", "one 1"), ("three.txt", "three 1"), ("two-more.txt", "two 2"),
    ]  # fmt: skip
    assert absorbed(stack).error is None
    assert stack.clone.git("show", "one~1:one.txt") == "one\n1"
    assert stack.clone.git("show", "two:two-more.txt") == "two\n2"
    assert stack.clone.git("show", "three~1:three.txt") == "3"
    assert stack.contains_here("two", "one")
    assert stack.contains_here("three", "two")
    assert stack.clone.git("log", "--format=%s %an %at", "main..three") == subjects
    assert stack.clone.git("status", "--porcelain") == ""


def test_one_undo_gives_them_back(stack: Desk) -> None:
    """Every branch is back, and everything is staged again."""
    before = stack.tips()
    stage(stack, one="one\n1\n", three="3\n")
    assert absorbed(stack).error is None
    undone = stack.undo()
    assert undone is not None
    assert undone.error is None
    assert stack.tips() == before
    assert staged(stack) == ["one.txt", "three.txt"]


def test_what_fits_nowhere_stays_staged(stack: Desk) -> None:
    """A line of trunk, a new file and a mode stay staged, each with its reason; no commit of trunk changes."""
    trunk = stack.clone.head("main")
    stage(stack, a="trunk's line, changed\n", new="new\n", one="one\n1\n")
    stack.clone.git("update-index", "--chmod=+x", "three.txt")
    reasons = {row.path: row.left for row in rows(stack) if row.commit is None}
    assert "outside the stack" in reasons["a.txt"]
    assert reasons["new.txt"].startswith("a new file")
    assert reasons["three.txt"] == "its mode changed"
    assert absorbed(stack).error is None
    assert staged(stack) == ["a.txt", "new.txt", "three.txt"]
    assert stack.clone.git("merge-base", "main", "three") == trunk


def test_conflict_is_foreseen(stack: Desk) -> None:
    """A hunk next to a line of a later commit would conflict at its own commit: it stays staged; others go in."""
    clone = stack.clone
    clone.commit("three 3", {"one.txt": "one\nnext\n"})
    stage(stack, one="1\nnext\n", three="3\n")
    found = {row.path: row for row in rows(stack)}
    assert found["one.txt"].commit is None
    assert "would conflict at" in found["one.txt"].left
    assert absorbed(stack).error is None
    assert staged(stack) == ["one.txt"]
    assert clone.git("show", "three~2:three.txt") == "3"


def test_entries_above_follow(stack: Desk) -> None:
    """From an entry in the middle, the entries above are replayed."""
    stack.clone.git("switch", "--quiet", "one")
    stage(stack, one="one\n1\n")
    assert absorbed(stack, 1).error is None
    assert stack.contains_here("two", "one")
    assert stack.contains_here("three", "two")


def test_conflict_above_pauses(stack: Desk) -> None:
    """A conflict in an entry above pauses the run; `abort` restores branches and staged changes."""
    stack.clone.commit("three 3", {"one.txt": "one\nnext\n"})
    stack.clone.git("switch", "--quiet", "two")
    before = stack.tips()
    stage(stack, one="1\n")
    assert isinstance(refusal(lambda: absorbed(stack, 2)), Paused)
    assert stack.abort() is not None
    assert stack.tips() == before
    assert staged(stack) == ["one.txt"]


def test_a_file_that_is_deleted(stack: Desk) -> None:
    """The deletion goes to the commit that made the lines."""
    stack.clone.git("rm", "--quiet", "two.txt")
    (row,) = rows(stack)
    assert row.commit is not None
    assert row.commit.subject == "two 1"
    assert absorbed(stack).error is None
    assert "two.txt" not in stack.clone.git("ls-tree", "--name-only", "two~1").splitlines()


def test_an_entry_that_is_not_on_the_one_below(stack: Desk) -> None:
    """Commits that the checked out branch does not contain are out of reach."""
    stack.clone.git("switch", "--quiet", "one")
    stack.clone.git("commit", "--quiet", "--amend", "-m", "one 2, reworded")
    stack.clone.git("switch", "--quiet", "three")
    stage(stack, one="one\n1\n", two="2\n")
    found = {row.path: row.commit and row.commit.subject for row in rows(stack)}
    assert found == {"one.txt": None, "two.txt": "two 1"}


def test_printed_and_json(stack: Desk, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    """A dry run shows hunk -> commit; --json has it as fields."""
    for person in typist(stack, monkeypatch, capsys, ""):
        assert "nothing is staged" in person("invoke absorb").out
        (stack.clone.path / "a.txt").write_text("trunk's\n")
        assert "to take in a.txt: git add --update && invoke absorb" in person("invoke absorb").out
        stage(stack, a="trunk's\n")
        assert "no staged change belongs to a commit" in person("invoke absorb").out
        stage(stack, one="one\n1\n")
        before = stack.tips()
        ran = person("invoke absorb --dry-run")
        assert f'one.txt:1 -> #1 {stack.clone.head("one~1")[:7]} "one 1"' in ran.out
        assert "a.txt:1 stays staged" in ran.out
        assert stack.tips() == before
        ran = person("invoke absorb --json")
        assert ran.code == 0, ran.err
        rows = json.loads(ran.out)["hunks"]
        assert [(each["path"], each["pr"]) for each in rows] == [("a.txt", None), ("one.txt", 1)]
