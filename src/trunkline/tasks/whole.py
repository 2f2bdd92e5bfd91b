"""The tasks of a whole stack: restack."""

from __future__ import annotations

from invoke.collection import Collection
from invoke.context import Context as InvokeContext
from invoke.tasks import task

from trunkline.tasks.flags import HELP, options_of
from trunkline.tasks.telling import Told, telling
from trunkline.workflows import restack as restack_workflow
from trunkline.workflows.context import Context, open_stack


def _told(*names: str) -> dict[str, str]:
    return {name: HELP[name] for name in names}


def _headline(told: Told, context: Context) -> None:
    listed = " ".join(f"#{entry.pr}" for entry in context.stack.entries)
    told.terminal.headline(f"{context.stack.name or 'stack'} {listed} -> {context.stack.trunk}")


@task(help=_told("stack", "skip", "no-push", "dry-run", "json", "yes"))
def restack(
    _: InvokeContext,
    stack: str = "",
    skip: str = "",
    no_push: bool = False,
    dry_run: bool = False,
    json: bool = False,
    yes: bool = False,  # noqa: ARG001 -- asks nothing yet
) -> None:
    """Bring every open entry onto its base again, in one pass, and push what moved, all or none."""
    with telling("restack", json_wanted=json) as told:
        options = options_of(skip, "", "", fresh=False, no_push=no_push)
        context = open_stack(stack=stack, options=options, tell=told.terminal)
        _headline(told, context)
        if dry_run:
            told.plan(restack_workflow.plan(context))
            return
        told.performed(restack_workflow.run(context))


def add_to(namespace: Collection) -> None:
    """Add these tasks to the collection."""
    namespace.add_task(restack)
