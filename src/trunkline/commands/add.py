"""Command `add`: begin an entry with the staged changes anywhere in the stack, and replay the entries above it."""

from __future__ import annotations

import contextlib
import shlex
from collections.abc import Iterator
from dataclasses import replace

import msgspec
from msgspec import structs

from trunkline.commands import restack, runner
from trunkline.context.run import Context, open_run_context
from trunkline.context.view import View
from trunkline.domain import branch_names
from trunkline.domain.added import AddedEntry, title_of
from trunkline.domain.command import task_command
from trunkline.domain.decisions import Forecast
from trunkline.domain.errors import Refused, UsageError, WrongFlag
from trunkline.domain.names import BranchName, EntryKey, Oid, branch_name, branch_ref, oid
from trunkline.domain.replayed import Replayed
from trunkline.domain.rewrite import Rewrite
from trunkline.domain.stack import Entry, Stack
from trunkline.domain.step import Plan, StepKey, StepName
from trunkline.engine import RunResult, StepFunction
from trunkline.git import history, index, local_refs, refs, replay
from trunkline.git.git import Git
from trunkline.operations import added_entry, stack_file
from trunkline.planning import heads
from trunkline.planning.parents import base_of
from trunkline.planning.questions import OwnCommitsUnknown
from trunkline.planning.replay_plan import refuse_unanswered
from trunkline.state import lock
from trunkline.steps import add
from trunkline.steps import replay as replay_step

TASK = "add"


class Request(msgspec.Struct, frozen=True):
    """The request of an `add`.

    Attributes:
        branch: the new entry's branch; an existing one is added with its commits; None: it is derived from
            the message.
        message: the commit message; "" for an existing branch.
        all: take all changes of tracked files, not only the staged ones.
        above: the entry that it sits on.
        below: it goes right below the entry that is checked out.
        onto_trunk: it goes to the bottom.
    """

    branch: BranchName | None
    message: str = ""
    all: bool = False
    above: EntryKey | None = None
    below: bool = False
    onto_trunk: bool = False


class AddPlan(msgspec.Struct, frozen=True):
    """A plan that adds an entry, with the context in which the stack has it."""

    context: Context
    forecast: Forecast
    added: AddedEntry


def plan(context: Context, request: Request) -> AddPlan:
    """Plan the new entry, with its commit and the replays above computed in memory; no ref or file changes.

    Raises:
        Refused: stack.toml is part of a branch, or the changes do not apply in that place.
        UsageError: there is nothing to commit, or no message; or the place is unknown.
        Paused: an earlier run is paused, or the user must answer a question.
    """
    git, stack = context.git, context.stack
    runner.refuse_while_paused(context, (StepName.REPLAY,))
    stack_file.require_own(git, stack.trunk, stack.remote)
    branch = request.branch or _derived(git, stack, request)
    if any(entry.branch == branch for entry in stack.entries):
        raise UsageError(
            f"{branch} is an entry of the stack already",
            next_command=task_command("switch", "--pr", branch),
        )
    if branch == stack.trunk:
        raise UsageError(
            f"{branch} is trunk",
            why="the stack sits on it, so it is no entry; nothing was changed",
            next_command=task_command("status"),
        )
    ref = branch_ref(branch)
    existing = refs.read_ref(git, ref)
    checked_out = refs.current_branch(git)
    below = _below(git, stack, request, branch, checked_out, existing)
    added = AddedEntry(
        branch=branch,
        below=str(below.branch) if below else "",
        title=title_of(request.message) if existing is None else "",
    )
    view = with_entry(context, added).view()
    if existing is None:
        added = _with_commit(view.of_pr(branch), added, request, checked_out)
    elif request.message or request.all:
        raise UsageError(
            f"branch {branch} exists already",
            why="an existing branch is added with the commits that it has; nothing was changed",
            next_command=task_command("add", branch),
        )
    return _forecast(with_entry(context, added), added, existing or _commit(added), checked_out)


def _commit(added: AddedEntry) -> Oid:
    assert added.commit is not None  # noqa: S101 -- a new branch has a commit
    return added.commit


def _derived(git: Git, stack: Stack, request: Request) -> BranchName:
    """Return the name of a new branch from the subject of the message.

    Raises:
        WrongFlag: there is no message, or its subject has no letters or digits of ASCII.
    """
    subject = title_of(request.message)
    if not subject:
        raise WrongFlag("a new entry needs a commit message", why="nothing was changed", flags={"message": "MESSAGE"})
    branches = [str(entry.branch) for entry in stack.entries]
    prefix = stack.submit.prefix or branch_names.prefix_of(branches)
    name = branch_names.derived(subject, prefix, {*branches, *_existing(git, stack.remote)})
    if not name:
        raise WrongFlag(
            f"no branch name follows from {subject!r}",
            why="it has no letters or digits of ASCII; nothing was changed",
            flags={"name": "NAME"},
        )
    return branch_name(name)


def _existing(git: Git, remote: str) -> set[str]:
    """Return the names of all branches, here and on the remote as of the last fetch."""
    places = ("refs/heads/", f"refs/remotes/{remote}/")
    return {name.removeprefix(place) for place in places for name in refs.read_refs(git, place)}


def _below(
    git: Git, stack: Stack, request: Request, branch: BranchName, checked_out: str, existing: Oid | None
) -> Entry | None:
    """Return the entry that the new one sits on; None for the bottom.

    Raises:
        WrongFlag: the checked out branch is no entry, and no place was given.
    """
    current = next((entry for entry in stack.entries if entry.branch == checked_out), None)
    if request.onto_trunk:
        return None
    if request.above is not None:
        return stack.entry(request.above)
    if request.below and current is not None:
        return (stack.below(current) or (None,))[-1]
    if existing is not None and not request.below:
        return _contained(git, stack, existing)
    if current is not None and not request.below:
        return current
    raise WrongFlag(
        f"the place of {branch} in the stack is not known",
        why=f"{checked_out or 'a detached HEAD'} is no entry of the stack; nothing was changed",
        flags={"above": str(stack.entries[-1].key), "below": ""},
        otherwise=({"onto-trunk": True, "below": ""},),
    )


def _contained(git: Git, stack: Stack, tip: Oid) -> Entry | None:
    """Return the topmost entry whose branch an existing branch contains; None: it sits on trunk."""
    tips = refs.read_refs(git, *(branch_ref(entry.branch) for entry in stack.entries))
    for entry in reversed(stack.entries):
        held = tips.get(branch_ref(entry.branch))
        if held is not None and history.is_ancestor(git, held, tip):
            return entry
    return None


def _with_commit(view: View, added: AddedEntry, request: Request, checked_out: str) -> AddedEntry:
    """Write the new entry's commit, and return the entry with it.

    Raises:
        UsageError: nothing is staged, or there is no message.
        Refused: the changes conflict with the place, there are others beside them, or git is in the middle of
            a merge.
    """
    git, base = view.git, base_of(view).oid
    index.refuse_unfinished(git, task=TASK)
    head = git.resolve("HEAD")
    held = index.staged_tree(git)
    everything = index.tree_with_all(git)
    wanted = everything if request.all else held
    if head is None or wanted == git.tree(head):
        what, why = "nothing is staged", "a new entry begins with a commit"
        if head is None or everything == git.tree(head):
            raise UsageError(
                what, why=f"{why}, and no file differs from the last one; change one first", next_command="git status"
            )
        raise WrongFlag(what, why=why, flags={"all": True, "message": request.message or "MESSAGE"})
    if not title_of(request.message):
        raise WrongFlag("a new entry needs a commit message", why="nothing was changed", flags={"message": "MESSAGE"})
    staged, tree = replay.commit_of_tree(git, wanted, head), wanted
    if base != head:
        if everything != wanted:
            raise Refused(
                f"there are changes that {added.branch} would not take in",
                why=f"{', '.join(history.differing(git, wanted, everything))}: not staged, and the checkout moves to"
                " another place of the stack",
                next_command=("git add --update", "git stash --keep-index"),
            )
        merged = replay.three_way(git, base=head, ours=base, theirs=staged)
        if merged.conflicts:
            raise Refused(
                f"the staged changes do not apply there: conflict in {', '.join(merged.conflicts)}",
                why=f"they are made on {checked_out or 'a detached HEAD'}, and {added.branch} sits on"
                f" {added.below or view.stack.trunk}; nothing was changed",
                next_command=_elsewhere(view.stack, added, request, checked_out),
            )
        tree = merged.tree
    message = f"{request.message.strip()}\n".encode()
    if replay.signs(git):
        made = replay.signed(git, tree, base, message=message, what=f"the commit of {added.branch}")
    else:
        made = oid(git.scratch("commit-tree", tree, "-p", base, stdin=message).text)
    return AddedEntry(
        branch=added.branch, below=added.below, title=added.title, commit=made, came_from=checked_out, head=head,
        index=held, staged=staged,
    )  # fmt: skip


def _elsewhere(stack: Stack, added: AddedEntry, request: Request, checked_out: str) -> str:
    """Return the command for changes that do not apply in the place of the new entry.

    If they were made on an entry, the new one can sit on that entry. Otherwise a stash carries them to the place;
    after a conflict the stash is still there.
    """
    if any(entry.branch == checked_out for entry in stack.entries):
        return task_command("add", added.branch, "--message", request.message)
    place = shlex.quote(added.below) if added.below else f"--detach {shlex.quote(f'{stack.remote}/{stack.trunk}')}"
    return f"git stash && git switch {place} && git stash pop"


def with_entry(context: Context, added: AddedEntry) -> Context:
    """Return the context of a stack that has the new entry."""
    stack = added_entry.inserted(context.stack, added)
    if stack == context.stack:
        return context
    return open_run_context(replace(context.project, stack=stack), stack.entry(added.branch), stacked=True)


def _forecast(context: Context, added: AddedEntry, tip: Oid, checked_out: str) -> AddPlan:
    view = context.view()
    heads.load(view)
    entry = view.stack.entry(added.branch)
    base = base_of(view.of(entry)).oid
    result = Replayed(branch=added.branch, tip=tip, new=tip, base=base, fork=base, remote=None)
    view = view.with_rewrites([Rewrite(pr=entry.key, local=None, result=result)])
    position = view.stack.entries.index(entry)
    above = [each for each in view.open_entries() if view.stack.entries.index(each) > position]
    steps = [add.plan(view.stack, added)]
    try:
        for each in above:
            # The branch that is checked out now is left before it moves.
            moves = added.commit is None or each.branch != checked_out
            step, view = replay_step.forecast(view.of(each), moves=moves)
            steps.append(structs.replace(step, pr=each.key))
    except OwnCommitsUnknown:
        refuse_unanswered(view, above, task=TASK)
        raise
    replay_step.check_predictions(view, above)
    neighbour = (*view.stack.below(entry)[-1:], view.stack.above(entry))[0]
    assert neighbour is not None  # noqa: S101 -- the stack had an entry before
    branches = (added.branch, *(each.branch for each in above))
    return AddPlan(
        context, Forecast(Plan(TASK, neighbour.key, tuple(steps), branches=branches), view.decisions), added
    )


def run(adding: AddPlan) -> RunResult:
    """Add the entry: take the lock, open a journal, run the steps.

    Raises:
        Paused: an earlier run is paused.
        Refused: another run holds the lock.
    """
    context, intended = adding.context, adding.forecast.plan
    view = context.view()
    moved = [view.stack.entry(step.pr) for step in intended.steps if step.name is StepName.REPLAY and step.pr]
    tips = [(each.branch, tip) for each in moved if (tip := view.of(each).local.local) is not None]

    @contextlib.contextmanager
    def around(repository_lock: lock.RepositoryLock) -> Iterator[None]:
        local_refs.back_up_all(context.git, repository_lock, tips)
        yield

    handlers = step_functions(context, intended, adding.added)
    return runner.carry_out(
        context, adding.forecast, handlers, label=TASK, around=around, inputs=runner.Inputs(added=adding.added)
    )


def step_functions(context: Context, intended: Plan, added: AddedEntry | None) -> dict[StepKey, StepFunction]:
    """Return the function of each step in the plan."""
    assert added is not None  # noqa: S101 -- recorded for every run of this task
    return {
        step.key: (lambda step_context: add.run(context, step_context, added))
        if step.name is StepName.ADD
        else restack.on_entry(context, restack.replay_entry, step)
        for step in intended.steps
    }
