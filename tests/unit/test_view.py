"""Decisions as functions of values: bases, merge choices, waivers and observations, without git or GitHub."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest
from msgspec.structs import replace

from trunkline.context import observer
from trunkline.context.observation import World
from trunkline.context.observer import Observer
from trunkline.context.project import Project
from trunkline.context.scope import Scope
from trunkline.context.view import View
from trunkline.domain import records
from trunkline.domain.changes import LocalMoved, RemoteMoved, ReviewState, StateChanged
from trunkline.domain.decisions import Decisions, InitialTips
from trunkline.domain.errors import Refused, UsageError
from trunkline.domain.merge_choice import MergeChoice
from trunkline.domain.names import BranchName, Oid, PrNumber, branch_name, branch_ref, pr_number
from trunkline.domain.options import Options
from trunkline.domain.receipt import GateOutcome, Verdict
from trunkline.domain.replay_plan import Replay, ReplayPlan, ReplayPreview
from trunkline.domain.repository import Repository
from trunkline.domain.snapshot import LocalState, PrState, PullRequest, Snapshot
from trunkline.domain.stack import Entry, Stack
from trunkline.domain.step import StepName
from trunkline.git import refs
from trunkline.planning.parents import base_of, open_below
from trunkline.planning.run_changes import changes_of, drifted
from trunkline.state.change_log import Change, ChangeLog, Part
from trunkline.state.journal import Run

TRUNK, ONE, TWO, NEW = (Oid(digit * 40) for digit in "0123")
BRANCHES = (branch_name("one"), branch_name("two"))
ENTRIES = tuple(Entry(pr_number(number), branch) for number, branch in enumerate(BRANCHES, 1))


def pull(number: int, state: PrState = PrState.OPEN) -> PullRequest:
    """Return the pull request of an entry."""
    branch = BRANCHES[number - 1]
    return PullRequest(
        number=pr_number(number), title="", url=f"https://host/{number}", body="", draft=False, state=state,
        base="main", head=branch, head_oid=ONE if number == 1 else TWO, head_repository="octo/tiny",
    )  # fmt: skip


def project(options: Options | None = None, entries: tuple[Entry, ...] = ENTRIES) -> Project:
    """Return a project without a checkout: nothing here may start git."""
    stack, git = Stack(branch_name("main"), "origin", entries), cast("Any", SimpleNamespace(changes=ChangeLog()))
    where = Repository("github.com", "octo", "tiny")
    return Project(git, stack, where, options or Options(), cast("Any", None))


def local(number: int, tip: Oid | None) -> LocalState:
    """Return the state of an entry's branch, equal on both sides."""
    return LocalState(BRANCHES[number - 1], tip, tip, checked_out=False)


def view(
    entry: int,
    *pulls: PullRequest,
    branches: Mapping[BranchName, LocalState] | None = None,
    decisions: Decisions | None = None,
    of: Project | None = None,
) -> View:
    """Return the view of an entry within the whole stack."""
    where = of or project()
    both = branches or {BRANCHES[0]: local(1, ONE), BRANCHES[1]: local(2, TWO)}
    snapshot = Snapshot({each.number: each for each in pulls})
    world = World(snapshot, TRUNK, {branch_ref(branch_name("main")): TRUNK}, both)
    nothing = cast("Any", None)
    return View(where, where.stack.entries[entry - 1], True, world, nothing, decisions or Decisions(), nothing)


def preview(tip: Oid) -> ReplayPreview:
    """Return a planned replay of the first entry with a given new tip."""
    plan = ReplayPlan(ONE, ONE, ONE, TRUNK, TRUNK, "merge base", (), "origin/main")
    return ReplayPreview(plan, Replay(tip, ()), Snapshot({}))


def test_base_is_the_open_entry_below() -> None:
    """The local tip of its branch, or the planned one while a plan is made."""
    seen = view(2, pull(1), pull(2))
    assert open_below(seen) == ENTRIES[0]
    assert base_of(seen).oid == ONE
    planned = seen.of(ENTRIES[0]).with_replay(preview(NEW)).of(ENTRIES[1])
    assert base_of(planned).oid == NEW
    assert base_of(seen).oid == ONE  # the first view is unchanged


def test_base_is_trunk_above_a_merged_entry() -> None:
    """The base of the bottom entry is trunk, too."""
    assert base_of(view(2, pull(1, PrState.MERGED), pull(2))).name == "origin/main"
    assert base_of(view(1, pull(1), pull(2))).oid == TRUNK


def test_no_base_above_a_closed_entry() -> None:
    """The error names the command that reopens it."""
    with pytest.raises(Refused, match="#1 below was closed") as error:
        open_below(view(2, pull(1, PrState.CLOSED), pull(2)))
    assert "--pr 1" in error.value.next_commands[0]


def test_a_repository_that_was_renamed_on_github() -> None:
    """GitHub redirects the remote's URL, and shows the new name: its branches are no fork's."""
    own = replace(pull(1), head_repository="octo/renamed")
    seen = view(1, own)
    snapshot = replace(seen.world.snapshot, repository="octo/renamed")
    known = dataclasses.replace(seen, world=replace(seen.world, snapshot=snapshot))
    assert known.pull_request() == own
    with pytest.raises(Refused, match="#1 comes from octo/renamed"):
        seen.pull_request()


def test_no_base_without_a_branch(monkeypatch: pytest.MonkeyPatch) -> None:
    """The entry below exists neither locally nor on the remote."""
    monkeypatch.setattr(refs, "read_refs", lambda *_: {})  # no stale tracking ref either
    gone = {BRANCHES[0]: local(1, None), BRANCHES[1]: local(2, TWO)}
    with pytest.raises(Refused, match="there is no branch one"):
        base_of(view(2, pull(1), pull(2), branches=gone))


def test_unsubmitted_entry_is_open() -> None:
    """An entry without a pull request is the base of those above it, and counts as open."""
    entries = (Entry(None, BRANCHES[0]), ENTRIES[1])
    seen = view(2, pull(2), of=project(entries=entries))
    assert open_below(seen) == entries[0]
    assert seen.open_entries() == entries


def test_pull_request_of_another_branch_is_refused() -> None:
    """stack.toml and GitHub must name the same branch; a missing number is a usage error."""
    with pytest.raises(UsageError, match="has no pull request #1") as unknown:
        view(1).pull_request()
    assert "if origin is a fork" in unknown.value.why
    with pytest.raises(Refused, match="#2 is merged already"):
        view(2, pull(1), pull(2, PrState.MERGED)).pull_request()


def test_a_printed_rebase_takes_uncommitted_changes_along() -> None:
    """A rebase of a checkout with changes fails without --autostash; other branches stay."""
    typed = "git rebase --onto a b one   # puts yours on top"
    for checked_out, changes, stashed in ((True, ("a.txt",), True), (True, (), False), (False, ("a.txt",), False)):
        here = replace(local(1, ONE), checked_out=checked_out, changes=changes)
        (shown,) = view(1, pull(1), branches={BRANCHES[0]: here}).after_rebase(typed)
        assert (shown == "git rebase --autostash --onto a b one   # puts yours on top") is stashed
        assert stashed or shown == typed


def test_verified_commit_of_an_entry_merged_as_is() -> None:
    """The commit has the tree of the merge while the branch is at the chosen head; else it is the local tip."""
    choice = MergeChoice(TWO, TRUNK, NEW, "", 0, ())
    decided = Decisions().with_merge(PrNumber(2), choice)
    assert view(2, pull(2), decisions=decided).verified_commit() == NEW
    moved = {BRANCHES[0]: local(1, ONE), BRANCHES[1]: local(2, ONE)}
    assert view(2, pull(2), branches=moved, decisions=decided).verified_commit() == ONE


def test_waivers_of_options_and_answers() -> None:
    """A gate is waived by the flag or by the user's answer, for one verdict only."""
    unavailable, failed = GateOutcome("msrv", Verdict.UNAVAILABLE), GateOutcome("msrv", Verdict.FAILED)
    by_flag = view(1, of=project(Options(accept_unavailable=frozenset({"msrv"}))))
    by_answer = view(1, decisions=Decisions().accepting({"msrv"}))
    assert [each.waivers.allow(unavailable) for each in (by_flag, by_answer, view(1))] == [True, True, False]
    assert not by_flag.waivers.allow(failed)
    assert not by_flag.waivers.allow(None)


def test_including_a_tip_keeps_the_first_decisions() -> None:
    """A tip that the user includes is known and included; an entry without initial tips stays unchanged."""
    before = Decisions(initial_tips={PrNumber(1): InitialTips(ONE, frozenset({ONE}))})
    after = before.including(PrNumber(1), NEW)
    assert after.initial_tips[PrNumber(1)] == InitialTips(ONE, frozenset({ONE, NEW}), frozenset({NEW}))
    assert before.initial_tips[PrNumber(1)].included == frozenset()
    assert before.including(PrNumber(2), NEW) == before


def test_only_changed_parts_are_observed_again(monkeypatch: pytest.MonkeyPatch) -> None:
    """Pull requests follow the remote; an effect's own answer replaces the observation without a request."""
    requests: list[str] = []

    @contextmanager
    def pulls(*_: object, **__: object) -> Iterator[Any]:
        requests.append("pulls")
        yield lambda: Snapshot({PrNumber(1): pull(1), PrNumber(2): pull(2)})

    def remote(*_: object) -> dict[str, Oid]:
        requests.append("remote")
        tips = {BRANCHES[0]: ONE, BRANCHES[1]: TWO}
        return {branch_ref(branch_name("main")): TRUNK, **{branch_ref(name): tip for name, tip in tips.items()}}

    def branches(*_: object, **__: object) -> dict[BranchName, LocalState]:
        requests.append("local")
        return {BRANCHES[0]: local(1, ONE), BRANCHES[1]: local(2, TWO)}

    monkeypatch.setattr(Project, "reading_pulls", pulls)
    monkeypatch.setattr(observer, "observe_remote", remote)
    monkeypatch.setattr(observer, "local_states", branches)
    monkeypatch.setattr(observer, "recognised", lambda _git, _stack, snapshot, _trunk: snapshot)
    monkeypatch.setattr(observer, "fetch_replaced_heads", lambda *_, **__: None)
    scope = Scope(project(), ENTRIES[0], stacked=True)
    watching, changes = Observer(scope), scope.git.changes
    first = watching.observe()
    assert watching.observe() == first
    assert requests == ["pulls", "remote", "local"]
    changes.append(Change(Part.LOCAL, tip=(BRANCHES[0], NEW)))
    changes.append(Change(Part.PULLS, number=PrNumber(2)))  # two requests: the response to the second shows both
    changes.append(Change(Part.PULLS, number=PrNumber(2), pull_request=pull(2, PrState.MERGED)))
    second = watching.observe()
    assert (second.branches[BRANCHES[0]].local, second.branches[BRANCHES[0]].remote) == (NEW, ONE)
    assert second.snapshot.pr(PrNumber(2)) == pull(2, PrState.MERGED)
    assert requests == ["pulls", "remote", "local"]
    assert first.branches[BRANCHES[0]].local == ONE  # a World is a value
    changes.append(Change(Part.LOCAL))
    watching.observe()
    changes.append(Change(Part.REMOTE))
    watching.observe()
    changes.append(Change(Part.PULLS, number=PrNumber(1)))
    watching.observe()
    watching.observe(fresh=Part.REMOTE)
    assert requests[3:] == ["local", "pulls", "remote", "pulls", "pulls", "remote"]


def test_a_deleted_branch_is_observed_again(monkeypatch: pytest.MonkeyPatch) -> None:
    """GitHub shows #1 as open, the remote has no such branch any more: the second responses count."""
    seen: list[PrState] = []

    @contextmanager
    def pulls(*_: object, **__: object) -> Iterator[Any]:
        seen.append(PrState.CLOSED if seen else PrState.OPEN)
        yield lambda: Snapshot({PrNumber(1): pull(1, seen[-1])})

    monkeypatch.setattr(Project, "reading_pulls", pulls)
    monkeypatch.setattr(observer, "observe_remote", lambda *_: {branch_ref(branch_name("main")): TRUNK})
    monkeypatch.setattr(observer, "local_states", lambda *_, **__: {BRANCHES[0]: local(1, ONE)})
    monkeypatch.setattr(observer, "recognised", lambda _git, _stack, snapshot, _trunk: snapshot)
    monkeypatch.setattr(observer, "fetch_replaced_heads", lambda *_, **__: None)
    world = Observer(Scope(project(), ENTRIES[0], stacked=False)).observe()
    assert seen == [PrState.OPEN, PrState.CLOSED]
    assert world.snapshot.pr(PrNumber(1)) == pull(1, PrState.CLOSED)


# -- the changes of a run -----------------------------------------------------------------------------------------

ABOUT = (StepName.REPLAY, ENTRIES[0].key, BRANCHES[0])
MOVED = records.BranchMoved(*ABOUT, old=ONE, new=NEW)
PUSHED = records.BranchPushed(*ABOUT, remote="origin", old=ONE, new=NEW)
MERGE = records.MergeRequested(*ABOUT, head=NEW, method="squash")


def run(*found: records.AnyRecord) -> Run:
    """Return a run with these records."""
    return Run("20260101-1", Path("runs"), found)


def test_changes_are_read_from_the_journal() -> None:
    """The push is reverted first, since the remote alone can reject; a withdrawn move had no effect."""
    remote, here = (
        RemoteMoved(pr=pr_number(1), before=ONE, left=NEW),
        LocalMoved(pr=pr_number(1), before=ONE, left=NEW),
    )
    assert changes_of(project().stack, run(MOVED, PUSHED)) == (remote, here)
    withdrawn = records.MoveWithdrawn(*ABOUT, new=NEW)
    assert changes_of(project().stack, run(MOVED, withdrawn)) == ()


def test_changes_of_a_merged_entry_stay() -> None:
    """An intended merge counts as done unless GitHub shows the pull request as open."""
    merging, stack = run(MOVED, MERGE), project().stack
    assert changes_of(stack, merging) == ()
    assert changes_of(stack, merging, lambda: view(1, pull(1, PrState.MERGED)).world) == ()
    assert len(changes_of(stack, merging, lambda: view(1, pull(1)).world)) == 1


def test_pushed_branch_that_others_moved_has_drifted() -> None:
    """A tip of the run or the one before it has not."""
    change, seen = RemoteMoved(pr=pr_number(1), before=ONE, left=NEW), view(1, pull(1))

    def at(tip: Oid) -> View:
        return dataclasses.replace(seen, world=replace(seen.world, remote_refs={branch_ref(BRANCHES[0]): tip}))

    assert drifted(seen, (change,), lambda: at(NEW)) == ()
    assert drifted(seen, (change,), lambda: at(TWO)) == (f"origin/one: is {TWO[:7]}, not {NEW[:7]}",)


def test_retargeted_pull_request_has_drifted() -> None:
    """The error names the value that is neither the run's nor the previous one; a merged one is refused."""
    before, left = ReviewState("main", draft=True), ReviewState("main", draft=False)
    change, seen = StateChanged(pr=pr_number(1), before=before, left=left), view(1, pull(1))
    assert drifted(seen, (change,), lambda: seen) == ()
    other = StateChanged(pr=pr_number(1), before=ReviewState("two", draft=True), left=ReviewState("two", draft=False))
    assert drifted(seen, (other,), lambda: seen) == ("#1's base: is 'main', not 'two'",)
    with pytest.raises(Refused, match="was merged since"):
        drifted(seen, (change,), lambda: view(1, pull(1, PrState.MERGED)))
