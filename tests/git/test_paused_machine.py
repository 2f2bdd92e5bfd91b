"""Random operations during a paused run: no commit is lost, and a command that continues or ends it exists.

The workflows run in this process (`support.inprocess`). `TRUNKLINE_SOAK` sets the number of runs.
"""

from __future__ import annotations

import shutil
from collections.abc import Callable

import pytest
from hypothesis import HealthCheck, Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule, run_state_machine_as_test

from support.inprocess import ENTRIES, STACK, Desk, desk
from support.repo import Repo
from support.soak import SOAK
from trunkline.domain.errors import InternalError, TrunklineError
from trunkline.engine import RunResult

RUNS = SOAK or 10
STEPS = 8
PHASES = (Phase.generate, Phase.shrink) if SOAK else (Phase.generate,)
"""Shrinking takes minutes, so only an exhaustive run does it."""
BRANCHES = tuple(ENTRIES.values())


class Pausing(RuleBasedStateMachine):
    """A user, a trunk that moves and conflicts, and a stack of three entries."""

    def __init__(self) -> None:
        super().__init__()
        self.patched = pytest.MonkeyPatch()
        self.place = desk(self.patched)
        self.stack: Desk = self.place.__enter__()
        self.count = 0
        self.had: set[str] = set()
        self.declared = True  # stack.toml has all entries

    def teardown(self) -> None:
        """Remove the repositories."""
        self.place.__exit__(None, None, None)
        self.patched.undo()

    # -- others, and the user's own git ------------------------------------------------------------------------

    @rule(pr=st.sampled_from([0, 1, 2, 3]))
    def trunk_moves(self, pr: int) -> None:
        """Somebody pushes to trunk: something of no matter, or what an entry's first commit will conflict with."""
        self.count += 1
        name = f"{ENTRIES[pr]}.txt" if pr else f"trunk-{self.count}.txt"
        self.stack.trunk_commits(f"trunk {self.count}", {name: f"trunk's {self.count}\n"})

    @rule(branch=st.sampled_from(BRANCHES))
    def user_commits(self, branch: str) -> None:
        """The user commits on a branch."""
        self.count += 1
        self._on(branch, lambda clone: clone.commit(f"mine {self.count}", {f"mine-{self.count}.txt": "m\n"}))

    @rule(branch=st.sampled_from(BRANCHES))
    def user_amends(self, branch: str) -> None:
        """The user amends a branch's tip."""
        self.count += 1

        def amend(clone: Repo) -> None:
            (clone.path / f"amended-{self.count}.txt").write_text("a\n")
            clone.git("add", "--all")
            clone.git("commit", "--quiet", "--amend", "--no-edit")

        self._on(branch, amend)

    def _on(self, branch: str, do: Callable[[Repo], object]) -> None:
        clone = self.stack.clone
        if branch not in self.stack.tips():
            clone.git("branch", "--quiet", branch, f"origin/{branch}")
        clone.git("switch", "--quiet", branch)
        do(clone)
        clone.git("switch", "--quiet", "main")

    @rule(branch=st.sampled_from(BRANCHES))
    def user_deletes(self, branch: str) -> None:
        """The user deletes a branch; what it held is the user's to lose, and leaves the books."""
        if branch in self.stack.tips():
            self.stack.clone.git("branch", "--quiet", "-D", branch)
            self.had = self._reachable()

    @precondition(lambda self: self._paused())
    @rule(how=st.sampled_from(["resolve", "resolve", "abort", "reset", "remove"]))
    def user_works_in_the_tree(self, how: str) -> None:
        """The user resolves the conflict, gives the pick up, or removes the work tree."""
        tree = self.stack.tree()
        if not tree.path.is_dir():
            return
        if how == "resolve":
            self.stack.resolve(text=f"both {self.count}\n")
        elif how == "remove":
            shutil.rmtree(tree.path)
        else:
            tree.git(*(("cherry-pick", "--abort") if how == "abort" else ("reset", "--quiet", "--hard")), check=False)

    @rule(lacks=st.booleans())
    def user_edits_stack_toml(self, lacks: bool) -> None:  # noqa: FBT001 -- drawn
        """The user takes an entry out of stack.toml, or puts it back."""
        text = STACK.partition("\n[[entry]]\npr = 3")[0] if lacks else STACK
        self.declared = not lacks
        path = self.stack.clone.path / "stack.toml"
        path.write_text(text)
        self.stack.clone.git("update-index", "--assume-unchanged", "stack.toml")

    # -- tasks -------------------------------------------------------------------------------------------------

    @rule()
    def restack(self) -> None:
        """Type restack."""
        self._type(self.stack.restack)

    @rule(task=st.sampled_from(["fetch", "switch"]), pr=st.sampled_from([1, 2]))
    def another_task(self, task: str, pr: int) -> None:
        """Type a task that moves no branch."""
        paused = self._paused()
        self._type(lambda: self.stack.rebase(pr, task))
        self.stack.clone.git("switch", "--quiet", "main")
        assert self._paused() == paused

    @rule(skip=st.booleans())
    def go_on(self, skip: bool) -> None:  # noqa: FBT001 -- drawn
        """Type continue, or skip."""
        self._type(lambda: self.stack.resume(skip=skip))

    @rule()
    def abort(self) -> None:
        """Type abort: whatever happened, no run is open afterwards, if one was."""
        before = self.stack.open_run()
        self.stack.abort()
        after = self.stack.open_run()
        assert after is None or before is None or after.id != before.id

    @rule()
    def undo(self) -> None:
        """Type undo; twice is redo."""
        self._type(self.stack.undo)

    def _type(self, do: Callable[[], object]) -> None:
        """Run a task until it ends or prints a next command; after a push each entry must contain the one below."""
        before = self.stack.remote_tips()
        try:
            done = do()
            error = done.error if isinstance(done, RunResult) else None
        except TrunklineError as raised:
            error = raised
        assert not isinstance(error, InternalError), error
        assert error is None or error.next_commands, error
        if self.stack.remote_tips() != before and do != self.stack.undo and self.declared:
            self.stack.assert_stacked()

    def _paused(self) -> bool:
        run = self.stack.open_run()
        return run is not None and run.pause is not None and run.state != "aborting"

    def _reachable(self) -> set[str]:
        return set(self.stack.clone.git("rev-list", "--all").splitlines())

    # -- what always holds -------------------------------------------------------------------------------------

    @invariant()
    def nothing_is_lost(self) -> None:
        """Every commit that a ref once reached stays reachable, except those that the user deleted or amended."""
        now = self._reachable()
        gone = self.had - now
        logged = set(self.stack.clone.git("rev-list", "--all", "--reflog").splitlines()) if gone else set()
        assert gone <= logged, gone - logged
        self.had |= now

    @invariant()
    def one_run_at_most_is_paused(self) -> None:
        """The paused run is the open one."""
        from trunkline.state import journal  # noqa: PLC0415 -- read anew each time

        held = [run for run in journal.runs(self.stack.state) if run.is_held]
        assert len(held) <= 1
        open_run = self.stack.open_run()
        assert not held or (open_run is not None and open_run.id == held[0].id)


def _settings(runs: int) -> settings:
    return settings(
        max_examples=runs, stateful_step_count=STEPS, deadline=None, database=None, derandomize=True,
        suppress_health_check=list(HealthCheck), phases=PHASES,
    )  # fmt: skip


def test_whatever_happens_to_a_paused_run_nothing_is_lost() -> None:
    """Edits, other tasks, continue, skip, abort, undo and redo in any order."""
    run_state_machine_as_test(Pausing, settings=_settings(RUNS))


def test_the_machine_sees_a_stack_that_is_pushed_inconsistent(monkeypatch: pytest.MonkeyPatch) -> None:
    """Without the checks before the push, and with entries merged as they are, the oracle reports an error."""
    from trunkline.commands import resume  # noqa: PLC0415 -- patched here alone
    from trunkline.operations import publish  # noqa: PLC0415 -- patched here alone

    monkeypatch.setattr(publish, "require_stacked", lambda *_: None)
    monkeypatch.setattr(resume._ResumedRun, "_stale", lambda _: frozenset())
    with desk(monkeypatch) as stack:
        machine = Pausing.__new__(Pausing)
        machine.stack, machine.declared = stack, True
        stack.conflict(3)
        machine._type(stack.restack)
        stack.clone.git("switch", "--quiet", "two")
        stack.clone.commit("mine", {"mine.txt": "m\n"})
        stack.clone.git("switch", "--quiet", "main")
        stack.resolve()
        with pytest.raises(AssertionError, match="does not contain the entry below"):
            machine._type(stack.resume)
