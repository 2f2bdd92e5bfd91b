"""Every command that is printed to be typed next is typed, in the situation that printed it.

`ELSEWHERE` names the test, or the reason, for each place that builds a command and has no scenario here; a new place
without one fails `test_every_place_that_builds_a_command_has_a_scenario`.
"""

from __future__ import annotations

import ast
import re
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from support.inprocess import Desk, desk
from support.typist import Typist, sites, typist
from trunkline.domain.checklist import Line, LineState, next_commands
from trunkline.domain.command import task_command
from trunkline.domain.errors import TransientError
from trunkline.domain.names import pr_number
from trunkline.domain.receipt import GateOutcome, Verdict
from trunkline.domain.snapshot import ForcePush, PrState
from trunkline.planning import verification
from trunkline.state import lock
from trunkline.steps import gates as gates_step

ROOT = Path(__file__).resolve().parents[2]
SKIP = "fmt,gates,checks,note,checklist"
GOING_ON = "context/open_run.py:go_on"


@pytest.fixture
def person(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Iterator[Typist]:
    """Return a person at a desk with a stack of three entries."""
    with desk(monkeypatch) as made:
        yield from typist(made, monkeypatch, capsys, SKIP)


def take_back_commit(desk: Desk) -> None:
    """Let #1 have held the first commit of #2 once, by mistake: whose is it?"""
    before, by_mistake = desk.author.head("one"), desk.author.head("two~1")
    desk.hub.pulls[1].pushes.append(ForcePush(by_mistake, before))


@dataclass
class Gates:
    """Prescribed gate results, in place of cargo."""

    patch: pytest.MonkeyPatch

    def come_to(self, verdict: Verdict) -> None:
        """Let the one gate end so."""
        outcome = GateOutcome("msrv", verdict)
        self.patch.setattr(gates_step, "gate_commit", lambda *_, **__: (outcome,))
        self.patch.setattr(verification, "gates_beside_base", lambda *_: (("msrv", outcome),))


@pytest.fixture
def gates(monkeypatch: pytest.MonkeyPatch, person: Typist) -> Gates:  # noqa: ARG001 -- skips less than the person does
    """Return the gates, which are not skipped."""
    monkeypatch.setenv("TRUNKLINE_SKIP", "fmt,checks,note,checklist")
    return Gates(monkeypatch)


def test_status_of_a_draft(person: Typist) -> None:
    """The first entry is rebased; then `status` and `plan` lead through the next one."""
    person.follow(person("invoke status"), "domain/status.py:_typed", "invoke rebase --pr 1")
    person.desk.merge(1)
    done = person.follow(person("invoke plan --pr 2"), "tasks/inspection.py:plan", "invoke rebase --pr 2")
    assert done.next[-1] == "invoke rebase --pr 3   # once #2 is merged"
    person.follow(done, "tasks/recovery.py:conclude", code=5)  # #2 is not merged yet, and says so
    person.desk.merge(2)
    person.follow(done, "tasks/recovery.py:conclude", "invoke rebase --pr 3")


def test_status_of_a_stack_whose_lower_entry_moved(person: Typist) -> None:
    """`restack` brings the upper ones along, and then `status` names another command."""
    person.desk.push_commit("one", "one 3", {"one-3.txt": "3\n"})
    person.desk.clone.git("fetch", "--quiet")
    person.desk.clone.git("branch", "--quiet", "--force", "one", "origin/one")
    person.follow(person("invoke status"), "domain/status.py:next_command", "invoke restack")
    assert person("invoke status").next[-1] == "invoke rebase --pr 1"


def test_status_of_a_ready_entry_behind_trunk(person: Typist) -> None:
    """Trunk only moved on: `land` merges the head as it is."""
    desk = person.desk
    desk.hub.pulls[1].draft, desk.hub.mergeable = False, True
    desk.trunk_commits("other", {"other.txt": "1\n"})
    desk.clone.git("fetch", "--quiet")
    head = desk.remote_tips()["one"]
    shown = person("invoke status")
    assert "invoke land rewrites it only if its merge needs that" in shown.out
    assert shown.next == ["invoke land"]
    assert "#1 nothing to rewrite" in person("invoke land --up-to 1 --yes").out  # this GitHub merges nothing
    assert desk.remote_tips()["one"] == head


@pytest.mark.parametrize("task", ["continue", "skip", "abort"])
def test_a_run_is_ended_inside_the_work_tree_of_its_conflict(
    person: Typist, monkeypatch: pytest.MonkeyPatch, task: str
) -> None:
    """The run removes that work tree, and continues in the checkout."""
    person.desk.conflict(2)
    assert person("invoke restack --yes").code == 3
    tree = person.desk.tree()
    for path in tree.git("diff", "--name-only", "--diff-filter=U").split():
        (tree.path / path).write_text("resolved\n")
    tree.git("add", "--update")
    monkeypatch.chdir(tree.path)
    ended = person(f"invoke {task} --yes")
    assert (ended.code, tree.path.exists(), Path.cwd()) == (0, False, person.desk.clone.path), ended.error


def test_an_entry_below_is_a_draft(person: Typist) -> None:
    """The entry below is landed first."""
    person.follow(person("invoke rebase --pr 2"), "planning/merged.py:merged_below", "invoke rebase --pr 1")


def test_an_entry_that_is_merged(person: Typist) -> None:
    """There is nothing to do, and the one above is next; a step alone is refused."""
    person.desk.merge(1)
    assert person("invoke push --pr 1 --yes").code == 5
    done = person("invoke rebase --pr 1")
    assert (done.code, "#1 is merged already" in done.out) == (0, True)
    person.follow(done, "context/view.py:already_merged", "invoke rebase --pr 2")


@pytest.mark.parametrize("command", ["continue", "skip", "abort"])
def test_a_conflict(person: Typist, command: str) -> None:
    """Resolved, left out or given up: each ends the run."""
    person.desk.conflict(2)
    paused = person("invoke restack")
    assert paused.code == 3
    assert "this run so far: #1 one rebased here" in paused.err
    assert "or go back:\nnext: " in paused.err
    if command == "continue":
        unresolved = person.follow(paused, GOING_ON, "invoke continue", code=3)
        person.desk.resolve()
        done = person.follow(unresolved, GOING_ON, "invoke continue")
        person.follow(done, "tasks/recovery.py:_take_up", "invoke status")
    else:
        person.follow(paused, GOING_ON, f"invoke {command}")
    assert person.desk.open_run() is None


def test_a_finished_run_leads_on(person: Typist) -> None:
    """Local moves lead to a push; after the push, and after an undo, the next command is `status`."""
    person.desk.push_commit("one", "one 3", {"one-3.txt": "3\n"})
    person.desk.clone.git("fetch", "--quiet")
    person.desk.clone.git("branch", "--quiet", "--force", "one", "origin/one")
    local = person("invoke restack --no-push")
    done = person.follow(local, "tasks/stack.py:restack", "invoke restack")
    person.follow(done, "tasks/stack.py:restack", "invoke status")
    person.follow(person("invoke undo"), "tasks/recovery.py:undo", "invoke status")


def test_undo_in_one_of_several_stacks(person: Typist, monkeypatch: pytest.MonkeyPatch) -> None:
    """The run's journal names the stack, so the printed command does, too."""
    person.desk.own_stack(monkeypatch)
    file = person.desk.root / "stack.toml"
    head, *entries = file.read_text().split("[[entry]]")
    stacks = (
        f'[[stack]]\nname = "{name}"\n[[stack.entry]]{entry}' for name, entry in zip("abc", entries, strict=True)
    )
    file.write_text(head + "".join(stacks))
    person.desk.trunk_commits("trunk moves", {"trunk.txt": "1\n"})
    assert person("invoke restack --stack a").code == 0
    person.follow(person("invoke undo"), "tasks/recovery.py:undo", "invoke status --stack a")


def test_two_last_entries_of_a_landing(person: Typist) -> None:
    """`--pr` and `--up-to` name the same thing; each of the printed commands has one of them."""
    refused = person("invoke land --pr 2 --up-to 1 --dry-run")
    assert (refused.code, "contradict each other" in refused.error) == (2, True)
    assert [("--pr" in command, "--up-to" in command) for command in refused.next] == [(False, True), (True, False)]
    assert [person(command).code for command in refused.next] == [0, 0]


def test_names_that_are_none(person: Typist) -> None:
    """An entry that is not there: the most similar one; a new branch: named after the message."""
    assert "did you mean three?" in person("invoke rebase --pr thre").err
    refused = person("invoke add 'a b' --message 'a b'")
    assert refused.next == ["invoke add --message 'a b'"]


def test_another_task_while_a_run_is_paused(person: Typist) -> None:
    """The error names the run and how it goes on; the abort ends it, and then the task begins."""
    person.desk.conflict(2)
    assert person("invoke restack").code == 3
    person.follow(person("invoke rebase --pr 2"), GOING_ON, "invoke abort")


@pytest.mark.parametrize("mended", ["amended", "as it was"])
def test_a_gate_that_failed(person: Typist, gates: Gates, mended: str) -> None:
    """`continue` gates again and goes on to the end: after an amend, and where it was not the code that was wrong."""
    gates.come_to(Verdict.FAILED)
    failed = person("invoke rebase --pr 1")
    assert failed.code == 1, failed
    gates.come_to(Verdict.PASSED)
    if mended == "amended":
        person.follow(failed, "steps/gates.py:to_edit", "invoke switch --pr 1")
        person.desk.clone.git("commit", "--quiet", "--amend", "--message=said better")
    done = person.follow(failed, "steps/gates.py:_failure", "invoke continue")
    assert "pushed" in done.out


@pytest.mark.parametrize(("verdict", "flag"), [(Verdict.UNAVAILABLE, "unavailable"), (Verdict.FLAKY, "flaky")])
@pytest.mark.parametrize("task", ["rebase", "gates"])
def test_a_gate_that_can_be_accepted(person: Typist, gates: Gates, verdict: Verdict, flag: str, task: str) -> None:
    """The flag is one of the task that was typed."""
    gates.come_to(verdict)
    failed = person(f"invoke {task} --pr 1")
    assert f"invoke {task}" in failed.next[-1]
    assert f"--accept-{flag} msrv" in failed.next[-1]
    person.follow(failed, "steps/gates.py:_failure", f"invoke {task}")


def test_a_run_that_failed(person: Typist, gates: Gates) -> None:
    """`status` and `undo` name how it is ended."""
    gates.come_to(Verdict.FAILED)
    person("invoke rebase --pr 1")
    run = person.desk.newest().id
    person.follow(person("invoke status"), "context/open_run.py:_facts", "invoke continue", code=1)
    person.follow(person(f"invoke undo --run {run}"), "commands/undo.py:_decided", "invoke abort")


def test_a_branch_that_was_put_back(person: Typist, gates: Gates) -> None:
    """Not where the run left it: rebased anew."""
    person.desk.trunk_commits("moves on", {"more.txt": "more\n"})
    gates.come_to(Verdict.FAILED)
    before = person.desk.clone.refs()["refs/heads/one"]
    failed = person("invoke rebase --pr 1")
    person.desk.clone.git("branch", "--quiet", "--force", "one", before)
    gates.come_to(Verdict.PASSED)
    refused = person.follow(failed, "steps/gates.py:_failure", "invoke continue", code=5)
    person.follow(refused, "commands/resume.py:_ResumedRun.refuse_gone", "invoke rebase --pr 1")


def test_a_resolution_that_resolves_nothing(person: Typist) -> None:
    """Left out, if that is meant."""
    person.desk.conflict(2)
    paused = person("invoke restack")
    person.desk.tree().git("reset", "--quiet", "--hard")
    unresolved = person.follow(paused, GOING_ON, "invoke continue", code=3)
    assert unresolved.out.startswith("restack of #1, #2, #3 -> main, run ")
    person.follow(unresolved, "operations/resolution.py:_nothing_resolved", "invoke skip")


def test_an_open_checklist(person: Typist, monkeypatch: pytest.MonkeyPatch) -> None:
    """`rebase` does what is open."""
    monkeypatch.setenv("TRUNKLINE_SKIP", SKIP)
    person.follow(person("invoke checklist --pr 1"), "domain/checklist.py:next_commands", "invoke rebase --pr 1")


def test_a_checklist_that_lacks_a_gate_only() -> None:
    """A rebase would stop at that gate again: the gates are next, and name the flag that accepts it."""
    key = pr_number("1")
    gate = Line("All gates pass", LineState.OPEN, "msrv unavailable", task_command("gates", "--pr", key))
    note = Line("Added reviewer note", LineState.OPEN, "there is no note", "gh pr view 1 --json body")
    assert next_commands(key, [gate.to_json()]) == ("invoke gates --pr 1",)
    assert next_commands(key, [gate.to_json(), note.to_json()]) == ("invoke rebase --pr 1",)


def test_commands_for_a_branch_that_git_rebases(person: Typist) -> None:
    """Git refuses a second rebase: the one in progress is continued or given up first."""
    context = person.desk.stack_context()
    entry = context.stack.entries[2]
    assert context.view().of(entry).after_rebase("git rebase") == ("git rebase",)
    state = person.desk.clone.path / ".git/rebase-merge"
    state.mkdir()
    (state / "head-name").write_text("refs/heads/three\n")
    begun = f"git -C {person.desk.clone.path} rebase"
    view = person.desk.stack_context().view().of(entry)
    assert view.after_rebase("git rebase") == (f"{begun} --continue", f"{begun} --abort")


def test_a_question_about_own_commits(person: Typist) -> None:
    """A step alone, of the branch that is checked out: the answer is a flag of that step, with the entry."""
    take_back_commit(person.desk)
    person.desk.merge(1)
    person.desk.clone.git("switch", "--quiet", "two")
    asked = person("invoke onto")
    assert asked.code == 3, asked
    done = person.follow(asked, "planning/questions.py:OwnCommitsUnknown.__init__", "invoke onto")
    assert "--pr 2 --fork-point" in asked.err
    assert "rebased" in done.out


def test_questions_of_the_whole_stack(person: Typist) -> None:
    """One command answers all."""
    take_back_commit(person.desk)
    person.follow(person("invoke restack"), "planning/questions.py:all_unanswered", "invoke restack")


@pytest.mark.parametrize("task", ["rebase", "restack", "land"])
def test_a_parent_that_trunk_reverted(person: Typist, task: str) -> None:
    """Its commit is edited above: replayed without it, which conflicts, or the parent is brought back first."""
    desk, of_entry = person.desk, " --pr 2" if task == "rebase" else ""
    desk.push_commit("two", "edits #1's file", {"one.txt": "edited\n"})
    desk.merge(1)
    desk.author.git("revert", "--no-edit", "HEAD")
    desk.author.git("push", "--quiet", "origin", "HEAD:refs/heads/main")
    before = desk.clone.refs()
    asked = person(f"invoke {task}{of_entry} --yes")
    assert asked.code == 3, asked
    assert f"reverted #1 in {desk.author.head()[:7]}" in asked.err
    assert "one.txt" in asked.err
    assert desk.clone.refs()["refs/heads/two"] == before["refs/heads/two"]
    shell = next(each for each in asked.next if each.startswith("git switch"))
    subprocess.run(shell, shell=True, cwd=desk.clone.path, check=True, capture_output=True)  # noqa: S602 -- as typed
    assert desk.clone.git("ls-tree", "--name-only", "HEAD", "one.txt") == "one.txt"
    site = "planning/reverted_parent.py:_question"
    paused = person.follow(asked, site, f"invoke {task}", code=3)
    assert "conflict" in paused.err
    assert person("invoke abort").code == 0
    desk.clone.git("push", "--quiet", str(desk.root / "bare"), "reapply-1:refs/heads/main")
    assert person(f"invoke {task}{of_entry} --dry-run").code == 0


def test_an_answer_without_its_entry(person: Typist) -> None:
    """`restack --fork-point COMMIT` says for which entries it may be."""
    point = person.desk.clone.refs()["refs/heads/one"]
    asked = person(f"invoke restack --fork-point {point}")
    person.follow(asked, "context/scope.py:resolve_fork_point", "invoke restack", code=5)


def test_a_fork_point_that_contradicts_the_evidence(person: Typist) -> None:
    """A dry run without it shows what the evidence says."""
    tip = person.desk.clone.refs()["refs/heads/two"]
    asked = person(f"invoke restack --fork-point 2={tip}")
    person.follow(asked, "planning/questions.py:invalid", "invoke restack --skip")


def test_commits_that_change_nothing_after_a_conflict(person: Typist) -> None:
    """`continue` names `restack`: `rebase` would refuse an entry on an open one."""
    person.desk.conflict(1)
    person.desk.trunk_commits("takes it", {"two.txt": "two\n"})
    person("invoke restack")
    person.desk.resolve()
    kept = person("invoke continue")
    assert "to leave it out: invoke restack --drop-emptied" in kept.out


def test_commits_that_change_nothing_any_more(person: Typist) -> None:
    """The command that leaves them out is the one that was typed, and it does leave them out."""
    person.desk.trunk_commits("takes it", {"two.txt": "two\n"})
    kept = person("invoke restack")
    done = person.follow(kept, "steps/replay.py:_kept_empty", "invoke restack --skip")
    assert "--drop-emptied" in kept.out
    assert "left out: " in done.out


def test_a_push_without_the_gates(person: Typist, monkeypatch: pytest.MonkeyPatch) -> None:
    """A gate that cannot run here is accepted by a flag of the push; a gate that never ran is run."""
    msrv = GateOutcome.unavailable("msrv", "rustup toolchain install 1.70")
    monkeypatch.setattr(verification, "gates_beside_base", lambda *_: (("msrv", msrv),))
    person.desk.clone.git("commit", "--quiet", "--allow-empty", "--message=more")
    person.desk.clone.git("branch", "--quiet", "--force", "one", "main")
    refused = person("invoke push --pr 1 --skip checks")
    assert refused.code == 5, refused
    done = person.follow(refused, "planning/verification.py:require_gates", "invoke push --pr 1")
    assert "pushed" in done.out
    assert "--accept-unavailable msrv" in refused.err


@pytest.mark.parametrize(
    ("line", "site", "command"),
    [
        ("help land", "tasks/asking.py:help_", "invoke --help land"),
        ("rebase -d", "tasks/definition.py:LandingTask._refuse_unknown_flags", "invoke --help rebase"),
        ("rebase --pr 9", "domain/stack.py:Stack.entry", "invoke status"),
        ("onto --pr 0", "domain/names.py:pr_number", "invoke status"),
        ("status --stack x", "tasks/session.py:TaskSession.again", "invoke status"),
        ("undo --run zzz", "commands/undo.py:_named", "invoke log"),
        ("rebase --pr 1 --skip gats", "tasks/session.py:TaskSession.again", "invoke rebase --pr 1 --skip gates"),
    ],
)
def test_a_wrong_flag(person: Typist, line: str, site: str, command: str) -> None:
    """Refused with exit code 2 before anything happens; what is printed leads on."""
    refused = person(f"invoke {line}")
    assert refused.code == 2, refused
    if "gats" not in line:
        person.follow(refused, site, command)
    else:
        assert command in refused.next[-1]


def test_another_run_holds_the_repository(person: Typist) -> None:
    """`log` shows which runs there are."""
    with lock.hold(person.desk.state, run="x"):
        refused = person("invoke rebase --pr 1")
    person.follow(refused, "state/lock.py:hold", "invoke log")


def test_no_local_branch(person: Typist) -> None:
    """`switch` makes it."""
    person.desk.clone.git("branch", "--quiet", "-D", "two")
    refused = person("invoke push --pr 2")
    person.follow(refused, "context/scope.py:Scope.no_local_branch", "invoke switch --pr 2")


def test_gates_without_a_local_branch(person: Typist, monkeypatch: pytest.MonkeyPatch) -> None:
    """They run on what the remote branch has now, and create no branch."""
    desk, gated = person.desk, list[str]()
    desk.clone.git("branch", "--quiet", "-D", "two")
    pushed = desk.push_commit("two", "more", {"more.txt": "more\n"})

    def gate_commit(_cwd: Path, commit: str, *_: object, **__: object) -> tuple[GateOutcome, ...]:
        gated.append(commit)
        return (GateOutcome("msrv", Verdict.PASSED),)

    monkeypatch.setattr(gates_step, "gate_commit", gate_commit)
    done = person("invoke gates --pr 2")
    assert (done.code, gated) == (0, [pushed]), done
    assert "verifying" in done.err + done.out
    assert "two" not in desk.tips()


def test_a_branch_without_commits(person: Typist) -> None:
    """`onto` takes what the remote has, and replays it."""
    person.desk.clone.git("branch", "--quiet", "--force", "one", "main")
    refused = person("invoke push --pr 1")
    person.follow(refused, "steps/push.py:_refuse_no_commits", "invoke onto --pr 1")


def test_a_finished_task_again(person: Typist) -> None:
    """Exit code 0: the stack is as it should be; and once all is merged, there is nothing to do."""
    person.desk.trunk_commits("moves on", {"more.txt": "more\n"})
    assert (person("invoke restack").code, person("invoke restack").code) == (0, 0)
    for number in (1, 2, 3):
        person.desk.merge(number)
    for task in ("restack", "land"):
        again = person(f"invoke {task}")
        assert (again.code, "nothing to do" in again.out) == (0, True), again


def test_a_closed_entry(person: Typist) -> None:
    """`rescue` observes it and reports what GitHub does not allow."""
    person.desk.hub.pulls[2].state = PrState.CLOSED
    refused = person("invoke rebase --pr 2")
    assert refused.next[-1] == "invoke rescue --pr 2"


def test_undo_after_a_run_that_changed_nothing(person: Typist, gates: Gates) -> None:
    """The restack before the failed `land` is not taken back by itself, but by name."""
    person.desk.trunk_commits("moves on", {"more.txt": "more\n"})
    before = person.desk.tips()
    assert person("invoke restack").code == 0
    restacked = person.desk.newest().id
    gates.come_to(Verdict.FAILED)
    assert person("invoke land").code == 1
    refused = person("invoke undo")
    assert "land of #1, #2, #3, the newest run, has nothing to undo" in refused.error
    done = person.follow(refused, "commands/undo.py:_older", f"invoke undo --run {restacked}")
    assert f"restack of #1, #2, #3: back to before run {restacked}" in done.out
    assert person.desk.tips() == before


def test_ready_of_an_entry_on_an_open_one(person: Typist) -> None:
    """Its base stays: on trunk, its pull request would show the commits of #1."""
    done = person("invoke ready --pr 2 --yes")
    assert "was draft; its base stays, because #1 below is open" in done.out
    pull = person.desk.hub.pulls[2]
    assert (pull.draft, pull.base) == (False, "one")


def test_ready_of_an_entry_whose_branch_was_deleted(person: Typist) -> None:
    """The task is refused at once: GitHub keeps the old head, so waiting for another one would not end."""
    person.desk.hub.bare.git("update-ref", "-d", "refs/heads/two")
    refused = person("invoke ready --pr 2 --yes")
    assert refused.code == 5
    assert "branch two no longer exists on origin" in refused.error
    assert refused.next[0].startswith("git push origin ")


@pytest.mark.parametrize("typed", ["land", "land --together", "restack", "sync", "submit", "push --pr 2"])
def test_a_branch_that_was_deleted_on_the_remote(person: Typist, typed: str) -> None:
    """The dry run and the run refuse alike, before anything begins, and name the push that restores it."""
    tip = person.desk.clone.refs()["refs/heads/two"]
    person.desk.hub.bare.git("update-ref", "-d", "refs/heads/two")
    for line in (f"invoke {typed} --dry-run", f"invoke {typed} --yes"):
        refused = person(line)
        assert refused.code == 5, line
        assert refused.next == [f"git push origin {tip}:refs/heads/two"], line
    assert person.desk.open_run() is None


@pytest.mark.parametrize("typed", ["restack", "rebase --pr 1"])
def test_a_branch_of_another_repository(person: Typist, typed: str) -> None:
    """The dry run reports that the branch cannot be pushed, and the run does so before it moves anything."""
    person.desk.clone.git("remote", "set-url", "origin", "git@github.com:me/tiny.git")
    for line in (f"invoke {typed} --dry-run", f"invoke {typed} --yes"):
        assert (person(line).code, person(line).error) == (5, "error: #1 comes from octo/tiny"), line
    assert person.desk.open_run() is None


def test_an_entry_between_merged_ones(person: Typist) -> None:
    """The next command is for the lowest entry above that is not merged."""
    for number in (1, 2):
        person.desk.merge(number)
    assert person("invoke next --pr 1").next == ["invoke rebase --pr 3"]
    person.follow(person("invoke rebase --pr 1"), "context/view.py:already_merged", "invoke rebase --pr 3")
    person.desk.merge(3)
    assert person("invoke next --pr 1").next == ["invoke status"]


def test_github_is_out_of_reach(person: Typist, monkeypatch: pytest.MonkeyPatch) -> None:
    """The same command is next."""
    monkeypatch.setattr(person.desk.hub, "down", TransientError("GitHub could not be reached"))
    assert person("invoke restack --dry-run").next == [f"invoke restack --skip {SKIP} --dry-run"]


def test_trunk_without_a_stack_file(person: Typist) -> None:
    """`verify` leads to `init --track`, which takes the file off git's list, and then to trunk's signers."""
    person.desk.trunk_commits("no stack.toml", {"stack.toml": None})
    clone, excluded = person.desk.clone, person.desk.clone.path / ".git/info/exclude"
    text = (clone.path / "stack.toml").read_text()
    for words in ("fetch --quiet", "remote set-head origin main", "reset --quiet --hard origin/main"):
        clone.git(*words.split())
    (clone.path / "stack.toml").write_text(text)
    excluded.write_text("/stack.toml\n")
    refused = person("invoke verify --commit main")
    again = person.follow(
        refused, "commands/verify.py:_fetching", "invoke verify --commit main --fetch", code=2, same=True
    )
    assert again.next == ["invoke init --track"]
    tracked = person.follow(again, "commands/verify.py:policy_of", "invoke init --track")
    assert (excluded.read_text(), tracked.next) == ("", [f"git -C {clone.path} add stack.toml"])
    clone.git("add", "stack.toml")
    clone.commit("track it")
    clone.git("push", "--quiet", "origin", "HEAD:main")
    person.follow(person("invoke init --track"), "tasks/setup.py:_track", "invoke status")
    assert "names no signers" in person("invoke verify --fetch").error


def test_a_stack_file_outside_of_the_work_tree(person: Typist, monkeypatch: pytest.MonkeyPatch) -> None:
    """The file is copied into the work tree, where `init --track` finds it tracked."""
    person.desk.own_stack(monkeypatch)
    refused = person("invoke init --track")
    assert refused.code == 2
    command, _, then = refused.next[0].partition(" && unset TRUNKLINE_STACK_FILE   # then: ")
    subprocess.run(["sh", "-c", command], check=True)
    monkeypatch.delenv("TRUNKLINE_STACK_FILE")
    assert person(then).code == 0
    assert then in person.origins
    assert "commands/init_track.py:track" in person.origins[then]


# -- no place without a scenario ----------------------------------------------------------------------------------

AGAIN = "because: something outside failed, and the run goes on where it stopped: tests/e2e/test_faults_network.py"
LOOKS = "because: it shows what there is, and any state of the repository is fit for that"
REMOTE = "because: a machine elsewhere failed, and the run goes on where it stopped: tests/e2e/test_cluster.py"
ELSEWHERE: dict[str, str] = {
    "github/responses.py:_classified": LOOKS,
    "github/responses.py:_refused_by_graphql": LOOKS,
    "git/git.py:Git.require_minimum_version": LOOKS,
    "operations/publish.py:retarget_endangered": LOOKS,
    "operations/revert.py:_refuse_closing": LOOKS,
    "planning/replay_plan.py:_refuse_without_own": LOOKS,
    "github/client.py:GitHub.merge": AGAIN,
    "github/client.py:GitHub._merged": AGAIN,
    "github/client.py:_edited_meanwhile": AGAIN,
    "state/journal.py:Journal.append": AGAIN,
    "git/notes.py:push": AGAIN,
    "git/push.py:PushCapped.__init__": "because: caught by the push itself, which pushes in parts",
    "git/push.py:_confirmed": AGAIN,
    "git/push.py:_failure": AGAIN,
    "git/push.py:_not_taken": AGAIN,
    "git/local_refs.py:_move_ref": AGAIN,
    "git/refs.py:occupied": "tests/git/test_occupied_names.py::test_a_branch_below_the_name_of_an_entry",
    "git/checkout.py:move": "tests/e2e/test_faults_git.py::test_a_stale_lock_is_named_and_left",
    "config/reading.py:read": "tests/e2e/test_init.py::test_a_new_file_holds_the_merged_parent",
    "config/trust.py:_refusal": "tests/e2e/test_trust.py::test_a_person_confirms",
    "engine.py:_stopped": "tests/e2e/test_pause.py::test_ctrl_c_during_the_gates_is_resumable",
    "gates/actions.py:_Run._artifact_result": REMOTE,
    "gates/actions.py:_Run._dispatched": "tests/e2e/test_ci.py::test_it_is_checked_and_never_overwrites",
    "gates/actions.py:_Run.begin": "tests/e2e/test_ci.py::test_it_is_checked_and_never_overwrites",
    "gates/actions.py:run_gate_jobs": REMOTE,
    "gates/dask_executor.py:_wait": "tests/e2e/test_cluster.py::test_the_scheduler_dies",
    "gates/dask_workers.py:_surveyed": REMOTE,
    "gates/dask_workers.py:call_workers": REMOTE,
    "gates/dask_workers.py:stopped_gates": REMOTE,
    "gates/dask_local.py:_address": LOOKS,
    "gates/dask_replies.py:decoded": REMOTE,
    "tasks/setup.py:_compare": "tests/e2e/test_init.py::test_check_and_update_keep_what_people_wrote",
    "tasks/setup.py:_print_branches": "tests/unit/test_discover.py::"
    "test_a_stack_that_branches_goes_on_through_its_own_entries",
    "tasks/setup.py:_write_tasks": "tests/e2e/test_init.py::test_the_files_of_a_rust_repository",
    "tasks/setup.py:init": "tests/e2e/test_init.py::test_check_and_update_keep_what_people_wrote",
    "tasks/setup.py:trust": "tests/e2e/test_trust.py::test_a_person_confirms",
    "tasks/asking.py:_refuse_unknown": "tests/unit/test_asking.py::test_what_tasks_print_is_as_their_schema_says",
    "tasks/configured.py:section": LOOKS,
    "tasks/configured.py:_wrong": "tests/unit/test_configured.py::test_a_wrong_value_is_named",
    "tasks/recovery.py:conclude": "because: rebase of the entry itself, or of the one above once this one is merged",
    "tasks/simulator.py:rehearse": "tests/e2e/test_rehearse.py::test_the_example_needs_no_checkout",
    "tasks/receipts.py:_print_receipts": "tests/e2e/test_gates_receipts.py::test_receipts_are_listed_and_verified",
    "tasks/receipts.py:checks_task.body": "tests/e2e/test_checks.py::test_a_landing_waits_for_a_persons_word",
    "tasks/inspection.py:_write_page": "tests/e2e/test_report.py::test_markdown_json_and_where_it_is_written",
    "tasks/inspection.py:report_": "tests/unit/test_asking.py::test_a_report_has_one_form",
    "tasks/session.py:_after_interrupt": "tests/e2e/test_pause.py::test_ctrl_c_during_the_gates_is_resumable",
    "tasks/session.py:_next": "tests/unit/test_broken_surroundings.py::test_wrong_usage_leads_to_the_flags",
    "tasks/stack.py:rescue": LOOKS,
    "commands/attest.py:_ask": "tests/git/test_attest_story.py::test_an_independent_signer_attests",
    "commands/attest.py:_failure": "tests/git/test_attest_story.py::test_a_gate_fails",
    "commands/attest.py:local_commit": "tests/git/test_attest_story.py::test_what_was_typed_wrongly",
    "commands/verify.py:policy_of": "tests/git/test_attest_story.py::test_gates_attest_push_verify_in_a_second_clone",
    "commands/verify.py:remote_of": "tests/git/test_attest_story.py::test_what_was_typed_wrongly",
    "operations/attested_push.py:share": AGAIN,
    "operations/attestation.py:key_of": "tests/git/test_attest_story.py::test_what_was_typed_wrongly",
    "tasks/attestation.py:_number": "tests/git/test_attest_story.py::test_what_was_typed_wrongly",
    "tasks/attestation.py:attest": "tests/git/test_attest_story.py::test_a_gate_is_waived",
    "tasks/attestation.py:verify": "tests/git/test_attest_story.py::test_gates_attest_push_verify_in_a_second_clone",
    "commands/abort.py:_unfinished": "tests/git/test_paused_run.py::"
    "test_abort_after_the_push_when_github_is_down_waits_for_it",
    "commands/abort.py:abort": LOOKS,
    "planning/pushed_commits.py:paused": "tests/e2e/test_pushed_meanwhile.py::test_on_the_entry_whose_gates_run",
    "planning/pushed_commits.py:named": "tests/e2e/test_pushed_meanwhile.py::test_on_an_entry_that_comes_later",
    "planning/merge_as_is.py:_landing_up_to": "tests/e2e/test_land_as_is.py::test_never_refuses_to_rewrite",
    "planning/merge_as_is.py:refuse_rewriting": "tests/e2e/test_land_as_is.py::test_never_refuses_to_rewrite",
    "context/view.py:_open": "tests/git/test_next_commands.py::test_a_closed_entry",
    "planning/parents.py:open_below": "tests/e2e/test_rescue.py::test_the_pull_request_is_reopened",
    "planning/run_changes.py:drift": LOOKS,
    "planning/run_changes.py:_require_open": "tests/git/test_taken_over.py"
    "::test_an_undo_of_a_run_whose_pull_request_was_merged_since",
    "commands/diff.py:_gone": "tests/git/test_diff.py::test_reviewed_head_is_not_served",
    "commands/diff.py:since_review": "tests/git/test_diff.py::test_no_review",
    "commands/amend.py:_target": "tests/git/test_amend.py::test_commit_of_another_entry_is_refused",
    "commands/amend.py:nothing_to_do": "tests/git/test_amend.py::test_nothing_staged",
    "commands/amend.py:require_tree": "because: restack is what the entries need, and has its own scenarios",
    "planning/rewrite_plan.py:_refuse_unwritable": "tests/git/test_amend.py::test_branch_behind_its_remote",
    "steps/replay.py:conclude": "tests/git/test_paused_run.py::test_skip_leaves_something_of_an_entry",
    "steps/rewrite.py:_require_as_planned": "tests/git/test_amend.py::test_staged_meanwhile",
    "steps/rewrite.py:run": "because: only a power failure loses the commits; other tests follow abort",
    "tasks/editing.py:_rewrite": "tests/git/test_amend.py::test_the_message_names_the_next_command",
    "planning/together.py:_impossible": "tests/e2e/test_land_together.py::"
    "test_an_entry_that_must_be_rewritten_stops_it",
    "planning/together.py:native_stack": "tests/git/test_together.py::test_a_native_stack_with_others_is_not_merged",
    "steps/together.py:_catch_up": AGAIN,
    "steps/together.py:_merged": AGAIN,
    "steps/together.py:_verified": AGAIN,
    "commands/status.py:_begin_next": "tests/git/test_leading_on.py::test_the_end_of_a_stack",
    "commands/status.py:_unlinked": "tests/e2e/test_status.py::test_native_stacks",
    "tasks/stack.py:sync": "tests/git/test_sync.py::test_the_next_stack_begins",
    "commands/modify.py:_invalid": "tests/git/test_modify.py::test_problems_of_a_plan",
    "commands/modify.py:open_stacked": LOOKS,
    "commands/modify.py:plan": "tests/git/test_modify.py::test_conflict_is_foreseen",
    "operations/pull_request_state.py:set_state": AGAIN,
    "tasks/modifying.py:_several_operations": "tests/git/test_modify.py::test_problems_of_a_plan",
    "tasks/modifying.py:_edited": "tests/git/test_modify.py::test_problems_of_a_plan",
    "tasks/modifying.py:_read": "tests/git/test_modify.py::test_problems_of_a_plan",
    "tasks/modifying.py:_print_next": "tests/git/test_modify.py::test_a_removed_entry_is_closed",
    "commands/ci_workflow.py:check": "tests/e2e/test_ci.py::test_it_is_checked_and_never_overwrites",
    "commands/ci_workflow.py:_require_label": "tests/e2e/test_ci.py::test_it_is_checked_and_never_overwrites",
    "commands/ci_workflow.py:_require_noxfile": "tests/e2e/test_init.py::test_the_files_of_a_rust_repository",
    "commands/init_update.py:update": "tests/git/test_sync.py::test_a_stack_file_that_changes_while_it_is_compared",
    "commands/init_update.py:_update": "tests/git/test_stack_file.py::test_mending_dirties_no_branch_of_a_stack",
    "commands/land.py:entries_of": "tests/git/test_unsubmitted.py::test_land_stops_below_it",
    "commands/absorb.py:nothing_to_do": "tests/git/test_absorb.py::test_printed_and_json",
    "commands/add.py:plan": "tests/git/test_add.py::test_what_was_forgotten",
    "commands/add.py:_elsewhere": "tests/git/test_add.py::test_changes_that_do_not_apply_there",
    "operations/added_entry.py:put_in": "because: only a power failure loses the commit; other tests follow abort",
    "tasks/building.py:submit": LOOKS,
    "tasks/building.py:add": "because: submit is refused where it cannot be done, and has its own scenarios",
    "commands/move.py:target": LOOKS,
    "steps/switch.py:_refuse_switch": "tests/git/test_moving.py::test_uncommitted_work_is_not_carried",
    "commands/submit.py:entries_of": LOOKS,
    "commands/submit.py:_require_on_base": "tests/git/test_submit.py::"
    "test_an_entry_that_does_not_sit_on_the_one_below",
    "context/scope.py:Scope.no_branch": LOOKS,
    "domain/modify_operations.py:_commit_position": LOOKS,
    "domain/modify_operations.py:_position": LOOKS,
    "domain/modify_operations.py:_unfoldable": LOOKS,
    "domain/stack.py:Entry.no_pull_request": "tests/git/test_unsubmitted.py::test_tasks_of_one_entry",
    "domain/status.py:_ready_behind_trunk": "tests/git/test_next_commands.py::"
    "test_status_of_a_ready_entry_behind_trunk",
    "domain/status.py:_unblocking": "tests/git/test_leading_on.py::test_a_diverged_entry_above_an_open_one",
    "domain/status.py:reordered": "tests/unit/test_status.py::test_entries_in_another_order_than_on_github",
    "domain/status.py:_alone": "tests/git/test_unsubmitted.py::test_status_names_submit",
    "operations/stack_file.py:require_own": "tests/git/test_leading_on.py::test_an_addition_to_a_tracked_stack_file",
    "operations/stack_file.py:fill_in": LOOKS,
    "steps/push.py:run_stack": "tests/git/test_unsubmitted.py::test_restack_leaves_what_sits_above_it_to_submit",
    "tasks/stack.py:_land": "tests/git/test_unsubmitted.py::test_land_stops_below_it",
    "commands/export_receipts.py:export_of": "tests/git/test_attest_story.py::test_receipts_are_exported",
    "commands/init.py:_elsewhere": "tests/e2e/test_init.py::test_nothing_open",
    "commands/init.py:_remote": "tests/e2e/test_init.py::test_other_tools_and_several_stacks",
    "commands/init_update.py:refuse_unfinished": "tests/git/test_stack_file.py"
    "::test_the_next_stack_after_one_that_has_landed",
    "tasks/setup.py:_begin_next": "tests/git/test_stack_file.py::test_the_next_stack_after_one_that_has_landed",
    "commands/init.py:refuse_second": "tests/e2e/test_init.py::test_it_never_overwrites",
    "commands/plan.py:_note": "tests/e2e/test_checks.py::test_a_landing_waits_for_a_persons_word",
    "operations/publish.py:require_stacked": "tests/git/test_paused_run.py::"
    "test_a_push_of_several_is_checked_before_it",
    "commands/runner.py:explained": "tests/e2e/test_pause.py::test_abort_after_a_failed_gate_restores_the_branch",
    "commands/local_copy.py:_trunk": "tests/sim/test_local_copy.py::test_what_cannot_be_served",
    "commands/local_copy.py:read_local_stack": "tests/sim/test_local_copy.py::test_what_cannot_be_served",
    "commands/local_copy.py:_clone": "tests/sim/test_local_copy.py::test_what_cannot_be_served",
    "commands/serve.py:_require_empty": "tests/sim/test_local_copy.py::test_what_cannot_be_served",
    "commands/serve.py:serve": "tests/sim/test_local_copy.py::test_what_cannot_be_served",
    "commands/rehearse.py:_faults": "tests/e2e/test_rehearse.py::test_nonsense",
    "commands/rehearse.py:_changes": "tests/e2e/test_rehearse.py::test_the_same_as_the_run_that_follows",
    "steps/rescue.py:_lost_branches": LOOKS,
    "steps/rescue.py:_reopen": "tests/git/test_land_races.py::test_a_closed_one_that_github_does_not_reopen",
    "commands/restack.py:nothing_to_do": "tests/e2e/test_rescue.py::test_the_pull_request_is_reopened",
    "commands/resume.py:find": "tests/git/test_paused_run.py::"
    "test_a_continue_after_it_ends_or_is_refused_with_a_way_on",
    "commands/resume.py:resume": LOOKS,
    "operations/revert.py:restore_note": AGAIN,
    "operations/titles.py:change": AGAIN,
    "steps/checklist.py:_checks": "tests/e2e/test_checks.py::test_a_landing_waits_for_a_persons_word",
    "steps/checklist.py:_gates": "tests/e2e/test_checks.py::test_a_landing_waits_for_a_persons_word",
    "steps/checklist.py:_merged": LOOKS,
    "steps/checks.py:_failure": "tests/e2e/test_checks.py::test_a_landing_waits_for_a_persons_word",
    "steps/checks.py:_tick_command": "tests/e2e/test_checks.py::test_a_landing_waits_for_a_persons_word",
    "steps/checks.py:manual_check": "tests/e2e/test_checks.py::test_a_tick_of_what_cannot_be_ticked",
    "steps/checks.py:plan": "tests/e2e/test_checks.py::test_a_landing_waits_for_a_persons_word",
    "steps/fmt.py:_formatted": "tests/e2e/test_pause.py::test_abort_after_a_failed_gate_restores_the_branch",
    "steps/merge.py:landed": AGAIN,
    "steps/merge.py:wait_for_queue": "tests/e2e/test_land.py::test_leaving_the_merge_queue_stops_it",
    "steps/merge.py:wait_for_queue.observe": AGAIN,
    "steps/next_entry.py:landing": "tests/unit/test_commands.py::"
    "test_the_command_for_the_entry_above_accepts_what_this_one_did",
    "steps/gates.py:run_again": "tests/unit/test_gates_step.py::test_gates_with_one_cause_are_one_failure",
    "steps/merge.py:run": AGAIN,
    "steps/note.py:_checked": AGAIN,
    "steps/note.py:_confirmed": AGAIN,
    "steps/push.py:_refuse_foreign": "tests/git/test_appeared.py::test_the_question_precedes_the_push_of_one_entry",
    "steps/ready.py:_caught_up": AGAIN,
    "steps/resume_replay.py:_skip": "tests/e2e/test_pause.py::test_a_resolution_that_leaves_nothing_stops",
    "steps/resume_replay.py:_with_later_commits": "tests/git/test_paused_run.py::"
    "test_a_deleted_branch_is_named_with_the_command_that_restores_it",
    "steps/unchanged.py:renew": "tests/e2e/test_land_as_is.py::test_the_world_changes_before_the_merge",
    "operations/publish.py:set_base": "tests/git/test_land_races.py::test_somebody_acts",
    "domain/modify_operations.py:_not_onto": "tests/git/test_leading_on.py::test_a_move_onto_another_stack",
    "planning/merged.py:merged_elsewhere": "tests/git/test_landed.py::test_merged_into_a_branch_that_does_not_land",
    "steps/wait.py:_lagging": AGAIN,
    "steps/wait.py:_draft_again": "tests/git/test_land_races.py::test_somebody_acts",
    "steps/wait.py:_stop": "tests/e2e/test_land.py::test_a_red_check_stops_it",
}
"""Place -> the test of its situation, or `because: ` and why the command needs none."""


def test_every_place_that_builds_a_command_has_a_scenario() -> None:
    """Here by `follow`, in the test of its situation, or a reason; nothing is named that is no more."""
    here = {
        node.value for node in ast.walk(ast.parse(Path(__file__).read_text()))
        if isinstance(node, ast.Constant) and isinstance(node.value, str) and node.value in sites()
    }  # fmt: skip
    assert sorted(set(sites()) - here) == []
    assert sorted(set(ELSEWHERE) - set(sites())) == []


@pytest.mark.parametrize("named", sorted({each for each in ELSEWHERE.values() if not each.startswith("because: ")}))
def test_a_test_that_is_named_for_a_place_exists(named: str) -> None:
    """By its file and name."""
    file, _, name = named.partition("::")
    assert re.search(rf"^def {name}\(", (ROOT / file).read_text(), re.MULTILINE)
