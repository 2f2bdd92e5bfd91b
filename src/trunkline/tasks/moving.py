"""Tasks that check out an entry (switch, up, down, top, bottom), and show its pull request (open, comments)."""

from __future__ import annotations

import os
import webbrowser
from collections.abc import Callable
from typing import TYPE_CHECKING

from invoke.collection import Collection
from msgspec import structs

from trunkline import commands, report
from trunkline.domain.errors import WrongFlag
from trunkline.domain.names import entry_key
from trunkline.domain.options import Options
from trunkline.domain.repository import Repository
from trunkline.domain.stack import Entry, Stack
from trunkline.domain.step import Outcome, StepName, StepStatus
from trunkline.tasks.definition import LandingTask, landing_task
from trunkline.tasks.flags import options_of
from trunkline.tasks.opening import open_entry, open_stack
from trunkline.tasks.session import TaskSession

if TYPE_CHECKING:
    from trunkline.context.run import Context

_Run = Callable[[TaskSession, "Context", str], None]


def _switch_task(run: _Run) -> LandingTask:
    def body(
        session: TaskSession,
        pr: str | None = None,
        stack: str = "",
        skip: str = "",
        accept_unavailable: str = "",
        accept_flaky: str = "",
        fork_point: str = "",
        fresh: bool = False,
        clean: bool = False,
        stash: bool = False,
    ) -> None:
        options_of(skip, accept_unavailable, fork_point, fresh=fresh, clean=clean, accept_flaky=accept_flaky)
        options = Options(stash=stash)
        if pr is None and session.interactive and not os.environ.get("TRUNKLINE_PR"):
            pr = _picked(session, stack)
        run(session, open_entry(session.terminal, pr, stack, options), StepName.SWITCH.value)

    body.__doc__ = "Step 2: check out the entry's branch (on a terminal, pick one); keeps uncommitted changes safe."
    return landing_task(StepName.SWITCH.value, mutates=True)(body)


def _picked(session: TaskSession, stack: str) -> str | None:
    """Let the user pick an entry by its place; None: the current one."""
    entries = open_stack(session.terminal, stack, Options()).stack.entries
    for place, entry in reversed(list(enumerate(entries, 1))):
        session.terminal.line((f"{place:3} ", "bold"), f"{entry.full_label}  {entry.title}".rstrip())
    answer = session.terminal.answer(f"Switch to [1-{len(entries)}] ")
    if answer.isdecimal() and 1 <= int(answer) <= len(entries):
        return str(entries[int(answer) - 1].key)
    return None


def _move_task(name: str, doc: str, run: _Run) -> LandingTask:
    def by_count(session: TaskSession, count: str = "1", stack: str = "", stash: bool = False) -> None:
        if not count.isdecimal() or not int(count):
            raise WrongFlag(
                f"--count {count}: this is not a number of entries", why="expected 1 or more", flags={"count": ""}
            )
        move_by(session, int(count), stack, stash=stash)

    def to_the_end(session: TaskSession, stack: str = "", stash: bool = False) -> None:
        move_by(session, 1, stack, stash=stash)

    def move_by(session: TaskSession, count: int, stack: str, *, stash: bool) -> None:
        options = Options(stash=stash)
        context = open_stack(session.terminal, stack, options)
        target = commands.move.target(context.git, context.stack, name, count)
        if target is None:
            session.outcome(Outcome("nothing to do", _end_of(context.stack, name), StepStatus.NOTHING))
            return
        entry_context = open_entry(session.terminal, str(target.key), stack, options)
        run(session, entry_context, StepName.SWITCH.value)

    body = by_count if name in {"up", "down"} else to_the_end
    body.__doc__ = doc
    return landing_task(name, mutates=True)(body)


def _end_of(stack: Stack, name: str) -> str:
    return f"this is the {'top' if name in {'up', 'top'} else 'bottom'} of {stack.name or 'the stack'}"


@landing_task("open", mutates=False)
def open_(session: TaskSession, pr: str | None = None, stack: str = "") -> None:
    """Print the page of the entry's pull request; on a terminal, open it in the browser."""
    context = open_entry(session.terminal, pr, stack, Options())
    url = page(context.repository, context.entry)
    session.account.update(pr=context.entry.number, url=url)
    session.terminal.line(url)
    if session.interactive and not session.json_wanted:
        webbrowser.open(url)


@landing_task("comments", mutates=False, help={"pr": "the pull request; default: all of the stack"})
def comments(session: TaskSession, pr: str = "", stack: str = "") -> None:
    """List the open review threads by entry, file and line, each with its first comment."""
    context = open_stack(session.terminal, stack, Options())
    found = commands.comments.threads(context.project, entry_key(pr) if pr else None)
    session.account["threads"] = [
        {"pr": entry.pr, "branch": entry.branch, **structs.asdict(each)}
        for entry, threads in found
        for each in threads
    ]
    for entry, threads in found:
        if threads:
            session.terminal.line((entry.full_label, "bold"), f"  {page(context.repository, entry)}/files")
            for each in threads:
                for line in report.review_threads.lines_of(each):
                    session.terminal.line(f"  {line}")
    if not any(threads for _, threads in found):
        session.terminal.line("no review thread is open")


def page(repository: Repository, entry: Entry) -> str:
    """Return the address of an entry's pull request.

    Raises:
        UsageError: it has no pull request yet.
    """
    return f"https://{repository.host}/{repository.slug}/pull/{entry.pr}"


def add_to(namespace: Collection, run: _Run) -> None:
    """Add these tasks to the collection.

    Args:
        namespace: the collection.
        run: runs a task of one entry and reports it.
    """
    namespace.add_task(_switch_task(run))
    for name, doc in (
        ("up", "Check out the entry above; --count 2: two above."),
        ("down", "Check out the entry below; --count 2: two below."),
        ("top", "Check out the top entry of the stack."),
        ("bottom", "Check out the bottom entry of the stack."),
    ):
        namespace.add_task(_move_task(name, doc, run))
    namespace.add_task(open_)
    namespace.add_task(comments)
