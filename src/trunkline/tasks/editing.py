"""Tasks that look at and change an entry's own commits: diff."""

from __future__ import annotations

import sys

from invoke.collection import Collection

from trunkline.context.loading import open_context
from trunkline.domain.redaction import redacted
from trunkline.report.own_diff import diff_data
from trunkline.system import process
from trunkline.tasks.definition import landing_task
from trunkline.tasks.flags import options_of
from trunkline.tasks.session import TaskSession


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
    context = open_context(pr, stack=stack, options=options, reporter=session.terminal).over_the_stack()
    from trunkline.commands import diff as diff_command

    shown = diff_command.since_review(context) if since_review else diff_command.own_diff(context, stat=stat)
    session.account["pr"] = context.entry.pr
    if session.interactive and not session.json_wanted:
        for note in shown.notes:
            session.terminal.line(("note: ", "yellow"), note)
        context.git.page(*shown.arguments)
        return
    text = context.git.query(*_plain(shown.arguments)).text
    if session.json_wanted:
        session.account["diff"] = diff_data(shown, text)
    elif text:
        sys.stdout.write(redacted(f"{text}\n", process.secrets()))


def _plain(arguments: tuple[str, ...]) -> tuple[str, ...]:
    """Return a git command that gives the same output for every user's configuration."""
    name, *rest = arguments
    return (name, "--no-color", "--no-ext-diff", *rest)


def add_to(namespace: Collection) -> None:
    """Add these tasks to the collection."""
    namespace.add_task(diff)
