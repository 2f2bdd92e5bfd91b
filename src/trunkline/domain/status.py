"""Decide the state of each entry from git and GitHub, and the next command for the stack."""

from __future__ import annotations

from enum import Enum
from typing import TYPE_CHECKING

import msgspec
from msgspec.structs import replace

from trunkline.domain.command import task_command
from trunkline.domain.names import labelled
from trunkline.domain.readiness import Ready, evaluate
from trunkline.domain.snapshot import PrState, PullRequest

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from trunkline.domain.names import EntryKey, Oid
    from trunkline.domain.native import LinkPlan, Place
    from trunkline.domain.receipt import GateOutcome
    from trunkline.domain.stack import Entry, Stack


class State(Enum):
    """The state of an entry, as shown; `blocked by` is followed by a number."""

    MERGED = "merged"
    CLOSED = "closed"
    MISSING = "not on GitHub"
    RENAMED = "its branch was renamed on GitHub"
    FORK = "comes from a fork"
    UNSUBMITTED = "no pull request yet"
    NO_BRANCH = "no branch, neither local nor on the remote"
    FETCH = "needs fetch"
    DIVERGED = "diverged from the remote"
    MISPLACED = "holds commits of entries above"
    RESTACK = "needs rebase"
    PUSH = "needs push"
    DRAFT = "draft"
    CONFLICT = "conflicts with its base"
    RED = "a check failed"
    CI = "waits for CI"
    CI_DOWN = "CI is down"
    REVIEW = "waits for review"
    CHANGES = "changes are requested"
    GITHUB = "waits for GitHub"
    RULE = "blocked by a rule of the repository"
    BLOCKED = "blocked by"
    READY = "ready to land"
    UNKNOWN = "unknown (offline)"


class UpstreamRelation(Enum):
    """The relation of the local branch to the published one."""

    SAME = "same"
    ONLY_THERE = "there is no local branch"
    BEHIND = "your branch is behind the remote's"
    AHEAD = "commits not pushed yet"
    SHORTENED = "others removed commits from the remote's branch that yours still has"
    REMOVED = "others removed commits from the remote's branch, and a push of yours would bring them back"
    REWRITTEN = "rewritten here, not pushed yet"
    DIVERGED = "the remote's branch holds commits that yours lacks, and yours some that it lacks"
    NOT_FETCHED = "the remote has commits that were not fetched"
    NOWHERE = "there is no such branch"


_OF_SIDE = {
    UpstreamRelation.NOWHERE: State.NO_BRANCH,
    UpstreamRelation.NOT_FETCHED: State.FETCH,
    UpstreamRelation.DIVERGED: State.DIVERGED,
    UpstreamRelation.REMOVED: State.DIVERGED,
}
_AS_UNPUBLISHED = dict.fromkeys(
    (UpstreamRelation.AHEAD, UpstreamRelation.REWRITTEN, UpstreamRelation.BEHIND, UpstreamRelation.SHORTENED),
    UpstreamRelation.SAME,
)
"""Sides that need no push of their own while an entry has no pull request: `submit` pushes its branch."""
_UNPUSHED = frozenset({UpstreamRelation.AHEAD, UpstreamRelation.REWRITTEN})


class EntryFacts(msgspec.Struct, frozen=True):
    """The observed facts about one entry.

    Attributes:
        queried: GitHub was queried; otherwise a missing pull request is unknown.
        branch: its branch in stack.toml; "" to skip the comparison.
        side: the relation of the local branch to GitHub's head or, offline, to the tracking ref.
        off_base: why it is not on its base; () if it is, or if unknown.
        on_trunk: it belongs on trunk, and its pull request targets trunk.
        holds: the commits of entries above that it holds, in a sentence; "" for none.
        behind: the number of commits that the local branch lacks, and why, in a sentence; "" for none.
        fork: the other repository that has its head, in a sentence; "" for none.
    """

    key: EntryKey
    pr: PullRequest | None
    queried: bool
    branch: str = ""
    side: UpstreamRelation = UpstreamRelation.SAME
    off_base: tuple[str, ...] = ()
    on_trunk: bool = False
    holds: str = ""
    behind: str = ""
    fork: str = ""


class EntryState(msgspec.Struct, frozen=True):
    """An entry's state with its reasons; `blocker` is the entry that it waits for."""

    key: EntryKey
    state: State
    why: tuple[str, ...] = ()
    blocker: EntryKey | None = None

    def __str__(self) -> str:
        return self.state.value if self.blocker is None else f"{self.state.value} {labelled(self.blocker)}"


class EntryStatus(msgspec.Struct, frozen=True):
    """One entry in `status`.

    Attributes:
        entry: the entry of stack.toml.
        pr: its pull request; None if there is none or GitHub was not queried.
        standing: its state.
        head: the commit that a landing would use; None if unknown.
        own: the number of its own commits; None if unknown.
        gates: every gate by name, with its outcome on exactly that commit's tree.
        current: its branch is checked out.
        checks: every check of the entry by name, in the same way.
        native: its place in a native stack of GitHub; None if it is in none.
    """

    entry: Entry
    pr: PullRequest | None
    standing: EntryState
    head: Oid | None
    own: int | None
    gates: tuple[tuple[str, GateOutcome | None], ...]
    current: bool = False
    checks: tuple[tuple[str, GateOutcome | None], ...] = ()
    native: Place | None = None


class OpenRun(msgspec.Struct, frozen=True):
    """The unfinished run of a repository.

    Attributes:
        id: its id.
        task: the task.
        state: paused, failed, interrupted or aborting.
        what: the run, its entries and why it stopped, in one sentence.
        why: details, in lines; may be "".
        commands: the possible next commands.
        worktree: the work tree with an unresolved conflict; "" if there is none.
    """

    id: str
    task: str
    state: str
    what: str
    why: str
    commands: tuple[str, ...]
    worktree: str = ""


class StackStatus(msgspec.Struct, frozen=True):
    """The status of the whole stack at one instant.

    Attributes:
        stack: the stack of stack.toml.
        trunk: trunk's tip on the remote or, offline, of the last fetch; None if never fetched.
        entries: bottom first.
        next: the next command; "" if there is nothing to do.
        notes: further messages.
        run: the unfinished run, or None.
        link: how GitHub's native stacks hold the open entries; None: the repository has no native
            stacks, or GitHub was not queried.
    """

    stack: Stack
    trunk: Oid | None
    entries: tuple[EntryStatus, ...]
    next: str
    notes: tuple[str, ...] = ()
    run: OpenRun | None = None
    link: LinkPlan | None = None


_OF_READY = {
    Ready.YES: State.READY,
    Ready.SOON: State.GITHUB,
    Ready.CHECKS: State.CI,
    Ready.REVIEW: State.REVIEW,
    Ready.CHANGES: State.CHANGES,
    Ready.CI_DOWN: State.CI_DOWN,
    Ready.RED: State.RED,
    Ready.CONFLICT: State.CONFLICT,
    Ready.DRAFT: State.DRAFT,
    Ready.BLOCKED: State.RULE,
}


def entry_states(entries: Sequence[EntryFacts], *, gates_suffice: bool) -> tuple[EntryState, ...]:
    """Return the state of each entry, bottom first.

    "Blocked by" replaces only "ready to land": other problems of an entry can be fixed while it
    waits.

    Args:
        entries: the observed facts, bottom first.
        gates_suffice: the receipts of this machine replace GitHub's checks.
    """
    message: list[EntryState] = []
    below: EntryKey | None = None  # the nearest unmerged entry below, which must land first
    for facts in entries:
        standing = _alone(facts, gates_suffice=gates_suffice)
        if standing.state is State.RESTACK and facts.on_trunk and facts.side not in _UNPUSHED:
            standing = _ready_behind_trunk(facts, gates_suffice=gates_suffice) or standing
        if standing.state is State.READY and below is not None:
            standing = EntryState(facts.key, State.BLOCKED, blocker=below)
        message.append(standing)
        if standing.state is not State.MERGED:
            below = facts.key
    return tuple(message)


def _alone(facts: EntryFacts, *, gates_suffice: bool) -> EntryState:
    """Return an entry's own state: finished first, then what git can fix, then what it waits for."""
    if isinstance(facts.key, str):
        return _for_git(replace(facts, side=_AS_UNPUBLISHED.get(facts.side, facts.side))) or EntryState(
            facts.key, State.UNSUBMITTED, (f"to make one: {task_command('submit')}",)
        )
    if facts.queried and facts.pr is None:
        return EntryState(facts.key, State.MISSING)
    if facts.pr is not None and facts.pr.state is not PrState.OPEN:
        return EntryState(facts.key, State.MERGED if facts.pr.state is PrState.MERGED else State.CLOSED)
    if facts.fork:
        return EntryState(facts.key, State.FORK, (facts.fork,))
    if facts.pr is not None and facts.branch and facts.pr.head != facts.branch:
        why = f"GitHub has {facts.pr.head}, stack.toml has {facts.branch}"
        return EntryState(facts.key, State.RENAMED, (why,))
    return _for_git(facts) or _for_github(facts, gates_suffice=gates_suffice)


def _ready_behind_trunk(facts: EntryFacts, *, gates_suffice: bool) -> EntryState | None:
    """Return the state of an entry that no rebase helps although trunk moved on; None: a rebase is next.

    GitHub would merge it, or its author has changes to make. A rebase would push it: new CI runs, and dismissed
    approvals.
    """
    published = _for_github(facts, gates_suffice=gates_suffice)
    if published.state is State.CHANGES:  # the commits that answer them are pushed anyway
        return replace(published, why=(*published.why, *facts.off_base))
    if published.state is not State.READY:
        return None
    as_it_is = f"{task_command('land')} rewrites it only if its merge needs that"
    return replace(published, why=(*published.why, *facts.off_base, as_it_is))


def _for_git(facts: EntryFacts) -> EntryState | None:
    if facts.holds:
        return EntryState(facts.key, State.MISPLACED, (facts.holds,))
    if facts.side in _OF_SIDE:
        return EntryState(facts.key, _OF_SIDE[facts.side], (facts.side.value,))
    if facts.off_base:
        return EntryState(facts.key, State.RESTACK, (*facts.off_base, *filter(None, (facts.behind,))))
    return EntryState(facts.key, State.PUSH, (facts.side.value,)) if facts.side in _UNPUSHED else None


def _for_github(facts: EntryFacts, *, gates_suffice: bool) -> EntryState:
    beside = (
        (facts.behind or facts.side.value,)
        if facts.side in {UpstreamRelation.BEHIND, UpstreamRelation.SHORTENED}
        else ()
    )
    if facts.pr is None:
        return EntryState(facts.key, State.UNKNOWN, beside)
    readiness = evaluate(facts.pr, gates_suffice=gates_suffice)
    return EntryState(facts.key, _OF_READY[readiness.state], (*readiness.why, *beside))


def next_command(
    entry_states: Sequence[EntryState], source: str, *, leave_for: str = "", untidy: bool = False
) -> str:
    """Return the next command for a stack, decided by its lowest unmerged entry; "" if nothing is left to do.

    Args:
        entry_states: bottom first.
        source: what `git fetch` is given: the remote's name, and refspecs that its configuration lacks.
        leave_for: the words after `git switch` that leave for trunk, if an entry's branch is checked out; `sync`
            keeps a branch that is.
        untidy: `sync` would delete local branches of merged entries.
    """
    open_ = [standing for standing in entry_states if standing.state is not State.MERGED]
    if not open_ and leave_for:
        return f"git switch {leave_for}   # all is merged"
    if not open_:
        return task_command("sync", comment="all is merged; this deletes the local branches") if untidy else ""
    first = open_[0]
    stuck = next((each for each in open_ if each.state in _STUCK), None)
    if stuck is not None:
        return _unblocking(stuck, source, is_first=stuck is first)
    moved = [each for each in open_ if each.state in {State.RESTACK, State.PUSH, State.CONFLICT}]
    is_unsubmitted = isinstance(first.key, str)  # `rebase` would be refused: it has no pull request
    if moved and (len(moved) > 1 or moved[0] is not first or is_unsubmitted):
        return task_command("restack")
    return _typed(_OF_FIRST[first.state], first.key, source)


def _unblocking(stuck: EntryState, source: str, *, is_first: bool) -> str:
    """Return the command for an entry whose state blocks every other task."""
    if stuck.state is State.DIVERGED and not is_first:  # `rebase` would be refused: an entry below is open
        return task_command("restack", "--dry-run")
    if stuck.state is State.NO_BRANCH and isinstance(stuck.key, str):  # GitHub has nothing to compare it with
        return f"${{EDITOR:-vi}} stack.toml   # create the branch {stuck.key}, or take the entry out"
    return _typed(_STUCK[stuck.state], stuck.key, source)


def reordered(entries: Sequence[Entry], pulls: Mapping[EntryKey, PullRequest | None]) -> str:
    """Return a note about an entry whose pull request targets the branch of an entry above it; "" if there is none.

    Args:
        entries: bottom first.
        pulls: the pull request of each entry.
    """
    for index, entry in enumerate(entries):
        pr = pulls.get(entry.key)
        if pr is None or pr.state is not PrState.OPEN:
            continue
        above = next((each for each in entries[index + 1 :] if each.branch == pr.base), None)
        if above is not None:
            return (
                f"stack.toml lists {entry.label} below {above.label}, and on GitHub {entry.label} targets {pr.base}:"
                f" `{task_command('restack')}` brings GitHub to the order of stack.toml,"
                f" `{task_command('init', '--update')}` stack.toml to the order on GitHub"
            )
    return ""


def _typed(command: str | tuple[str, ...], key: EntryKey, source: str) -> str:
    """Return a command of the tables below for an entry: a task by its words, or a line."""
    if isinstance(command, str):
        return command.format(pr=key, source=source)
    return task_command(*(word.format(pr=key, source=source) for word in command))


# States that block every other task, wherever in the stack they occur.
_STUCK: dict[State, str | tuple[str, ...]] = {
    State.MISSING: ("init", "--check"),
    State.NO_BRANCH: ("init", "--check"),
    State.RENAMED: ("init", "--update"),
    State.FORK: ("init", "--check"),
    State.FETCH: "git fetch {source}",
    State.DIVERGED: ("rebase", "--pr", "{pr}", "--dry-run"),
    State.CLOSED: ("rescue", "--pr", "{pr}"),
    State.MISPLACED: ("restack", "--dry-run"),  # shows the command that moves the branch back
}
_OF_FIRST: dict[State, str | tuple[str, ...]] = {
    State.RESTACK: ("rebase", "--pr", "{pr}"),
    State.PUSH: ("rebase", "--pr", "{pr}"),
    State.DRAFT: ("rebase", "--pr", "{pr}"),
    State.CONFLICT: ("rebase", "--pr", "{pr}"),
    State.RED: "gh pr checks {pr}",
    State.CI: "gh pr checks {pr} --watch",
    State.CI_DOWN: ("land", "--require", "gates"),
    State.REVIEW: ("open", "--pr", "{pr}"),
    State.CHANGES: ("comments", "--pr", "{pr}"),  # lists the open threads
    State.GITHUB: ("land",),  # waits until GitHub has decided; `status` would only show it again
    State.RULE: ("open", "--pr", "{pr}"),
    State.BLOCKED: ("land",),
    State.READY: ("land",),
    State.UNSUBMITTED: ("submit",),
    State.UNKNOWN: ("status",),
}
