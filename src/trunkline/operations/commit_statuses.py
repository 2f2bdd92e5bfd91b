"""Commit statuses per gate, on opt-in: what receipts prove, where reviewers look while Actions is down."""

from __future__ import annotations

from trunkline.context.project import Context
from trunkline.domain.names import Oid, short
from trunkline.domain.snapshot import OUR_CONTEXTS
from trunkline.engine import StepContext
from trunkline.planning.verification import gates_for

_LONGEST = 140  # docs.github.com, "Create a commit status"


def publish(context: Context, step_context: StepContext, tip: Oid) -> tuple[str, ...]:
    """Write a status for every gate that a receipt proves for exactly this commit; what is there already stays.

    A gate without a fresh pass is not claimed, whatever was claimed before.

    Args:
        context: where.
        step_context: proof.
        tip: the pushed commit.

    Returns:
        What is to be told.
    """
    if not context.stack.publish.statuses:
        return ()
    gates = gates_for(context, tip)
    passed = {name: outcome for name, outcome in gates if outcome and outcome.proven}
    held = context.github.statuses(tip)
    wanted = {
        f"{OUR_CONTEXTS}{name}": f"passed on this commit's tree with {outcome.toolchain or outcome.command}"[
            :_LONGEST
        ]
        for name, outcome in passed.items()
    }
    missing = {name: message for name, message in wanted.items() if held.get(name) != ("success", message)}
    if missing:
        context.reporter.require_approval(f"{len(missing)} commit statuses on {short(tip)}")
        step_context.note("publishing", context.entry, commit=tip, statuses=sorted(missing))
        slug = context.repository.slug
        context.reporter.command(
            f"gh api repos/{slug}/statuses/{tip} -f state=success -f context={OUR_CONTEXTS}GATE ..."
        )
    for name, message in missing.items():
        context.github.set_status(tip, name, message)
    return (f"{len(wanted)} statuses: {', '.join(sorted(wanted))}",) if wanted else ()
