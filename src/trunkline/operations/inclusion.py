"""Include commits that somebody pushed to an entry's branch after the run began, if the user agrees."""

from __future__ import annotations

from trunkline.context.run import Context
from trunkline.domain import records
from trunkline.domain.names import Oid
from trunkline.domain.words import count_of
from trunkline.engine import StepContext
from trunkline.planning import pushed_commits


def settle(context: Context, step_context: StepContext) -> None:
    """Check as `pushed_commits.refuse` does, but prompt an interactive user to include the commits.

    Raises:
        Paused: commits were pushed, and the user did not include them.
    """
    found = pushed_commits.commits(context.view())
    if not found:
        return
    for line in pushed_commits.listed(found):
        context.reporter.progress(line)
    what = f"{context.entry.full_label}: {count_of(len(found), 'commit')} pushed since the run began"
    if not context.reporter.ask_person(f"{what}. Take {'it' if len(found) == 1 else 'them'} in?"):
        raise pushed_commits.paused(context.view(), found)
    include(context, step_context, found[-1].oid)


def include(context: Context, step_context: StepContext, tip: Oid) -> None:
    """Record that the user includes the commits pushed to the entry's branch, up to a tip."""
    step_context.log(records.Included(*step_context.about(context.entry), new=tip))
    context.run.decisions = context.run.decisions.including(context.entry.key, tip)
