"""The changes that a dry run announces, compared with those that the journal of the run holds."""

from __future__ import annotations

import shlex
from collections import Counter
from collections.abc import Callable, Iterator

import pytest

from support.inprocess import ENTRIES, Desk, desk
from trunkline.commands import land, rebase, restack, resume, undo
from trunkline.context import open_run
from trunkline.domain.changes import LocalMoved, NoteChanged, RemoteMoved, StateChanged, is_different
from trunkline.domain.errors import Refused
from trunkline.domain.snapshot import PrState
from trunkline.domain.step import Plan, StepName
from trunkline.planning.run_changes import changes_of
from trunkline.state import journal

Prepare = Callable[[Desk], object]


@pytest.fixture
def stack(monkeypatch: pytest.MonkeyPatch) -> Iterator[Desk]:
    """Yield a stack of three entries, #1 and #2 ready for review."""
    with desk(monkeypatch) as found:
        found.hub.pulls[1].draft = found.hub.pulls[2].draft = False
        yield found


def announced(plan: Plan) -> Counter[str]:
    """Return the number of announced changes by kind: a command of the plan for each."""
    found: Counter[str] = Counter()
    for step in plan.steps:
        if step.name is StepName.PUSH:
            found["push"] += len(step.publishes)
        elif step.name in {StepName.READY, StepName.RETARGET}:
            found["state"] += len(step.commands)
        elif step.name is StepName.NOTE:
            found["note"] += len(step.commands)
        elif step.name is StepName.REPLAY:
            found["local"] += len(step.commands)
    return +found


def recorded(stack: Desk) -> Counter[str]:
    """Return the number of changes in the newest journal by kind."""
    found: Counter[str] = Counter()
    context, run = stack.stack_context(), stack.newest()
    for change in filter(is_different, changes_of(context.stack, run, context.world)):
        match change:
            case RemoteMoved():
                found["push"] += 1
            case LocalMoved():
                found["local"] += 1
            case NoteChanged():
                found["note"] += 1
            case StateChanged(before=before, left=left):
                found["state"] += (before.base != left.base) + (before.draft != left.draft)
    return +found


def _trunk_moved(stack: Desk) -> None:
    stack.trunk_commits("trunk goes on", {"trunk.txt": "1\n"})


def _bottom_merged(stack: Desk) -> None:
    stack.merge(1, delete=False)


def _up_to_date(stack: Desk) -> None:
    _trunk_moved(stack)
    stack.restack()


def _middle_grew(stack: Desk) -> None:
    _grew(stack, "two")


def _grew(stack: Desk, branch: str) -> None:
    _up_to_date(stack)
    stack.clone.git("fetch", "--quiet")
    stack.clone.git("switch", "--quiet", branch)
    stack.clone.commit(f"{branch} goes on", {f"{branch}-more.txt": "1\n"})
    stack.clone.git("switch", "--quiet", "main")


def _rebased_by_others(stack: Desk) -> None:
    """Let a colleague replay all entries and force-push them: the same commits with other ids."""
    _trunk_moved(stack)
    author, base = stack.author, "origin/main"
    for branch in ENTRIES.values():
        author.git("switch", "--quiet", "--detach", f"origin/{branch}")
        author.git("rebase", "--quiet", "--onto", base, f"origin/{branch}~2")
        base = author.head("HEAD")
        author.git("push", "--quiet", "--force", "origin", f"HEAD:refs/heads/{branch}")


@pytest.mark.parametrize("prepare", [_trunk_moved, _bottom_merged, _up_to_date, _middle_grew, _rebased_by_others])
def test_restack_and_its_undo(stack: Desk, prepare: Prepare) -> None:
    """Each announced push, base, note and move is made, and nothing else; the undo reverts as many."""
    prepare(stack)
    planned = restack.forecast(stack.stack_context()).plan
    expected = announced(planned)
    stack.restack()
    assert recorded(stack) == expected
    if prepare is _rebased_by_others:
        assert expected == {"local": 3}
        assert "up to date (2 commits on origin/main); origin holds the same commits" in planned.steps[1].description
    found = undo.find(stack.quiet, cwd=stack.clone.path)
    if prepare is _up_to_date:
        assert not expected
        return
    assert found is not None
    reverted = announced(undo.forecast(found))
    assert reverted == expected
    undo.run(found)
    assert recorded(stack) == reverted


def test_typed_commands_move_a_checkout_and_create_a_branch(stack: Desk) -> None:
    """The printed commands of restack and undo move the files of a checked-out branch, and need no local branch."""
    clone = stack.clone
    clone.git("switch", "--quiet", "two")
    old, new = clone.head("two"), stack.push_commit("two", "two goes on", {"two-more.txt": "1\n"})
    clone.git("branch", "--quiet", "--delete", "--force", "three")
    _, onto_two, onto_three = (
        step for step in restack.forecast(stack.stack_context()).plan.steps if step.name is StepName.REPLAY
    )
    assert onto_two.commands == (f"git switch -C two {new}",)
    assert onto_three.description.startswith("create the local branch three; replay 2 commits")
    clone.git("fetch", "--quiet")
    for command in (*onto_two.commands, *onto_three.commands):
        clone.git(*shlex.split(command)[1:])
    tip = clone.head("three")
    assert (clone.git("status", "--porcelain"), clone.head("two"), clone.head("three~2")) == ("", new, new)
    clone.git("switch", "--quiet", "two")
    clone.git("reset", "--quiet", "--hard", old)
    clone.git("branch", "--quiet", "--force", "three", "origin/three")
    stack.restack()
    assert clone.git("diff", "three", tip) == ""
    found = undo.find(stack.quiet, cwd=clone.path)
    assert found is not None
    (back,) = (step.commands for step in undo.forecast(found).steps if step.pr == 2 and step.name is StepName.REPLAY)
    assert back == (f"git switch -C two {old}",)


def test_a_predicted_conflict_and_its_continuation(stack: Desk) -> None:
    """Behind a conflict no base is planned to change; `continue` plans what is left, not the replay that stopped."""
    stack.conflict(2)
    planned = restack.forecast(stack.stack_context()).plan
    (push,) = (step for step in planned.steps if step.name is StepName.PUSH)
    assert [command.split()[:2] for command in push.commands] == [["git", "push"]]
    stack.restack()
    found = resume.find(stack.quiet, cwd=stack.clone.path)
    assert found is not None
    (step, *_), (left_out, *_) = (resume.plan(*found, skip=skip).steps for skip in (False, True))
    stopped = stack.clone.head("origin/two~1")[:7]
    assert (step.description, step.commands) == (
        f"take your resolution of {stopped}, then replay 1 commit onto one",
        (),
    )
    assert left_out.description == f"leave out {stopped}, then replay 1 commit onto one"


def test_the_lease_of_a_planned_deletion(stack: Desk) -> None:
    """The lease names the head that is merged: that of the pull request, else what the run pushes."""

    def leases() -> list[str]:
        (step,) = (each for each in land.forecast(stack.stack_context()).plan.steps if each.name is StepName.CLEANUP)
        return [command.rpartition(":refs/heads/")[0].split("refs/heads/")[1].split()[0] for command in step.commands]

    heads = {branch: stack.hub.tip(branch) for branch in ENTRIES.values()}
    assert leases() == [f"{branch}:{head}" for branch, head in heads.items()]
    _trunk_moved(stack)
    stack.hub.mergeable = True
    assert {lease.partition(":")[2] for lease in leases()} <= {*heads.values(), "REBASED"}


def test_a_note_above_an_open_entry(stack: Desk) -> None:
    """The dry run of `note` is refused as the run is."""
    for run in (rebase.forecast, rebase.run):
        with pytest.raises(Refused, match="#1 below is not merged yet"):
            run(stack.entry_context(2, skip=frozenset()), StepName.NOTE.value)


def test_the_next_entry_is_closed(stack: Desk) -> None:
    """`next` names `rescue`, which needs no merge of the entry below."""
    stack.hub.pulls[2].state = PrState.CLOSED
    (found,) = stack.rebase(1, StepName.NEXT.value).outcomes.values()
    assert (found.data["command"], found.data["condition"]) == ("invoke rescue --pr 2", "")
    assert found.details == ("closed; two: local branch exists",)


def test_the_name_of_an_undo(stack: Desk) -> None:
    """The undo of a restack that moved one branch is named after that branch's pull request."""
    _grew(stack, "three")
    stack.restack()
    found = undo.find(stack.quiet, cwd=stack.clone.path)
    assert found is not None
    undo.run(found)
    assert open_run.name_of(next(iter(journal.runs(found.context.state)))) == "undo of #3 three"


@pytest.mark.parametrize(("prepare", "pr"), [(_trunk_moved, 1), (_bottom_merged, 2), (_up_to_date, 1)])
def test_rebase_without_gates(stack: Desk, prepare: Prepare, pr: int) -> None:
    """One entry: a ready pull request on trunk is not announced as edited."""
    prepare(stack)
    expected = announced(rebase.forecast(stack.entry_context(pr), rebase.WHOLE).plan)
    stack.rebase(pr)
    assert recorded(stack) == expected - Counter({"note": expected["note"]})  # the desk skips the note
    alone = rebase.forecast(stack.entry_context(pr), StepName.PUSH.value).plan
    assert [step.commands for step in alone.steps] == [()]  # it is pushed by now
