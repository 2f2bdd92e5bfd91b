"""Step `next`: show the entry above, its state and the next command."""

from __future__ import annotations

from trunkline.context.scope import Scope
from trunkline.context.view import View
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


def landing(above: Entry, options: Options, *, is_closed: bool = False) -> Command:
    """Return the command for the entry above; a gate that this machine cannot run stays accepted.

    Args:
        above: the entry above.
        options: those of the run, which `continue` takes from the journal.
        is_closed: its pull request was closed without being merged.
    """
    if is_closed:
        return task_command("rescue", "--pr", above.number)
    if above.number is None:
        return task_command("submit")
    accepted = ",".join(sorted(options.accept_unavailable))
    flags = flag_words({"accept-unavailable": accepted} if accepted else {})
    return task_command("rebase", "--pr", above.number, *flags)


def run(view: View, _step_context: StepContext | None = None) -> Outcome:
    """Return the entry above, its state and the next command."""
    above = view.next_unmerged()
    if above is None:
        is_top = view.stack.above(view.entry) is None
        label = view.entry.label
        why = f"{label} is the top of the stack" if is_top else f"every entry above {label} is merged"
        return Outcome("next", f"nothing: {why}", StepStatus.NOTHING, data={"pr": None})
    pr = view.world.snapshot.pr(above.key)
    if above.number is None:
        state = "no pull request yet"
    else:
        state = "GitHub has no such pull request" if pr is None else _state(pr.state, draft=pr.draft)
    exists = refs.read_ref(view.git, branch_ref(above.branch)) is not None
    is_closed = pr is not None and pr.state is PrState.CLOSED
    where = (
        "local branch exists" if exists else "no local branch yet" + ("" if is_closed else "; the command creates it")
    )
    command = landing(above, view.options, is_closed=is_closed)
    condition = "" if is_closed or _is_merged(view) else f"once {view.entry.label} is merged"
    return Outcome(
        "next",
        f"{above.label} {above.title}".rstrip(),
        details=(
            *((view.entry.next,) if view.entry.next else ()),
            f"{state}; {above.branch}: {where}",
            *(f"to be shown: {check.text}" for check in above.checks),
            *((f"{condition}: {command}",) if condition else ()),
        ),
        data={
            "pr": above.number,
            "branch": above.branch,
            "title": above.title,
            "notes": view.entry.next,
            "command": command,
            "condition": condition,
            "branch_is_here": exists,
            "checks": [check.name for check in above.checks],
        },
    )


def _is_merged(view: View) -> bool:
    found = view.world.snapshot.pr(view.entry.key)
    return found is not None and found.state is PrState.MERGED


def _state(state: PrState, *, draft: bool) -> str:
    return "a draft" if state is PrState.OPEN and draft else state.value.lower()
