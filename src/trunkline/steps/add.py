"""Step `add`: create the new entry's branch, write the entry into stack.toml, and check the branch out."""

from __future__ import annotations

import shlex

from msgspec.structs import replace

from trunkline.context.scope import Scope
from trunkline.domain.added import AddedEntry
from trunkline.domain.names import short
from trunkline.domain.stack import Stack
from trunkline.domain.step import Outcome, Step, StepName, StepStatus
from trunkline.engine import StepContext
from trunkline.operations import added_entry, local_branch


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


def run(scope: Scope, step_context: StepContext, added: AddedEntry) -> Outcome:
    """Make the entry; errors as of `added_entry.put_in`."""
    behind = local_branch.left_behind(scope.git) if added.commit is not None else ()
    outcome = added_entry.put_in(scope.git, step_context, scope.stack, added)
    if not behind:
        return outcome
    return replace(outcome, mark=StepStatus.WARNED, details=(*behind, *outcome.details))
