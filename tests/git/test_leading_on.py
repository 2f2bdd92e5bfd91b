"""States in which a printed command led nowhere: a dry run agrees with its run, and the last command leads on."""

from __future__ import annotations

import os
import shlex
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from support.inprocess import ENTRIES, desk
from support.typist import Typist, typist
from trunkline.commands import init_update, sync
from trunkline.commands.init import PullRequestStacks
from trunkline.domain.command import argv_of
from trunkline.domain.discover import Discovery
from trunkline.domain.errors import ExternalError, UsageError
from trunkline.domain.names import branch_name
from trunkline.domain.snapshot import PrState
from trunkline.git import notes
from trunkline.github.pull_request_list import PullRequestList


@pytest.fixture
def person(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Iterator[Typist]:
    """Return a person at a desk with a stack of three entries."""
    with desk(monkeypatch) as made:
        yield from typist(made, monkeypatch, capsys, "fmt,gates,checks,note,checklist")


def test_a_fetch_of_a_deleted_branch(person: Typist) -> None:
    """The dry run ends as the run does."""
    person.desk.hub.bare.git("update-ref", "-d", "refs/heads/two")
    dry, wet = person("invoke fetch --pr 2 --dry-run"), person("invoke fetch --pr 2")
    assert (dry.code, dry.error, dry.next) == (wet.code, wet.error, wet.next)
    assert "branch two no longer exists on origin" in dry.error


def test_a_submission_without_its_push(person: Typist, monkeypatch: pytest.MonkeyPatch) -> None:
    """The dry run is refused as the run is; one that publishes nothing is not."""
    person.desk.own_stack(monkeypatch, 3)
    monkeypatch.setenv("TRUNKLINE_SKIP", "push")
    dry, wet = person("invoke submit --dry-run"), person("invoke submit --yes")
    assert (dry.code, dry.error) == (wet.code, wet.error) == (2, wet.error)
    assert person("invoke fetch --pr 1 --dry-run").code == 0


def test_an_entry_above_one_that_waits_for_its_merge(person: Typist) -> None:
    """The rebase of the lower one names the condition; the refusal of the upper one leads to what it waits for."""
    done = person("invoke rebase --pr 1")
    assert done.next == ["invoke rebase --pr 2   # once #1 is merged"]
    shown = person.follow(person(done.next[0]), "planning/merged.py:merged_below", "invoke status")
    assert "#1 one  waits for GitHub" in shown.out


def test_a_rebase_without_gates_needs_no_note(person: Typist, monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing was verified, so there is no note; the checklist counts both as skipped, and the command leads on."""
    monkeypatch.setenv("TRUNKLINE_SKIP", "fmt,gates,checks")
    done = person("invoke rebase --pr 1")
    assert (done.code, "[-] Added reviewer note" in done.out) == (0, True), done
    assert done.next == ["invoke rebase --pr 2   # once #1 is merged"]


def test_a_fetch_in_a_clone_of_one_branch(person: Typist) -> None:
    """`git fetch origin` would fetch that branch only; git sets no upstream to a branch that it does not fetch."""
    clone = person.desk.clone
    clone.git("branch", "--quiet", "-D", "one")
    clone.git("config", "remote.origin.fetch", "+refs/heads/main:refs/remotes/origin/main")
    person.desk.push_commit("one", "one 3", {"one-3.txt": "3\n"})
    shown = person("invoke status")
    assert shown.next == ["git fetch origin '+refs/heads/*:refs/remotes/origin/*'"]
    clone.git(*shlex.split(shown.next[0])[1:])
    after = person("invoke status")
    assert ("needs fetch" in shown.out, "needs fetch" in after.out) == (True, False)
    landed = person("invoke rebase --pr 1")
    assert (landed.code, clone.git("config", "branch.one.merge")) == (0, "refs/heads/one"), landed


def test_comments_of_a_stack_without_threads(person: Typist) -> None:
    """There are none, and nothing fails."""
    assert person("invoke comments").code == 0


def test_the_end_of_a_stack(person: Typist, monkeypatch: pytest.MonkeyPatch) -> None:
    """`status` leads to `sync`, which deletes the local branches; then nothing is left to type."""
    monkeypatch.setattr(sync, "next_stack", lambda *_, **__: None)
    for number in ENTRIES:
        person.desk.merge(number)
    nothing = person("invoke gates --stack --dry-run")
    assert "every entry is merged" in nothing.out
    done = person.follow(person("invoke status"), "domain/status.py:next_command", "invoke sync")
    assert "all of the stack is merged" in done.out
    assert person.desk.tips() == {}
    last = person.follow(done, "tasks/stack.py:sync", "invoke status")
    assert (last.next, "nothing is left to do" in last.out) == ([], True)
    person.desk.clone.git("switch", "--quiet", "--create", "four", "origin/main")
    person.desk.clone.commit("four 1", {"four.txt": "1\n"})
    assert person("invoke status").next == ["invoke init   # four begins the next stack"]


def test_a_branch_that_sync_keeps(person: Typist, monkeypatch: pytest.MonkeyPatch) -> None:
    """`status` does not lead back to a `sync` that would delete nothing."""
    monkeypatch.setattr(sync, "next_stack", lambda *_, **__: None)
    for number in ENTRIES:
        person.desk.merge(number)
    person.desk.clone.git("switch", "--quiet", "three")
    person.desk.clone.commit("more", {"more.txt": "1\n"})
    person.desk.clone.git("switch", "--quiet", "main")
    person.follow(person("invoke status"), "domain/status.py:next_command", "invoke sync")
    assert person("invoke status").next == []
    assert person.desk.tips().keys() == {"three"}


def test_a_branch_whose_pull_request_was_closed_by_hand(person: Typist, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its changes landed, so the stack is done; `sync` keeps the branch, and `status` does not lead back to it."""
    monkeypatch.setattr(sync, "next_stack", lambda *_, **__: None)
    desk = person.desk
    for number in (1, 2):
        desk.merge(number)
    desk.author.git("fetch", "--quiet")
    desk.author.git("switch", "--quiet", "--detach", "origin/main")
    desk.author.git("checkout", "origin/three", "--", ".")
    desk.author.git("commit", "--quiet", "--message", "three, by hand")
    desk.author.git("push", "--quiet", "origin", "HEAD:main")
    desk.hub.pulls[3].state = PrState.CLOSED
    desk.clone.git("fetch", "--quiet")
    person.follow(person("invoke status"), "domain/status.py:next_command", "invoke sync")
    assert desk.tips().keys() == {"three"}
    assert person("invoke status").next == []


def test_gates_of_a_stack_leave_out_merged_entries(person: Typist, monkeypatch: pytest.MonkeyPatch) -> None:
    """Without a response of GitHub they are gated too, and a line reports it."""
    person.desk.merge(1)
    shown = person("invoke gates --stack --dry-run")
    assert ("#1 one" in shown.out, "#2 two" in shown.out) == (False, True)
    monkeypatch.setattr(person.desk.hub, "reading_stack", _fail)
    shown = person("invoke gates --stack --dry-run")
    assert ("#1 one:" in shown.out, "merged entries are gated, too" in shown.out) == (True, True)


def _fail(*_: object, **__: object) -> None:
    raise ExternalError("GitHub is down")


def test_a_gate_to_skip_keeps_other_waivers(person: Typist) -> None:
    """The corrected command accepts both gates."""
    refused = person("invoke rebase --pr 1 --skip fmt,msrv --accept-unavailable doc --dry-run")
    assert refused.next == ["invoke rebase --pr 1 --skip fmt --accept-unavailable doc,msrv --dry-run"]
    assert person(refused.next[0]).code == 0


def test_a_dry_run_of_absorb_names_each_hunk_once(person: Typist) -> None:
    """The plan below the list counts them."""
    person.desk.clone.git("switch", "--quiet", "three")
    (person.desk.clone.path / "one.txt").write_text("changed\n")
    person.desk.clone.git("add", "--update")
    shown = person("invoke absorb --dry-run")
    assert (shown.out.count("one.txt:1"), "take in 1 hunk" in shown.out) == (1, True)


def test_a_title_over_the_limit_of_github(person: Typist, monkeypatch: pytest.MonkeyPatch) -> None:
    """The plan names the shortened title, and the description begins with the whole one."""
    person.desk.own_stack(monkeypatch, 3)
    subject = f"three {'x' * 300}"
    file = person.desk.root / "stack.toml"
    file.write_text(file.read_text().replace('branch = "three"', f'branch = "three"\ntitle = "{subject}"'))
    assert "limit of 256 characters" in " ".join(person("invoke submit --dry-run").out.split())
    assert person("invoke submit --yes").code == 0
    title, body = person.desk.hub.titles[3], person.desk.hub.pulls[3].body
    assert (len(title), title[-1], body.startswith(f"{subject}\n\n")) == (256, "…", True)


def test_a_pull_request_that_was_closed_by_hand(person: Typist) -> None:
    """`land` leads to `rescue`, which opens it again."""
    person.desk.hub.pulls[1].state = PrState.CLOSED
    refused = person("invoke land")
    done = person.follow(refused, "planning/parents.py:open_below", "invoke rescue --pr 1")
    assert person.desk.hub.pulls[1].state is PrState.OPEN
    person.follow(done, "tasks/stack.py:rescue", "invoke status")


def test_a_move_onto_another_stack(person: Typist, monkeypatch: pytest.MonkeyPatch) -> None:
    """The error names that stack, and the command shows the lines of the own one."""
    person.desk.own_stack(monkeypatch)
    file = person.desk.root / "stack.toml"
    head, *entries = file.read_text().split("[[entry]]")
    stacks = (f'[[stack]]\nname = "{n}"\n[[stack.entry]]{each}' for n, each in zip("abc", entries, strict=True))
    file.write_text(head + "".join(stacks))
    refused = person("invoke modify --move 2 --onto one --stack b --dry-run")
    assert "it is an entry of the stack a" in refused.error
    shown = person.follow(refused, "domain/modify_operations.py:_not_onto", "invoke modify --print --stack b")
    assert "two" in shown.out


def test_a_submission_that_was_killed_before_the_upstream(person: Typist, monkeypatch: pytest.MonkeyPatch) -> None:
    """The next one sets it; an upstream that the user chose stays."""
    person.desk.own_stack(monkeypatch, 2, 3)
    clone = person.desk.clone
    clone.git("push", "--quiet", "origin", "two", "three")
    clone.git("branch", "--quiet", "--unset-upstream", "two", check=False)
    clone.git("branch", "--quiet", "--set-upstream-to=main", "three")
    assert person("invoke submit --yes").code == 0
    assert clone.git("rev-parse", "--abbrev-ref", "two@{upstream}") == "origin/two"
    assert clone.git("rev-parse", "--abbrev-ref", "three@{upstream}") == "main"


@pytest.mark.parametrize("kind", ["FIFO", "directory"])
def test_a_journal_that_is_no_file(person: Typist, kind: str) -> None:
    """Nothing waits for it; each task names it, and a command sets it aside."""
    odd = person.desk.state / "runs/20990101T000000.000000-1-abcd/journal.jsonl"
    odd.parent.mkdir(parents=True)
    if kind == "FIFO":
        os.mkfifo(odd)
    else:
        odd.mkdir()
    stopped = person("invoke continue")
    assert (stopped.code, f"it is a {kind}" in stopped.err) == (5, True)
    assert [each.split()[0] for each in stopped.next] == ["ls", "mv"]
    assert [person(f"invoke {task}").code for task in ("status", "log", "undo")] == [0, 0, 0]


def test_notes_behind_a_symbolic_ref(person: Typist, monkeypatch: pytest.MonkeyPatch) -> None:
    """Receipts are not written to the branch behind it; the printed command removes the ref alone."""
    clone = person.desk.clone
    clone.git("symbolic-ref", notes.REF, "refs/heads/one")
    before = person.desk.tips()
    monkeypatch.setenv("TRUNKLINE_SKIP", "")
    refused = person("invoke receipts.push --yes")
    assert (refused.code, person.desk.tips()) == (6, before), refused
    assert f"{notes.REF} is a symbolic ref to refs/heads/one" in refused.error
    clone.git(*refused.next[0].split()[1:])
    assert (person.desk.tips(), Path(clone.path / ".git" / notes.REF).exists()) == (before, False)


@pytest.mark.parametrize("task", ["gates", "checks", "fmt"])
def test_a_step_of_an_entry_without_any_branch(person: Typist, task: str) -> None:
    """The step is refused before a run begins, and so is its dry run."""
    person.desk.hub.bare.git("update-ref", "-d", "refs/heads/two")
    person.desk.clone.git("branch", "--quiet", "-D", "two")
    person.desk.clone.git("fetch", "--quiet", "--prune")
    dry, wet = person(f"invoke {task} --pr 2 --dry-run"), person(f"invoke {task} --pr 2")
    assert (dry.code, dry.error, dry.next) == (wet.code, wet.error, wet.next) == (5, wet.error, wet.next)
    assert "there is no branch two, neither local nor on origin" in wet.error
    assert "no run yet" in person("invoke log").out


def test_gates_of_an_entry_without_a_pull_request(person: Typist, monkeypatch: pytest.MonkeyPatch) -> None:
    """They need its commit only."""
    person.desk.own_stack(monkeypatch, 3)
    assert person("invoke gates --pr three --dry-run").code == 0


def test_a_push_that_was_refused(person: Typist) -> None:
    """The push changed nothing, and `continue` would be refused, too: `status` shows the entry, and no open run."""
    person.desk.push_commit("one", "theirs", {"theirs.txt": "1\n"})
    person.desk.clone.git("switch", "--quiet", "one")
    person.desk.clone.commit("mine", {"mine.txt": "1\n"})
    assert person("invoke push --pr 1 --yes").code == 5
    assert person("invoke status").next == ["invoke rebase --pr 1 --dry-run"]
    assert "push of #1 one: failed" in person("invoke log").out
    assert "no run is open" in person("invoke abort").out


def test_names_of_gates_after_the_task(person: Typist) -> None:
    """The task runs all of them; the error has the command for some, and the printed one can be typed."""
    refused = person("invoke gates build test --pr 1")
    assert (refused.code, refused.next) == (2, ["invoke gates --pr 1"])
    assert "nox -s 'gates(build)' 'gates(test)'" in refused.err
    assert person("invoke gates --pr 1 --dry-run").code == 0


@pytest.mark.parametrize(
    ("typed", "printed"),
    [
        ("statsu --jsn", ["invoke status --json"]),
        ("land --jsn --yess", ["invoke land --json --yes"]),
        ("rebase 1 2", ["invoke --help rebase", "invoke --list"]),
    ],
)
def test_several_mistakes_in_one_command(person: Typist, typed: str, printed: list[str]) -> None:
    """All are corrected; a command that could not be parsed is not printed."""
    refused = person(f"invoke {typed}")
    assert (refused.code, refused.next) == (2, printed)


def test_a_trunk_that_the_remote_lacks(person: Typist, monkeypatch: pytest.MonkeyPatch) -> None:
    """`status`, `restack` and `init --check` are refused with the same error."""
    person.desk.own_stack(monkeypatch)
    file = person.desk.root / "stack.toml"
    file.write_text(file.read_text().replace('"main"', '"nope"'))
    shown, moved = person("invoke status"), person("invoke restack")
    assert (
        (shown.code, shown.error, shown.next) == (moved.code, moved.error, moved.next) == (2, moved.error, moved.next)
    )
    assert "origin has no branch nope" in shown.error
    assert shown.next == ['${EDITOR:-vi} stack.toml   # trunk = "main" is the default branch of origin']
    listing = PullRequestList("main", (), ())
    git = person.desk.stack_context().git
    scan = PullRequestStacks(git, "origin", branch_name("main"), (), Discovery((), {}), listing, ())
    with pytest.raises(UsageError, match="origin has no branch nope"):
        init_update.check(scan)


def test_an_addition_to_a_tracked_stack_file(person: Typist, monkeypatch: pytest.MonkeyPatch) -> None:
    """The printed command copies the file and adds the entry; a second one keeps the copy."""
    clone = person.desk.clone
    clone.git("switch", "--quiet", "three")
    (clone.path / "new.txt").write_text("1\n")
    clone.git("add", "new.txt")
    refused = person("invoke add four --message 'a b'")
    copying, _, adding = refused.next[0].partition(" && ")
    assert argv_of(refused.next[0])[:2] == ("sh", "-c")
    subprocess.run(["sh", "-c", copying], check=True, cwd=clone.path)
    again = person("invoke add four --message 'a b'")
    assert again.next == [adding]
    setting, typed = adding.split(" ", 1)
    monkeypatch.setenv(*setting.split("=", 1))
    assert person(typed).code == 0
    assert clone.git("log", "-1", "--format=%s", "four") == "a b"


def test_a_branch_without_a_commit(person: Typist, monkeypatch: pytest.MonkeyPatch) -> None:
    """`status` of a merged stack does not need a commit that is checked out."""
    monkeypatch.setattr(sync, "next_stack", lambda *_, **__: None)
    for number in ENTRIES:
        person.desk.merge(number)
    person.desk.clone.git("switch", "--quiet", "--orphan", "unborn")
    person.follow(person("invoke status"), "domain/status.py:next_command", "invoke sync")
    assert person("invoke status").code == 0


def test_an_entry_in_a_linked_work_tree(person: Typist, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its merged branch is left for trunk without the branch that the main work tree has."""
    tree = person.desk.root / "linked"
    person.desk.clone.git("worktree", "add", "--quiet", str(tree), "two")
    for number in ENTRIES:
        person.desk.merge(number)
    monkeypatch.chdir(tree)
    (leaving,) = person("invoke status").next
    assert leaving == "git switch --detach origin/main   # all is merged"
    subprocess.run(argv_of(leaving), check=True, cwd=tree)
    assert person("invoke status").next[0].startswith("invoke sync")


def test_a_diverged_entry_above_an_open_one(person: Typist) -> None:
    """`rebase` would be refused because of the entry below: `restack` prints the command that mends it."""
    clone = person.desk.clone
    person.desk.push_commit("two", "theirs", {"theirs.txt": "1\n"})
    clone.git("switch", "--quiet", "two")
    clone.commit("mine", {"mine.txt": "1\n"})
    clone.git("fetch", "--quiet")
    refused = person.follow(
        person("invoke status"), "domain/status.py:_unblocking", "invoke restack --dry-run", code=5
    )
    clone.git(*argv_of(refused.next[0])[1:])
    assert person("invoke restack --dry-run").code == 0


@pytest.mark.parametrize("lock", ["index.lock", "refs/heads/two.lock"])
def test_a_lock_that_git_left(person: Typist, lock: str) -> None:
    """The second command removes it, and the first one finishes the run."""
    clone = person.desk.clone
    clone.git("switch", "--quiet", "two")
    person.desk.trunk_commits("trunk moves", {"trunk.txt": "1\n"})
    (clone.path / ".git" / lock).touch()
    refused = person("invoke restack --yes")
    assert (refused.code, refused.next[0]) == (5, "invoke continue --yes")
    removing = argv_of(refused.next[1])
    assert removing == ("rm", str(clone.path / ".git" / lock))
    Path(removing[1]).unlink()
    assert person(refused.next[0]).code == 0


def test_a_step_of_the_last_merged_entry(person: Typist) -> None:
    """No entry is above it: `status` has the next command."""
    for number in ENTRIES:
        person.desk.merge(number)
    refused = person("invoke push --pr 3 --yes")
    assert refused.code == 5
    person.follow(refused, "context/view.py:already_merged", "invoke status")


@pytest.mark.parametrize("typed", ["restack", "rebase --pr 1", "land --up-to 1"])
def test_a_dry_run_names_its_run(person: Typist, typed: str) -> None:
    """The last line is the same command without the flag."""
    shown = person(f"invoke {typed} --dry-run")
    assert (shown.code, len(shown.next), shown.out.splitlines()[-1]) == (0, 1, f"next: {shown.next[0]}")
    repeated = set(argv_of(shown.next[0]))
    assert {"invoke", *typed.split()} <= repeated
    assert "--dry-run" not in repeated
