"""A pure model beside a real remote: whatever happens in whatever order, no commit is lost, doubled or reordered.

The workflows run in this process, with a GitHub that is a few dictionaries; git, the remote, the journal and the
lease are real. A crash is an exception that no one catches, thrown at a record of the journal (tests/e2e/test_kill.py
has the real SIGKILL).
"""

from __future__ import annotations

import contextlib
import shutil
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule, run_state_machine_as_test

from support.inprocess import Quiet
from support.killing import MEMORY
from support.repo import Repo, lead_ssh_to
from support.soak import SOAK
from support.templates import copied
from trunkline.commands import abort, rebase, resume, undo
from trunkline.context import project as context_module
from trunkline.context.loading import open_context
from trunkline.context.run import Context
from trunkline.domain.errors import InternalError, Refused
from trunkline.domain.names import BranchName, Oid, PrNumber, oid
from trunkline.domain.options import Options
from trunkline.domain.repository import Repository
from trunkline.domain.snapshot import ForcePush, PrState, PullRequest, Snapshot
from trunkline.domain.step import StepName
from trunkline.engine import RunResult
from trunkline.git import history, local_refs, replay
from trunkline.github.rest_objects import EditedPullRequest
from trunkline.state import journal
from trunkline.state.change_log import Change, ChangeLog, Part
from trunkline.steps import replay as replay_step
from trunkline.system import files

RUNS = SOAK or 16
STEPS = 8
PARTS = 2
"""So many tests share the runs, so that as many processes can."""
SKIPPED = frozenset({StepName.FMT, StepName.GATES, StepName.NOTE, StepName.CHECKLIST})
STACK = """\
schema = 1
trunk = "main"
remote = "origin"

[[entry]]
pr = 518
branch = "one"
title = "One"

[[entry]]
pr = 519
branch = "two"
title = "Two"
"""


class CrashedError(BaseException):
    """Stands for SIGKILL."""


@dataclass
class Hub:
    """The part of GitHub that a landing uses: two pull requests over a bare repository."""

    bare: Repo
    merged: Oid | None = None
    head_of_merged: Oid | None = None
    pushes: list[ForcePush] = field(default_factory=list)
    base: str = "one"
    draft: bool = True
    changes: ChangeLog = field(default_factory=ChangeLog)

    def opened(self, _repository: Repository, _cwd: Path, _reporter: object, changes: ChangeLog) -> Hub:
        """Return itself in place of the real one, with the change log of its caller."""
        self.changes = changes
        return self

    @contextlib.contextmanager
    def reading_stack(
        self,
        numbers: list[PrNumber],
        *,
        merging: bool = False,  # noqa: ARG002
        trunk: BranchName | None = None,  # noqa: ARG002
    ) -> Iterator[Callable[[], Snapshot]]:
        """Answer the stack's query."""
        yield lambda: Snapshot({number: self._pull(number) for number in numbers})

    def set_draft(self, pr: PullRequest, *, draft: bool) -> PullRequest:
        """Set the draft state."""
        self.draft = draft
        self.changes.append(Change(Part.PULLS, number=pr.number))
        return self._pull(pr.number)

    def edit(self, number: PrNumber, *, seen_body: str | None = None, **fields: str) -> EditedPullRequest:  # noqa: ARG002
        """Change the base."""
        self.changes.append(Change(Part.PULLS, number=number))
        self.base = fields["base"]
        return EditedPullRequest("", self.base, "open", "")

    def tip(self, branch: str) -> Oid:
        """Return a branch's tip."""
        return oid(self.bare.refs()[f"refs/heads/{branch}"])

    def _pull(self, number: PrNumber) -> PullRequest:
        first = number == 518
        branch = "one" if first else "two"
        merged = first and self.merged is not None
        head = self.head_of_merged if merged else self.tip(branch)
        assert head is not None
        return PullRequest(
            number=number, title=branch, url="", state=PrState.MERGED if merged else PrState.OPEN,
            draft=not first and self.draft, body="", base="main" if first else self.base, head=branch, head_oid=head,
            head_repository="octo/tiny", merged_at="2025-11-19" if merged else "",
            merge_commit=self.merged if merged else None, force_pushes=tuple(self.pushes) if first else (),
        )  # fmt: skip


def _build(root: Path) -> None:
    author = Repo.create(root / "author")
    author.commit("start", {"stack.toml": STACK, "a.txt": "0\n"})
    author.git("switch", "--quiet", "-c", "one")
    for number in (1, 2):
        author.commit(f"one {number}", {"a.txt": f"{number}\n"}, author="Grace")
    author.git("switch", "--quiet", "-c", "two")
    author.commit("own 1", {"own-1.txt": "1\n"})
    author.git("clone", "--quiet", "--bare", ".", str(root / "bare"))
    author.git("remote", "add", "origin", str(root / "bare"))
    author.git("clone", "--quiet", "--branch=main", str(root / "bare"), str(root / "clone"))
    Repo(root / "clone").git("remote", "set-url", "origin", "git@github.com:octo/tiny.git")


class Landing(RuleBasedStateMachine):
    """An author, a trunk and a user of trunkline share one remote."""

    def __init__(self) -> None:
        super().__init__()
        self.root = Path(tempfile.mkdtemp(prefix="run-", dir=MEMORY))
        copied(_build, self.root)
        self.author, self.clone = Repo(self.root / "author", 1_763_700_000), Repo(self.root / "clone")
        self.author.git("remote", "set-url", "origin", str(self.root / "bare"))
        self.hub = Hub(Repo(self.root / "bare"))
        self.patched = pytest.MonkeyPatch()
        lead_ssh_to(self.root / "bare", self.patched)
        self.patched.setattr(context_module, "GitHub", self.hub.opened)
        self.left: int | None = None
        self.patched.setattr(journal, "append_line", self._append)
        # The model: the entry's own commits as authored, what each finished run made, and whether one is open.
        self.own = ["own 1"]
        self.cache = {self.hub.tip("two")}
        self.open = False
        self.count = 1

    def teardown(self) -> None:
        """Remove the repositories."""
        self.patched.undo()
        shutil.rmtree(self.root, ignore_errors=True)

    def _append(self, path: Path, line: bytes) -> None:
        if self.left is not None:
            self.left -= 1
            if self.left < 0:
                raise CrashedError
        files.append_line(path, line)

    def _context(self) -> Context:
        return open_context("519", stack="", options=Options(skip=SKIPPED), reporter=Quiet(), cwd=self.clone.path)

    def _push(self, branch: str, *, force: bool = False) -> None:
        self.author.git("push", "--quiet", *(("--force",) if force else ()), "origin", f"HEAD:refs/heads/{branch}")

    def _at(self, branch: str) -> None:
        self.author.git("fetch", "--quiet", "origin")
        self.author.git("switch", "--quiet", "--detach", f"origin/{branch}")

    @rule()
    def author_commits(self) -> None:
        """The author adds a commit to the entry, on what the remote has, and pushes it."""
        self.count += 1
        self._at("two")
        self.author.commit(f"own {self.count}", {f"own-{self.count}.txt": "x\n"})
        self._push("two")
        tip = self.hub.tip("two")
        self.own.append(f"own {self.count}")
        self.cache.add(tip)

    @rule()
    def trunk_moves(self) -> None:
        """Somebody merges something else."""
        self.count += 1
        self._at("main")
        self.author.commit(f"trunk {self.count}", {f"trunk-{self.count}.txt": "x\n"}, author="Mallory")
        self._push("main")

    @precondition(lambda self: self.hub.merged is None)
    @rule()
    def parent_is_amended(self) -> None:
        """The parent's author amends its last commit and force-pushes."""
        before = self.hub.tip("one")
        self.count += 1
        self._at("one")
        (self.author.path / "a.txt").write_text(f"amended {self.count}\n")
        self.author.git("commit", "--quiet", "--all", "--amend", "--no-edit")
        self._push("one", force=True)
        self.hub.pushes.append(ForcePush(before, self.hub.tip("one")))

    @precondition(lambda self: self.hub.merged is None)
    @rule(delete=st.booleans())
    def parent_is_squashed(self, delete: bool) -> None:  # noqa: FBT001 -- drawn
        """The parent is squash-merged; its branch may go."""
        head = self.hub.tip("one")
        self._at("main")
        self.author.git("merge", "--quiet", "--squash", head)
        self.author.commit("one (#518)", author="Grace")
        self._push("main")
        self.hub.merged, self.hub.head_of_merged = self.hub.tip("main"), head
        self.hub.bare.git("update-ref", "refs/pull/518/head", head)
        for event in self.hub.pushes:
            assert event.before is not None
            self.hub.bare.git("update-ref", f"refs/keep/{event.before}", event.before)
        if delete:
            self.hub.bare.git("update-ref", "-d", "refs/heads/one")
            self.hub.base = "main"

    @precondition(lambda self: not self.open)
    @rule(crash=st.none() | st.integers(0, 30))
    def rebase(self, crash: int | None) -> None:
        """Land the entry; perhaps crash."""
        self._perform(crash, lambda: rebase.run(self._context(), rebase.WHOLE))

    @precondition(lambda self: self.open)
    @rule(crash=st.none() | st.integers(0, 20))
    def resume(self, crash: int | None) -> None:
        """Continue what crashed; perhaps crash again."""
        found = resume.find(Quiet(), self.clone.path)
        if found is None:
            self.open = False
            return
        self._perform(crash, lambda: resume.resume(*found))

    @precondition(lambda self: self.open)
    @rule()
    def abort(self) -> None:
        """Go back to before what crashed."""
        found = abort.find(Quiet(), self.clone.path)
        if found is not None:
            abort.abort(*found)
        self.open = False

    @precondition(lambda self: not self.open)
    @rule(crash=st.none() | st.integers(0, 12))
    def undo(self, crash: int | None) -> None:
        """Take the last finished run back, or redo it."""
        with contextlib.suppress(Refused):
            found = undo.find(Quiet(), cwd=self.clone.path)
            if found is not None and found.changes:
                self._perform(crash, lambda: undo.run(found), lands=False)

    def _perform(self, crash: int | None, do: Any, *, lands: bool = True) -> None:
        before = self.hub.bare.refs()
        self.left = crash
        try:
            done: RunResult = do()
        except CrashedError:
            self.open = True
            return
        except Refused:
            assert self.hub.bare.refs() == before  # refused before it began
            return
        finally:
            self.left = None
        self.open = done.error is not None and done.error.code in {1, 3, 6}
        if done.error is not None:
            assert isinstance(done.error, Refused), done.error
            return
        run = next(iter(journal.runs(self.clone.path / ".git/trunkline")))
        if lands and run.task == rebase.WHOLE:
            self._landed()

    def _landed(self) -> None:
        """Assert that trunk has each own commit exactly once, in order, and that both sides are the same."""
        tip = self.hub.tip("two")
        assert self.hub.bare.subjects(f"main..{tip}") == self.own
        assert self.clone.refs()["refs/heads/two"] == tip
        assert (self.hub.draft, self.hub.base) == (False, "main")

    @invariant()
    def nothing_is_discarded(self) -> None:
        """Each commit that the remote branch ever held is reachable there or from a ref of the user's."""
        wanted = self.cache | {self.hub.tip("two")}
        self.cache = wanted
        kept = set(self.clone.refs().values())
        tips = sorted(kept | {self.hub.tip("two")})
        self.clone.git("fetch", "--quiet", str(self.root / "bare"), "refs/heads/two")
        lost = self.clone.git("rev-list", *sorted(wanted), "--not", *tips)
        assert not lost, f"reachable from nowhere: {lost}"

    @invariant()
    def the_checkout_is_untouched(self) -> None:
        """The user stays on main, clean."""
        first, *changes = self.clone.git("status", "--porcelain", "--branch").splitlines()
        assert first.startswith("## main")
        assert not changes


@pytest.mark.slow
@pytest.mark.parametrize("part", range(PARTS))
def test_no_order_of_events_loses_a_commit(part: int) -> None:
    """Amends, squashes, pushes, crashes, resumes, aborts and undos in any order: the oracles hold in every run."""
    machine = type(f"Landing{part}", (Landing,), {})  # derandomized runs follow from the name
    run_state_machine_as_test(machine, settings=_settings(RUNS // PARTS))


def _settings(runs: int, **changes: Any) -> settings:
    return settings(
        max_examples=runs, stateful_step_count=STEPS, deadline=None, database=None, derandomize=True,
        suppress_health_check=list(HealthCheck), **changes,
    )  # fmt: skip


class Ready(Landing):
    """The same, its parent squashed already: every rebase goes through, whatever hypothesis happens to draw."""

    def __init__(self) -> None:
        super().__init__()
        self.author_commits()
        self.parent_is_squashed(delete=False)

    def rebase_and_look(self) -> None:
        """Land the entry, and check that nothing is discarded."""
        self.rebase(None)
        self.nothing_is_discarded()


def _drops_a_commit(patch: pytest.MonkeyPatch) -> None:
    real = replay.replay
    patch.setattr(
        replay, "replay", lambda git, own, replay_step, **how: real(git, own[1:] or own, replay_step, **how)
    )
    patch.setattr(replay, "check_replayed", lambda *_, **__: None)
    patch.setattr(replay_step, "against_merge", lambda *_: "")


def _reorders_commits(patch: pytest.MonkeyPatch) -> None:
    real = replay.replay
    patch.setattr(replay, "replay", lambda git, own, replay_step, **how: real(git, own[::-1], replay_step, **how))
    patch.setattr(replay, "check_replayed", lambda *_, **__: None)


def _keeps_no_backup(patch: pytest.MonkeyPatch) -> None:
    # Without backups the push itself refuses, since it knows of no tip that holds what it would discard.
    patch.setattr(local_refs, "back_up", lambda *_: "")
    patch.setattr(history, "commits_beyond", lambda *_: ())


WRONG = pytest.mark.parametrize("mutate", [_drops_a_commit, _reorders_commits, _keeps_no_backup])


@WRONG
def test_the_oracle_catches_a_wrong_replay(mutate: Callable[[pytest.MonkeyPatch], None]) -> None:
    """A replay that drops or reorders commits, its own checks off, or no backups: an assertion above fails."""
    with pytest.MonkeyPatch.context() as patch:
        mutate(patch)
        machine = Ready()
        try:
            with pytest.raises(AssertionError):
                machine.rebase_and_look()
        finally:
            machine.teardown()


@pytest.mark.soak
@WRONG
def test_random_events_find_a_wrong_replay(mutate: Callable[[pytest.MonkeyPatch], None]) -> None:
    """The same, found by events in random order."""
    with pytest.MonkeyPatch.context() as patch:
        mutate(patch)
        with pytest.raises(AssertionError):
            run_state_machine_as_test(Ready, settings=_settings(40, phases=[Phase.generate]))


@pytest.mark.slow
@pytest.mark.parametrize("mutate", [_drops_a_commit, _reorders_commits])
def test_the_product_catches_a_wrong_replay_itself(mutate: Callable[[pytest.MonkeyPatch], None]) -> None:
    """With the checks on, the same wrong replays end as a defect before any ref moves."""
    check = replay.check_replayed
    with pytest.MonkeyPatch.context() as patch:
        mutate(patch)
        patch.setattr(replay, "check_replayed", check)
        machine = Landing()
        try:
            machine.author_commits()
            machine.trunk_moves()
            machine.parent_is_squashed(delete=False)
            before = machine.hub.bare.refs(), machine.clone.refs().get("refs/heads/two", machine.hub.tip("two"))
            done = rebase.run(machine._context(), rebase.WHOLE)
            assert isinstance(done.error, InternalError)
            after = machine.hub.bare.refs(), machine.clone.refs()["refs/heads/two"]
            assert after == before
        finally:
            machine.teardown()
