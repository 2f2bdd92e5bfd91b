"""Publish gate results as GitHub commit statuses, if stack.toml enables it."""

from __future__ import annotations

from trunkline.context.scope import Scope
from trunkline.domain import records
from trunkline.domain.attestation import status_text
from trunkline.domain.names import Oid, short
from trunkline.domain.snapshot import OUR_CONTEXTS
from trunkline.domain.words import count_of
from trunkline.engine import StepContext
from trunkline.gates.proof import Surroundings
from trunkline.planning.verification import gates_for


def publish(scope: Scope, machine: Surroundings, step_context: StepContext, tip: Oid) -> tuple[str, ...]:
    """Write a commit status for each gate with a receipt for this commit; keep equal statuses.

    A gate without a fresh pass gets no status, whatever was published before.

    Args:
        scope: the entry.
        machine: the toolchains and cargo's configuration on this machine.
        step_context: the step's arguments.
        tip: the pushed commit.

    Returns:
        The messages for the user.
    """
    if not scope.stack.publish.statuses:
        return ()
    gates = gates_for(scope.project, machine, tip)
    passed = {name: outcome for name, outcome in gates if outcome and outcome.proven}
    published = scope.github.statuses(tip)
    expected = {f"{OUR_CONTEXTS}{name}": status_text(outcome) for name, outcome in passed.items()}
    missing = {name: message for name, message in expected.items() if published.get(name) != ("success", message)}
    if missing:
        scope.reporter.require_approval(
            f"{count_of(len(missing), 'commit status', 'commit statuses')} on {short(tip)}"
        )
        about = step_context.about(scope.entry)
        step_context.log(records.StatusesPublished(*about, commit=tip, statuses=tuple(sorted(missing))))
        slug = scope.repository.slug
        scope.reporter.command(
            f"gh api repos/{slug}/statuses/{tip} -f state=success -f context={OUR_CONTEXTS}GATE ..."
        )
    for name, message in missing.items():
        scope.github.set_status(tip, name, message)
    return (f"{count_of(len(expected), 'status', 'statuses')}: {', '.join(sorted(expected))}",) if expected else ()
