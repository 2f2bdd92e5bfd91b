"""`modify`: the stack as text or by one operation; one run moves every branch and rewrites stack.toml."""

from __future__ import annotations

import io
import json
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from support.inprocess import STACK, Desk, desk, kill_at, refusal
from support.typist import Typist, typist
from trunkline.commands import modify, rewriting
from trunkline.domain.modify_operations import Operation
from trunkline.domain.names import oid, short
from trunkline.domain.snapshot import PrState
from trunkline.domain.step import PUBLISHING, StepName
from trunkline.engine import RunResult
from trunkline.operations import editor
from trunkline.tasks.session import TaskSession

COMMENTED = STACK.replace("[[entry]]\npr = 2", "[[entry]]  # the second\npr = 2")


@pytest.fixture
def stack(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[Desk]:
    """Yield a stack of three entries whose stack.toml is no part of a branch; trunk is checked out."""
    with desk(monkeypatch) as made:
        own = tmp_path / "stack.toml"
        own.write_text(COMMENTED)
        monkeypatch.setenv("TRUNKLINE_STACK_FILE", str(own))
        yield made


@pytest.fixture
def own(tmp_path: Path, stack: Desk) -> Path:  # noqa: ARG001 -- the file is the stack's
    """Return the path of the stack's file."""
    return tmp_path / "stack.toml"


@pytest.fixture
def person(stack: Desk, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Iterator[Typist]:
    """Yield a user who types commands."""
    yield from typist(stack, monkeypatch, capsys, "")


def modified(
    stack: Desk, text: str = "", *, publishes: bool = False, closes: bool = False, **flags: str
) -> RunResult:
    """Run `modify` with a plan, or with one operation; without publishing, unless that is wanted."""
    context = stack.stack_context(skip=frozenset() if publishes else PUBLISHING)
    stacked = modify.open_stacked(context)
    operation = Operation(trunk="main", closes=closes, **flags) if not text else None
    lines = modify.lines_in(text) if operation is None else modify.after(stacked, operation)
    made = modify.plan(context, stacked, lines, closes=closes)
    assert made is not None
    return rewriting.run(made.context, made.rewriting)


def subjects(stack: Desk, branch: str, since: str = "origin/main") -> list[str]:
    """Return the subjects of a branch's commits, oldest first."""
    return stack.clone.git("log", "--reverse", "--format=%s", f"{since}..{branch}").splitlines()


def commands(printed: list[str]) -> list[str]:
    """Return printed commands without their comments."""
    return [line.partition("   #")[0] for line in printed]


def branches(own: Path) -> list[str]:
    """Return the branches in stack.toml, bottom first."""
    return [line.split('"')[1] for line in own.read_text().splitlines() if line.startswith("branch")]


def test_move_and_undo(stack: Desk, own: Path) -> None:
    """The order changes in the branches and in stack.toml, whose comments stay; one undo takes all of it back."""
    before = stack.tips()
    assert modified(stack, kind="move", name="3", onto="1").error is None
    assert branches(own) == ["one", "three", "two"]
    assert "[[entry]]  # the second\npr = 2" in own.read_text()
    assert stack.tips()["one"] == before["one"]
    assert subjects(stack, "two") == ["one 1", "one 2", "three 1", "three 2", "two 1", "two 2"]
    assert subjects(stack, "three") == ["one 1", "one 2", "three 1", "three 2"]
    undone = stack.undo()
    assert undone is not None
    assert undone.error is None
    assert stack.tips() == before
    assert own.read_text() == COMMENTED


def test_restack_follows(stack: Desk) -> None:
    """After a move, `restack` pushes every branch and retargets the pull requests."""
    assert modified(stack, kind="move", name="1", onto="3").error is None
    assert stack.restack().error is None
    assert stack.remote_tips() == stack.tips()
    assert {number: pull.base for number, pull in stack.hub.pulls.items()} == {2: "main", 3: "two", 1: "three"}


def test_author_and_date_are_kept(stack: Desk) -> None:
    """A moved commit keeps author, date and message."""
    form = ("log", "--format=%an %ae %at %B", "--no-walk=unsorted", "two", "three")
    before = stack.clone.git(*form)
    assert modified(stack, kind="move", name="2", onto="main").error is None
    assert stack.clone.git(*form) == before


def test_fold_into_the_entry_below(stack: Desk, own: Path) -> None:
    """The commits go to the adjacent entry; the branch and the pull request of the folded entry stay."""
    assert modified(stack, kind="fold", name="2").error is None
    assert branches(own) == ["one", "three"]
    assert subjects(stack, "one") == ["one 1", "one 2", "two 1", "two 2"]
    assert subjects(stack, "three", "one") == ["three 1", "three 2"]
    assert "two" in stack.tips()


def bases(stack: Desk) -> dict[int, tuple[str, str]]:
    """Return the head and base of each open pull request."""
    open_ = (pull for pull in stack.hub.pulls.values() if pull.state is PrState.OPEN)
    return {pull.number: (pull.head, pull.base) for pull in open_}


@pytest.mark.parametrize(
    ("flags", "after"),
    [
        ({"kind": "move", "name": "1", "onto": "3"}, {2: ("two", "main"), 3: ("three", "two"), 1: ("one", "three")}),
        ({"kind": "fold", "name": "2"}, {1: ("one", "main"), 3: ("three", "one")}),
        ({"kind": "fold", "name": "1", "into": "2"}, {2: ("two", "main"), 3: ("three", "two")}),
        ({"kind": "drop", "name": "3"}, {1: ("one", "main"), 2: ("two", "one")}),
        ({"kind": "split", "name": "two~1", "branch": "half"}, {
            1: ("one", "main"), 2: ("two", "one"), 4: ("half", "two"), 3: ("three", "half")}),
        ({"kind": "rename", "name": "2", "branch": "other"}, {
            1: ("one", "main"), 4: ("other", "one"), 3: ("three", "other")}),
    ],
)  # fmt: skip
def test_published_in_the_same_run(
    stack: Desk, own: Path, flags: dict[str, Any], after: dict[int, tuple[str, str]]
) -> None:
    """One run pushes, creates, retargets and closes; undo takes all of it back, and another undo redoes it."""
    before, old = bases(stack), {name: tip for name, tip in stack.remote_tips().items() if name != "main"}
    flags = {**flags, "name": stack.clone.head(flags["name"])} if "~" in flags["name"] else flags
    done = modified(stack, publishes=True, closes=True, **flags)
    assert done.error is None
    assert bases(stack) == after
    listed = {head for head, _ in after.values()}
    assert {name: stack.hub.tip(name) for name in listed} == {name: stack.clone.head(name) for name in listed}
    numbers = [int(line.split()[2]) for line in own.read_text().splitlines() if line.startswith("pr = ")]
    assert sorted(numbers) == sorted(after)
    text = own.read_text()
    heads = {name: stack.hub.tip(name) for name in listed}
    undone = stack.undo()
    assert undone is not None
    assert undone.error is None
    assert (bases(stack), own.read_text()) == (before, COMMENTED)
    new = flags.get("branch", "none")  # a branch that the run created is gone again, here and on the remote
    assert (stack.hub.tip(new), f"refs/heads/{new}" in stack.clone.refs()) == ("", False)
    assert {name: stack.hub.tip(name) for name in old} == old
    if 4 in after:  # an open one would be marked as merged by the push that gives its base all commits again
        assert next(iter(undone.outcomes))[0] is StepName.CLOSE
    redone = stack.undo()
    assert redone is not None
    assert redone.error is None
    assert (bases(stack), own.read_text()) == (after, text)
    assert {name: stack.hub.tip(name) for name in listed} == heads == {n: stack.clone.head(n) for n in listed}
    if new != "none":
        assert stack.clone.git("rev-parse", "--abbrev-ref", f"{new}@{{upstream}}") == f"origin/{new}"


def test_split_makes_an_entry_without_a_number(stack: Desk, own: Path) -> None:
    """The commits above the given one are a new branch between the entries."""
    at = stack.clone.head("two~1")
    assert modified(stack, kind="split", name=at, branch="half").error is None
    assert branches(own) == ["one", "two", "half", "three"]
    assert subjects(stack, "two", "one") == ["two 1"]
    assert subjects(stack, "half", "two") == ["two 2"]
    assert subjects(stack, "three", "half") == ["three 1", "three 2"]


def test_split_a_commit_by_paths(stack: Desk) -> None:
    """One commit becomes two: first the named files, also deleted ones, then the rest."""
    clone = stack.clone
    clone.git("switch", "--quiet", "three")
    files: dict[str, str | None] = {"one.txt": None, "a.txt": "new\n", "odd name.txt": "odd\n", "b.txt": "b\n"}
    made = clone.commit("three 3", files)
    tree = clone.git("rev-parse", "three^{tree}")
    assert modified(stack, kind="split", name=made, paths="one.txt,odd name.txt").error is None
    assert subjects(stack, "three", "two") == ["three 1", "three 2", "three 3 (1/2)", "three 3 (2/2)"]
    assert clone.git("diff", "--name-only", "three~2", "three~1").splitlines() == ["odd name.txt", "one.txt"]
    assert clone.git("rev-parse", "three^{tree}") == tree
    error = refusal(lambda: modified(stack, kind="split", name=clone.head("three"), paths="no.txt"))
    assert "changes nothing in no.txt, or nothing else" in error.why


def test_rename_an_entry_without_a_pull_request(stack: Desk, own: Path) -> None:
    """The new branch has the commits, and stack.toml its name; the old branch stays."""
    assert modified(stack, kind="split", name=stack.clone.head("three~1"), branch="four").error is None
    assert modified(stack, kind="rename", name="four", branch="five").error is None
    assert branches(own) == ["one", "two", "three", "five"]
    assert stack.clone.git("diff", "four", "five") == ""
    assert subjects(stack, "five", "three") == ["three 2"]


def test_drop_an_entry(stack: Desk, own: Path) -> None:
    """Its commits leave the entries above; its branch stays, so nothing is lost."""
    old = stack.tips()["two"]
    assert modified(stack, kind="drop", name="two").error is None
    assert branches(own) == ["one", "three"]
    assert subjects(stack, "three") == ["one 1", "one 2", "three 1", "three 2"]
    assert stack.tips()["two"] == old


def test_squash_and_reword(stack: Desk) -> None:
    """Both change one commit; the entries above follow."""
    assert modified(stack, kind="squash", name=stack.clone.head("one")).error is None
    assert subjects(stack, "one") == ["one 1"]
    assert stack.clone.git("show", "--no-patch", "--format=%B", "one").split() == ["one", "1", "one", "2"]
    assert modified(stack, kind="reword", name=stack.clone.head("one"), message="Anew").error is None
    assert subjects(stack, "three")[0] == "Anew"


def test_conflict_is_foreseen(stack: Desk, own: Path) -> None:
    """A move that would conflict is refused with the file; no branch and no file changes."""
    stack.clone.git("switch", "--quiet", "three")
    stack.clone.commit("three 3", {"two.txt": "two\nthree\n"})
    stack.clone.git("switch", "--quiet", "main")
    before = stack.tips()
    error = refusal(lambda: modified(stack, kind="move", name="3", onto="1"))
    assert (
        error.what == f'#3 three: {short(oid(stack.clone.head("three")))} "three 3" does not apply at its new place'
    )
    assert "two.txt" in error.why
    assert stack.tips() == before
    assert own.read_text() == COMMENTED
    assert stack.open_run() is None
    assert error.next_commands == ("invoke modify --print",)


def test_a_branch_that_exists_already(stack: Desk) -> None:
    """A new entry never takes over a branch."""
    stack.clone.git("branch", "half", "main")
    error = refusal(lambda: modified(stack, kind="split", name=stack.clone.head("two~1"), branch="half"))
    assert error.what == "there is a branch half already"


def test_a_dirty_checkout(stack: Desk) -> None:
    """A branch that is checked out with uncommitted changes does not move; nothing does."""
    stack.clone.git("switch", "--quiet", "two")
    (stack.clone.path / "two.txt").write_text("edited\n")
    before = stack.tips()
    error = refusal(lambda: modified(stack, kind="move", name="2", onto="main"))
    assert "uncommitted changes" in error.what
    assert stack.tips() == before


def test_the_checkout_moves_along(stack: Desk) -> None:
    """A clean checkout of a moved branch holds its new files."""
    stack.clone.git("switch", "--quiet", "three")
    assert modified(stack, kind="drop", name="two").error is None
    assert not (stack.clone.path / "two.txt").exists()
    assert stack.clone.git("status", "--porcelain") == ""


@pytest.mark.parametrize("number", [1, 3, 6, 9, 10])
def test_killed_at_a_record(stack: Desk, own: Path, monkeypatch: pytest.MonkeyPatch, number: int) -> None:
    """After a kill at any record `continue` gives the same stack; undo reverts it."""
    before = stack.tips()
    at = stack.clone.head("two~1")
    plan: dict[str, Any] = {"kind": "split", "name": at, "branch": "half"}
    assert kill_at(monkeypatch, number, lambda: modified(stack, **plan))
    if stack.open_run() is None:
        assert modified(stack, **plan).error is None
    else:
        done = stack.resume()
        assert done is not None
        assert done.error is None
    assert branches(own) == ["one", "two", "half", "three"]
    assert subjects(stack, "three") == ["one 1", "one 2", "two 1", "two 2", "three 1", "three 2"]
    undone = stack.undo()
    assert undone is not None
    assert undone.error is None
    assert (stack.tips(), own.read_text()) == (before, COMMENTED)


@pytest.mark.parametrize(("number", "ends"), [(14, "continue"), (17, "continue"), (21, "continue"), (21, "abort")])
def test_killed_while_it_publishes(
    stack: Desk, own: Path, monkeypatch: pytest.MonkeyPatch, number: int, ends: str
) -> None:
    """After a kill in the push, the creation or the retargeting `continue` does the rest; `abort` takes all back."""
    before, tips = bases(stack), stack.tips()
    plan: dict[str, Any] = {"kind": "rename", "name": "2", "branch": "other", "publishes": True, "closes": True}
    assert kill_at(monkeypatch, number, lambda: modified(stack, **plan))
    if ends == "abort":
        assert stack.abort() is not None
        assert (bases(stack), own.read_text(), stack.tips()) == (before, COMMENTED, tips)
        return
    done = stack.resume()
    assert done is not None
    assert done.error is None
    assert bases(stack) == {1: ("one", "main"), 4: ("other", "one"), 3: ("three", "other")}
    assert '[[entry]]  # the second\npr = 4\nbranch = "other"' in own.read_text()
    assert stack.hub.pulls[4].body == "Words.\n\nReplaces #2.\n"
    undone = stack.undo()
    assert undone is not None
    assert undone.error is None
    assert (bases(stack), own.read_text()) == (before, COMMENTED)


@pytest.mark.parametrize("number", [3, 6, 9])
def test_aborted_after_a_kill(stack: Desk, own: Path, monkeypatch: pytest.MonkeyPatch, number: int) -> None:
    """`abort` restores every branch and stack.toml."""
    before = stack.tips()
    assert kill_at(monkeypatch, number, lambda: modified(stack, kind="move", name="3", onto="main"))
    assert stack.abort() is not None
    assert (stack.tips(), own.read_text()) == (before, COMMENTED)


def test_print_edit_and_give_back(person: Typist, own: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The printed text is a plan that changes nothing; moved lines change the stack."""
    text = person("invoke modify --print").out
    plan = own.with_name("plan")
    plan.write_text(text)
    assert "the stack is as the plan has it" in person(f"invoke modify --plan {plan}").out
    lines = text.splitlines()
    entry = [line for line in lines if line.startswith("entry #3") or "three " in line]
    moved = [*entry, *(line for line in lines if line not in entry)]
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO("\n".join(moved).encode())))
    ran = person("invoke modify --plan - --dry-run --json")
    assert json.loads(ran.out)["changes"][0] == "#3: moved onto the base of the stack"
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO("\n".join(moved).encode())))
    ran = person("invoke modify --plan - --no-push")
    assert commands(ran.next) == ["invoke restack"]
    assert branches(own) == ["three", "one", "two"]


def test_problems_of_a_plan(person: Typist, own: Path) -> None:
    """Every problem is printed with its line, and the command that prints the text again."""
    plan = own.with_name("plan")
    plan.write_text("entry #1\n    keep aaaa\n")
    ran = person(f"invoke modify --plan {plan}")
    assert ran.code == 2
    assert "line 2: 'keep' is no verb" in ran.err
    assert ran.next == ["invoke modify --print"]
    plan.write_text("x\n" * 99)
    assert person(f"invoke modify --plan {plan}").err.count("is no verb") == 20
    assert person("invoke modify").code == 2
    assert person("invoke modify --drop two --squash aaaa").code == 2
    assert person("invoke modify --plan no-such-file").code == 2


def test_in_the_editor(person: Typist, own: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A text with a problem is kept, with the commands that edit it again and give it back."""
    monkeypatch.setattr(TaskSession, "interactive", property(lambda _: True))
    monkeypatch.setattr(editor, "edit", lambda _scope, _name, text: text.replace("entry #3", "move #3"))
    ran = person("invoke modify")
    assert ran.code == 2
    kept = person.desk.state / "edit/STACK"
    assert ran.next == [f"${{EDITOR:-vi}} {kept}", f"invoke modify --plan {kept}"]
    assert "move #3" in kept.read_text()
    kept.write_text(kept.read_text().replace("move #3", "entry #3"))
    assert "the stack is as the plan has it" in person(ran.next[1]).out
    monkeypatch.setattr(editor, "edit", lambda _scope, _name, text: text.replace("pick", "squash", 1))
    assert "squash: there is no commit above it" in person("invoke modify").err
    assert branches(own) == ["one", "two", "three"]


def test_a_removed_entry_is_closed(person: Typist, monkeypatch: pytest.MonkeyPatch) -> None:
    """`--close` closes its pull request after a yes, and undo opens it again; without it the command is named."""
    before = person.desk.tips()

    def state() -> PrState:
        return person.desk.hub.pulls[2].state

    ran = person("invoke modify --fold 2 --no-push")
    assert ran.code == 0, ran.err
    assert commands(ran.next) == ["gh pr close 2", "invoke restack"]
    assert state() is PrState.OPEN
    assert person("invoke undo").code == 0
    ran = person("invoke modify --fold 2")
    assert ran.code == 0, ran.err
    assert commands(ran.next) == ["gh pr close 2", "invoke status"]
    assert state() is PrState.OPEN
    assert person.desk.hub.pulls[3].base == "one"
    assert person("invoke undo").code == 0
    assert person.desk.hub.pulls[3].base == "two"
    ran = person("invoke modify --fold 2 --close --no-push")
    assert (ran.code, ran.next) == (2, ["invoke modify --close --fold 2", "invoke modify --no-push --fold 2"])
    ran = person("invoke modify --rename 2 --branch other")
    assert (ran.code, ran.next) == (2, ["invoke modify --branch other --rename 2 --close"])
    with monkeypatch.context() as patch:
        patch.delenv("TRUNKLINE_YES")
        ran = person("invoke modify --fold 2 --close")
        assert ran.code == 2
        assert "close #2 two: its entry is removed from the stack" in ran.err
        assert person.desk.tips() == before
    ran = person("invoke modify --fold 2 --close")
    assert ran.code == 0, ran.err
    assert state() is PrState.CLOSED
    assert commands(ran.next) == ["invoke status"]
    ran = person("invoke undo")
    assert ran.code == 0, ran.err
    assert state() is PrState.OPEN
    assert person.desk.tips() == before


def requests_of(printed: str) -> list[str]:
    """Return the printed commands that change pull requests, and "push" for the push between them."""
    typed = [line.strip() for line in printed.splitlines() if line.strip().startswith(("$ gh pr edit", "$ git push"))]
    return ["push" if line.startswith("$ git push") else line for line in typed]


def test_bases_that_change_before_the_push_are_planned(person: Typist) -> None:
    """A dry run names the same changes of bases as the run: typed without them, the push marks #3 as merged."""
    for task, first in (
        ("modify --move 3 --onto 1", "$ gh pr edit 3 --base main"),
        ("undo", "$ gh pr edit 2 --base main"),
    ):
        planned = requests_of(person(f"invoke {task} --dry-run").out)
        assert planned[:2] == [first, "push"]
        assert requests_of(person(f"invoke {task}").out) == planned


def test_a_new_entry_is_submitted(person: Typist) -> None:
    """The same run creates its pull request; with `--no-push` the next command is `submit`."""
    ran = person(f"invoke modify --split {person.desk.clone.head('one~1')} --branch half --no-push")
    assert commands(ran.next) == ["invoke submit"]
    assert person(ran.next[0].partition("   #")[0]).code == 0
    assert person.desk.hub.pulls[4].head == "half"


@pytest.mark.parametrize("flags", [{"kind": "fold", "name": "2"}, {"kind": "drop", "name": "2"}])
def test_restack_after_an_entry_was_dropped(stack: Desk, flags: dict[str, Any]) -> None:
    """The entries that are left are pushed and retargeted; they keep their own commits."""
    assert modified(stack, **flags).error is None
    before = stack.tips()
    assert stack.restack().error is None
    assert stack.tips() == before
    assert stack.hub.tip("one") == before["one"]
    assert stack.hub.tip("three") == before["three"]
    assert stack.hub.pulls[3].base == "one"


@pytest.mark.parametrize("branch", ["two", "three"])
def test_restack_after_a_split(stack: Desk, branch: str) -> None:
    """The shortened branch is not taken for one that is behind: the commits stay where they were put."""
    number = {"two": 2, "three": 3}[branch]
    assert modified(stack, kind="split", name=stack.clone.head(f"{branch}~1"), branch="half").error is None
    stack.clone.git("switch", "--quiet", "half")
    stack.clone.commit("half 3", {"half.txt": "half\n"})
    stack.clone.git("switch", "--quiet", "main")
    assert stack.restack().error is None
    below = {"two": "one", "three": "two"}[branch]
    assert subjects(stack, branch, below) == [f"{branch} 1"]
    assert subjects(stack, "half", branch) == [f"{branch} 2", "half 3"]
    assert stack.hub.tip(branch) == stack.clone.head(branch)
    assert stack.hub.pulls[number].state is PrState.OPEN


def test_commit_moved_to_the_entry_below(stack: Desk) -> None:
    """A commit that changed its entry belongs to the new one, whatever old heads hold."""
    text = modify.open_stacked(stack.stack_context()).text
    moved = next(line for line in text.splitlines() if line.endswith(" two 1"))
    lines = [line for line in text.splitlines() if line != moved]
    at = next(number for number, line in enumerate(lines) if line.startswith("entry #2"))
    assert modified(stack, "\n".join([*lines[:at], moved, *lines[at:]])).error is None
    stack.trunk_commits("trunk moves", {"trunk.txt": "1\n"})
    assert stack.restack().error is None
    assert subjects(stack, "one") == ["one 1", "one 2", "two 1"]
    assert subjects(stack, "two", "one") == ["two 2"]
    assert subjects(stack, "three", "two") == ["three 1", "three 2"]
    assert stack.remote_tips() == stack.tips()
