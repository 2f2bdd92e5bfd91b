"""`submit`: push, create and update the pull requests of a stack; never a second one for a branch."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from support.inprocess import STACK, Desk, Hub, Pull, desk, kill_at, refusal
from trunkline.commands import restack, status, submit
from trunkline.domain.errors import UsageError
from trunkline.domain.names import pr_number
from trunkline.domain.snapshot import PrState
from trunkline.domain.step import PUBLISHING
from trunkline.domain.submission import SubmitOptions, Words, edited
from trunkline.engine import RunResult
from trunkline.github.decoding import decode
from trunkline.planning import heads
from trunkline.state.journal import Journal
from trunkline.steps import push


class Killed(BaseException):
    """The process is killed here."""


@pytest.fixture
def new(monkeypatch: pytest.MonkeyPatch) -> Iterator[Desk]:
    """Yield a stack of three entries without pull requests; nothing was pushed."""
    with desk(monkeypatch) as found:
        found.own_stack(monkeypatch, 1, 2, 3)
        yield found


@pytest.fixture
def half(monkeypatch: pytest.MonkeyPatch) -> Iterator[Desk]:
    """Yield a stack whose middle entry has no pull request; #3 targets trunk."""
    with desk(monkeypatch) as found:
        found.own_stack(monkeypatch, 2)
        yield found


def _submit(stack: Desk, **options: Any) -> RunResult:
    context = stack.stack_context(submit=SubmitOptions(**options))
    return submit.run(context)


def _file(stack: Desk) -> str:
    return (stack.root / "stack.toml").read_text()


def _bases(stack: Desk) -> dict[str, str]:
    return {pull.head: pull.base for pull in stack.hub.pulls.values()}


def test_a_new_stack(new: Desk) -> None:
    """Branches are pushed, drafts created bottom-up on the right bases, numbers filled in; then nothing is left."""
    tips = new.tips()
    done = _submit(new)
    assert done.error is None
    assert new.remote_tips() == tips
    assert _bases(new) == {"one": "main", "two": "one", "three": "two"}
    assert all(pull.draft for pull in new.hub.pulls.values())
    assert _file(new) == STACK
    assert new.hub.titles == {1: "one 1", 2: "two 1", 3: "three 1"}
    assert new.hub.pulls[2].body == "- two 1\n- two 2\n"
    assert new.clone.git("rev-parse", "--abbrev-ref", "two@{upstream}") == "origin/two"
    assert submit.nothing_to_do(submit.forecast(new.stack_context()).plan) is not None
    found = submit.pull_requests(new.stack_context().view(), RunResult({}))
    assert [each.number for each in found] == [1, 2, 3]


def test_up_to_an_entry(new: Desk) -> None:
    """Only the entries up to a given one are submitted."""
    context = new.stack_context()
    assert submit.run(context, up_to=context.stack.entries[0].key).error is None
    assert _bases(new) == {"one": "main"}
    assert set(new.remote_tips()) == {"one"}


def test_an_entry_in_the_middle(half: Desk) -> None:
    """The entry gets its pull request, and the one above targets it."""
    assert _submit(half, draft=False).error is None
    assert _bases(half) == {"one": "main", "three": "two", "two": "one"}
    number = next(pull.number for pull in half.hub.pulls.values() if pull.head == "two")
    assert f'pr = {number}\nbranch = "two"' in _file(half)
    assert not half.hub.pulls[number].draft


def test_what_moved_is_pushed(new: Desk) -> None:
    """After a restack, `submit` pushes the branches again, under their leases."""
    _submit(new)
    new.trunk_commits("trunk moves", {"t.txt": "t\n"})
    assert restack.run(new.stack_context(skip=PUBLISHING)).error is None
    assert new.remote_tips() != new.tips()
    assert _submit(new).error is None
    assert new.remote_tips() == new.tips()


def test_labels_and_people(new: Desk) -> None:
    """Labels, people and a team go to the new pull requests only; stack.toml's defaults are added to."""
    path = new.root / "stack.toml"
    path.write_text(path.read_text().replace("\n[[entry]]", '\n[submit]\nlabels = ["stack"]\n\n[[entry]]', 1))
    assert _submit(new, labels=("x",), reviewers=("ada", "octo/core"), assignees=("me",)).error is None
    assert new.hub.added[:3] == [
        ("issues/1/labels", {"labels": ["stack", "x"]}),
        ("issues/1/assignees", {"assignees": ["me"]}),
        ("pulls/1/requested_reviewers", {"reviewers": ["ada"], "team_reviewers": ["core"]}),
    ]


def test_an_open_pull_request_of_the_branch_is_taken_over(new: Desk) -> None:
    """A pull request that was made by hand, with another base, gets its number filled in and its base set."""
    new.clone.git("push", "--quiet", str(new.root / "bare"), "one", "two")
    new.hub.pulls[7] = Pull(pr_number("7"), "two", "main")
    done = _submit(new)
    assert done.error is None
    assert _bases(new) == {"one": "main", "two": "one", "three": "two"}
    assert len(new.hub.pulls) == 3
    assert 'pr = 7\nbranch = "two"' in _file(new)


def test_a_branch_that_appeared_on_the_remote_is_not_overwritten(new: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    """A new branch must not exist: another person's branch of that name stays, and nothing is pushed."""
    context = new.stack_context()
    planned = push.updates_of(context.view(), context.stack.entries)
    theirs = new.hub.tip("main")
    new.hub.bare.git("update-ref", "refs/heads/two", theirs)
    monkeypatch.setattr(push, "updates_of", lambda *_: planned)
    refused = refusal(lambda: submit.run(context))
    assert "two" in refused.what
    assert new.hub.tip("two") == theirs
    assert not new.hub.tip("one")
    assert not new.hub.pulls


def test_an_entry_that_does_not_sit_on_the_one_below(new: Desk) -> None:
    """A pull request would show foreign commits: refused, with the command that moves it."""
    new.clone.git("switch", "--quiet", "two")
    new.clone.commit("more", {"more.txt": "m\n"})
    refused = refusal(lambda: _submit(new))
    assert refused.what == "three does not sit on two"
    assert refused.next_commands == ("invoke restack",)
    assert not new.remote_tips()


def test_a_tracked_stack_file_is_left_alone(new: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    """Numbers would be an uncommitted change of a branch: refused, with a command that works."""
    monkeypatch.delenv("TRUNKLINE_STACK_FILE")
    path = new.clone.path / "stack.toml"
    path.write_text(path.read_text().replace("pr = 1\n", ""))
    new.hub.pulls = {
        number: Pull(pr_number(str(number)), name, "main") for number, name in ((2, "two"), (3, "three"))
    }
    refused = refusal(lambda: submit.plan(new.stack_context()))
    assert "is part of origin/main" in refused.what
    assert "export TRUNKLINE_STACK_FILE=" in refused.why


@pytest.mark.parametrize("again", ["continue", "submit"])
@pytest.mark.parametrize("number", range(3, 16, 3))
def test_killed_after_each_record(new: Desk, monkeypatch: pytest.MonkeyPatch, number: int, again: str) -> None:
    """After a kill, `continue` or another `submit` finishes: one pull request for each branch."""
    with monkeypatch.context() as patch:
        _kill_after(patch, number)
        with pytest.raises(Killed):
            _submit(new)
    _finish(new, again)


@pytest.mark.parametrize("again", ["continue", "submit"])
def test_killed_after_the_request(new: Desk, monkeypatch: pytest.MonkeyPatch, again: str) -> None:
    """GitHub has the second pull request, and the process died before it knew: it is found again."""
    _killed_after_the_second(new, monkeypatch)
    new.hub.pulls[2].base = "main"  # GitHub itself refuses a second one only with the same base
    _finish(new, again)


def test_abort_names_pull_requests_that_it_leaves(new: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    """The second one, whose number was never recorded, with the command that closes it; its branch and base stay."""
    _killed_after_the_second(new, monkeypatch)
    outcome = new.abort()
    assert outcome is not None
    assert [line.partition(": ")[0] for line in outcome.details if "stays open" in line] == ["#2 two"]
    assert (new.hub.pulls[1].state, list(new.remote_tips())) == (PrState.CLOSED, ["one", "two"])
    assert any(line.endswith("gh pr close 2") for line in outcome.details)
    assert new.open_run() is None
    assert _submit(new).error is None  # it takes over what was left
    assert _open(new) == {2: "two", 3: "one", 4: "three"}
    assert _bases(new)["two"] == "one"
    assert new.remote_tips() == new.tips()


def _killed_after_the_second(new: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    sent = Hub.change

    def dies(hub: Hub, *arguments: Any, **named: Any) -> Any:
        answer = sent(hub, *arguments, **named)
        if len(hub.pulls) == 2:
            raise Killed
        return answer

    with monkeypatch.context() as patch:
        patch.setattr(Hub, "change", dies)
        with pytest.raises(Killed):
            _submit(new)
    assert "pr = 2\n" not in _file(new)


def _finish(stack: Desk, again: str) -> None:
    done = stack.resume() if again == "continue" else None
    done = _submit(stack) if done is None else done
    assert done.error is None
    assert _bases(stack) == {"one": "main", "two": "one", "three": "two"}
    assert len(stack.hub.pulls) == 3
    assert _file(stack) == STACK
    assert stack.remote_tips() == stack.tips()


def _kill_after(patch: pytest.MonkeyPatch, number: int) -> None:
    append, count = Journal.append, iter(range(1000))

    def dies(self: Journal, *arguments: Any) -> None:
        append(self, *arguments)
        if next(count) == number:
            raise Killed

    patch.setattr(Journal, "append", dies)


def test_the_words_of_a_pull_request() -> None:
    """The first line is the title; an empty title means no pull request."""
    assert edited("Title\n\nBody\n\nmore\n") == Words("Title", "Body\n\nmore\n")
    assert edited("Title\r\n") == Words("Title", "")
    assert edited("\n \n") is None
    assert Words("T", "").as_text == "T\n"


def test_an_unknown_milestone_is_named(new: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    """The pull request is there and numbered; the error names the milestones, and `continue` goes on."""

    def milestones(_hub: Hub, _path: str, kind: type[Any]) -> Any:
        return decode([{"title": "v1", "number": 3}], kind)

    monkeypatch.setattr(Hub, "rest", milestones, raising=False)
    refused = refusal(lambda: _submit(new, milestone="v2"))
    assert isinstance(refused, UsageError)
    assert "no open milestone 'v2'" in refused.what
    assert "pr = 1\n" in _file(new)


def test_an_inline_array_is_refused_before_anything_is_pushed(new: Desk) -> None:
    """The numbers could not be filled in: no pull request is made that stack.toml would not know."""
    (new.root / "stack.toml").write_text(
        'schema = 1\ntrunk = "main"\nremote = "origin"\nentry = [{branch = "one"}, {branch = "two"}]\n'
    )
    error = refusal(lambda: _submit(new))
    assert "inline array" in error.what
    assert (new.hub.pulls, new.remote_tips()) == ({}, {})


def test_a_link_to_the_stack_file_stays_a_link(new: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    """The numbers are filled into the file that it names."""
    link = new.root / "link.toml"
    link.symlink_to("stack.toml")
    monkeypatch.setenv("TRUNKLINE_STACK_FILE", str(link))
    assert _submit(new).error is None
    assert link.is_symlink()
    assert _file(new) == STACK


def _open(stack: Desk) -> dict[int, str]:
    return {number: pull.head for number, pull in stack.hub.pulls.items() if pull.state is PrState.OPEN}


@pytest.mark.parametrize("existing", ["", "two"])
def test_undo_and_redo(new: Desk, existing: str) -> None:
    """Undo closes what was created and deletes the new branches, not one that was there; redo opens all again."""
    if existing:
        new.hub.bare.git("update-ref", f"refs/heads/{existing}", "refs/heads/main")
        new.clone.git("fetch", "--quiet")
    before, text, tips = new.remote_tips(), _file(new), new.tips()
    assert _submit(new).error is None
    for _ in range(2):
        undone = new.undo()
        assert undone is not None
        assert undone.error is None
        assert (_open(new), new.remote_tips(), _file(new)) == ({}, before, text)
        assert new.tips() == tips
        redone = new.undo()
        assert redone is not None
        assert redone.error is None
        assert (_open(new), new.remote_tips(), _file(new)) == ({1: "one", 2: "two", 3: "three"}, tips, STACK)


def test_undo_keeps_a_branch_that_a_pull_request_needs(new: Desk) -> None:
    """Somebody's pull request is based on the top branch by now: GitHub would close it with the branch."""
    assert _submit(new).error is None
    new.hub.pulls[4] = Pull(pr_number("4"), "main", "three")
    undone = new.undo()
    assert undone is not None
    assert undone.error is None
    assert "deleted three origin/three stays: #4 would be closed with it" in new.quiet.lines
    assert list(new.remote_tips()) == ["three"]


def test_undo_refuses_a_branch_that_somebody_pushed_to(new: Desk) -> None:
    """No pull request is closed, and no branch is deleted."""
    assert _submit(new).error is None
    new.push_commit("three", "theirs", {"theirs.txt": "t\n"})
    tips = new.remote_tips()
    error = refusal(new.undo)
    assert error.what == "three moved since"
    assert (len(_open(new)), new.remote_tips()) == (3, tips)


def test_a_pull_request_that_was_taken_over_stays(new: Desk) -> None:
    """The run only found it: undo takes its number out of stack.toml, and leaves its commits and its state."""
    new.clone.git("push", "--quiet", str(new.hub.bare.path), "one~1:refs/heads/one")
    new.hub.pulls[1] = Pull(pr_number("1"), "one", "main")
    new.clone.git("fetch", "--quiet")
    assert _submit(new).error is None
    undone = new.undo()
    assert undone is not None
    assert undone.error is None
    assert (_open(new), list(new.remote_tips())) == ({1: "one"}, ["one"])
    assert new.remote_tips()["one"] == new.tips()["one"]


@pytest.mark.parametrize("number", [3, 6, 9, 12, 15])
def test_killed_in_its_undo(new: Desk, monkeypatch: pytest.MonkeyPatch, number: int) -> None:
    """`continue` finishes an undo that was killed between any two records."""
    text = _file(new)
    assert _submit(new).error is None
    assert kill_at(monkeypatch, number, new.undo)
    resumed = new.resume()
    assert resumed is not None
    assert resumed.error is None
    assert (_open(new), new.remote_tips(), _file(new)) == ({}, {}, text)


@pytest.mark.parametrize(
    ("old", "edited", "kept"),
    [
        ('branch = "three"\n', 'branch = "three"\ntitle = "Third"\n', True),
        ("pr = 3\n", "pr = 33\n", False),
    ],
)
def test_undo_keeps_what_was_edited_in_the_stack_file(new: Desk, old: str, edited: str, *, kept: bool) -> None:
    """Other lines stay as they were edited; lines that the run wrote are not overwritten, and nothing is undone."""
    path, text = new.root / "stack.toml", _file(new)
    assert _submit(new).error is None
    path.write_text(_file(new).replace(old, edited))
    if not kept:
        assert "was edited since, in lines that the run wrote" in refusal(new.undo).why
        assert len(_open(new)) == 3
        return
    undone = new.undo()
    assert undone is not None
    assert undone.error is None
    assert (_open(new), _file(new)) == ({}, text.replace(old, edited))
    redone = new.undo()
    assert redone is not None
    assert redone.error is None
    assert _file(new) == STACK.replace(old, edited)


def test_a_branch_that_was_moved_back_by_hand_is_behind(half: Desk) -> None:
    """As for a restack, the longer branch counts: a reset may be a mistake. The command that shortens is printed."""
    tip = half.hub.tip("three")
    half.clone.git("branch", "--force", "three", "three~1")
    why = "your branch is 1 commit behind the remote's: it was moved back by hand"
    assert (
        f"{why}, and a restack moves it forward again"
        in status.observe(half.stack_context(), offline=False).entries[2].standing.why
    )
    assert heads.entry_tip(half.entry_context(3).view()).oid == tip
    step = submit.forecast(half.stack_context()).plan.steps[0]
    assert "three" not in " ".join((*step.commands, *step.publishes))
    assert _submit(half).error is None
    line = next(line for line in half.quiet.lines if "stays" in line)
    command = f"git push --force-with-lease=refs/heads/three:{tip} origin three"
    assert line == f'origin/three stays 1 commit ahead of yours: {tip[:7]} "three 2"; to take it off: {command}'
    assert step.description.endswith(line)
    assert half.hub.tip("three") == half.clone.head("origin/three") == tip
    assert push.plan(half.entry_context(3).view()).description == f"nothing: {line}"
    half.clone.git(*command.split()[1:])
    assert half.hub.tip("three") == half.clone.head("three")
    assert not push.updates_of(half.stack_context().view(), half.stack_context().stack.entries)
