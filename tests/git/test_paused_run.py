"""Stopped runs: every task finds them; `continue` and `abort` work after edits, pushes and deleted branches."""

from __future__ import annotations

import json
import shlex
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

import msgspec
import pytest

from support.inprocess import ENTRIES, Desk, desk, fail_at, refusal
from support.repo import Repo
from trunkline.commands import land, rebase, restack
from trunkline.context import open_run
from trunkline.context.run import Context
from trunkline.domain import records
from trunkline.domain.errors import NotSignedIn, Refused, TransientError, TrunklineError
from trunkline.domain.names import BranchName, PrNumber
from trunkline.domain.snapshot import PrState
from trunkline.domain.step import Outcome, StepName, StepStatus
from trunkline.engine import RunResult, StepContext
from trunkline.git import checkout
from trunkline.planning.verification import rebased_since
from trunkline.state import journal
from trunkline.state.change_log import Part
from trunkline.steps import resume_replay

GO_ON = ("invoke continue", "invoke skip", "invoke abort")


@pytest.fixture
def stack(monkeypatch: pytest.MonkeyPatch) -> Iterator[Desk]:
    """Return a stack of three entries, cloned, with local branches."""
    with desk(monkeypatch) as made:
        yield made


@pytest.fixture
def paused(stack: Desk) -> Desk:
    """Return the stack with a restack that moved the first entry and paused at the second's first commit."""
    stack.conflict(2)
    error = refusal(stack.restack)
    assert int(error.code) == 3, error
    return stack


def done(performed: RunResult | None) -> RunResult:
    """Return a run that came to its end."""
    assert performed is not None
    assert performed.error is None, performed.error
    return performed


def reachable(stack: Desk) -> set[str]:
    """Return every commit that a ref or a work tree's HEAD of the clone reaches."""
    return set(stack.clone.git("rev-list", "--all").splitlines())


# -- found by every task, whatever ran since ----------------------------------------------------------------------


@pytest.mark.parametrize("task", ["fetch", "switch", "verify-merged", "next"])
def test_a_pause_is_found_after_any_other_task(paused: Desk, task: str) -> None:
    """Another task ran, and finished, since the pause: the paused run is still the open one, and continue ends it."""
    pause = paused.newest().id
    if task in {"verify-merged", "next"}:
        paused.hub.pulls[1].draft = False
        done(paused.rebase(1, task))
    else:
        done(paused.rebase(3, task))
    assert paused.newest().id != pause
    run = paused.open_run()
    assert run is not None
    assert run.id == pause
    paused.clone.git("switch", "--quiet", "main")
    paused.resolve()
    done(paused.resume())
    paused.assert_stacked()
    assert paused.open_run() is None


@pytest.mark.parametrize("task", ["rebase", "onto", "push", "fmt"])
def test_what_would_move_the_same_branches_refuses(paused: Desk, task: str) -> None:
    """Exit 3; named are the run, the entry, the branch, the work tree, and what can be typed; nothing is begun."""
    runs, tips = len(journal.paths(paused.state)), paused.tips()
    error = refusal(lambda: paused.rebase(2, task))
    assert (int(error.code), error.next_commands) == (3, GO_ON)
    assert "#2 two" in error.what
    assert str(paused.tree().path) in error.why
    assert (len(journal.paths(paused.state)), paused.tips()) == (runs, tips)


def test_a_dry_run_refuses_as_the_run_does(paused: Desk) -> None:
    """While a run is paused: exit 3 with the same words, of every task that would move its branches."""
    for dry, wet in (
        (lambda: rebase.forecast(paused.entry_context(2), rebase.WHOLE), lambda: paused.rebase(2)),
        (lambda: rebase.forecast(paused.entry_context(2), "push"), lambda: paused.rebase(2, "push")),
        (lambda: restack.forecast(paused.stack_context()), paused.restack),
        (lambda: land.forecast(paused.stack_context()), paused.land),
    ):
        foreseen, met = refusal(dry), refusal(wet)
        assert int(foreseen.code) == 3
        assert (foreseen.what, foreseen.why, foreseen.next_commands) == (met.what, met.why, met.next_commands)


def test_restack_and_undo_refuse_while_a_run_is_paused(stack: Desk) -> None:
    """The whole stack's tasks too, and an undo of an earlier run of the same branches."""
    stack.trunk_commits("trunk", {"trunk.txt": "x\n"})
    done(stack.restack())
    stack.conflict(2)
    assert int(refusal(stack.restack).code) == 3
    for task in (stack.restack, stack.undo):
        assert int(refusal(task).code) == 3
    assert stack.abort() is not None
    done(stack.undo())


def test_a_failed_step_does_not_hide_the_run_that_stopped(stack: Desk) -> None:
    """A run that failed half way is the open one, although a task that changes nothing failed after it."""
    stack.merge(1)
    stack.refuse_pushes()
    assert int(refusal(lambda: stack.rebase(2)).code) == 5
    failed = stack.newest().id
    assert refusal(lambda: stack.rebase(2, "ready")).what
    run = stack.open_run()
    assert run is not None
    assert run.id == failed
    stack.allow_pushes()
    done(stack.resume())
    assert stack.open_run() is None


def test_a_finished_run_of_the_same_branch_takes_a_failed_ones_place(stack: Desk) -> None:
    """Rebased again after a failure, to the end: nothing is open, and nothing old comes up."""
    stack.merge(1)
    stack.refuse_pushes()
    assert refusal(lambda: stack.rebase(2)).what
    stack.allow_pushes()
    done(stack.rebase(2))
    assert stack.open_run() is None


def test_a_later_run_takes_the_place_of_one_that_changed_nothing(stack: Desk) -> None:
    """Two failed attempts are one run to end: nothing older comes up after `abort`."""
    for _ in range(2):
        fail_at("switch", stack, lambda: stack.rebase(1))
    assert stack.abort() is not None
    assert stack.open_run() is None


def test_uncommitted_changes_of_a_branch_that_stays_do_not_matter(stack: Desk) -> None:
    """`restack` refuses them only if the branch that is checked out would move."""
    stack.clone.git("switch", "--quiet", "one")
    edited = stack.clone.path / "one.txt"
    edited.write_text("edited\n")
    before = stack.tips()
    done(stack.restack())
    assert (stack.tips(), edited.read_text()) == (before, "edited\n")
    stack.trunk_commits("trunk", {"b.txt": "0\n"})
    stack.clone.git("fetch", "--quiet")
    assert "uncommitted changes" in refusal(stack.restack).what
    assert (stack.tips(), edited.read_text()) == (before, "edited\n")


def test_a_note_about_gates_that_will_run_is_foreseen(stack: Desk) -> None:
    """The prompt for approval comes before the gates, not after them."""
    stack.clone.git("switch", "--quiet", "one")
    stack.hub.pulls[1].draft = False
    write = "write the reviewer note into #1's description, with the results of the gates"
    for skip, publishes in ((StepName.CHECKLIST, True), (StepName.GATES, False)):
        step = rebase.plan(stack.entry_context(1, frozenset({skip})), rebase.WHOLE).plan.steps[-3]
        assert (step.name, write in step.publishes) == (StepName.NOTE, publishes)


# -- what it says -------------------------------------------------------------------------------------------------


def test_a_pause_says_what_moved_and_where_it_stopped(paused: Desk) -> None:
    """Of a run of several entries: the one that stopped by number and branch, those that moved, all three ways on."""
    assert paused.abort() is not None
    before = paused.tips()
    error = refusal(paused.restack)
    assert "#2 two" in error.what
    assert "#1 one rebased here" in error.why
    assert "two itself has not moved" in error.why
    assert error.next_commands == GO_ON
    assert paused.tips()["one"] != before["one"]
    assert paused.tips()["two"] == before["two"]


# -- continue without a resolution, and skip ----------------------------------------------------------------------


def _aborted(tree: Repo) -> None:
    tree.git("cherry-pick", "--abort")


def _skipped(tree: Repo) -> None:
    tree.git("cherry-pick", "--skip")


def _reset(tree: Repo) -> None:
    tree.git("reset", "--quiet", "--hard")


def _resolved_to_nothing(tree: Repo) -> None:
    tree.git("checkout", "--quiet", "HEAD", "--", ".")


def _committed_empty(tree: Repo) -> None:
    tree.git("checkout", "--quiet", "HEAD", "--", ".")
    tree.git("commit", "--quiet", "--allow-empty", "--message=empty")


NOTHING = [_aborted, _skipped, _reset, _resolved_to_nothing, _committed_empty]


@pytest.mark.parametrize("give_up", NOTHING)
def test_an_unchanged_tree_is_no_resolution(paused: Desk, give_up: Callable[[Repo], None]) -> None:
    """Exit 3, still paused, nothing pushed; the printed command brings the conflict back, and continue ends it."""
    remote, tips = paused.remote_tips(), paused.tips()
    give_up(paused.tree())
    error = refusal(paused.resume)
    assert (int(error.code), "nothing was resolved" in error.what) == (3, True)
    assert error.next_commands[1:] == ("invoke skip", "invoke abort")
    assert (paused.remote_tips(), paused.tips()) == (remote, tips)
    _typed(error.next_commands[0], paused)
    paused.resolve()
    done(paused.resume())
    assert paused.hub.bare.subjects("one..two") == ["two 1", "two 2"]


def _typed(command: str, stack: Desk) -> None:
    import subprocess  # noqa: PLC0415 -- a shell types what was printed

    subprocess.run(["sh", "-c", command], cwd=stack.clone.path, check=False, capture_output=True)


@pytest.mark.parametrize("give_up", NOTHING)
def test_skip_leaves_the_commit_out_and_lists_it(paused: Desk, give_up: Callable[[Repo], None]) -> None:
    """The stopped commit is in no branch; outcome and journal name it; what sits above follows."""
    left_out = paused.clone.git("rev-parse", "two~1")
    give_up(paused.tree())
    performed = done(paused.resume(skip=True))
    assert paused.hub.bare.subjects("main..three") == ["one 1", "one 2", "two 2", "three 1", "three 2"]
    outcome = next(each for each in performed.outcomes.values() if each.data.get("skipped"))
    assert outcome.data["skipped"] == [left_out]
    assert any(left_out[:7] in line and "skipped by hand" in line for line in outcome.details)
    context = paused.stack_context().of(paused.stack_context().stack.entries[1])
    since = rebased_since(context, context.local_tip())
    assert since is not None
    assert since.left_out == ("two 1",)
    (noted,) = [record for record in paused.newest().records if isinstance(record, records.Resolved)]
    assert (noted.commit, noted.left_out, noted.branch) == (left_out, "skipped", "two")
    paused.assert_stacked()


def test_skip_keeps_a_resolution_that_was_begun(paused: Desk) -> None:
    """Resolutions in the work tree get a backup ref before they are discarded."""
    paused.resolve(text="half a resolution\n")
    done(paused.resume(skip=True))
    kept = [ref for ref in paused.clone.refs() if "/resolution-" in ref]
    assert any("half a resolution" in paused.clone.git("show", f"{ref}:two.txt") for ref in kept)


@pytest.fixture
def resolved_too_early(paused: Desk) -> Desk:
    """Return the pause after a continue that took the resolution and stopped at a marked file."""
    paused.resolve(text="first\n")
    paused.clone.git("switch", "--quiet", "two")
    paused.clone.git("update-index", "--assume-unchanged", "two.txt")
    assert "1 file of yours is in the way" in refusal(paused.resume).what
    assert paused.tree().git("show", ":two.txt") == "first"
    return paused


@pytest.mark.parametrize("branch", ["two", "three"])
def test_an_edit_in_the_way_is_foreseen_before_the_first_move(paused: Desk, branch: str) -> None:
    """The checkout of a branch that is left to replay has an edit: nothing moves, neither here nor on the remote."""
    paused.resolve()
    paused.clone.git("switch", "--quiet", branch)
    (paused.clone.path / "a.txt").write_text("edited\n")
    tips, remote = paused.tips(), paused.remote_tips()
    error = refusal(paused.resume)
    assert "nothing was changed" in error.why
    assert (paused.tips(), paused.remote_tips()) == (tips, remote)
    paused.clone.git("restore", "a.txt")
    done(paused.resume())
    paused.assert_stacked()


def test_a_resolution_changed_after_a_failed_continue_counts(resolved_too_early: Desk) -> None:
    """An earlier resolution is not published in its place; files that are not added yet are named."""
    (resolved_too_early.tree().path / "two.txt").write_text("second\n")
    resolved_too_early.clone.git("update-index", "--no-assume-unchanged", "two.txt")
    assert "changed but not added: two.txt" in refusal(resolved_too_early.resume).why
    resolved_too_early.tree().git("add", "two.txt")
    done(resolved_too_early.resume())
    assert resolved_too_early.clone.git("show", "two~1:two.txt") == "second"
    resolved_too_early.assert_stacked()


def test_a_resolution_changed_after_a_failed_continue_is_kept_by_abort(resolved_too_early: Desk) -> None:
    """Both versions have a backup ref."""
    (resolved_too_early.tree().path / "two.txt").write_text("second\n")
    resolved_too_early.abort()
    kept = [ref for ref in resolved_too_early.clone.refs() if "/resolution-" in ref]
    assert {resolved_too_early.clone.git("show", f"{ref}:two.txt") for ref in kept} == {"first", "second"}


def test_skip_after_a_failed_continue_leaves_the_commit_out(resolved_too_early: Desk) -> None:
    """The later decision counts, not the resolution that was taken before."""
    resolved_too_early.clone.git("update-index", "--no-assume-unchanged", "two.txt")
    done(resolved_too_early.resume(skip=True))
    assert resolved_too_early.clone.subjects("one..two") == ["two 2"]


def test_skip_leaves_something_of_an_entry(stack: Desk) -> None:
    """The last commit of an entry is not skipped: its pull request would be closed for good. It stays paused."""
    stack.trunk_commits("both", {"two.txt": "trunk\n", "two-more.txt": "trunk\n"})
    assert int(refusal(stack.restack).code) == 3
    assert int(refusal(lambda: stack.resume(skip=True)).code) == 3
    error = refusal(lambda: stack.resume(skip=True))
    assert "nothing would be left of #2 two" in error.what
    stack.resolve()
    done(stack.resume())
    assert stack.hub.bare.subjects("one..two") == ["two 2"]


def test_skip_without_a_pause_refuses(stack: Desk) -> None:
    """A run that failed elsewhere has no commit to leave out; without an open run there is nothing to do."""
    assert stack.resume(skip=True) is None
    stack.merge(1)
    stack.refuse_pushes()
    assert refusal(lambda: stack.rebase(2)).what
    assert "did not stop at a commit" in refusal(lambda: stack.resume(skip=True)).what


def test_a_deleted_work_tree_is_recreated(paused: Desk) -> None:
    """The user removed it: continue makes it again and stays paused; one that was moved is found."""
    shutil.rmtree(paused.tree().path)
    assert int(refusal(paused.resume).code) == 3
    assert paused.tree().git("diff", "--name-only", "--diff-filter=U") == "two.txt"
    paused.resolve()
    moved = paused.tree().path.with_name("moved")
    paused.clone.git("worktree", "move", str(paused.tree().path), str(moved))
    done(paused.resume())
    assert not moved.exists()


# -- abort always ends the run ------------------------------------------------------------------------------------


def _commits_on(branch: str) -> Callable[[Desk], None]:
    def change(stack: Desk) -> None:
        stack.clone.git("switch", "--quiet", branch)
        stack.clone.commit("mine, meanwhile", {"mine.txt": "m\n"})
        stack.clone.git("switch", "--quiet", "main")

    return change


def _renames(branch: str) -> Callable[[Desk], None]:
    def change(stack: Desk) -> None:
        stack.clone.git("branch", "--quiet", "-m", branch, "renamed")

    return change


def _deletes(branch: str) -> Callable[[Desk], None]:
    def change(stack: Desk) -> None:
        stack.clone.git("branch", "--quiet", "-D", branch)

    return change


def _deletes_the_tree(stack: Desk) -> None:
    shutil.rmtree(stack.tree().path)


def _breaks_the_tree(stack: Desk) -> None:
    (stack.tree().path / ".git").unlink()


def _moves_the_tree(stack: Desk) -> None:
    stack.clone.git("worktree", "move", str(stack.tree().path), str(stack.tree().path.with_name("moved")))


def _locks_the_tree(stack: Desk) -> None:
    stack.clone.git("worktree", "lock", str(stack.tree().path))


def _edits_stack_toml(stack: Desk) -> None:
    path = stack.clone.path / "stack.toml"
    path.write_text(path.read_text().partition("[[entry]]\npr = 2")[0])


def _deletes_stack_toml(stack: Desk) -> None:
    (stack.clone.path / "stack.toml").unlink()


def _breaks_stack_toml(stack: Desk) -> None:
    (stack.clone.path / "stack.toml").write_text("[[entry\n")


def _removes_the_remote(stack: Desk) -> None:
    stack.clone.git("remote", "remove", "origin")


def _closes_the_pull_requests(stack: Desk) -> None:
    for pull in stack.hub.pulls.values():
        pull.state = PrState.CLOSED


def _dirties_the_checkout(stack: Desk) -> None:
    stack.clone.git("switch", "--quiet", "one")
    (stack.clone.path / "one.txt").write_text("mine\n")


def _loses_github(stack: Desk) -> None:
    stack.hub.down = NotSignedIn("GitHub does not know us", next_command="gh auth login")


CHANGES: list[Callable[[Desk], None]] = [
    _commits_on("one"), _commits_on("two"), _commits_on("three"), _renames("one"), _renames("two"), _deletes("one"),
    _deletes("two"), _deletes_the_tree, _breaks_the_tree, _moves_the_tree, _locks_the_tree, _edits_stack_toml,
    _deletes_stack_toml, _breaks_stack_toml, _removes_the_remote, _closes_the_pull_requests, _dirties_the_checkout,
    _loses_github,
]  # fmt: skip


NAMED = [pytest.param(change, id=change.__qualname__.partition(".")[0].strip("_")) for change in CHANGES]
AFTER_A_CONTINUE = {"_commits_on.<locals>.change", "_deletes.<locals>.change", "_breaks_the_tree"}


@pytest.mark.parametrize("change", NAMED)
def test_abort_ends_the_run_whatever_happened(paused: Desk, change: Callable[[Desk], None]) -> None:
    """The run is over, what is still the run's is as before it, what is not is left and its old tip kept."""
    before = {branch: paused.clone.git("rev-parse", f"origin/{branch}") for branch in ENTRIES.values()}
    change(paused)
    after, had = paused.tips(), reachable(paused)
    if change.__qualname__ in AFTER_A_CONTINUE:
        # Not resolved, so it stays paused or is refused: whatever it noted of what it was about to do is no drift.
        assert refusal(paused.resume).what
    outcome = paused.abort()
    assert outcome is not None
    run = paused.newest()
    assert (run.state, paused.open_run()) == ("aborted", None)
    kept = set(paused.clone.refs().values())
    for branch, tip in paused.tips().items():
        if branch == "one" and change is not _dirties_the_checkout and "one" in after:
            mine = change.__qualname__.startswith("_commits_on") and tip != before["one"]
            assert tip == (after["one"] if mine else before["one"])
        else:
            assert tip == after[branch]
        assert before[branch] in kept
    assert had <= reachable(paused)
    assert "/replay/" not in paused.clone.git("worktree", "list") or change is _breaks_the_tree


@pytest.mark.parametrize("change", NAMED)
def test_a_continue_after_it_ends_or_is_refused_with_a_way_on(paused: Desk, change: Callable[[Desk], None]) -> None:
    """Resolved, then changed, then continue: the remote's stack is consistent or untouched, and abort works after."""
    remote = paused.remote_tips()
    paused.resolve()
    change(paused)
    error: TrunklineError | None
    try:
        performed = paused.resume()
        error = performed.error if performed is not None else None
    except TrunklineError as raised:
        error = raised
    if error is not None:
        assert error.next_commands
        assert paused.remote_tips() == remote
        assert paused.abort() is not None
    else:
        paused.assert_stacked()
    assert paused.open_run() is None


def test_abort_after_the_push_when_github_is_down_waits_for_it(stack: Desk) -> None:
    """The local part is restored at once; the rest waits and the run stays open. `--local` ends it without GitHub."""
    stack.trunk_commits("trunk", {"trunk.txt": "x\n"})
    before = stack.tips()
    _stop_after_push(stack)
    assert stack.remote_tips() != before
    stack.hub.down = TransientError("GitHub does not respond")
    error = refusal(stack.abort)
    assert int(error.code) == 6
    assert error.next_commands[0] == "invoke abort"
    assert stack.tips() == before
    run = stack.open_run()
    assert run is not None
    assert run.state == "aborting"
    stack.hub.down = None
    assert stack.abort() is not None
    assert (stack.tips(), stack.remote_tips(), stack.open_run()) == (before, before, None)


def test_abort_local_leaves_what_was_pushed(stack: Desk) -> None:
    """The abort sends no request to GitHub or the remote, restores local branches, and names what it left."""
    stack.trunk_commits("trunk", {"trunk.txt": "x\n"})
    before = stack.tips()
    _stop_after_push(stack)
    pushed, requests = stack.remote_tips(), stack.hub.requests
    stack.hub.down = TransientError("GitHub does not respond")
    outcome = stack.abort(local=True)
    assert outcome is not None
    assert (stack.tips(), stack.remote_tips(), stack.hub.requests) == (before, pushed, requests)
    assert any("origin/two stays" in line and before["two"] in line for line in outcome.details)
    assert stack.open_run() is None


def _stop_after_push(stack: Desk) -> None:
    """Let a restack push, and fail at its next step."""
    from trunkline.steps import retarget  # noqa: PLC0415 -- patched here alone

    def fails(*_: object) -> None:
        raise Refused("as the test wants")

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(retarget, "run", fails)
        assert int(refusal(stack.restack).code) == 5


@pytest.mark.parametrize("what", ["merged", "closed", "pushed over", "deleted"])
def test_abort_after_the_push_leaves_what_others_did(stack: Desk, what: str) -> None:
    """Of three pushed branches one is somebody else's by now: it is named and left, the others go back."""
    stack.trunk_commits("trunk", {"trunk.txt": "x\n"})
    before = stack.tips()
    _stop_after_push(stack)
    if what == "merged":
        stack.merge(1, delete=False)
        changed = "one"
    elif what == "closed":
        stack.hub.pulls[3].state = PrState.CLOSED
        changed = "three"
    elif what == "pushed over":
        stack.push_commit("three", "a bot's fix", {"bot.txt": "b\n"})
        changed = "three"
    else:
        stack.hub.bare.git("update-ref", "-d", "refs/heads/three")
        changed = "three"
    theirs = stack.remote_tips()
    outcome = stack.abort()
    assert outcome is not None
    assert any(f"origin/{changed} stays" in line for line in outcome.details)
    assert (stack.open_run(), stack.tips()) == (None, before)
    expected = {branch: theirs.get(branch) if branch == changed else tip for branch, tip in before.items()}
    assert {branch: stack.hub.tip(branch) or None for branch in before} == expected
    assert before[changed] in stack.clone.refs().values()


def test_abort_removes_the_branches_that_the_run_created(monkeypatch: pytest.MonkeyPatch) -> None:
    """A clone without the branches has none after it, and no settings of theirs; one with the user's commit stays."""
    with desk(monkeypatch, branches=False) as stack:
        stack.conflict(3)
        config = (stack.clone.path / ".git/config").read_text()
        assert int(refusal(stack.restack).code) == 3
        made = stack.tips()
        assert set(made) == {"one", "two", "three"}
        assert stack.abort() is not None
        assert stack.tips() == {}
        assert (stack.clone.path / ".git/config").read_text() == config
        assert set(made.values()) <= set(stack.clone.refs().values())  # the rebased tips are kept
        assert int(refusal(stack.restack).code) == 3
        _commits_on("two")(stack)
        mine = stack.tips()["two"]
        assert stack.abort() is not None
        assert stack.tips() == {"two": mine}


def test_abort_keeps_what_was_committed_in_the_work_tree(paused: Desk) -> None:
    """Committed, reset, edited again: each state that the work tree had is under a backup ref."""
    tree = paused.tree()
    paused.resolve(text="first try\n")
    tree.git("commit", "--quiet", "--message=first")
    tree.git("reset", "--quiet", "--hard", "HEAD^")
    (tree.path / "two.txt").write_text("second try\n")
    assert paused.abort() is not None
    kept = [ref for ref in paused.clone.refs() if "/resolution-" in ref]
    texts = {paused.clone.git("show", f"{ref}:two.txt") for ref in kept}
    assert texts == {"first try", "second try"}


# -- edits between pause and continue -----------------------------------------------------------------------------


def test_an_entry_below_that_got_a_commit_is_under_those_above(stack: Desk) -> None:
    """Paused at the third entry, a commit on the second meanwhile: the third is replayed on it before the push."""
    stack.conflict(3)
    assert int(refusal(stack.restack).code) == 3
    _commits_on("two")(stack)
    stack.resolve()
    done(stack.resume())
    stack.assert_stacked()
    assert stack.hub.bare.subjects("main..three") == [
        "one 1", "one 2", "two 1", "two 2", "mine, meanwhile", "three 1", "three 2",
    ]  # fmt: skip


def test_an_amended_entry_below_is_under_those_above(stack: Desk) -> None:
    """The first entry amended while the third waits: the second and third follow, nothing is doubled."""
    stack.conflict(3)
    assert int(refusal(stack.restack).code) == 3
    stack.clone.git("switch", "--quiet", "one")
    (stack.clone.path / "one-more.txt").write_text("better\n")
    stack.clone.git("commit", "--quiet", "--all", "--amend", "--no-edit")
    stack.clone.git("switch", "--quiet", "main")
    stack.resolve()
    done(stack.resume())
    stack.assert_stacked()
    assert stack.hub.bare.subjects("main..three") == ["one 1", "one 2", "two 1", "two 2", "three 1", "three 2"]
    assert stack.hub.bare.git("show", "three:one-more.txt") == "better"


def test_commits_on_the_paused_branch_are_replayed_too(paused: Desk) -> None:
    """The paused entry got a commit on top: it follows the resolved one."""
    _commits_on("two")(paused)
    paused.resolve()
    done(paused.resume())
    assert paused.hub.bare.subjects("one..two") == ["two 1", "two 2", "mine, meanwhile"]
    paused.assert_stacked()


def test_a_push_of_several_is_checked_before_it(stack: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    """A branch that gets a commit between its replay and the push: refused, nothing is pushed, restack mends it."""
    from trunkline.steps import push  # noqa: PLC0415 -- patched here alone

    stack.trunk_commits("trunk", {"trunk.txt": "x\n"})
    remote, real = stack.remote_tips(), push.run_stack

    def meanwhile(context: Context, step_context: StepContext) -> Outcome:
        _commits_on("one")(stack)
        context.world(Part.ALL)  # as if the user had done it right before the push
        return real(context, step_context)

    with monkeypatch.context() as patch:
        patch.setattr(push, "run_stack", meanwhile)
        error = refusal(stack.restack)
    assert (int(error.code), "#2 two does not contain #1 one" in error.what) == (5, True)
    assert stack.remote_tips() == remote
    assert error.next_commands[0] == "invoke restack"
    done(stack.restack())
    stack.assert_stacked()


# -- undo and redo ------------------------------------------------------------------------------------------------


def test_undo_of_an_undo_where_one_entry_of_several_moved(stack: Desk) -> None:
    """A restack in which only the third entry moved: undone, redone, undone again; each record names its entry."""
    stack.clone.git("switch", "--quiet", "two")
    stack.clone.commit("two 3", {"two-3.txt": "x\n"})
    stack.clone.git("switch", "--quiet", "main")
    stack.clone.git("push", "--quiet", str(stack.root / "bare"), "two")
    before = stack.tips()
    done(stack.restack())
    after = stack.tips()
    assert {branch for branch in before if before[branch] != after[branch]} == {"three"}
    for expected in (before, after, before):
        done(stack.undo())
        assert stack.tips() == expected
        assert stack.remote_tips() == expected
    for run in journal.runs(stack.state):
        for record in run.records:
            if isinstance(record, records.Intent):
                assert (record.pr, record.branch) == (3, "three")


def test_undo_of_a_run_whose_backups_were_deleted(stack: Desk) -> None:
    """Git removed the old commits: no run begins, and the printed fetch makes the undo possible."""
    clone, before = stack.clone, stack.tips()
    stack.trunk_commits("trunk", {"trunk.txt": "x\n"})
    done(stack.restack())
    newest, moved = stack.newest().id, (stack.tips(), stack.remote_tips())
    for number, branch in ENTRIES.items():  # as GitHub moves it with each push
        stack.hub.bare.git("update-ref", f"refs/pull/{number}/head", stack.hub.tip(branch))
    for ref in [each for each in clone.refs() if each.startswith("refs/trunkline/")]:
        clone.git("update-ref", "-d", ref)
    clone.git("reflog", "expire", "--expire=now", "--all")
    clone.git("gc", "--quiet", "--prune=now")
    error = refusal(stack.undo)
    assert (int(error.code), error.what) == (5, "the old tips are not in this repository any more")
    assert f"#2 two was at {before['two']}" in error.why
    assert (stack.newest().id, stack.open_run()) == (newest, None)
    assert (stack.tips(), stack.remote_tips()) == moved
    stack.hub.bare.git("config", "uploadpack.allowAnySHA1InWant", "true")
    clone.git(*shlex.split(error.next_commands[0], comments=True)[1:])
    done(stack.undo())
    assert stack.tips() == stack.remote_tips() == before


def test_an_edit_in_the_browser_is_no_drift(stack: Desk) -> None:
    """A description saved with CRLF line ends is the same note: undo takes it away, the author's words stay."""
    from trunkline.domain.changes import NoteChanged, note_of  # noqa: PLC0415
    from trunkline.domain.note import BEGIN, END, put_back  # noqa: PLC0415
    from trunkline.planning.run_changes import drifted  # noqa: PLC0415

    note = f"{BEGIN}\nThe note\n- with lines\n{END}"
    context = stack.entry_context(1)
    change = NoteChanged(pr=context.entry.pr, before=None, left=note_of(note))
    saved = f"Words.\n\n\n{note}".replace("\n", "\r\n")
    stack.hub.pulls[1].body = saved
    assert drifted(context, (change,), context.view) == ()
    assert put_back(saved, None) == "Words.\r\n"
    stack.hub.pulls[1].body = saved.replace("The note", "My note")
    context.world(Part.ALL)
    assert len(drifted(context, (change,), context.view)) == 1


# -- the journal is state -----------------------------------------------------------------------------------------


def test_the_journal_keeps_real_values(stack: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    """Values that look like secrets are recorded as they are, else nothing that they are in could be restored."""
    from trunkline.system import process  # noqa: PLC0415

    monkeypatch.setenv("APP_SECRET", "two-more.txt.two-more")
    process.secrets.cache_clear()
    body = "Use `--api-key=placeholder` and two-more.txt.two-more.\n"
    written = records.NoteWritten(StepName.NOTE, PrNumber(1), BranchName("one"), body="", body_after=body)
    run_id = journal.new_run_id("x", stack.clone.path / ".git/trunkline")
    from trunkline.state import lock  # noqa: PLC0415

    with lock.hold(stack.state, run=run_id) as held:
        journal.create(held).append(held, written)
    (record,) = journal.read(stack.state / "runs" / run_id / "journal.jsonl").records
    assert msgspec.structs.replace(record, at="") == written
    process.secrets.cache_clear()


def test_a_resumed_replay_lists_the_dropped_signatures(paused: Desk) -> None:
    """Signatures recorded at the pause are named at the end, too."""
    run = next(iter(journal.runs(paused.state)))
    assert run.pause is not None
    pause = msgspec.structs.replace(run.pause, unsigned=(run.pause.own[0],))
    assert resume_replay._work_of(paused.entry_context(2).git, pause).unsigned == pause.unsigned


def test_status_and_refusals_speak_of_the_same_run(paused: Desk) -> None:
    """One function finds it for everybody; its JSON names the work tree and the ways on."""
    shown = open_run.find_open_run(paused.clone.path)
    assert shown is not None
    assert (shown.id, shown.state, shown.commands) == (paused.newest().id, "paused", GO_ON)
    assert shown.worktree == str(paused.tree().path)
    assert "#2 two" in shown.what
    assert json.dumps(shown.why)


def test_a_deleted_branch_is_named_with_the_command_that_restores_it(paused: Desk) -> None:
    """The paused branch, or one that the run has moved: continue refuses, and the printed command helps."""
    for branch in ("one", "two"):
        paused.clone.git("branch", "--quiet", "-D", branch)
        paused.resolve()
        error = refusal(paused.resume)
        assert (int(error.code), branch in error.what) == (5, True)
        assert error.next_commands[0].startswith(f"git branch {branch} ")
        _typed(error.next_commands[0], paused)
    done(paused.resume())
    paused.assert_stacked()


# -- done by others, and done already -----------------------------------------------------------------------------


def test_an_entry_merged_on_the_web_meanwhile_is_done(stack: Desk) -> None:
    """A rebase that stopped after its push, then the pull request is merged: continue ends the run."""
    stack.merge(1)
    fail_at("ready", stack, lambda: stack.rebase(2))
    stack.merge(2)
    done(stack.resume())
    assert stack.open_run() is None
    assert stack.hub.pulls[2].draft


def test_a_restack_ends_although_an_entry_was_merged_meanwhile(stack: Desk) -> None:
    """Paused at the third entry, the first merged on the web: the rest follows, nothing of the first is pushed."""
    stack.conflict(3)
    assert int(refusal(stack.restack).code) == 3
    stack.merge(1, delete=False)
    one = stack.remote_tips()["one"]
    stack.resolve()
    done(stack.resume())
    assert stack.remote_tips()["one"] == one
    assert stack.open_run() is None


def test_a_whole_stack_that_is_merged_leaves_nothing_to_do(stack: Desk) -> None:
    """Merged entries are counted as done, closed ones are named with the command that brings them back."""
    assert restack.nothing_to_do(stack.stack_context().view()) is None
    for number in (1, 2):
        stack.merge(number)
    assert restack.nothing_to_do(stack.stack_context().view()) is None
    two = stack.stack_context().stack.entries[1].pr
    found = restack.nothing_to_do(stack.stack_context().view(), up_to=two)
    assert found is not None
    assert (found.message, found.mark) == ("#1, #2 are merged", StepStatus.NOTHING)
    stack.hub.pulls[3].state = PrState.CLOSED
    found = restack.nothing_to_do(stack.stack_context().view())
    assert found is not None
    assert found.details == ("to bring #3 back: invoke rescue --pr 3",)


# -- amended after a failure --------------------------------------------------------------------------------------


def test_a_branch_amended_after_a_failed_step_is_the_new_head(stack: Desk) -> None:
    """Stopped after the replay, amended by the user, continued: it is verified again and pushed."""
    stack.merge(1)
    fail_at("push", stack, lambda: stack.rebase(2))
    stack.clone.git("switch", "--quiet", "two")
    (stack.clone.path / "two-more.txt").write_text("better\n")
    stack.clone.git("commit", "--quiet", "--all", "--amend", "--no-edit")
    amended = stack.tips()["two"]
    done(stack.resume())
    assert (stack.remote_tips()["two"], stack.hub.pulls[2].draft) == (amended, False)
    (adopted,) = [record for record in stack.newest().records if isinstance(record, records.Adopted)]
    assert adopted.replayed.new == amended


def test_an_amended_branch_passes_its_steps_again(stack: Desk) -> None:
    """Steps that were done before the amend are done again, also by a later continue; the replay is not."""
    stack.merge(1)
    fail_at("ready", stack, lambda: stack.rebase(2))
    stack.clone.git("switch", "--quiet", "two")
    stack.clone.git("commit", "--quiet", "--amend", "--message=said better")
    fail_at("push", stack, stack.resume)
    done(stack.resume())
    assert stack.remote_tips()["two"] == stack.tips()["two"]
    done_steps = [record.step for record in stack.newest().records if isinstance(record, records.StepDone)]
    assert (done_steps.count(StepName.REPLAY), done_steps.count(StepName.PUSH)) == (1, 2)


def test_a_branch_that_was_put_back_is_not_pushed(stack: Desk) -> None:
    """The user moved it back to where it was: continue refuses, and the printed command rebases it anew."""
    stack.merge(1)
    before = stack.tips()["two"]
    fail_at("push", stack, lambda: stack.rebase(2))
    stack.clone.git("branch", "--quiet", "--force", "two", before)
    error = refusal(stack.resume)
    assert (int(error.code), error.next_commands) == (5, ("invoke rebase --pr 2", "invoke abort"))
    assert stack.remote_tips()["two"] == before
    done(stack.rebase(2))
    assert stack.hub.bare.subjects("main..two") == ["two 1", "two 2"]
    assert stack.open_run() is None


# -- closed, and moved since --------------------------------------------------------------------------------------


def test_a_pull_request_that_was_closed_meanwhile_is_not_pushed(stack: Desk) -> None:
    """Replayed, then closed on the web: a push could keep it from ever being opened again."""
    stack.merge(1)
    before = stack.remote_tips()
    fail_at("push", stack, lambda: stack.rebase(2))
    stack.hub.pulls[2].state = PrState.CLOSED
    error = refusal(stack.resume)
    assert (int(error.code), error.next_commands[0]) == (5, "invoke rescue --pr 2")
    assert "#2 is closed" in error.what
    assert stack.remote_tips() == before


@pytest.mark.parametrize("where", ["here", "on the remote"])
def test_undo_of_what_moved_since_changes_nothing(stack: Desk, where: str) -> None:
    """One branch of three has a commit more by now: it is named, and none of the three goes back, here or there."""
    stack.trunk_commits("trunk", {"trunk.txt": "x\n"})
    done(stack.restack())
    if where == "here":
        _commits_on("two")(stack)
    else:
        stack.push_commit("two", "a bot's fix", {"bot.txt": "b\n"})
    tips, remote = stack.tips(), stack.remote_tips()
    error = refusal(stack.undo)
    assert (int(error.code), error.what, "two" in error.why) == (5, "#2 moved since", True)
    assert (stack.tips(), stack.remote_tips()) == (tips, remote)


def test_abort_keeps_what_the_remote_had_where_it_differed(stack: Desk) -> None:
    """Amended here before the run, pushed by it, pushed over by a bot: what the remote had before has a backup."""
    stack.clone.git("switch", "--quiet", "three")
    stack.clone.git("commit", "--quiet", "--amend", "--message=said better")
    stack.clone.git("switch", "--quiet", "main")
    stack.trunk_commits("trunk", {"trunk.txt": "x\n"})
    before = stack.remote_tips()["three"]
    _stop_after_push(stack)
    stack.push_commit("three", "a bot's fix", {"bot.txt": "b\n"})
    assert stack.abort() is not None
    assert before in {tip for ref, tip in stack.clone.refs().items() if ref.startswith("refs/trunkline/backup/")}


@pytest.mark.parametrize("back", ["abort", "undo"])
def test_what_a_run_made_is_kept_when_it_is_taken_back(stack: Desk, back: str) -> None:
    """The rebased commits have a backup once the branch is where it was: git's own garbage collection keeps them."""
    if back == "abort":
        stack.conflict(2)
        assert int(refusal(stack.restack).code) == 3
    else:
        stack.trunk_commits("trunk", {"trunk.txt": "x\n"})
        done(stack.restack())
    made, before = stack.tips()["one"], stack.hub.bare.git("rev-parse", "refs/pull/1/head")
    assert made != before
    assert (stack.abort() if back == "abort" else stack.undo()) is not None
    assert stack.tips()["one"] == before
    assert made in {tip for ref, tip in stack.clone.refs().items() if ref.startswith("refs/trunkline/backup/")}


# -- a switch that git dies in ------------------------------------------------------------------------------------


def _dies_at(stack: Desk, name: str) -> None:
    """Let git die by SIGKILL when it is about to write a file into the checkout."""
    filter_ = stack.root / "filter"
    filter_.write_text(f'#!/bin/sh\n[ "$1" = {name} ] && kill -KILL 0\ncat\n')
    filter_.chmod(0o755)
    (stack.clone.path / ".git/info/attributes").write_text("*.txt filter=dies\n")
    stack.clone.git("config", "filter.dies.smudge", f"{filter_} %f")


def _lives_again(stack: Desk) -> None:
    stack.clone.git("config", "--unset", "filter.dies.smudge")
    (stack.clone.path / ".git/index.lock").unlink(missing_ok=True)  # as the message of git says


@pytest.mark.parametrize("killed", ["git alone", "both"])
@pytest.mark.parametrize("after", ["switch", "switch to another", "rebase", "continue"])
def test_a_switch_that_died_is_taken_back(
    stack: Desk, killed: str, after: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Half of the files are the other branch's: they go at once, or when the next run begins; then that one works."""
    if after == "continue":
        stack.conflict(2)
        assert int(refusal(stack.restack).code) == 3
    _dies_at(stack, "two.txt")
    with monkeypatch.context() as patch:
        if killed == "both":
            patch.setattr(checkout, "put_back", lambda *_, **__: False)
        assert int(refusal(lambda: stack.rebase(2, "switch")).code) == 6
    assert (stack.clone.path / "one.txt").exists() == (killed == "both")
    _lives_again(stack)
    if after == "continue":
        stack.resolve()
        done(stack.resume())
    elif after == "rebase":
        done(stack.rebase(1))
    else:
        done(stack.rebase(2 if after == "switch" else 1, "switch"))
    assert stack.clone.git("status", "--porcelain", "--untracked-files=all") == ""
    expected = {"switch": "two", "switch to another": "one"}.get(after, "main")
    assert stack.clone.git("branch", "--show-current") == expected


# -- a landing whose entry is merged on the web ---------------------------------------------------------------------


@pytest.fixture(params=[True, False], ids=["branch deleted", "branch left"])
def merged_elsewhere(stack: Desk, request: pytest.FixtureRequest) -> Desk:
    """Return the stack whose last open entry was pushed by a landing that then stopped, and merged on the web."""
    stack.merge(1)
    stack.merge(2)
    fail_at("ready", stack, stack.land)
    stack.merge(3, delete=request.param)
    return stack


def test_a_landing_whose_entry_was_merged_on_the_web_is_finished(merged_elsewhere: Desk) -> None:
    """Continue finds it merged, deletes the merged branches, and the run is over."""
    stack = merged_elsewhere
    done(stack.resume())
    assert stack.open_run() is None
    assert (stack.tips(), stack.remote_tips()) == ({}, {})


def test_a_landing_whose_entry_was_merged_on_the_web_is_ended(merged_elsewhere: Desk) -> None:
    """Abort ends it: what is merged stays merged; nothing blocks what follows."""
    stack = merged_elsewhere
    outcome = stack.abort()
    assert outcome is not None
    assert stack.open_run() is None
    assert stack.hub.pulls[3].state is PrState.MERGED
    found = restack.nothing_to_do(stack.stack_context().view())
    assert found is not None
    assert found.message == "#1, #2, #3 are merged"


# -- a file of the user's in the way of an abort --------------------------------------------------------------------


def _in_the_way(stack: Desk) -> Path:
    """Put an ignored file where the tip before the run has one: the checkout of its branch cannot go back."""
    stack.clone.git("switch", "--quiet", "three")
    mine = stack.clone.path / "gone.txt"
    (stack.clone.path / ".git/info/exclude").write_text("gone.txt\n")
    mine.write_text("mine\n")
    return mine


def test_abort_leaves_both_sides_of_a_branch_whose_checkout_cannot_go_back(stack: Desk) -> None:
    """Seen before the remote is put back: that branch stays as pushed, here and there; the others go back."""
    stack.trunk_commits("trunk has it", {"gone.txt": "trunk's\n"})
    done(stack.restack())
    stack.trunk_commits("trunk drops it", {"gone.txt": None})
    before = stack.tips()
    _stop_after_push(stack)
    mine, pushed = _in_the_way(stack), stack.tips()
    outcome = stack.abort()
    assert outcome is not None
    assert stack.open_run() is None
    assert mine.read_text() == "mine\n"
    expected = {**before, "three": pushed["three"]}
    assert (stack.tips(), stack.remote_tips()) == (expected, expected)
    lines = [line for line in outcome.details if line.startswith("left: #3 three: ")]
    assert [("gone.txt (ignored)" in line, before["three"] in line) for line in lines] == [(True, True)] * 2
    assert before["three"] in stack.clone.refs().values()


def test_a_lock_that_a_dead_git_left_in_the_work_tree(paused: Desk) -> None:
    """`continue` reads the resolution beside it, and finishes."""
    paused.resolve()
    index = paused.tree().git("rev-parse", "--path-format=absolute", "--git-path", "index")
    Path(f"{index}.lock").touch()
    done = paused.resume()
    assert done is not None
    assert done.error is None
    assert paused.open_run() is None


@pytest.mark.parametrize("problem", ["entry missing", "file gone"])
def test_a_stack_file_that_is_not_as_it_was_blocks_continue_alone(
    stack: Desk, monkeypatch: pytest.MonkeyPatch, problem: str
) -> None:
    """The error names both ways on: to put the file back, or to abort; both work."""
    stack.own_stack(monkeypatch)
    stack.conflict(2)
    refusal(stack.restack)
    path = stack.root / "stack.toml"
    text = path.read_text()
    if problem == "file gone":
        path.unlink()
    else:
        path.write_text(text.replace('\n[[entry]]\npr = 2\nbranch = "two"\n', ""))
    error = refusal(stack.resume)
    assert "put stack.toml back as it was and continue, or abort" in error.why
    assert error.next_commands[-2:] == ("invoke continue", "invoke abort")
    assert not any("init" in command or "status" in command for command in error.next_commands)
    assert stack.abort() is not None
    assert stack.open_run() is None
