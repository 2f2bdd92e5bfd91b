"""The tasks of a whole stack: restack and land."""

from __future__ import annotations

from dataclasses import replace

from invoke.collection import Collection

from trunkline.domain.command import task_command
from trunkline.domain.merge_choice import described
from trunkline.domain.names import pr_number
from trunkline.domain.step import Outcome
from trunkline.domain.words import count_of
from trunkline.tasks.definition import landing_task
from trunkline.tasks.flags import one_of, options_of
from trunkline.tasks.telling import Told
from trunkline.workflows.context import Context, Options
from trunkline.workflows.opening import open_context, open_stack
from trunkline.workflows.openrun import look_for_open_run


def _headline(told: Told, context: Context) -> None:
    listed = " ".join(f"#{entry.pr}" for entry in context.stack.entries)
    told.terminal.headline(f"{context.stack.name or 'stack'} {listed} -> {context.stack.trunk}")


def _nothing_to_do(told: Told, nothing: Outcome) -> None:
    """Say that there is nothing to do, and which run is still to be ended, if there is one."""
    told.outcome(nothing)
    run = look_for_open_run()
    if run is not None:
        told.terminal.open_run(run)
        for command in run.commands:
            told.terminal.next(command)


@landing_task("restack", mutates=True)
def restack(
    told: Told,
    stack: str = "",
    skip: str = "",
    fork_point: str = "",
    no_push: bool = False,
    drop_emptied: bool = False,
) -> None:
    """Bring every open entry onto its base again, in one pass, and push what moved, all or none."""
    options = options_of(skip, fork_point=fork_point, no_push=no_push, drop_emptied=drop_emptied)
    context = open_stack(stack=stack, options=options, tell=told.terminal, ends=told.ends)
    from trunkline.workflows import restack as restack_workflow  # while GitHub answers

    _headline(told, context)
    if (nothing := restack_workflow.nothing_to_do(context)) is not None:
        _nothing_to_do(told, nothing)
        return
    if told.dry_run:
        told.plan(restack_workflow.forecast(context))
        return
    told.performed(restack_workflow.run(context))


@landing_task(
    "land", mutates=True, help={"pr": "the last entry to land; default: TRUNKLINE_PR, else the whole stack"}
)
def land(
    told: Told,
    pr: str = "",
    stack: str = "",
    skip: str = "",
    accept_unavailable: str = "",
    accept_flaky: str = "",
    fork_point: str = "",
    require: str = "",
    method: str = "",
    fresh: bool = False,
    watch: bool = False,
    drop_emptied: bool = False,
) -> None:
    """Land the stack, bottom first: rebase, gates, push, ready, note, wait, merge; then the next entry."""
    options = replace(
        options_of(
            skip, accept_unavailable, fork_point, fresh=fresh, drop_emptied=drop_emptied, accept_flaky=accept_flaky
        ),
        require=one_of("require", require, ("checks", "gates")),
        method=one_of("method", method, ("squash", "merge", "rebase")),
        watch=watch,
    )
    context = open_stack(stack=stack, options=options, tell=told.terminal, ends=told.ends)
    from trunkline.workflows import land as land_workflow  # while GitHub answers
    from trunkline.workflows import restack as restack_workflow

    land_workflow.refuse_contradiction(context)
    up_to = pr_number(pr) if pr else None
    _headline(told, context)
    if (nothing := restack_workflow.nothing_to_do(context, up_to=up_to)) is not None:
        _nothing_to_do(told, nothing)
        return
    entries = land_workflow.entries_of(context, up_to)
    told.account["lands"] = [entry.pr for entry in entries]
    order = tuple(f"  {n}. #{entry.pr} {entry.branch}  {entry.title}" for n, entry in enumerate(entries, 1))
    where = f"{count_of(len(entries), 'pull request')} on {context.tracking}, in this order:"
    told.summarise((f"lands {where}", *order))
    if told.dry_run:
        told.plan(land_workflow.forecast(context, up_to=up_to))
        from trunkline.report import runbook

        choices = dict(land_workflow.choices(context, entries))
        told.account["merges"] = runbook.merges_data(choices.items())
        known = [f": {described(choices[entry.pr])}" if entry.pr in choices else "" for entry in entries]
        told.summarise((f"would land {where}", *map(str.__add__, order, known)))
    else:
        told.performed(land_workflow.run(context, up_to=up_to))
        told.summarise((f"landed {where}", *order))


@landing_task("rescue", mutates=True)
def rescue(told: Told, pr: str | None = None, stack: str = "") -> None:
    """Bring back a pull request that was closed because its base branch was deleted; its number stays."""
    from trunkline.workflows import rescue as rescue_workflow

    context = open_context(pr, stack=stack, options=Options(), tell=told.terminal).over_the_stack()
    told.terminal.headline(f"#{context.entry.pr} {context.entry.branch}")
    told.account["pr"] = context.entry.pr
    if told.dry_run:
        told.plan(rescue_workflow.forecast(context))
        return
    told.performed(rescue_workflow.run(context))
    told.terminal.next(task_command("status"))


def add_to(namespace: Collection) -> None:
    """Add these tasks to the collection."""
    namespace.add_task(restack)
    namespace.add_task(land)
    namespace.add_task(rescue)
