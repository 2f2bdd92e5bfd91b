"""Tasks of a whole stack: restack, sync, land and rescue."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import msgspec
from invoke.collection import Collection

from trunkline import commands, report
from trunkline.domain.command import task_command
from trunkline.domain.errors import Refused, WrongFlag
from trunkline.domain.merge_choice import described
from trunkline.domain.names import EntryKey, entry_key
from trunkline.domain.options import Options
from trunkline.domain.stack import Stack
from trunkline.domain.words import count_of
from trunkline.tasks.definition import landing_task
from trunkline.tasks.flags import is_set, one_of, options_of, variable
from trunkline.tasks.opening import open_entry, open_stack
from trunkline.tasks.session import TaskSession

if TYPE_CHECKING:
    from trunkline.context.run import Context


def _headline(session: TaskSession, stack: Stack) -> None:
    listed = " ".join(entry.label for entry in stack.entries)
    session.terminal.headline(f"{stack.name or 'stack'} {listed} -> {stack.trunk}")


@landing_task("restack", mutates=True)
def restack(
    session: TaskSession,
    stack: str = "",
    skip: str = "",
    fork_point: str = "",
    no_push: bool = False,
    drop_emptied: bool = False,
) -> None:
    """Replay every open entry onto its base, and push what moved in one atomic push."""
    options = options_of(skip, fork_point=fork_point, no_push=no_push, drop_emptied=drop_emptied)
    context = open_stack(session.terminal, stack, options)

    _headline(session, context.stack)
    if (nothing := commands.restack.nothing_to_do(context.view())) is not None:
        session.nothing_to_do(nothing)
        return
    if session.dry_run:
        session.plan(commands.restack.forecast(context).plan)
        return
    session.finish_run(commands.restack.run(context))
    session.terminal.next(task_command("restack" if no_push and not is_set("no-push") else "status"))


@landing_task("sync", mutates=True)
def sync(
    session: TaskSession,
    stack: str = "",
    skip: str = "",
    fork_point: str = "",
    no_push: bool = False,
    drop_emptied: bool = False,
) -> None:
    """Take over what others merged and pushed, restack, delete merged local branches, begin the next stack."""
    options = options_of(skip, fork_point=fork_point, no_push=no_push, drop_emptied=drop_emptied)
    context = open_stack(session.terminal, stack, options)

    _headline(session, context.stack)
    if session.dry_run:
        session.plan(commands.sync.forecast(context).plan)
    else:
        session.finish_run(commands.sync.run(context))
    session.account["next_stack"] = []
    try:
        landed = commands.sync.next_stack(context.view(), change=not session.dry_run)
    except Refused as refused:  # stack.toml is tracked: the branches are up to date all the same
        session.terminal.line(("! ", "yellow"), f"{refused.what}: {refused.why}")
        for command in refused.next_commands:
            session.terminal.next(command)
        return
    if landed is not None:
        session.account["next_stack"] = [entry.number for entry in landed.following]
        listed = " ".join(entry.label for entry in landed.following)
        begins, keeps = ("would begin", "would keep") if session.dry_run else ("begins", "keeps")
        does = f"{begins} the next: {listed}" if listed else f"{keeps} it with landed = true"
        session.terminal.line(("✓ ", "green"), f"all of the stack is merged; stack.toml {does}")
    elif not context.view().open_entries():
        session.terminal.line(("✓ ", "green"), "all of the stack is merged, and stack.toml has no next one")
    if not session.dry_run:
        session.terminal.next(task_command("status"))


@landing_task(
    "land", mutates=True, help={"pr": "the last entry to land; default: TRUNKLINE_PR, else the whole stack"}
)
def land(
    session: TaskSession,
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
    attest: bool = False,
    together: bool = False,
    up_to: str = "",
    verify: str = "",
) -> None:
    """Land the stack, bottom first: rebase, gates, push, ready, note, wait, merge each entry."""
    if up_to and pr not in {"", up_to, os.environ.get(variable("pr"))}:
        raise WrongFlag(
            f"--up-to {up_to} and --pr {pr} contradict each other",
            why="both name the last entry to land; nothing was done",
            flags={"pr": ""},
            otherwise=({"up-to": ""},),
        )
    options = msgspec.structs.replace(
        options_of(
            skip,
            accept_unavailable,
            fork_point,
            fresh=fresh,
            drop_emptied=drop_emptied,
            accept_flaky=accept_flaky,
            attest=attest,
        ),
        require=one_of("require", require, ("checks", "gates")),
        method=one_of("method", method, ("squash", "merge", "rebase")),
        watch=watch,
        together=together,
        verify=one_of("verify", verify, ("each", "top")),
    )
    context = open_stack(session.terminal, stack, options)
    _land(session, context, entry_key(up_to or pr) if up_to or pr else None)


def _land(session: TaskSession, context: Context, last: EntryKey | None) -> None:
    """Show or land the entries up to the last one; None: all."""
    commands.land.refuse_contradiction(context.project)
    _headline(session, context.stack)
    if (nothing := commands.restack.nothing_to_do(context.view(), up_to=last)) is not None:
        session.nothing_to_do(nothing)
        return
    entries = commands.land.entries_of(context.view(), last)
    session.account["lands"] = [entry.pr for entry in entries]
    order = tuple(f"  {n}. {entry.full_label}  {entry.title}".rstrip() for n, entry in enumerate(entries, 1))
    if (lacking := commands.land.unsubmitted(context.stack, last)) is not None:
        session.terminal.line(
            (f"stops below {lacking.branch}: it has no pull request yet; {task_command('submit')}", "yellow")
        )
    where = f"{count_of(len(entries), 'pull request')} on {context.tracking}, in this order:"
    session.summarise((f"lands {where}", *order))
    if session.dry_run:
        forecast = commands.land.forecast(context, up_to=last)
        session.plan(forecast.plan)
        choices = dict(commands.land.choices(forecast.decisions, entries))
        session.account["merges"] = report.runbook.merges_data(choices.items())
        known = [f": {described(choices[entry.pr])}" if entry.pr in choices else "" for entry in entries]
        session.summarise((f"would land {where}", *map(str.__add__, order, known)))
    else:
        session.finish_run(commands.land.run(context, up_to=last))
        session.summarise((f"landed {where}", *order))
        if entries[-1] == context.stack.entries[-1]:
            session.terminal.line(f"all of {context.stack.name or 'the stack'} is merged")
            session.terminal.next(
                task_command("sync", comment="brings your clone up to date, and begins the next stack")
            )
        else:
            session.terminal.next(task_command("status"))


@landing_task("rescue", mutates=True)
def rescue(session: TaskSession, pr: str | None = None, stack: str = "") -> None:
    """Reopen a pull request that was closed, by hand or because its base branch was deleted."""
    context = open_entry(session.terminal, pr, stack, Options()).over_the_stack()
    session.terminal.headline(context.entry.full_label)
    session.account["pr"] = context.entry.number
    if session.dry_run:
        session.plan(commands.rescue.forecast(context))
        return
    session.finish_run(commands.rescue.run(context))
    session.terminal.next(task_command("status"))


def add_to(namespace: Collection) -> None:
    """Add these tasks to the collection."""
    namespace.add_task(restack)
    namespace.add_task(sync)
    namespace.add_task(land)
    namespace.add_task(rescue)
