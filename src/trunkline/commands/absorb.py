"""Command `absorb`: give each staged hunk to the own commit that last touched its lines."""

from __future__ import annotations

from collections import Counter

from trunkline.commands import amend, rewriting, runner
from trunkline.commands.rewriting import Rewriting
from trunkline.context.run import Context
from trunkline.domain.absorb import Absorbed
from trunkline.domain.command import task_command
from trunkline.domain.names import EntryKey
from trunkline.domain.step import Outcome, StepName, StepStatus
from trunkline.domain.words import count_of
from trunkline.git import work_trees
from trunkline.git.git import Git
from trunkline.planning import absorption
from trunkline.planning.rewrite_plan import open_entries, rewritten

TASK = "absorb"


def plan(context: Context) -> tuple[tuple[Absorbed, ...], Rewriting | None]:
    """Plan an absorb, with everything computed in memory; no ref, index or file changes.

    Returns:
        Every staged change with the commit that takes it, and the plan; None if no change fits.

    Raises:
        Refused: the entry is not checked out, or a branch cannot be moved.
        Paused: an earlier run is paused, or the user must answer a question.
    """
    runner.refuse_while_paused(context, (StepName.REWRITE, StepName.REPLAY))
    view = context.view()
    amend.require_checked_out(view, task=TASK)
    entries = open_entries(view, task=TASK)
    position, current = amend.at(view, entries)
    staged = amend.staged_changes(view.git, current, everything=False)
    reached = absorption.in_reach(entries[: position + 1])
    found = absorption.decide(view.git, reached, staged.index)
    if found.tree is None:
        return found.rows, None
    changed = tuple(each for each in reached if each.entry.key in found.wanted)
    rewrites = rewritten(view, changed, found.wanted)
    amend.require_tree(view.git, current, rewrites[-1].result.new, found.tree)
    above = entries[position + 1 :]
    made = rewriting.plan(view, TASK, rewrites, above, descriptions=_descriptions(found.rows), staged=staged)
    return found.rows, made


def _descriptions(rows: tuple[Absorbed, ...]) -> dict[EntryKey, str]:
    """Return the description of each entry's step; the task lists the hunks themselves above the plan."""
    taken = Counter(row.entry.key for row in rows if row.entry is not None)
    return {key: f"take in {count_of(number, 'hunk')}" for key, number in taken.items()}


def nothing_to_do(git: Git, rows: tuple[Absorbed, ...]) -> Outcome:
    """Return the outcome if no staged change fits a commit of the stack."""
    message = "no staged change belongs to a commit of the stack" if rows else "nothing is staged"
    changed = () if rows else work_trees.changed_paths(git)
    details = (f"to take in {', '.join(changed)}: git add --update && {task_command(TASK)}",) if changed else ()
    return Outcome("nothing to do", message, StepStatus.NOTHING, details)
