"""Entries without a pull request: every task for landing treats them as work that is still to be submitted."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial

import pytest

from support.inprocess import NO_CARGO, Desk, desk, refusal
from trunkline.commands import land, plan, rebase, restack, status
from trunkline.commands.rehearse import _offline
from trunkline.context.loading import open_context
from trunkline.domain.names import branch_name, branch_ref, oid
from trunkline.domain.options import Options
from trunkline.domain.status import State
from trunkline.domain.step import StepName
from trunkline.report import as_json
from trunkline.report.stack import stack_data


@pytest.fixture
def top(monkeypatch: pytest.MonkeyPatch) -> Iterator[Desk]:
    """Yield a stack whose top entry has no pull request."""
    with desk(monkeypatch) as found:
        found.own_stack(monkeypatch, 3)
        yield found


@pytest.fixture
def middle(monkeypatch: pytest.MonkeyPatch) -> Iterator[Desk]:
    """Yield a stack whose middle entry has no pull request; #3 targets trunk."""
    with desk(monkeypatch) as found:
        found.own_stack(monkeypatch, 2)
        yield found


def test_status_names_submit(top: Desk) -> None:
    """The state is "no pull request yet"; JSON has null for its number."""
    seen = status.observe(top.stack_context(), offline=False)
    assert [row.standing.state for row in seen.entries][2] is State.UNSUBMITTED
    assert "invoke submit" in seen.entries[2].standing.why[0]
    assert [entry["pr"] for entry in stack_data(seen)["entries"]] == [1, 2, None]
    assert stack_data(seen)["name"] == seen.stack.name
    assert seen.entries[2].own == 2


def test_restack_moves_it_and_pushes_the_rest(top: Desk) -> None:
    """The entry moves with the others; only branches of pull requests are pushed; undo takes all of it back."""
    before = top.tips()
    top.trunk_commits("trunk moves", {"t.txt": "t\n"})
    planned = restack.plan(top.stack_context(skip=NO_CARGO)).plan
    assert ("onto", "three") in [(step.name.value, step.pr) for step in planned.steps]
    assert as_json.plan(planned)["steps"][3]["branch"] == "three"
    done = top.restack()
    assert done.error is None
    tips = top.tips()
    assert set(tips.values()).isdisjoint(before.values())
    assert top.remote_tips() == {name: tips[name] for name in ("one", "two")}
    assert top.undo() is not None
    assert top.tips() == before


def test_restack_leaves_what_sits_above_it_to_submit(middle: Desk) -> None:
    """An entry above it is moved locally; the outcome reports that its push and its base wait for `submit`."""
    remote = middle.remote_tips()["three"]
    middle.trunk_commits("trunk moves", {"t.txt": "t\n"})
    done = middle.restack()
    assert done.error is None
    assert middle.remote_tips()["three"] == remote
    assert middle.tips()["three"] != remote
    assert any("#3 is left to invoke submit: two has no pull request" in line for line in middle.quiet.lines)
    assert middle.hub.pulls[3].base == "main"


def test_a_conflict_in_it_pauses_and_goes_on(top: Desk) -> None:
    """A conflict names its branch; `continue` finishes the run."""
    top.conflict(3)
    paused = refusal(top.restack)
    assert paused.what.startswith("conflict in three:")
    run = top.open_run()
    assert run is not None
    top.resolve()
    resumed = top.resume()
    assert resumed is not None
    assert resumed.error is None
    assert "three.txt" in top.clone.git("ls-tree", "--name-only", "three")


def test_land_stops_below_it(middle: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    """Only the entries below it are landed; without one the error names `submit`."""
    context = middle.stack_context(skip=NO_CARGO)
    assert [entry.number for entry in land.entries_of(context.view(), None)] == [1]
    assert land.unsubmitted(context.stack, None) == context.stack.entries[1]
    assert land.unsubmitted(context.stack, context.stack.entries[0].key) is None
    middle.own_stack(monkeypatch, 1)
    refused = refusal(lambda: land.plan(middle.stack_context(skip=NO_CARGO)))
    assert (refused.what, refused.why) == ("there is nothing to land", "one has no pull request yet")
    assert refused.next_commands == ("invoke submit",)


def test_tasks_of_one_entry(middle: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    """`--pr BRANCH` selects it; tasks that need a pull request refuse and name `submit`; `switch` works."""
    entry_context = open_context("two", stack="", options=Options(), reporter=middle.quiet, cwd=middle.clone.path)
    assert entry_context.entry.branch == "two"
    for task in ("rebase", "push", "note", "ready", "checklist", "verify-merged"):
        refused = refusal(partial(rebase.plan, entry_context, task))
        assert refused.what == "two has no pull request yet", task
        assert refused.next_commands == ("invoke submit",)
    assert rebase.run(entry_context, StepName.SWITCH.value).error is None
    assert middle.clone.git("branch", "--show-current") == "two"
    middle.own_stack(monkeypatch, 1)
    assert refusal(lambda: middle.rebase(3)).what == "one has no pull request yet"


def test_plan_and_rehearsal_with_one_above(top: Desk) -> None:
    """The prediction of a landing describes it; an offline rehearsal leaves it out of GitHub."""
    book = plan.predict_landing(top.entry_context(1))
    assert [above.entry.branch for above in book.above] == ["two", "three"]
    assert book.above[1].pr is None
    remote_refs = {branch_ref(branch_name("one")): oid(top.tips()["one"])}
    assert set(_offline(top.stack_context().project, remote_refs).pull_requests) == {1}


def test_a_stack_without_any_pull_request(top: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    """No request to GitHub names a number, and restack still moves everything."""
    top.own_stack(monkeypatch, 1, 2)
    top.trunk_commits("trunk moves", {"t.txt": "t\n"})
    before = top.tips()
    assert top.restack().error is None
    assert not top.remote_tips()
    assert set(top.tips().values()).isdisjoint(before.values())
    assert status.observe(top.stack_context(), offline=False).next == "invoke submit"


def test_the_entry_is_found_by_branch_after_it_got_a_number(top: Desk) -> None:
    """Older journals name the entry by its branch: `Stack.entry` finds it."""
    stack = top.stack_context().stack
    assert stack.entry(branch_name("one")).number == 1
