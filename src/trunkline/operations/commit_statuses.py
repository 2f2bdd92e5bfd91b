"""Publish gate results as GitHub commit statuses, if stack.toml enables it."""

from __future__ import annotations

from trunkline.context.run import Context
from trunkline.domain import records
from trunkline.domain.attestation import status_text
from trunkline.domain.names import Oid, short
from trunkline.domain.snapshot import OUR_CONTEXTS
from trunkline.domain.words import count_of
from trunkline.engine import StepContext
from trunkline.planning.verification import gates_for


def publish(context: Context, step_context: StepContext, tip: Oid) -> tuple[str, ...]:
    """Write a commit status for each gate with a receipt for this commit; keep equal statuses.

    A gate without a fresh pass gets no status, whatever was published before.

    Args:
        context: the entry's context.
        step_context: the step's arguments.
        tip: the pushed commit.

    Returns:
        The messages for the user.
    """
    if not context.stack.publish.statuses:
        return ()
    gates = gates_for(context.project, context.observer.machine(), tip)
    passed = {name: outcome for name, outcome in gates if outcome and outcome.proven}
    published = context.github.statuses(tip)
    expected = {f"{OUR_CONTEXTS}{name}": status_text(outcome) for name, outcome in passed.items()}
    missing = {name: message for name, message in expected.items() if published.get(name) != ("success", message)}
    if missing:
        context.reporter.require_approval(
            f"{count_of(len(missing), 'commit status', 'commit statuses')} on {short(tip)}"
        )
        about = step_context.about(context.entry)
        step_context.note(records.StatusesPublished(*about, commit=tip, statuses=tuple(sorted(missing))))
        slug = context.repository.slug
        context.reporter.command(
            f"gh api repos/{slug}/statuses/{tip} -f state=success -f context={OUR_CONTEXTS}GATE ..."
        )
    for name, message in missing.items():
        context.github.set_status(tip, name, message)
    return (f"{count_of(len(expected), 'status', 'statuses')}: {', '.join(sorted(expected))}",) if expected else ()
