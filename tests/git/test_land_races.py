"""`land` while others act: something happens before one of its requests, whichever it is."""

from __future__ import annotations

import contextlib
import functools
import re
from collections.abc import Callable
from dataclasses import dataclass, field

import pytest

from support.racing import ENTRIES, THEIRS, Race, Ran, race
from trunkline.domain.errors import UsageError
from trunkline.sim import actions
from trunkline.sim.model import PullState
from trunkline.sim.refused import GitHubRefusal

CODES = frozenset({0, 1, 3, 5, 6})
LONGEST = 1500.0
"""Simulated seconds: `[land] wait` is 600."""
STEPS = 10
"""The longest chain of printed commands that a user follows."""
_BEFORE = 2
"""The requests up to which a landing has observed nothing."""


@dataclass(frozen=True)
class Mode:
    """A way to land: the flags of `land`, its settings, and the state of GitHub before."""

    flags: str = ""
    land: str = ""
    prepare: Callable[[Race], object] = lambda _: None


def _linear(stack: Race) -> None:
    """Rebase the entries onto trunk's tip, and link them as a native stack."""
    ran = stack("invoke restack")
    assert ran.code == 0, ran.out
    for number, branch in ENTRIES.items():
        stack.lever("add_check_run", commit=stack.bare.head(branch), name="build")
        stack.lever("review", number=number, author="grace")
    stack.lever("stack_natively", numbers=list(ENTRIES))
    (stack.clone.path / ".git/trunkline/native-stacks.json").unlink(missing_ok=True)


MODES = {
    "auto": Mode(),
    "always": Mode(land='rewrite = "always"'),
    "together": Mode("--together"),
    "native": Mode("--together", prepare=_linear),
    "queue": Mode(prepare=lambda stack: stack.lever("protect", branch="main", name="queue", queue=True)),
}


def _withdraw(stack: Race, number: int) -> None:
    stack.lever("review", number=number, author="grace", state="CHANGES_REQUESTED")


def _demand(stack: Race, _number: int) -> None:
    rule = stack.repository.rules.get("main")
    stack.lever("protect", branch="main", name="fresh", up_to_date=True, queue=bool(rule and rule.queue))


def _retarget(stack: Race, number: int) -> None:
    base = "two" if stack.pull(number).base == "main" else "main"
    stack.act(number, actions.edit, base=base)


def _delete(stack: Race, number: int) -> None:
    actions.delete_branch(stack.world, stack.repository, "mallory", ENTRIES[number])
    stack.world.save()


ACTIONS: dict[str, Callable[[Race, int], object]] = {
    "merged": lambda stack, number: stack.lever("merge", number=number, actor="mallory"),
    "merged and deleted": lambda stack, number: stack.lever(
        "merge", number=number, actor="mallory", delete_branch="web"
    ),
    "closed": lambda stack, number: stack.act(number, actions.close),
    "pushed": lambda stack, number: stack.push(ENTRIES[number]),
    "force-pushed": lambda stack, number: stack.push(ENTRIES[number], amend=True),
    "retargeted": _retarget,
    "deleted": _delete,
    "trunk pushed": lambda stack, _number: stack.push("main", "trunk.txt"),
    "a draft": lambda stack, number: stack.act(number, actions.set_draft, draft=True),
    "demanded": _demand,
    "withdrawn": _withdraw,
}


@dataclass
class Story:
    """The commands of a trial and their results.

    Attributes:
        ran: the commands, in order.
        complaints: what must not be.
    """

    stack: Race
    action: str
    number: int
    at: int | str
    ran: list[Ran] = field(default_factory=list)
    complaints: list[str] = field(default_factory=list)
    acted: bool = False

    def act(self, request: int) -> None:
        """Do the action before its request."""
        name = self.stack.requests[request]
        if self.acted or not (request == self.at or (isinstance(self.at, str) and name.endswith(self.at))):
            return
        self.stack.pull(self.number)  # pushes so far are processed first
        with contextlib.suppress(GitHubRefusal, UsageError, AssertionError):
            ACTIONS[self.action](self.stack, self.number)
            self.acted = True

    def type(self, line: str) -> Ran:
        """Run a command; its exit code is an expected one, and it does not wait for ever."""
        before, asked = self.stack.slept, len(self.stack.requests)
        ran = self.stack(line)
        self.ran.append(ran)
        if ran.code not in CODES or "Traceback" in ran.out:
            self.complaints.append(f"{line} ended with {ran.code}")
        if self.stack.slept - before > LONGEST:
            self.complaints.append(f"{line} slept {self.stack.slept - before:g} s, {asked} requests")
        return ran

    def cure(self) -> None:
        """Do the part of a person that no command of ours does."""
        if self.action == "closed":
            with contextlib.suppress(GitHubRefusal):
                self.stack.act(self.number, actions.reopen)
        if self.action == "withdrawn" and self.stack.pull(self.number).state is PullState.OPEN:
            self.stack.lever("review", number=self.number, author="grace")

    def by_hand(self, word: str, number: str) -> None:
        """Do what a printed command of gh does."""
        with contextlib.suppress(GitHubRefusal):
            if word == "reopen":
                self.stack.act(int(number), actions.reopen)
            else:
                self.stack.act(int(number), actions.set_draft, draft=False)

    def follow(self) -> None:
        """Type what is printed next until a command succeeds."""
        tried: set[tuple[str, str]] = set()
        for _ in range(STEPS):
            last = self.ran[-1]
            if last.code == 0 and last.line.startswith(("invoke land", "invoke continue")):
                return
            for typed in re.findall(r"^next: gh pr (reopen|ready) (\d)", last.out, re.MULTILINE):
                self.by_hand(*typed)
            chosen = next((each for each in last.next if (each, last.error) not in tried), "")
            if last.code == 0 or (not chosen and "gh pr" in last.error):
                chosen = "invoke land"
                tried.clear()
            if not chosen:
                self.complaints.append(f"no command makes progress after {last.line}")
                return
            tried.add((chosen, last.error))
            self.type(chosen)
        self.complaints.append("the printed commands do not come to an end")

    def text(self) -> str:
        """Return everything."""
        shown = [f"== {ran.line} -> {ran.code}\n{ran.out}" for ran in self.ran]
        return "\n".join((*self.complaints, *shown, str(self.stack.states()), str(self.stack.trunk())))


def play(stack: Race, mode: Mode, action: str, number: int, at: int | str) -> Story:
    """Land while somebody acts on a pull request; then follow what is printed; land again.

    Args:
        stack: the stack.
        mode: how it lands.
        action: what somebody does.
        number: the pull request.
        at: the number of the request before which that happens; or the first request that ends so.
    """
    mode.prepare(stack)
    stack.requests.clear()
    stack.late = isinstance(at, int) and at % 2 == 1
    story = Story(stack, action, number, at)
    stack.before = story.act
    ran = story.type(f"invoke land {mode.flags}".strip())
    stack.before = lambda _: None
    unseen = action in {"pushed", "force-pushed"} and at not in range(_BEFORE)
    if unseen and THEIRS in stack.on_trunk():
        story.complaints.append("what others pushed is on trunk, and nobody asked for it")
    if story.acted and ran.code:
        story.cure()
    story.follow()
    finish(story)
    return story


def finish(story: Story) -> None:
    """Land again, and check the result: all entries are merged, each once."""
    stack = story.stack
    for number in ENTRIES:
        if not story.complaints and stack.pull(number).state is PullState.CLOSED:
            story.type(f"invoke rescue --pr {number}")
            story.follow()
    if not story.complaints:
        again = story.type("invoke land")
        if again.code:
            story.complaints.append(f"landed, and again: exit {again.code}")
        if stack.states() != ["MERGED"] * 3:
            story.complaints.append(f"in the end: {stack.states()}")
    if any("was not merged into main" in ran.out for ran in story.ran):
        return  # GitHub pins the head of a merge, not its base: it is said, with the way out
    trunk = stack.trunk()
    for pr in ENTRIES:
        if sum(f"(#{pr})" in subject for subject in trunk) > 1:
            story.complaints.append(f"#{pr} is on trunk twice")
    missing = {f"{branch}-{number}.txt" for branch in ENTRIES.values() for number in (1, 2)} - set(stack.on_trunk())
    if missing and not story.complaints and story.action != "force-pushed":
        story.complaints.append(f"not on trunk: {sorted(missing)}")


@functools.cache
def count(mode: str, *, records: bool = False) -> int:
    """Return how many requests an undisturbed landing sends, or how many records it writes."""
    with pytest.MonkeyPatch.context() as patch, race(patch, land=MODES[mode].land) as stack:
        story = play(stack, MODES[mode], "closed", 1, -1)
        assert not story.complaints, story.text()
        return stack.records if records else len(stack.requests)


@pytest.mark.parametrize(
    ("mode", "action", "number", "at"),
    [
        # Into the branch of the entry below, which then holds it.
        ("auto", "merged", 2, 5),
        # Between the responses of the remote and of GitHub.
        ("auto", "merged and deleted", 1, 1),
        ("auto", "closed", 2, "PATCH /repos/octo/tiny/pulls/2"),
        ("auto", "pushed", 1, "git push"),
        # Its base stays the branch of the merged one, into which it would be merged.
        ("together", "merged", 1, 3),
        # Its base cannot change in a native stack whose other entries are merged: it is linked again.
        ("native", "deleted", 2, 20),
        ("together", "a draft", 3, "PUT /repos/octo/tiny/pulls/1/merge-async"),
        ("together", "retargeted", 3, "PUT /repos/octo/tiny/pulls/3/merge-async"),
    ],
)
def test_somebody_acts(monkeypatch: pytest.MonkeyPatch, mode: str, action: str, number: int, at: int | str) -> None:
    """The change is included, or causes a question; the printed commands lead to the end; no second merge."""
    with race(monkeypatch, land=MODES[mode].land) as stack:
        story = play(stack, MODES[mode], action, number, at)
        assert story.acted
        assert not story.complaints, story.text()


@pytest.mark.soak
@pytest.mark.parametrize("action", ACTIONS)
@pytest.mark.parametrize("mode", MODES)
def test_somebody_acts_at_any_time(mode: str, action: str) -> None:
    """The same before each request, of the pull requests in turn."""
    found = []
    for at in range(count(mode)):
        with pytest.MonkeyPatch.context() as patch, race(patch, land=MODES[mode].land) as stack:
            story = play(stack, MODES[mode], action, 1 + at % 3, at)
            found += [f"#{story.number} before request {at}\n{story.text()}"] if story.complaints else []
    assert not found, "\n\n".join(found)


def test_a_closed_one_that_github_does_not_reopen(monkeypatch: pytest.MonkeyPatch) -> None:
    """A new pull request of the same branch takes its place; the printed commands lead to the landing."""
    with race(monkeypatch) as stack:
        stack.act(2, actions.close)
        stack.push("two", amend=True)
        stack.clone.git("fetch", "--quiet", "origin")
        ran = stack("invoke rescue --pr 2")
        assert (ran.code, "gh pr create" in ran.out) == (5, True), ran.out
        stack.lever("open_pull_request", head="two", base="one", title="PR 2", number=9)
        for line in (*ran.next, "invoke land"):
            assert stack(line).code == 0
        assert stack.pull(9).state is PullState.MERGED


class KilledError(BaseException):
    """The process ends here."""


def play_killed(stack: Race, mode: Mode, where: str, number: int, then: str) -> Story:
    """Land, killed before or after a request or a record; then run a command; land again."""
    mode.prepare(stack)
    stack.requests.clear()
    stack.records = 0
    story = Story(stack, f"killed {where}", 0, -1)

    def die(reached: int, when: str = "") -> None:
        if reached == number and when in where:
            raise KilledError

    setattr(stack, where.partition(" ")[0] if "request" in where else "record", die)
    with contextlib.suppress(KilledError):
        story.type(f"invoke land {mode.flags}".strip())
        return story
    stack.before = stack.after = stack.record = lambda *_: None  # type: ignore[assignment]
    before = stack.states()
    running = any(merge.status in {"pending", "enqueued"} for merge in stack.repository.merges.values())
    story.type(f"invoke {then}")
    if then == "abort" and stack.states() != before and not running:
        story.complaints.append(f"abort changed {before} to {stack.states()}")
    if then != "continue" or story.ran[-1].code != 0:
        story.type(f"invoke land {mode.flags}".strip())
    story.follow()
    finish(story)
    return story


WHERE = ("before request", "after request", "before record", "after record")
THEN = ("continue", "land", "abort")


@pytest.mark.parametrize(
    ("mode", "where", "number", "then"),
    [("auto", "after request", 17, "continue"), ("together", "after record", 40, "land")],
)
def test_killed(monkeypatch: pytest.MonkeyPatch, mode: str, where: str, number: int, then: str) -> None:
    """The next command finishes the landing, or takes back all but the merges; nothing is merged twice."""
    with race(monkeypatch, land=MODES[mode].land) as stack:
        story = play_killed(stack, MODES[mode], where, number, then)
        assert not story.complaints, story.text()


@pytest.mark.soak
@pytest.mark.parametrize("then", THEN)
@pytest.mark.parametrize("where", WHERE)
@pytest.mark.parametrize("mode", MODES)
def test_killed_at_any_time(mode: str, where: str, then: str) -> None:
    """The same at each request and each record."""
    found = []
    for number in range(count(mode, records="record" in where)):
        with pytest.MonkeyPatch.context() as patch, race(patch, land=MODES[mode].land) as stack:
            story = play_killed(stack, MODES[mode], where, number, then)
            found += [f"{where} {number}\n{story.text()}"] if story.complaints else []
    assert not found, "\n\n".join(found)


def test_requested_changes_with_open_threads(monkeypatch: pytest.MonkeyPatch) -> None:
    """`status` and `land` name the command that lists the threads, although trunk has moved on."""
    with race(monkeypatch) as stack:
        stack.lever("review", number=1, author="linus", state="CHANGES_REQUESTED", threads=2)
        assert stack("invoke status").next == ["invoke comments --pr 1"]
        stopped = stack("invoke land --yes")
        assert (stopped.code, stopped.next[0]) == (3, "invoke comments --pr 1")
        assert "README.md:2  linus" in stack(stopped.next[0]).out
