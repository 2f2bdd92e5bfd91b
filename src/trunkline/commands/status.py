"""Command `status`: show the state of every entry.

It takes one request to GitHub and a few git processes, and changes nothing.
"""

from __future__ import annotations

import functools
import shlex
from collections.abc import Callable, Mapping, Sequence

from trunkline.context import native
from trunkline.context.earlier_tips import EarlierTips
from trunkline.context.landed import recognised
from trunkline.context.observation import local_state, no_trunk
from trunkline.context.open_run import described, open_run
from trunkline.context.project import Project
from trunkline.context.run import Context
from trunkline.domain.command import task_command
from trunkline.domain.names import BranchName, Oid
from trunkline.domain.native import Link, LinkPlan, NativeStack, place_of, plan_link
from trunkline.domain.snapshot import PrState, PullRequest, Snapshot, fork_of
from trunkline.domain.stack import Entry, Stack
from trunkline.domain.status import (
    EntryFacts,
    EntryState,
    EntryStatus,
    StackStatus,
    State,
    entry_states,
    next_command,
    reordered,
)
from trunkline.gates.proof import Surroundings
from trunkline.git import history, local_refs, refs
from trunkline.git.git import Git
from trunkline.github import opening
from trunkline.planning import local_chain, misplaced_commits
from trunkline.planning.known_heads import refs_of
from trunkline.planning.merged_branch import is_deletable
from trunkline.planning.misplaced_commits import Misplaced
from trunkline.planning.observed_stack import ObservedStack, branch_of


def observe(context: Context, *, offline: bool) -> StackStatus:
    """Return the status of a stack.

    Args:
        context: the stack's context.
        offline: make no requests; use the tracking refs of the last fetch.

    Raises:
        NotSignedIn, ExternalError: the request to GitHub failed.
        UsageError: the remote has no trunk.
    """
    return look(context, offline=offline)[1]


def look(context: Context, *, offline: bool) -> tuple[ObservedStack, StackStatus]:
    """Return the observed stack with its status; arguments and errors as `observe`."""
    project, machine = context.project, context.observer.machine()
    stack = project.stack
    if offline:
        observed = _observed(project, machine, None, refs_of(project.git, stack))
        return observed, _status(project, observed, None, offline=True)
    with project.reading_pulls(merging=True, trunk=stack.trunk) as response, native.asking(context) as stacks:
        here = refs_of(project.git, stack)
        history.load(project.git, _branches_of(here))  # GitHub's heads are among them, as a rule
        snapshot = response()
        if snapshot.trunk is None:
            raise no_trunk(project.git, stack)
        observed = _observed(project, machine, snapshot, here)
        return observed, _status(project, observed, stacks(), offline=False)


def _observed(
    project: Project, machine: Surroundings, snapshot: Snapshot | None, here: Mapping[str, Oid]
) -> ObservedStack:
    """Return the stack as GitHub and the local refs have it; without GitHub's response, as it was last fetched."""
    git, stack = project.git, project.stack
    fetched = here.get(refs.tracking_ref(stack.remote, stack.trunk))
    if snapshot is not None and fetched is not None:
        known = fetched if snapshot.trunk is None or history.missing(git, [snapshot.trunk]) else snapshot.trunk
        snapshot = recognised(git, stack, snapshot, known)
    pulls = {entry.key: snapshot.pr(entry.key) if snapshot else None for entry in stack.entries}
    tips = [*_branches_of(here), *(head for pr in pulls.values() if pr for head in (pr.head_oid, pr.merge_commit))]
    history.load(git, [tip for tip in tips if tip is not None])
    earlier = EarlierTips(git)
    branches = {entry.key: branch_of(project, entry, pulls, here, earlier) for entry in stack.entries}
    trunk = snapshot.trunk if snapshot else fetched
    pulls_of = _pulls_of(project) if snapshot else None
    repository = (snapshot.repository if snapshot else "") or project.repository.slug
    return ObservedStack(project, machine, trunk, fetched, pulls, branches, here, earlier, repository, pulls_of)


def _pulls_of(project: Project) -> Callable[[BranchName], Sequence[PullRequest]]:
    """Return a function that queries the pull requests of a branch, once for each branch."""

    def query(branch: BranchName) -> Sequence[PullRequest]:
        return opening.of_branch(project.github, branch)

    return functools.cache(query)


def _status(
    project: Project, observed: ObservedStack, stacks: tuple[NativeStack, ...] | None, *, offline: bool
) -> StackStatus:
    """Return the status of an observed stack, with the next command and notes."""
    stack = project.stack
    astray = misplaced_commits.find(project.git, stack, observed.pulls.get, observed.earlier)
    states = entry_states(
        [_facts(observed, entry, astray, offline=offline) for entry in stack.entries],
        gates_suffice=stack.land.require == "gates",
    )
    current = refs.current_branch(project.git)
    rows = tuple(
        EntryStatus(
            entry, observed.pulls[entry.key], state, observed.branches[entry.key].head, observed.own(entry),
            observed.gates(entry), current=entry.branch == current, checks=observed.checks(entry),
            native=place_of(stacks or (), entry.number),
        )
        for entry, state in zip(stack.entries, states, strict=True)
    )  # fmt: skip
    run = open_run(project.state)
    stands = described(run) if run is not None else None
    leave_for = _trunk_here(project) if any(row.current for row in rows) else ""
    done = not any(state.state is not State.MERGED for state in states)
    untidy = done and any(
        is_deletable(project.git, observed.pulls[entry.key], local_state(project.git, entry.branch))
        for entry in stack.entries
    )
    usual = next_command(states, _source(project.git, stack.remote, states), leave_for=leave_for, untidy=untidy)
    if done and not usual and not stack.name:
        usual = _begin_next(project)
    command = stands.commands[0] if stands else astray.command if astray else usual
    open_ = [pr.number for pr in observed.pulls.values() if pr is not None and pr.state is PrState.OPEN]
    link = None if stacks is None else plan_link(open_, stacks)
    moved = f"{project.tracking} moved on since it was fetched" if observed.trunk != observed.fetched else ""
    unknown = f"offline: GitHub's state is unknown; {stack.remote} is as of the last fetch" if offline else ""
    unlinked = _unlinked(stack, link) if link is not None else ""
    finished = f"all of {stack.name or 'the stack'} is merged, and nothing is left to do" if done else ""
    finished = "" if command else finished
    order = reordered(stack.entries, observed.pulls)
    notes = tuple(filter(None, (project.stack_source, moved, unknown, order, unlinked, finished)))
    return StackStatus(stack, observed.trunk, rows, command, notes, stands, link)


def _trunk_here(project: Project) -> str:
    """Return what `git switch` is given to leave for trunk; git refuses a branch that another work tree has."""
    trunk = project.stack.trunk
    elsewhere = local_state(project.git, trunk).elsewhere
    return f"--detach {shlex.quote(project.tracking)}" if elsewhere else shlex.quote(trunk)


def _begin_next(project: Project) -> str:
    """Return the command that begins the next stack with the branch that is checked out; "" if it cannot."""
    stack = project.stack
    found = local_chain.chain(project.git, stack.remote, stack.trunk, {entry.branch for entry in stack.entries})
    return task_command("init", comment=f"{found[-1]} begins the next stack") if found else ""


def _source(git: Git, remote: str, states: Sequence[EntryState]) -> str:
    """Return what `git fetch` is given, so that it fetches every branch.

    A clone of a single branch, as by `git clone --depth`, is configured to fetch that branch only.
    """
    everything = f"refs/heads/*:refs/remotes/{remote}/*"
    if all(state.state is not State.FETCH for state in states):
        return remote
    configured = git.query("config", "--get-all", f"remote.{remote}.fetch", ok=(0, 1)).lines
    complete = everything in {each.removeprefix("+") for each in configured}
    return shlex.quote(remote) if complete else f"{shlex.quote(remote)} {shlex.quote(f'+{everything}')}"


def _facts(observed: ObservedStack, entry: Entry, astray: Misplaced | None, *, offline: bool) -> EntryFacts:
    """Return the facts about an entry that its state follows from."""
    return EntryFacts(
        entry.key,
        observed.pulls[entry.key],
        not offline,
        entry.branch,
        observed.branches[entry.key].side,
        observed.off_base(entry),
        on_trunk=observed.on_trunk(entry),
        holds=astray.what if astray is not None and astray.entry == entry else "",
        behind=observed.behind(entry),
        fork=fork_of(observed.pulls[entry.key], observed.repository),
    )


def _unlinked(stack: Stack, link: LinkPlan) -> str:
    """Return a note about entries that GitHub does not show as one native stack, with the command."""
    if stack.publish.native != "auto" or link.link not in {Link.CREATE, Link.EXTEND, Link.REBUILD}:
        return ""
    what = {
        Link.CREATE: "GitHub shows the open entries as separate pull requests, not as a native stack",
        Link.EXTEND: f"GitHub's native stack {link.stack} lacks {', '.join(f'#{number}' for number in link.numbers)}",
    }.get(link.link, "GitHub's native stacks hold the open entries in another order or grouping")
    return f"{what}; to link them: {task_command('restack')}"


def _branches_of(here: Mapping[str, Oid]) -> list[Oid]:
    return [tip for ref, tip in here.items() if not ref.startswith(f"{local_refs.BACKUPS}/")]
