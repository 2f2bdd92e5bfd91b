"""Step `stack-file`: write the entries that stack.toml shall have; comments and order of keys stay."""

from __future__ import annotations

from collections.abc import Sequence

from trunkline.context.view import View
from trunkline.domain.names import BranchName
from trunkline.domain.stack import Entry
from trunkline.domain.step import Outcome, Step, StepName, StepStatus
from trunkline.engine import StepContext
from trunkline.operations import stack_file
from trunkline.planning import renamed


def plan(entries: Sequence[Entry]) -> Step:
    """Plan the step."""
    listed = ", ".join(entry.label for entry in entries)
    return Step(StepName.STACK_FILE, f"write the entries into stack.toml: {listed}", mutates=True)


def run(view: View, step_context: StepContext, entries: Sequence[Entry]) -> Outcome:
    """Write the entries into stack.toml, unless it has them.

    An entry that goes on under another branch keeps its table.
    """
    text, text_after = stack_file.entries_text(view.git, view.stack.name, entries, _renamed(view, entries))
    listed = ", ".join(entry.label for entry in entries)
    if text == text_after:
        return Outcome("stack.toml", f"has {listed} already", StepStatus.NOTHING)
    stack_file.write(view.git, step_context, view.entry, text=text, text_after=text_after)
    return Outcome("stack.toml", f"has {listed}")


def _renamed(view: View, entries: Sequence[Entry]) -> dict[BranchName, BranchName]:
    """Return the old branch of each entry that replaces a removed one, by the new branch."""
    kept = {entry.branch for entry in entries}
    removed = [entry for entry in view.stack.entries if entry.branch not in kept]
    found = {}
    for entry in entries if removed else ():
        tip = view.of(entry).local.local if entry.number is None else None
        was = renamed.replaced(view, tip, removed) if tip is not None else None
        if was is not None:
            found[entry.branch] = was.branch
    return found
