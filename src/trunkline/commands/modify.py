"""Command `modify`: change the stack as text, or by one operation; everything is computed in memory first."""

from __future__ import annotations

import functools
import shlex
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace

import msgspec
from msgspec import structs

from trunkline.commands import publish_modified, rewriting, runner
from trunkline.commands.rewriting import Rewriting
from trunkline.context.loading import load_stacks
from trunkline.context.project import Project
from trunkline.context.run import Context, open_run_context
from trunkline.context.scope import Scope
from trunkline.context.view import View
from trunkline.domain.command import task_command
from trunkline.domain.commits import Commit
from trunkline.domain.decisions import Forecast
from trunkline.domain.errors import InternalError, Refused, UsageError
from trunkline.domain.modify import WantedStack, described, wanted
from trunkline.domain.modify_operations import Operation, applied
from trunkline.domain.names import EntryKey, branch_ref, short
from trunkline.domain.rewrite import NewCommit, Rewrite
from trunkline.domain.stack import Entry, Stack
from trunkline.domain.stack_text import EntryLine, lines_of, parsed, written
from trunkline.domain.step import Plan, StepName
from trunkline.domain.words import count_of
from trunkline.git import refs, rewrite
from trunkline.operations.stack_file import require_own
from trunkline.planning.rewrite_plan import OpenEntry, RewriteConflict, open_entries, rewritten
from trunkline.steps import stack_file

TASK = "modify"
MENDABLE = (UsageError, RewriteConflict)
"""The errors that another text of the stack may avoid."""
_SHOWN = 20
"""The most problems of a plan that are printed: a file of another kind has one in each line."""


class Stacked(msgspec.Struct, frozen=True):
    """The open entries of a stack as they are.

    Attributes:
        view: the stack.
        entries: the open entries, bottom first.
    """

    view: View
    entries: tuple[OpenEntry, ...]

    @property
    def today(self) -> list[tuple[Entry, tuple[Commit, ...]]]:
        """The open entries with their own commits."""
        return [(each.entry, each.own) for each in self.entries]

    @property
    def text(self) -> str:
        """The stack as text."""
        return written(self.today, self.view.tracking)


class Modification(msgspec.Struct, frozen=True):
    """A planned modification.

    Attributes:
        context: the context of the run: its stack has the new entries and the removed ones.
        rewriting: the plan.
        stack: the stack as it shall be.
        changes: what changes, one line each.
    """

    context: Context
    rewriting: Rewriting
    stack: WantedStack
    changes: tuple[str, ...]


def open_stacked(context: Context) -> Stacked:
    """Return the open entries with their own commits.

    Raises:
        Paused: an earlier run is paused, or the user must answer a question.
        Refused: no entry is open, or a branch and its remote branch have diverged.
    """
    runner.refuse_while_paused(context, (StepName.REWRITE, StepName.REPLAY))
    view = context.view()
    entries = open_entries(view, task=TASK)
    if not entries:
        raise Refused(
            "no entry of the stack is open", why="there is nothing to modify", next_command=task_command("status")
        )
    return Stacked(view, entries)


def lines_in(text: str) -> tuple[EntryLine, ...]:
    """Return the lines of a text.

    Raises:
        UsageError: lines cannot be read; the error names each.
    """
    lines, problems = parsed(text)
    if problems:
        raise _invalid(tuple(map(str, problems)))
    return lines


def after(stacked: Stacked, operation: Operation) -> tuple[EntryLine, ...]:
    """Return the lines of a stack after one operation.

    Raises:
        UsageError: the operation does not fit the stack.
    """
    return applied(lines_of(stacked.today), operation)


def stack_with(scope: Scope, name: str) -> str:
    """Return the other stack of stack.toml that has an entry of a name, by number or branch; "" if none has."""
    wanted_name = name.removeprefix("#")
    return next(
        (
            stack.name for stack in load_stacks(scope.git)
            if stack.name != scope.stack.name
            and any(wanted_name in {str(entry.key), str(entry.branch)} for entry in stack.entries)
        ),
        "",
    )  # fmt: skip


def plan(
    scope: Scope,
    stacked: Stacked,
    lines: Sequence[EntryLine],
    *,
    closes: bool = False,
    verify: Callable[[Commit, bytes], bytes] | None = None,
) -> Modification | None:
    """Plan the stack that lines describe, with everything computed in memory; None if nothing changes.

    Args:
        scope: the stack.
        stacked: the stack as it is.
        lines: the lines.
        closes: close the pull requests of removed entries.
        verify: runs the commit hooks on a new message and returns the one that they leave; None: none run.

    Raises:
        UsageError: the lines do not describe a stack; the error names each problem with its line.
        Refused: a change would conflict, a branch cannot be moved, a new branch exists already, or
            the entries change and stack.toml is part of a branch.
    """
    publish_modified.refuse_contradiction(stacked.view, closes=closes)
    stack, problems = wanted(stacked.today, lines, functools.partial(rewrite.halves, scope.git))
    if problems:
        raise _invalid(tuple(map(str, problems)))
    _account(stacked, stack)
    changes = _changes(stacked, stack)
    if not changes:
        return None
    _refuse_existing(stacked, stack)
    stack = _verified(stack, verify) if verify is not None else stack
    declared = _declared(scope.stack, stack)
    if declared:
        require_own(scope.git, scope.stack.trunk, scope.stack.remote)
    own = _context(scope.project, stack)
    view, ordered = own.view(), _ordered(stacked, stack)
    commits = {each.entry.key: each.commits for each in stack.entries}
    rewrites = rewritten(view, ordered, commits, instead=task_command(TASK, "--print"))
    moved = tuple(each for each in rewrites if each.local is None or each.result.new != each.local)
    words = dict(described(stacked.today, stack))
    made = _rewriting(view, moved, words)
    following = [stack_file.plan(declared)] if declared else []
    following += publish_modified.plan_closing(stack) if closes else ()
    if publish_modified.is_wanted(view):
        new = {each.entry.key for each in stack.entries} - {each.entry.key for each in stacked.entries}
        following += publish_modified.plan(own, view.with_rewrites(moved), stack, moved, new)
    intended = structs.replace(made.forecast.plan, steps=(*made.forecast.plan.steps, *following))
    made = structs.replace(made, forecast=structs.replace(made.forecast, plan=intended), declared=declared)
    return Modification(own, made, stack, changes)


def _verified(stack: WantedStack, verify: Callable[[Commit, bytes], bytes]) -> WantedStack:
    """Return the stack with the messages that the commit hooks leave; errors as of `verify`."""
    entries = [
        structs.replace(each, commits=tuple(
            new if new.message is None else structs.replace(new, message=verify(new.source, new.message))
            for new in each.commits
        ))
        for each in stack.entries
    ]  # fmt: skip
    return structs.replace(stack, entries=tuple(entries))


def _rewriting(view: View, moved: tuple[Rewrite, ...], words: Mapping[EntryKey, str]) -> Rewriting:
    if not moved:
        return Rewriting(Forecast(Plan(TASK, view.entry.key, ()), view.decisions), ())
    descriptions = {each.pr: words[each.pr] for each in moved if each.pr in words}
    return rewriting.plan(view, TASK, moved, (), descriptions=descriptions)


def _account(stacked: Stacked, stack: WantedStack) -> None:
    """Check that every own commit is in the wanted stack exactly once, or dropped on request.

    Raises:
        InternalError: one is not.
    """
    before = Counter(commit.oid for each in stacked.entries for commit in each.own)
    now = Counter(change.oid for each in stack.entries for new in each.commits for change in new.changes)
    for commit, *both in stack.split:
        if all(now.pop(half.oid, 0) == 1 for half in both):
            now[commit.oid] += 1
    now.update(commit.oid for commit in stack.dropped)
    if before != now:
        raise InternalError("the wanted stack would lose or repeat a commit; nothing was changed")


def _changes(stacked: Stacked, stack: WantedStack) -> tuple[str, ...]:
    words = dict(described(stacked.today, stack))
    changed = [f"{each.entry.label}: {words[each.entry.key]}" for each in stack.entries if each.entry.key in words]
    changed += [f"{entry.label}: removed from the stack" for entry in stack.removed]
    return (*changed, *(f'dropped: {short(commit.oid)} "{commit.subject}"' for commit in stack.dropped))


def _refuse_existing(stacked: Stacked, stack: WantedStack) -> None:
    known = {each.entry.key for each in stacked.entries}
    git, remote = stacked.view.git, stacked.view.stack.remote
    for each in stack.entries:
        branch = each.entry.branch
        taken = branch in {entry.branch for entry in stacked.view.stack.entries}
        if each.entry.key in known:
            continue
        if taken or refs.read_refs(git, branch_ref(branch), refs.tracking_ref(remote, branch)):
            raise Refused(
                f"there is a branch {branch} already",
                why="a new entry needs a new branch; nothing was changed",
                next_command=f"git log --oneline {shlex.quote(branch)} --",
            )


def _declared(today: Stack, stack: WantedStack) -> tuple[Entry, ...]:
    """Return the entries that stack.toml shall have; () if it has them."""
    open_or_gone = {each.entry.key for each in stack.entries} | {entry.key for entry in stack.removed}
    landed = [entry for entry in today.entries if entry.key not in open_or_gone]
    entries = (*landed, *(each.entry for each in stack.entries))
    same = [entry.key for entry in entries] == [entry.key for entry in today.entries]
    return () if same else entries


def _context(project: Project, stack: WantedStack) -> Context:
    """Return the context of the run, whose stack has the new entries, and the removed ones on top."""
    shown = {each.entry.key for each in stack.entries} | {entry.key for entry in stack.removed}
    landed = [entry for entry in project.stack.entries if entry.key not in shown]
    entries = (*landed, *(each.entry for each in stack.entries), *stack.removed)
    changed = replace(project, stack=structs.replace(project.stack, entries=entries))
    return open_run_context(changed, stack.entries[0].entry, stacked=True)


def _ordered(stacked: Stacked, stack: WantedStack) -> tuple[OpenEntry, ...]:
    """Return the entries in the wanted order, from the fork point of the bottom one; new ones have no branch."""
    known = {each.entry.key: each for each in stacked.entries}
    bottom = stacked.entries[0].fork
    return tuple(
        structs.replace(known[each.entry.key], fork=bottom)
        if each.entry.key in known
        else OpenEntry(each.entry, each.commits[-1].changes[-1].oid, None, None, bottom, _own(each.commits))
        for each in stack.entries
    )


def _own(commits: Sequence[NewCommit]) -> tuple[Commit, ...]:
    return tuple(change for new in commits for change in new.changes)


def _invalid(problems: Sequence[str]) -> UsageError:
    return UsageError(
        f"the plan has {count_of(len(problems), 'problem')}; nothing was changed",
        why="\n".join([*problems[:_SHOWN], *([f"and {left} more"] if (left := len(problems) - _SHOWN) > 0 else [])]),
        next_command=task_command("modify", "--print"),
    )
