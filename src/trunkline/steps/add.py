"""Step `add`: create the new entry's branch, write the entry into stack.toml, and check the branch out."""

from __future__ import annotations

import shlex
from collections.abc import Sequence

from msgspec.structs import replace

from trunkline.context.observer import Part
from trunkline.context.run import Context
from trunkline.domain import records
from trunkline.domain.added import AddedEntry
from trunkline.domain.command import task_command
from trunkline.domain.errors import Refused
from trunkline.domain.names import branch_ref, short
from trunkline.domain.stack import Entry, Stack
from trunkline.domain.step import Outcome, Step, StepName
from trunkline.engine import StepContext
from trunkline.git import history, local_refs, refs
from trunkline.operations import added_entry, stack_file


def plan(stack: Stack, added: AddedEntry) -> Step:
    """Plan the step."""
    place = f"on {added.below or stack.trunk}"
    entry = stack.entry(added.branch)
    if added.commit is None:
        return Step(StepName.ADD, f"add branch {added.branch} to the stack, {place}", mutates=True, pr=entry.key)
    commands = (
        f"git switch --create {shlex.quote(added.branch)}",
        f"git commit --message {shlex.quote(added.title)}",
    )
    what = f'add {added.branch} to the stack, {place}, with the commit {short(added.commit)} "{added.title}"'
    return Step(StepName.ADD, what, commands, mutates=True, pr=entry.key)


def run(context: Context, step_context: StepContext, added: AddedEntry) -> Outcome:
    """Make the entry; every part that a killed run has made already is left as it is.

    Raises:
        Refused: the branch holds another commit, or the checkout changed since the plan.
    """
    git, lock, ref = context.git, step_context.lock, branch_ref(added.branch)
    about = (step_context.step.name, added.branch, added.branch)
    held = refs.read_refs(git, ref).get(ref)
    if added.commit is not None and held != added.commit:
        added_entry.require_unchanged(git, added)
        if history.missing(git, [added.commit]):
            raise Refused(
                f"the commit {short(added.commit)} of {added.branch} is gone",
                why="the run was interrupted before it was stored durably; nothing was changed",
                next_command=task_command("abort"),
            )
        step_context.log_intent(records.BranchMoved(*about, old=None, new=added.commit))
        local_refs.move_ref(git, lock, ref, new=added.commit, old=None, why="added to the stack")
    if all(entry.branch != added.branch for entry in stack_file.current(git, context.stack).entries):
        step_context.log_intent(records.EntryAdded(*about, added=added))

        def with_it(entries: Sequence[Entry]) -> Sequence[Entry]:
            return added_entry.inserted(replace(context.stack, entries=tuple(entries)), added).entries

        stack_file.change_entries(git, lock, context.stack.name, with_it)
    if added.commit is not None:
        added_entry.check_out(git, step_context, added)
    context.observer.changed(Part.LOCAL)
    return Outcome("added", f"on {added.below or context.stack.trunk}")
