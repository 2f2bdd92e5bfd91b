"""retarget: every open pull request of the stack targets the branch that its entry sits on."""

from __future__ import annotations

from trunkline.adapters import history
from trunkline.domain.names import PrNumber
from trunkline.domain.snapshot import PrState
from trunkline.domain.step import Mark, Outcome, Step, StepName
from trunkline.engine import Acting
from trunkline.workflows.base import base_of
from trunkline.workflows.context import Context
from trunkline.workflows.publish import set_base


def plan(context: Context) -> Step:
    """Plan the step."""
    commands = tuple(f"gh pr edit {pr} --base {wanted}" for pr, _, wanted in _wrong(context))
    return Step(StepName.RETARGET, "each pull request targets what its entry sits on", commands, mutates=True)


def perform(context: Context, acting: Acting) -> Outcome:
    """Let each open pull request target its base, after the push: before, it might have had no commits over it.

    Raises:
        Refused: GitHub does not take one.
    """
    told = []
    kept = []
    for number, held, wanted in _wrong(context):
        there = context.of(context.stack.entry(number))
        pr, base = there.pull_request(), base_of(there)
        if history.is_ancestor(context.git, pr.head_oid, base.oid):
            kept.append(f"#{number} still targets {held}: it has no commits over {wanted}")
            continue
        acting.intend(pr=number, base=held, draft=pr.draft, base_after=wanted, draft_after=pr.draft)
        set_base(context, number, wanted)
        told.append(f"#{number} {held} -> {wanted}")
    if told:
        context.forget_github()
    mark = Mark.WARNED if kept else Mark.DONE if told else Mark.NOTHING
    return Outcome("retargeted", ", ".join(told) or "every base is right", mark, tuple(kept))


def _wrong(context: Context) -> tuple[tuple[PrNumber, str, str], ...]:
    """Return number, base and wanted base of each open pull request that targets another branch."""
    found = []
    for entry in context.stack.entries:
        pr = context.world().snapshot.pr(entry.pr)
        if pr is not None and pr.state is PrState.OPEN:
            wanted = base_of(context.of(entry)).branch
            if pr.base != wanted:
                found.append((entry.pr, pr.base, str(wanted)))
    return tuple(found)
