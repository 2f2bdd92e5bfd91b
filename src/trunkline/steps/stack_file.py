"""Step `stack-file`: write the entries that stack.toml shall have; comments and order of keys stay."""

from __future__ import annotations

from collections.abc import Sequence

from trunkline.context.run import Context
from trunkline.domain.stack import Entry
from trunkline.domain.step import Outcome, Step, StepName, StepStatus
from trunkline.engine import StepContext
from trunkline.operations import stack_file


def plan(entries: Sequence[Entry]) -> Step:
    """Plan the step."""
    listed = ", ".join(entry.label for entry in entries)
    return Step(StepName.STACK_FILE, f"write the entries into stack.toml: {listed}", mutates=True)


def run(context: Context, step_context: StepContext, entries: Sequence[Entry]) -> Outcome:
    """Write the entries into stack.toml, unless it has them."""
    text, text_after = stack_file.entries_text(context.git, context.stack.name, entries)
    listed = ", ".join(entry.label for entry in entries)
    if text == text_after:
        return Outcome("stack.toml", f"has {listed} already", StepStatus.NOTHING)
    stack_file.write(context, step_context, text=text, text_after=text_after)
    return Outcome("stack.toml", f"has {listed}")
