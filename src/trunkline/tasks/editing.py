"""Tasks that show and change an entry's own commits: diff, amend and absorb."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

from invoke.collection import Collection

from trunkline import commands, operations, report
from trunkline.domain.command import task_command
from trunkline.domain.redaction import redacted
from trunkline.system import process
from trunkline.tasks import hooks
from trunkline.tasks.definition import landing_task
from trunkline.tasks.flags import options_of
from trunkline.tasks.opening import open_entry
from trunkline.tasks.session import TaskSession

if TYPE_CHECKING:
    from trunkline.context.run import Context


@landing_task("diff", mutates=False)
def diff(
    session: TaskSession,
    pr: str | None = None,
    stack: str = "",
    fork_point: str = "",
    stat: bool = False,
    since_review: bool = False,
) -> None:
    """Show what an entry itself changes; --since-review compares with what was reviewed."""
    options = options_of(fork_point=fork_point)
    context = open_entry(session.terminal, pr, stack, options).over_the_stack()

    view = context.view()
    shown = commands.diff.since_review(view) if since_review else commands.diff.own_diff(view, stat=stat)
    session.account["pr"] = context.entry.number
    if session.interactive and not session.json_wanted:
        for note in shown.notes:
            session.terminal.line(("note: ", "yellow"), note)
        context.git.page(*shown.arguments)
        return
    text = context.git.query(*_plain(shown.arguments)).text
    if session.json_wanted:
        session.account["diff"] = report.own_diff.diff_data(shown, text)
    elif text:
        sys.stdout.write(redacted(f"{text}\n", process.secrets()))


@landing_task("amend", mutates=True, help={"all": "take all changes of tracked files, not only the staged ones"})
def amend(
    session: TaskSession,
    pr: str | None = None,
    stack: str = "",
    fork_point: str = "",
    all: bool = False,  # noqa: A002 -- the flag's name
    commit: str = "",
    message: str = "",
    no_verify: bool = False,
) -> None:
    """Put the staged changes into a commit of the current entry; replay the entries above."""
    options = options_of(fork_point=fork_point)
    context = open_entry(session.terminal, pr, stack, options).over_the_stack()
    session.terminal.headline(context.entry.full_label)
    session.account["pr"] = context.entry.number
    request = commands.amend.Request(all, commit, message)
    if (nothing := commands.amend.nothing_to_do(context, request)) is not None:
        session.outcome(nothing)
        return
    planned = commands.amend.plan(context.view(), request)
    if not session.dry_run and not no_verify:
        with hooks.running(session):
            changed = operations.commit_hooks.check_changes(context.git, everything=all)
            before = message or commands.amend.message_of(context.git, planned)
            source = "message" if message else "commit"
            after = operations.commit_hooks.message_of(context.git, before, source=source) if before else before
        if changed or after != before:
            request = commands.amend.Request(all, commit, after if after != before else message)
            planned = commands.amend.plan(context.view(), request)
    _rewrite(session, context, planned)


@landing_task("absorb", mutates=True)
def absorb(
    session: TaskSession, pr: str | None = None, stack: str = "", fork_point: str = "", no_verify: bool = False
) -> None:
    """Give each staged hunk to the commit of the stack that last touched its lines."""
    options = options_of(fork_point=fork_point)
    context = open_entry(session.terminal, pr, stack, options).over_the_stack()
    session.terminal.headline(context.entry.full_label)
    session.account["pr"] = context.entry.number
    rows, rewriting = commands.absorb.plan(context)
    if rewriting is not None and not session.dry_run and not no_verify:
        with hooks.running(session):
            changed = operations.commit_hooks.check_changes(context.git)
        if changed:
            rows, rewriting = commands.absorb.plan(context)
    session.account["hunks"] = report.absorb.absorb_data(rows)
    session.summarise(tuple(report.absorb.absorb_lines(rows)))
    if rewriting is None:
        session.outcome(commands.absorb.nothing_to_do(context.git, rows))
        return
    _rewrite(session, context, rewriting)


def _rewrite(session: TaskSession, context: Context, rewriting: commands.rewriting.Rewriting) -> None:
    """Print a plan that rewrites entries, or carry it out."""
    if session.dry_run:
        session.plan(rewriting.forecast.plan)
        return

    session.finish_run(commands.rewriting.run(context, rewriting))
    if any(entry.number is None for entry in context.view().open_entries()):
        session.terminal.next(task_command("submit", comment="pushes what moved, creates pull requests"))
    else:
        session.terminal.next(task_command("restack", comment="pushes what moved"))


def _plain(arguments: tuple[str, ...]) -> tuple[str, ...]:
    """Return a git command that gives the same output for every user's configuration."""
    name, *rest = arguments
    return (name, "--no-color", "--no-ext-diff", *rest)


def add_to(namespace: Collection) -> None:
    """Add these tasks to the collection."""
    namespace.add_task(diff)
    namespace.add_task(amend)
    namespace.add_task(absorb)
