"""Random sequences of tasks, edits by hand and actions of others: nothing is lost, and each refusal leads on.

The tasks run in this process (`support.verbs`). `TRUNKLINE_SOAK` sets the number of runs.
"""

from __future__ import annotations

import pytest
from hypothesis import HealthCheck, Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule, run_state_machine_as_test

from support.soak import SOAK
from support.typist import Ran
from support.verbs import Declared, Verbs, quoted, verbs

RUNS = SOAK or 4
STEPS = 12
KINDS = ("move", "move", "drop", "drop commit", "fold", "split", "rename", "reword", "squash")
LOSING = ("abort", "skip", "undo", "drop")
"""Words of commands that take changes back because a person wants it."""
MARKERS = ("<<<<<<<", "=======", ">>>>>>>", "|||||||")
pick = st.integers(0, 1000)
often = st.sampled_from([True, True, False])
"""Whether a change is at the place where all such changes are: they conflict."""


class Stack(RuleBasedStateMachine):
    """A user with all tasks, and colleagues."""

    def __init__(self) -> None:
        super().__init__()
        self.patched = pytest.MonkeyPatch()
        self.place = verbs(self.patched)
        self.at: Verbs = self.place.__enter__()
        self.had = self.at.reachable()
        self.marked = self.at.marks()
        self.before: tuple[dict[str, str], dict[str, str], str] | None = None

    def teardown(self) -> None:
        """Remove the repositories."""
        self.place.__exit__(None, None, None)
        self.patched.undo()

    # -- others ----------------------------------------------------------------------------------------------------

    @rule(at=pick, shared=often, amend=st.booleans())
    def others_push(self, at: int, shared: bool, amend: bool) -> None:  # noqa: FBT001 -- drawn
        """A colleague pushes to an entry."""
        pushed = [each.branch for each in self.at.open() if self.at.desk.hub.tip(each.branch)]
        if pushed:
            self.at.others_commit(pushed[at % len(pushed)], shared=shared, amend=amend)
        self.before = None

    @rule(shared=often)
    def trunk_moves(self, shared: bool) -> None:  # noqa: FBT001 -- drawn
        """Somebody pushes to trunk."""
        self.at.others_commit("main", shared=shared)
        self.before = None

    @rule(how=st.sampled_from(["squash", "rebase", "merge"]), delete=st.booleans())
    def bottom_is_merged(self, how: str, delete: bool) -> None:  # noqa: FBT001 -- drawn
        """The bottom pull request is merged on the web."""
        bottom = next(iter(self.at.open()), None)
        if bottom is not None and bottom.pr is not None and self.at.desk.hub.pulls[bottom.pr].base == "main":
            self.at.merge(bottom.pr, how, delete=delete)
        self.before = None

    @rule(at=pick)
    def one_is_closed(self, at: int) -> None:
        """A pull request is closed on the web, rarely."""
        numbered = [each for each in self.at.open() if each.pr is not None]
        if numbered and at % 4 == 0:
            chosen = numbered[at % len(numbered)]
            assert chosen.pr is not None
            self.at.close(chosen.pr)
        self.before = None

    # -- the user's own git ----------------------------------------------------------------------------------------

    @rule(at=pick, shared=often)
    def user_commits(self, at: int, shared: bool) -> None:  # noqa: FBT001 -- drawn
        """The user commits on an entry."""
        self._go(at)
        if self.at.current() in {each.branch for each in self.at.open()} and not self._unmerged():
            self.at.commit(shared=shared)
        self.before = None

    @rule(shared=often, staged=st.booleans())
    def user_edits(self, shared: bool, staged: bool) -> None:  # noqa: FBT001 -- drawn
        """The user edits a file."""
        if not self._unmerged():
            self.at.write(shared=shared, staged=staged)
        self.before = None

    @rule(at=pick)
    def user_switches(self, at: int) -> None:
        """The user switches with git."""
        self._go(at)
        self.before = None

    def _go(self, at: int) -> None:
        branches = [*(each.branch for each in self.at.open()), "main"]
        self.at.switch(branches[at % len(branches)])

    def _unmerged(self) -> bool:
        return bool(self.at.desk.clone.git("ls-files", "--unmerged"))

    # -- tasks -----------------------------------------------------------------------------------------------------

    @rule(task=st.sampled_from(["submit", "sync", "restack", "restack --no-push", "submit"]))
    def whole(self, task: str) -> None:
        """Type a task of the whole stack."""
        if not self.at.open():  # a stack that has landed makes way for the next one
            return
        ran = self._type(f"invoke {task}")
        if ran.code == 0 and "--no-push" not in task:
            self._agree(ran)

    @rule(task=st.sampled_from(["up", "down", "up --stash", "down --stash"]))
    def goes(self, task: str) -> None:
        """Type up or down."""
        self._type(f"invoke {task}")

    @rule(flag=st.sampled_from(["", "--all", "--message changed", "deep"]), at=pick)
    def amend(self, flag: str, at: int) -> None:
        """Type amend."""
        own = self.at.own(self.at.current())
        if flag == "deep":
            flag = f"--commit {own[at % len(own)]}" if own else ""
        self._type(f"invoke amend {flag}".rstrip())

    @rule()
    def absorb(self) -> None:
        """Type absorb."""
        self._type("invoke absorb")

    @rule(place=st.sampled_from(["", "--below", "--onto-trunk"]), flag=st.sampled_from(["", "--all"]))
    def add(self, place: str, flag: str) -> None:
        """Type add."""
        name = f"new{self.at.count}x{len(self.at.declared())}"
        words = [word for word in (place, flag) if word]
        self._type(quoted("add", name, "--message", f"Add {name}", *words))

    @rule(
        kind=st.sampled_from(["move", "drop", "drop commit", "fold", "split", "rename", "reword", "squash"]),
        at=pick,
        to=pick,
    )
    def modify(self, kind: str, at: int, to: int) -> None:
        """Type modify with one operation."""
        entries = self.at.open()
        if not entries:
            return
        entry = entries[at % len(entries)]
        own = self.at.own(entry.branch)
        commit = own[to % len(own)] if own else "0000000"
        others = [each.branch for each in entries if each != entry] or ["main"]
        above = entries[(at + 1) % len(entries)].branch
        ways: dict[str, tuple[str, ...]] = {
            "move": ("--move", _name(entry), "--onto", [*others, "main"][to % (len(others) + 1)]),
            "drop": ("--drop", _name(entry)),
            "drop commit": ("--drop", commit),
            "fold": ("--fold", _name(entry), *(("--into", above) if to % 2 else ())),
            "split": ("--split", commit, "--branch", f"half{self.at.count}x{len(entries)}"),
            "rename": ("--rename", _name(entry), "--branch", f"name{self.at.count}x{at % 7}"),
            "reword": ("--reword", commit, "--message", "said anew"),
            "squash": ("--squash", commit),
        }
        self._type(quoted("modify", *ways[kind]))

    @rule()
    def undo(self) -> None:
        """Type undo."""
        before, now = self.before, self._snapshot()
        ran = self._type("invoke undo", keeps=True)
        if ran.code == 0 and before is not None and "nothing to undo" not in ran.out:
            then = self._snapshot()
            for old, new, held in zip(before[:2], then[:2], now[:2], strict=True):
                created = {name for name in new if name not in old}
                assert {name: tip for name, tip in new.items() if name not in created} == {
                    name: tip for name, tip in old.items() if name in new
                }, self._story(ran)
                assert set(old) - set(new) <= set(old) - set(held), self._story(ran)
            self.before = now
        else:
            self.before = None

    @precondition(lambda self: self.at.desk.open_run() is not None)
    @rule(how=st.sampled_from(["continue", "continue", "skip", "abort", "unresolved"]))
    def goes_on(self, how: str) -> None:
        """Resolve a conflict if there is one, and type continue, skip or abort."""
        run = self.at.desk.open_run()
        assert run is not None
        if how == "continue" and run.pause is not None and self.at.desk.tree().path.is_dir():
            self._resolve()
        self.before = None
        ran = self._type(f"invoke {'continue' if how == 'unresolved' else how}")
        if how == "abort":
            assert self.at.desk.open_run() is None or ran.code != 0, self._story(ran)

    def _resolve(self) -> None:
        """Keep the lines of both sides of every conflict."""
        tree = self.at.desk.tree()
        for name in tree.git("diff", "--name-only", "--diff-filter=U").splitlines():
            text = (tree.path / name).read_text() if (tree.path / name).exists() else ""
            kept = [
                line
                for line in text.splitlines()
                if not line.startswith(("<<<<<<<", "=======", ">>>>>>>", "|||||||"))
            ]
            (tree.path / name).write_text("".join(f"{line}\n" for line in dict.fromkeys(kept)))
        tree.git("add", "--all")
        self.at.story.append("resolve")

    # -- what holds ------------------------------------------------------------------------------------------------

    def _snapshot(self) -> tuple[dict[str, str], dict[str, str], str]:
        return self.at.heads(), self.at.remote_heads(), (self.at.desk.root / "stack.toml").read_text()

    def _type(self, line: str, *, keeps: bool = False) -> Ran:
        before = self._snapshot()
        self._seen()
        ran = self.at.type(line)
        self._check(ran)
        if not keeps:
            self.before = before if ran.code == 0 and before != self._snapshot() else None
        if any(word in line for word in LOSING):
            self.marked = self.at.marks()
        self._seen(ran)
        if ran.code not in {0, 3} and ran.next:
            self._lead_on(line, ran)
        return ran

    def _check(self, ran: Ran) -> None:
        assert "Traceback" not in ran.err + ran.out, self._story(ran)
        assert ran.code in {0, 1, 2, 3, 5, 6}, self._story(ran)
        assert ran.code == 0 or ran.next or ran.code == 2, self._story(ran)

    def _lead_on(self, line: str, ran: Ran) -> None:
        """Follow the printed commands: one of them changes the answer."""
        self.before = None
        tried = []
        for command in ran.next:
            if command.split()[:3] in (["git", "branch", "-D"], ["git", "reset", "--hard"]):
                continue
            made = self.at.follow(command)
            if made is None:
                return
            tried.append(command)
            if command.startswith("invoke "):
                self._check(made)
            if any(word in command for word in LOSING):
                self.marked = self.at.marks()
            if made.code in {0, 3} or (made.error and made.error != ran.error):
                return
        raise AssertionError(f"{line}: nothing of {tried} made progress\n{self._story(ran)}")

    def _seen(self, ran: Ran | None = None) -> None:
        """Check that nothing was lost since the last look."""
        now = self.at.reachable()
        lost = self.had - now
        lost -= self.at.reachable("--all", "--reflog") if lost else set()
        assert not lost, f"unreachable: {lost}\n{self._story(ran)}"
        self.had |= now
        marks = self.at.marks()
        assert self.marked <= marks, f"lost: {self.marked - marks}\n{self._story(ran)}"
        self.marked |= marks

    def _agree(self, ran: Ran) -> None:
        """Check that GitHub, the branches and stack.toml agree, for every open entry with a pull request."""
        below, base = self.at.remote_heads()["refs/heads/main"], "main"
        local_refs, remote_refs = self.at.heads(), self.at.remote_heads()
        for entry in self.at.open():
            if entry.pr is None:
                continue
            ref = f"refs/heads/{entry.branch}"
            assert local_refs.get(ref, remote_refs.get(ref)) == remote_refs.get(ref), (
                f"{entry}: not pushed\n{self._story(ran)}"
            )
            assert self.at.desk.hub.pulls[entry.pr].base == base, f"{entry}: base\n{self._story(ran)}"
            assert self.at.desk.contains(remote_refs[ref], below) or base == "main", (
                f"{entry}: not stacked\n{self._story(ran)}"
            )
            below, base = remote_refs[ref], entry.branch

    @invariant()
    def complete(self) -> None:
        """Every object that a ref needs is there."""
        self.at.desk.clone.git("fsck", "--connectivity-only", "--no-dangling", "--no-progress")

    def _story(self, ran: Ran | None) -> str:
        said = f"{ran.code}\n{ran.out}\n{ran.err}" if ran is not None else ""
        return "\n".join(
            [
                *self.at.story,
                said,
                str(self.at.declared()),
                self.at.desk.clone.git("log", "--oneline", "--graph", "--branches", "--remotes"),
            ]
        )


def _name(entry: Declared) -> str:
    return str(entry.pr) if entry.pr is not None else entry.branch


def _settings(runs: int) -> settings:
    return settings(
        max_examples=runs, stateful_step_count=STEPS, deadline=None, database=None, derandomize=True,
        suppress_health_check=list(HealthCheck), phases=(Phase.generate,),
    )  # fmt: skip


def test_no_sequence_of_tasks_loses_a_change() -> None:
    """Tasks, edits and actions of others in any order."""
    run_state_machine_as_test(Stack, settings=_settings(RUNS))
