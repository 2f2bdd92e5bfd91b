"""Command `submit`: push what is new or moved, and create or update the pull requests of the stack."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import msgspec

from trunkline.commands import runner
from trunkline.context.run import Context, open_run_context
from trunkline.context.scope import Scope
from trunkline.context.view import View
from trunkline.domain.command import task_command
from trunkline.domain.commits import counted
from trunkline.domain.decisions import Forecast
from trunkline.domain.errors import Refused
from trunkline.domain.names import BranchName, EntryKey, PrNumber
from trunkline.domain.stack import Entry, Stack
from trunkline.domain.step import Outcome, Plan, StepKey, StepName, StepStatus
from trunkline.engine import RunResult, StepContext, StepFunction
from trunkline.git import history
from trunkline.github import opening
from trunkline.operations import native_link, stack_file
from trunkline.planning import heads
from trunkline.planning.parents import base_of
from trunkline.steps import create, push, retarget, retitle

TASK = "submit"


class Submitted(msgspec.Struct, frozen=True):
    """The pull request of an entry after a submission.

    Attributes:
        number: its number; None if the run stopped before it was created.
        branch: the entry's branch.
        url: its page.
        created: this run created it.
    """

    number: PrNumber | None
    branch: BranchName
    url: str
    created: bool


def entries_of(view: View, up_to: EntryKey | None) -> tuple[Entry, ...]:
    """Return the entries to submit, bottom first: all that are not merged, up to a given one.

    Raises:
        Refused: there is none.
    """
    entries = view.open_entries()
    if up_to is not None:
        last = view.stack.entries.index(view.stack.entry(up_to))
        entries = tuple(entry for entry in entries if view.stack.entries.index(entry) <= last)
    if not entries:
        raise Refused(
            "there is nothing to submit",
            why="every entry of the stack is merged or closed",
            next_command=task_command("status"),
        )
    return entries


def plan(context: Context, *, up_to: EntryKey | None = None) -> Forecast:
    """Plan a submission; nothing changes.

    Raises:
        Refused: an entry does not sit on the one below, has no commits, or its remote branch holds
            foreign commits; or stack.toml is part of a branch.
        OwnCommitsUnknown: the user must say which commits are an entry's own.
    """
    unsubmitted = [entry.branch for entry in context.stack.entries if entry.number is None]
    with opening.reading_open_ones(context.github, unsubmitted) as response:
        view = context.view()
        entries = entries_of(view, up_to)
        new = [entry for entry in entries if entry.number is None]
        if new:
            stack_file.require_own(view.git, view.stack.trunk, view.stack.remote)
        heads.load(view)
        for entry in entries:
            _require_on_base(view.of(entry))
        opened = response()
    steps = [push.plan_entries(view, entries)]
    steps += [create.plan(view.of(entry), opened.get(entry.branch)) for entry in new]
    steps.append(retarget.plan(view, native_link.stacks_of(context.observer, context.stack), entries))
    steps += retitle.plan(view, entries)
    branches = tuple(entry.branch for entry in entries)
    return Forecast(Plan(TASK, entries[0].key, tuple(steps), branches=branches), view.decisions)


def _require_on_base(view: View) -> None:
    """Check that an entry contains the unmerged entry below.

    Raises:
        Refused: it does not; a pull request would show commits that are not its own.
    """
    base, tip = base_of(view), view.local.local or view.local.remote
    if tip is None:
        raise view.no_branch()
    if base.entry is None or history.is_ancestor(view.git, base.oid, tip):
        return
    lacks = counted(len(history.reachable(view.git, [base.oid], [tip])))
    raise Refused(
        f"{view.entry.full_label} does not sit on {base.entry.full_label}",
        why=f"it lacks {lacks} of {base.branch}; nothing was pushed",
        next_command=task_command("restack"),
    )


def forecast(context: Context, *, up_to: EntryKey | None = None) -> Forecast:
    """Return the plan that `run` would execute.

    Raises:
        Paused: an earlier run is paused.
        Refused: see `plan`.
    """
    runner.refuse_while_paused(context, (StepName.PUSH,))
    return plan(context, up_to=up_to)


def nothing_to_do(intended: Plan) -> Outcome | None:
    """Return the outcome of a plan that would change nothing; else None."""
    if intended.publishes or any(step.name is StepName.CREATE for step in intended.steps):
        return None
    return Outcome("nothing to do", "every branch is pushed, and every pull request exists", StepStatus.NOTHING)


def run(context: Context, intended: Forecast | None = None, *, up_to: EntryKey | None = None) -> RunResult:
    """Submit: take the lock, open a journal, run the steps.

    Args:
        context: the stack.
        intended: the plan, if the caller has made it already.
        up_to: the last entry to plan for; None: the whole stack.

    Raises:
        Paused: an earlier run is paused.
        Refused: another run holds the lock.
    """
    intended = intended or forecast(context, up_to=up_to)
    return runner.carry_out(context, intended, step_functions(context, intended.plan), label=TASK)


def step_functions(context: Context, intended: Plan) -> dict[StepKey, StepFunction]:
    """Return the function of each step in the plan."""
    branches = intended.branches or tuple(entry.branch for entry in context.view().open_entries())

    def chosen(stack: Stack) -> Sequence[Entry]:
        return [entry for entry in stack.entries if entry.branch in branches]

    def push_all(step_context: StepContext) -> Outcome:
        return push.run_entries(context, step_context, chosen(context.stack))

    def set_bases(step_context: StepContext) -> Outcome:
        now = current(context)
        return retarget.run(now, step_context, chosen(now.stack))

    def set_titles(step_context: StepContext) -> Outcome:
        now = current(context)
        return retitle.run(now.view(), step_context, chosen(now.stack))

    created = [step.pr for step in intended.steps if step.pr is not None]
    observed = create.observing(context, created, lambda: context)

    def creation(key: EntryKey) -> StepFunction:
        return lambda step_context: create.run(observed(), key, step_context, first=context)

    whole = {StepName.PUSH: push_all, StepName.RETARGET: set_bases, StepName.RETITLE: set_titles}
    return {step.key: whole[step.name] if step.pr is None else creation(step.pr) for step in intended.steps}


def current(scope: Scope) -> Context:
    """Return the context with the numbers that the run has filled in."""
    stack = stack_file.current(scope.git, scope.stack)
    project = replace(scope.project, stack=stack)
    return open_run_context(project, stack.entry(scope.entry.branch), stacked=True)


def pull_requests(view: View, result: RunResult, *, up_to: EntryKey | None = None) -> tuple[Submitted, ...]:
    """Return the pull requests of the submitted entries, bottom first, for the summary."""
    made = {
        outcome.data["branch"]: outcome.data for (name, _), outcome in result.outcomes.items()
        if name is StepName.CREATE and "url" in outcome.data
    }  # fmt: skip
    found = []
    for entry in entries_of(view, up_to):
        data, pr = made.get(entry.branch), view.world.snapshot.pr(entry.key)
        number = data["number"] if data else entry.number
        url = str(data["url"]) if data else pr.url if pr else ""
        found.append(Submitted(number, entry.branch, url, bool(data and data["created"])))
    return tuple(found)
