"""The tasks that only look: the stack as a picture."""

from __future__ import annotations

from invoke.collection import Collection
from invoke.context import Context as InvokeContext
from invoke.tasks import task

from trunkline.report.stack import stack_data, stack_tree
from trunkline.tasks.flags import help_of
from trunkline.tasks.telling import telling
from trunkline.workflows import status as status_workflow
from trunkline.workflows.context import Options, open_stack


@task(help={**help_of("stack", "json"), "offline": "do not ask GitHub; the remote is as it was last fetched"})
def status(_: InvokeContext, stack: str = "", offline: bool = False, json: bool = False) -> None:
    """Show the stack: what sits on what, pull requests, CI, receipts, and the one command to type next."""
    with telling("status", json_wanted=json) as told:
        context = open_stack(stack=stack, options=Options(), tell=told.terminal)
        seen = status_workflow.look(context, offline=offline)
        told.account["stack"] = stack_data(seen)
        told.terminal.console.print(stack_tree(seen), soft_wrap=False)
        for note in seen.notes:
            told.terminal.line(("note: ", "yellow"), note)
        told.terminal.next(seen.next)


def add_to(namespace: Collection) -> None:
    """Add these tasks to the collection."""
    namespace.add_task(status)
