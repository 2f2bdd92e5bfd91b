"""The one state of each entry of a stack."""

from __future__ import annotations

import pytest
from msgspec.structs import replace

from trunkline.domain.names import Oid, PrNumber, branch_name
from trunkline.domain.readiness import review_summary
from trunkline.domain.snapshot import CheckRun, PrState, PullRequest, fork_of
from trunkline.domain.stack import Entry
from trunkline.domain.status import (
    EntryFacts,
    EntryState,
    State,
    UpstreamRelation,
    entry_states,
    next_command,
    reordered,
)

_HEAD = Oid("a" * 40)
_PR = PullRequest(
    PrNumber(1),
    "Title",
    "https://github.com/o/r/pull/1",
    PrState.OPEN,
    draft=False,
    body="",
    base="main",
    head="a",
    head_oid=_HEAD,
    head_repository="o/r",
    mergeable="MERGEABLE",
    merge_state="CLEAN",
)
_FACTS = EntryFacts(PrNumber(1), _PR, queried=True)
_OFFLINE = replace(_FACTS, pr=None, queried=False)
_OFF = ("3 commits of main not in it",)
_BILLING = "The job was not started because your account is locked due to a billing issue."


def _with(**changes: object) -> EntryFacts:
    return replace(_FACTS, pr=replace(_PR, **changes))


def _check(status: str, conclusion: str, *annotations: str) -> EntryFacts:
    return _with(checks=(CheckRun("build", status, conclusion, annotations),))


@pytest.mark.parametrize(
    ("facts", "state"),
    [
        pytest.param(_FACTS, State.READY, id="ready"),
        pytest.param(_with(state=PrState.MERGED), State.MERGED, id="merged"),
        pytest.param(replace(_with(state=PrState.MERGED), off_base=_OFF), State.MERGED, id="merged before restack"),
        pytest.param(_with(state=PrState.CLOSED), State.CLOSED, id="closed"),
        pytest.param(replace(_FACTS, pr=None), State.MISSING, id="not on GitHub"),
        pytest.param(
            replace(_FACTS, off_base=_OFF, side=UpstreamRelation.AHEAD), State.RESTACK, id="restack before push"
        ),
        pytest.param(replace(_FACTS, off_base=_OFF), State.RESTACK, id="off the entry below"),
        pytest.param(replace(_FACTS, off_base=_OFF, on_trunk=True), State.READY, id="trunk moved on"),
        pytest.param(
            replace(_with(draft=True), off_base=_OFF, on_trunk=True), State.RESTACK, id="draft, trunk moved on"
        ),
        pytest.param(
            replace(_FACTS, off_base=_OFF, on_trunk=True, side=UpstreamRelation.REWRITTEN),
            State.RESTACK,
            id="rewritten here, trunk moved on",
        ),
        pytest.param(
            replace(_FACTS, off_base=_OFF, on_trunk=True, side=UpstreamRelation.DIVERGED),
            State.DIVERGED,
            id="diverged, trunk moved on",
        ),
        pytest.param(replace(_FACTS, side=UpstreamRelation.AHEAD), State.PUSH, id="commits not pushed"),
        pytest.param(replace(_FACTS, side=UpstreamRelation.REWRITTEN), State.PUSH, id="rewritten, not pushed"),
        pytest.param(
            replace(_FACTS, side=UpstreamRelation.BEHIND), State.READY, id="behind: the remote's head is what counts"
        ),
        pytest.param(
            replace(_FACTS, side=UpstreamRelation.SHORTENED), State.READY, id="shortened by others, nothing unpushed"
        ),
        pytest.param(
            replace(_FACTS, side=UpstreamRelation.REMOVED),
            State.DIVERGED,
            id="shortened by others, with unpushed work",
        ),
        pytest.param(replace(_FACTS, side=UpstreamRelation.ONLY_THERE), State.READY, id="no local branch"),
        pytest.param(replace(_FACTS, side=UpstreamRelation.DIVERGED, off_base=_OFF), State.DIVERGED, id="diverged"),
        pytest.param(
            replace(_FACTS, side=UpstreamRelation.NOT_FETCHED, off_base=_OFF), State.FETCH, id="not fetched"
        ),
        pytest.param(replace(_FACTS, side=UpstreamRelation.NOWHERE), State.NO_BRANCH, id="no branch"),
        pytest.param(_with(draft=True), State.DRAFT, id="draft"),
        pytest.param(_with(mergeable="CONFLICTING"), State.CONFLICT, id="conflict"),
        pytest.param(_with(review="REVIEW_REQUIRED"), State.REVIEW, id="review"),
        pytest.param(_with(review="CHANGES_REQUESTED"), State.REVIEW, id="changes requested without a thread"),
        pytest.param(_with(review="CHANGES_REQUESTED", open_threads=1), State.CHANGES, id="changes requested"),
        pytest.param(_with(merge_state="UNKNOWN"), State.GITHUB, id="unknown is not yes"),
        pytest.param(_with(merge_state="BLOCKED"), State.RULE, id="a rule"),
        pytest.param(_check("IN_PROGRESS", ""), State.CI, id="checks run"),
        pytest.param(_check("COMPLETED", "FAILURE"), State.RED, id="red"),
        pytest.param(_check("COMPLETED", "FAILURE", _BILLING), State.CI_DOWN, id="billing is not red"),
        pytest.param(_OFFLINE, State.UNKNOWN, id="offline"),
        pytest.param(replace(_with(draft=True), fork="ada/r"), State.FORK, id="fork before draft"),
        pytest.param(replace(_OFFLINE, side=UpstreamRelation.AHEAD), State.PUSH, id="offline, to push"),
        pytest.param(replace(_OFFLINE, off_base=_OFF), State.RESTACK, id="offline, to restack"),
    ],
)
def test_state_of_one(facts: EntryFacts, state: State) -> None:
    """An entry at the bottom has the state of its own facts."""
    (standing,) = entry_states([facts], gates_suffice=False)

    assert state is standing.state


def test_billing_is_reported() -> None:
    """A billing failure is shown with the annotation; where local gates suffice, the entry does not wait for CI."""
    facts = _check("COMPLETED", "FAILURE", _BILLING)

    (standing,) = entry_states([facts], gates_suffice=False)
    (suffices,) = entry_states([facts], gates_suffice=True)

    assert (f"build: {_BILLING}",) == standing.why
    assert suffices.state is State.READY


def test_blocked_by_the_nearest_below_that_is_not_merged() -> None:
    """A ready entry waits for the entry below it, unless that one is merged."""
    merged, second, third = _with(state=PrState.MERGED), replace(_FACTS, key=PrNumber(2)), _with(draft=True)
    stack = [merged, second, replace(third, key=PrNumber(3)), replace(_FACTS, key=PrNumber(4))]

    message = [str(standing) for standing in entry_states(stack, gates_suffice=False)]

    assert message == ["merged", "ready to land", "draft", "blocked by #3"]


def _stands(*states: State) -> list[EntryState]:
    return [EntryState(PrNumber(number), state) for number, state in enumerate(states, 1)]


@pytest.mark.parametrize(
    ("states", "command"),
    [
        ([State.MERGED, State.MERGED], ""),
        ([State.MERGED, State.RESTACK, State.DRAFT], "invoke rebase --pr 2"),
        ([State.RESTACK, State.RESTACK], "invoke restack"),
        ([State.DRAFT, State.PUSH], "invoke restack"),
        ([State.READY, State.BLOCKED], "invoke land"),
        ([State.CI_DOWN], "invoke land --require gates"),
        ([State.GITHUB, State.BLOCKED], "invoke land"),
        ([State.DRAFT, State.FORK], "invoke init --check"),
        ([State.RED, State.DRAFT], "gh pr checks 1"),
        ([State.CHANGES, State.BLOCKED], "invoke comments --pr 1"),
        ([State.RESTACK, State.CLOSED], "invoke rescue --pr 2"),
        ([State.RESTACK, State.FETCH], "git fetch upstream"),
        ([State.DRAFT, State.MISSING], "invoke init --check"),
    ],
)
def test_one_next_command(states: list[State], command: str) -> None:
    """First an obstacle for all entries, then moved branches, then what the lowest open entry waits for."""
    assert next_command(_stands(*states), "upstream") == command


@pytest.mark.parametrize(
    ("state", "command"),
    [
        (State.RESTACK, "invoke restack"),
        (State.UNSUBMITTED, "invoke submit"),
        (State.NO_BRANCH, "${EDITOR:-vi} stack.toml   # create the branch one, or take the entry out"),
    ],
)
def test_the_next_command_of_an_entry_without_a_pull_request(state: State, command: str) -> None:
    """`rebase` needs a pull request, and `init --check` compares those that are on GitHub."""
    assert next_command([EntryState(branch_name("one"), state)], "origin") == command


def test_entries_in_another_order_than_on_github() -> None:
    """The note has the command for each of the two orders; a merged entry counts for neither."""
    entries = [Entry(PrNumber(number), branch_name(f"b{number}")) for number in (2, 1)]
    first, second = _with(base="main").pr, _with(base="b1").pr
    note = reordered(entries, {PrNumber(1): first, PrNumber(2): second})
    assert note.startswith("stack.toml lists #2 below #1, and on GitHub #2 targets b1: `invoke restack`")
    assert "`invoke init --update`" in note
    assert not reordered(entries[::-1], {PrNumber(1): first, PrNumber(2): second})
    assert not reordered(entries, {PrNumber(1): first, PrNumber(2): _with(base="b1", state=PrState.MERGED).pr})


def test_a_merged_branch_that_is_checked_out_is_left() -> None:
    """`sync` cannot delete it while it is checked out; an open entry keeps its own command."""
    merged, ready = _stands(State.MERGED), _stands(State.MERGED, State.READY)
    assert next_command(merged, "upstream", leave_for="main") == "git switch main   # all is merged"
    assert next_command(ready, "upstream", leave_for="main") == "invoke land"


@pytest.mark.parametrize("state", [state for state in State if state is not State.MERGED])
def test_every_state_has_a_next_command(state: State) -> None:
    """There is no state that leaves a person without a word."""
    assert next_command(_stands(state), "origin")


@pytest.mark.parametrize(
    ("head", "repository", "message"),
    [
        ("o/r", "o/r", ""),
        ("O/R", "o/r", ""),
        ("ada/r", "o/r", "its branch is in ada/r, and only those of o/r can be pushed"),
        ("", "o/r", "its branch is in a deleted repository, and only those of o/r can be pushed"),
    ],
)
def test_a_head_in_another_repository(head: str, repository: str, message: str) -> None:
    """GitHub ignores case."""
    assert fork_of(_with(head_repository=head).pr, repository) == message


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({}, ""),
        ({"review": "APPROVED"}, "approved"),
        ({"review": "APPROVED", "opinions": (("ada", "APPROVED"),)}, "approved by @ada"),
        (
            {"opinions": (("ada", "APPROVED"),), "requested_reviewers": ("tim",)},
            "approved by @ada, review requested from @tim",
        ),
        ({"review": "REVIEW_REQUIRED"}, "an approval is required"),
        (
            {"review": "REVIEW_REQUIRED", "requested_reviewers": ("ada", "a team")},
            "an approval is required from @ada, a team",
        ),
        ({"requested_reviewers": ("ada",), "open_threads": 1}, "review requested from @ada, 1 thread open"),
        (
            {
                "review": "CHANGES_REQUESTED",
                "opinions": (("ada", "APPROVED"), ("x", "CHANGES_REQUESTED"), ("y", "DISMISSED")),
                "open_threads": 2,
            },
            "changes requested by @x, 2 threads open",
        ),
    ],
)
def test_reviewers_and_their_requests(changes: dict[str, object], message: str) -> None:
    """By name; what is open is counted."""
    pr = _with(**changes).pr
    assert pr is not None
    assert review_summary(pr) == message


def test_an_approved_entry_behind_trunk_is_landed_not_rebased() -> None:
    """A rebase would push: new CI runs, and dismissed approvals. `land` rewrites only what its merge needs."""
    (standing,) = entry_states([replace(_FACTS, off_base=_OFF, on_trunk=True)], gates_suffice=False)
    assert standing.why == (*_OFF, "invoke land rewrites it only if its merge needs that")
    assert next_command([standing], "origin") == "invoke land"


def test_a_branch_renamed_on_github_is_reported() -> None:
    """Before what git could mend: a push would go to a branch that no pull request has any more."""
    (standing,) = entry_states([replace(_FACTS, branch="b", off_base=_OFF)], gates_suffice=False)
    assert (standing.state, standing.why) == (State.RENAMED, ("GitHub has a, stack.toml has b",))
    assert next_command([standing], "origin") == "invoke init --update"
    assert entry_states([replace(_FACTS, branch="a")], gates_suffice=False)[0].state is State.READY
