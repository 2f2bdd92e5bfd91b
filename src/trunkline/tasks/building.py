"""Tasks that build a stack: add and submit."""

from __future__ import annotations

from invoke.collection import Collection
from msgspec import structs

from trunkline import commands, operations
from trunkline.domain.choices import listed
from trunkline.domain.command import program_help, task_command
from trunkline.domain.errors import UsageError
from trunkline.domain.names import branch_name, branch_problem, entry_key
from trunkline.domain.options import Options
from trunkline.domain.submission import SubmitOptions
from trunkline.tasks import hooks
from trunkline.tasks.definition import landing_task
from trunkline.tasks.opening import open_stack
from trunkline.tasks.session import TaskSession


@landing_task("submit", mutates=True)
def submit(
    session: TaskSession,
    stack: str = "",
    up_to: str = "",
    ready: bool = False,
    edit: bool = False,
    label: str = "",
    reviewer: str = "",
    assignee: str = "",
    milestone: str = "",
    fork_point: str = "",
) -> None:
    """Push what is new or moved, and create or update the pull requests of the stack."""
    if edit and not session.interactive and not session.dry_run:
        raise UsageError("--edit needs a terminal", why="nothing was done", next_command=session.again({"edit": ""}))
    submit_options = SubmitOptions(
        draft=not ready, edit=edit, labels=tuple(listed(label)), reviewers=tuple(listed(reviewer)),
        assignees=tuple(listed(assignee)), milestone=milestone,
    )  # fmt: skip
    context = open_stack(session.terminal, stack, Options(fork_point=fork_point, submit=submit_options))
    last = entry_key(up_to) if up_to else None
    session.terminal.headline(f"{context.stack.name or 'stack'} -> {context.stack.trunk}")
    intended = commands.submit.forecast(context, up_to=last)
    if session.dry_run:
        session.plan(intended.plan)
        return
    if (nothing := commands.submit.nothing_to_do(intended.plan)) is not None:
        session.nothing_to_do(nothing)
        return
    result = commands.submit.run(context, intended)
    found = commands.submit.pull_requests(context.view(), result, up_to=last)
    session.account["pull_requests"] = [
        {"pr": each.number, "branch": each.branch, "url": each.url, "created": each.created} for each in found
    ]
    session.finish_run(result)
    for each in found:
        session.terminal.line((f"#{each.number} ", "bold"), f"{each.branch}  {each.url}")
    session.terminal.next(task_command("status"))


@landing_task(
    "add",
    mutates=True,
    omittable=("name",),
    help={
        "all": "commit all changes of tracked files, not only the staged ones",
        "message": "the commit message; its first line becomes the title",
    },
)
def add(
    session: TaskSession,
    name: str,
    message: str = "",
    all: bool = False,  # noqa: A002 -- the flag's name
    above: str = "",
    below: bool = False,
    onto_trunk: bool = False,
    no_verify: bool = False,
    stack: str = "",
    fork_point: str = "",
) -> None:
    """Begin the entry NAME, or one named after MESSAGE, with the staged changes; replay what sits above it."""
    if (places := sum((bool(above), below, onto_trunk))) > 1:
        raise UsageError(
            f"{places} places for one entry",
            why="--above, --below and --onto-trunk exclude each other; nothing was done",
            next_command=session.again({"below": "", "onto-trunk": ""}),
        )
    if name.startswith("-"):  # Invoke takes it for NAME
        raise UsageError(f"add has no flag {name}", why="nothing was done", next_command=program_help("add"))
    if name and (problem := branch_problem(name)):
        raise UsageError(
            f"not a branch name: {name!r}",
            why=problem,
            next_command=session.again({"name": "", "message": message or "MESSAGE"}),
        )
    context = open_stack(session.terminal, stack, Options(fork_point=fork_point))
    request = commands.add.Request(
        branch_name(name) if name else None, message, all, entry_key(above) if above else None, below, onto_trunk
    )
    adding = commands.add.plan(context, request)
    if adding.added.commit is not None and not session.dry_run and not no_verify:
        with hooks.running(session):
            changed = operations.commit_hooks.check_changes(context.git, everything=all)
            left = operations.commit_hooks.message_of(context.git, message)
        if changed or left != message:
            adding = commands.add.plan(context, structs.replace(request, message=left))
    session.terminal.headline(f"{context.stack.name or 'stack'} -> {context.stack.trunk}")
    session.account["branch"] = adding.added.branch
    if session.dry_run:
        session.plan(adding.forecast.plan)
        return
    session.finish_run(commands.add.run(adding))
    session.terminal.next(task_command("submit"))


def add_to(namespace: Collection) -> None:
    """Add these tasks to the collection."""
    namespace.add_task(add)
    namespace.add_task(submit)
