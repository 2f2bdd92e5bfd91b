"""Step `next`: show the entry above, its state and the next command."""

from __future__ import annotations

from trunkline.context.run import Context
from trunkline.context.scope import Scope
from trunkline.domain.command import Command, flag_words, task_command
from trunkline.domain.names import branch_ref
from trunkline.domain.options import Options
from trunkline.domain.snapshot import PrState
from trunkline.domain.stack import Entry
from trunkline.domain.step import Outcome, Step, StepName, StepStatus
from trunkline.engine import StepContext
from trunkline.git import refs


def plan(_context: Scope) -> Step:
    """Plan the step."""
    return Step(StepName.NEXT, "name the entry above and its command")


def landing(above: Entry, options: Options) -> Command:
    """Return the command for the entry above; a gate that this machine cannot run stays accepted.

    Args:
        above: the entry above.
        options: those of the run, which `continue` takes from the journal.
    """
    if above.number is None:
        return task_command("submit")
    accepted = ",".join(sorted(options.accept_unavailable))
    flags = flag_words({"accept-unavailable": accepted} if accepted else {})
    return task_command("rebase", "--pr", above.number, *flags)


def run(context: Context, _step_context: StepContext | None = None) -> Outcome:
    """Return the entry above, its state and the next command."""
    above = context.view().next_unmerged()
    if above is None:
        is_top = context.stack.above(context.entry) is None
        label = context.entry.label
        why = f"{label} is the top of the stack" if is_top else f"every entry above {label} is merged"
        return Outcome("next", f"nothing: {why}", StepStatus.NOTHING, data={"pr": None})
    pr = context.world().snapshot.pr(above.key)
    if above.number is None:
        state = "no pull request yet"
    else:
        state = "GitHub has no such pull request" if pr is None else _state(pr.state, draft=pr.draft)
    exists = refs.read_ref(context.git, branch_ref(above.branch)) is not None
    where = "local branch exists" if exists else "no local branch yet; the command creates it"
    command = landing(above, context.options)
    condition = "" if _is_merged(context) else f"once {context.entry.label} is merged"
    return Outcome(
        "next",
        f"{above.label} {above.title}".rstrip(),
        details=(
            *((context.entry.next,) if context.entry.next else ()),
            f"{state}; {above.branch}: {where}",
            *(f"to be shown: {check.text}" for check in above.checks),
            *((f"{condition}: {command}",) if condition else ()),
        ),
        data={
            "pr": above.number,
            "branch": above.branch,
            "title": above.title,
            "notes": context.entry.next,
            "command": command,
            "condition": condition,
            "branch_is_here": exists,
            "checks": [check.name for check in above.checks],
        },
    )


def _is_merged(context: Context) -> bool:
    found = context.world().snapshot.pr(context.entry.key)
    return found is not None and found.state is PrState.MERGED


def _state(state: PrState, *, draft: bool) -> str:
    return "a draft" if state is PrState.OPEN and draft else state.value.lower()
