"""`sync`: what others did is taken over, what landed is tidied up, and a second run finds nothing to do."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from support.inprocess import Desk, desk, kill_at
from support.typist import typist
from trunkline.commands import init, init_update, sync
from trunkline.commands.init_update import Checked
from trunkline.context.loading import load_stacks, top_of
from trunkline.domain.discover import Difference, DifferenceKind, Discovery
from trunkline.domain.errors import Refused
from trunkline.domain.names import branch_name, pr_number
from trunkline.domain.stack import Entry
from trunkline.domain.step import StepName, StepStatus
from trunkline.engine import RunResult
from trunkline.github.pull_request_list import PullRequestList
from trunkline.state import lock

NOTHING = {StepStatus.NOTHING}


@pytest.fixture
def stack(monkeypatch: pytest.MonkeyPatch) -> Iterator[Desk]:
    """Yield a stack of three entries; trunk is checked out."""
    with desk(monkeypatch) as made:
        yield made


def synced(stack: Desk) -> RunResult:
    """Run `sync`."""
    done = sync.run(stack.stack_context())
    assert done.error is None
    return done


def test_merged_entry(stack: Desk) -> None:
    """The entries above are restacked and pushed; the merged local branch is deleted; the next run does nothing."""
    stack.merge(1)
    synced(stack)
    assert "one" not in stack.tips()
    assert stack.remote_tips() == stack.tips()
    assert stack.contains_here("three", "two")
    assert stack.contains_here("two", "origin/main")
    again = sync.forecast(stack.stack_context()).plan
    assert again.publishes == ()
    before = stack.clone.refs()
    assert {outcome.mark for outcome in synced(stack).outcomes.values()} <= NOTHING
    after = {name: tip for name, tip in stack.clone.refs().items() if not name.startswith("refs/trunkline/backup/")}
    assert after == {name: tip for name, tip in before.items() if not name.startswith("refs/trunkline/backup/")}


def test_nothing_happened(stack: Desk) -> None:
    """Nothing would be published, so there is no prompt; every step has nothing to do."""
    assert sync.forecast(stack.stack_context()).plan.publishes == ()
    assert {outcome.mark for outcome in synced(stack).outcomes.values()} <= NOTHING


def test_pushed_by_somebody(stack: Desk) -> None:
    """Commits that others pushed are in the local branch, and in the entries above."""
    made = stack.push_commit("two", "two 3", {"two-3.txt": "3\n"})
    synced(stack)
    assert stack.tips()["two"] == made
    assert stack.contains_here("three", "two")
    assert stack.remote_tips() == stack.tips()


def test_a_branch_with_more_commits_stays(stack: Desk) -> None:
    """A local branch with a commit that was not merged is kept, and named with the commit."""
    stack.clone.git("switch", "--quiet", "one")
    made = stack.clone.commit("one 3", {"one-3.txt": "3\n"})
    stack.clone.git("switch", "--quiet", "main")
    stack.merge(1)
    plan = sync.forecast(stack.stack_context()).plan
    assert StepName.CLEANUP not in {step.name for step in plan.steps}
    synced(stack)
    assert stack.tips()["one"] == made


def test_a_branch_behind_what_was_merged(stack: Desk) -> None:
    """A local branch that is a part of the merged head is merged whole."""
    stack.clone.git("branch", "--quiet", "--force", "one", "one~1")
    stack.merge(1)
    synced(stack)
    assert "one" not in stack.tips()


def test_what_is_checked_out_stays(stack: Desk) -> None:
    """The branch that is checked out is kept, with the reason in the outcome; another one is deleted."""
    stack.clone.git("switch", "--quiet", "one")
    stack.merge(1)
    stack.merge(2)
    done = synced(stack)
    assert set(stack.tips()) == {"one", "three"}
    assert done.outcomes[StepName.CLEANUP, None].details == ("one stays: it is checked out",)


def test_the_next_stack_begins(
    stack: Desk, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """After the last merge the branches are deleted, and stack.toml has the stack that follows."""
    for number in (1, 2, 3):
        stack.merge(number)
    following = (Entry(pr_number("7"), branch_name("seven")),)

    def checked(_: object) -> tuple[Checked, ...]:
        landed = stack.stack_context().stack
        return (
            Checked(
                landed,
                following,
                (Difference(DifferenceKind.ADDED, pr_number("7"), "next"),),
                landed=True,
                following=following,
            ),
        )

    written: list[object] = []

    def update(_: object, found: object) -> Path:
        written.append(found)
        return Path("stack.toml")

    monkeypatch.setattr(init, "observe", lambda *_, **__: None)
    monkeypatch.setattr(init_update, "check", checked)
    monkeypatch.setattr(init_update, "update", update)
    for person in typist(stack, monkeypatch, capsys, ""):
        assert "would begin the next: #7" in person("invoke sync --dry-run").out
        assert written == []
        monkeypatch.delenv("TRUNKLINE_YES", raising=False)
        assert person("invoke sync").code == 2
        ran = person("invoke sync --yes")
        assert ran.code == 0, ran.err
        assert "begins the next: #7" in ran.out
        assert ran.next == ["invoke status"]
    assert len(written) == 1
    assert stack.tips() == {}


def test_a_stack_file_that_changes_while_it_is_compared(stack: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    """The file is written under the lock, and only if it is what was compared."""
    stack.own_stack(monkeypatch)
    git = top_of(stack.clone.adapter)
    seen = init.PullRequestStacks(
        git, "origin", branch_name("main"), (), Discovery((), {}), PullRequestList("main", (), ()), ()
    )
    compared = Checked(load_stacks(git)[0], (), ())
    with (
        lock.hold(git.state_dir(), run="another"),
        pytest.raises(Refused, match="another trunkline run holds this repository"),
    ):
        init_update.update(seen, [compared])
    file = stack.root / "stack.toml"
    changed = file.read_text()[: file.read_text().rindex("[[entry]]")]
    file.write_text(changed)
    with pytest.raises(Refused, match="changed while it was compared with GitHub") as refused:
        init_update.update(seen, [compared])
    assert refused.value.next_commands == ("invoke init --update",)
    assert file.read_text() == changed


@pytest.mark.parametrize("number", [3, 6, 9, 13, 15])
def test_killed_at_a_record(stack: Desk, monkeypatch: pytest.MonkeyPatch, number: int) -> None:
    """After a kill, `continue` and another `sync` give the same result as without it."""
    stack.merge(1)
    kill_at(monkeypatch, number, lambda: sync.run(stack.stack_context()))
    done = stack.resume()
    assert done is None or done.error is None
    synced(stack)
    assert "one" not in stack.tips()
    assert stack.remote_tips() == stack.tips()
    assert stack.contains_here("three", "two")


def test_the_local_trunk_moves_forward(stack: Desk) -> None:
    """Only as a fast-forward of a trunk that no work tree uses: otherwise a line says why it stays."""
    stays = stack.clone.head("main")
    tip = stack.trunk_commits("trunk moves on", {"TRUNK.md": "moved\n"})
    fetched = synced(stack).outcomes[StepName.FETCH, None]
    assert stack.clone.head("main") == stays
    (line,) = fetched.details
    assert "stays 1 commit behind, because it is checked out" in line
    assert line.endswith("; to move it there: git merge --ff-only origin/main")

    stack.clone.git("switch", "--quiet", "one")
    assert "git fetch origin main:main" in sync.forecast(stack.stack_context()).plan.steps[0].commands
    moved = synced(stack).outcomes[StepName.FETCH, None]
    assert (stack.clone.head("main"), moved.mark) == (tip, StepStatus.DONE)

    own = stack.clone.git("commit-tree", "main^{tree}", "-p", stays, "-m", "own")
    stack.clone.git("update-ref", "refs/heads/main", own)
    synced(stack)
    assert stack.clone.head("main") == own
