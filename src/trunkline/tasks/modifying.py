"""Task `modify`: change the stack as text in an editor, from a file, or by one operation."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec
from invoke.collection import Collection

from trunkline import commands, operations
from trunkline.domain.command import task_command
from trunkline.domain.errors import UsageError
from trunkline.domain.modify_operations import Operation
from trunkline.domain.step import Outcome, StepName, StepStatus
from trunkline.system.files import private_directory, replace_bytes
from trunkline.tasks import hooks
from trunkline.tasks.definition import landing_task
from trunkline.tasks.flags import options_of
from trunkline.tasks.opening import open_stack
from trunkline.tasks.session import TaskSession

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from trunkline.context.run import Context
    from trunkline.domain.commits import Commit
    from trunkline.domain.stack_text import EntryLine
    from trunkline.git.git import Git


class _Options(msgspec.Struct, frozen=True):
    """Options of a change besides the new stack: close pull requests of removed entries; run commit hooks."""

    close: bool
    verify: bool


@landing_task("modify", mutates=True, help={"message": "the new message of --reword"})
def modify(
    session: TaskSession,
    stack: str = "",
    fork_point: str = "",
    plan: str = "",
    no_push: bool = False,
    close: bool = False,
    no_verify: bool = False,
    print: bool = False,  # noqa: A002 -- the flag's name
    move: str = "",
    onto: str = "",
    drop: str = "",
    fold: str = "",
    into: str = "",
    split: str = "",
    branch: str = "",
    paths: str = "",
    rename: str = "",
    reword: str = "",
    message: str = "",
    squash: str = "",
) -> None:
    """Change the stack as text in your editor, or by one operation, such as --move 521 --onto 519."""
    kinds = {
        "move": move, "drop": drop, "fold": fold, "split": split, "rename": rename, "reword": reword,
        "squash": squash,
    }  # fmt: skip
    given = [(kind, name) for kind, name in kinds.items() if name]
    if len(given) + bool(plan) + bool(print) > 1:
        raise _several_operations()
    context = open_stack(session.terminal, stack, options_of(fork_point=fork_point, no_push=no_push))
    stacked = commands.modify.open_stacked(context)
    session.account["text"] = stacked.text
    if print:
        if not session.json_wanted:
            sys.stdout.write(stacked.text)
        return
    chosen = _Options(close, not no_verify)
    if given:
        elsewhere = commands.modify.stack_with(context, onto) if onto else ""
        trunk = str(context.stack.trunk)
        operation = Operation(*given[0], onto, trunk, into, branch, message, paths, close, elsewhere)
        _modify(session, context, stacked, commands.modify.after(stacked, operation), chosen)
    elif plan:
        _modify(session, context, stacked, commands.modify.lines_in(_read(plan)), chosen)
    else:
        _edited(session, context, stacked, chosen)


def _several_operations() -> UsageError:
    return UsageError(
        "modify takes one operation at a time, or --plan, or --print",
        why="several changes at once are a plan: print it, edit it, and give it back",
        next_command=task_command("modify", "--print"),
    )


def _edited(session: TaskSession, context: Context, stacked: commands.modify.Stacked, chosen: _Options) -> None:
    """Let the user edit the text; a text with a problem is kept, and the error names the file."""
    if not session.interactive:
        raise UsageError(
            "modify opens an editor, and there is no terminal",
            why="without one, give an operation, or print the text, edit it, and give it back with --plan",
            next_command=task_command("modify", "--print"),
        )
    text = operations.editor.edit(context, "STACK", stacked.text)
    try:
        _modify(session, context, stacked, commands.modify.lines_in(text), chosen)
    except commands.modify.MENDABLE as error:
        kept = private_directory(context.state / "edit") / "STACK"
        replace_bytes(kept, text.encode())
        error.why = f"{error.why}\nyour text is in {kept}"
        error.next_commands = (f"${{EDITOR:-vi}} {kept}", task_command("modify", "--plan", kept))
        raise


def _modify(
    session: TaskSession,
    context: Context,
    stacked: commands.modify.Stacked,
    lines: Sequence[EntryLine],
    chosen: _Options,
) -> None:
    verify = _verified(context.git) if chosen.verify and not session.dry_run else None
    with hooks.running(session):
        made = commands.modify.plan(context, stacked, lines, closes=chosen.close, verify=verify)
    if made is None:
        session.outcome(Outcome("nothing to do", "the stack is as the plan has it", StepStatus.NOTHING))
        return
    session.account["changes"] = list(made.changes)
    session.summarise(made.changes)
    if session.dry_run:
        session.plan(made.rewriting.forecast.plan)
        return
    session.finish_run(commands.rewriting.run(made.context, made.rewriting))
    _print_next(session, made)


def _verified(git: Git) -> Callable[[Commit, bytes], bytes]:
    """Return a function that runs the message hooks on the new message of a commit."""

    def verified(commit: Commit, message: bytes) -> bytes:
        if commit.encoding:
            return message  # the hooks expect UTF-8
        try:
            return operations.commit_hooks.message_of(git, message.decode()).encode()
        except UnicodeDecodeError:
            return message

    return verified


def _print_next(session: TaskSession, made: commands.modify.Modification) -> None:
    """Print the commands that publish what the run did not, and name what the removed entries leave."""
    done = {(step.name, step.pr) for step in made.rewriting.forecast.plan.steps}
    for entry in made.stack.removed:
        if entry.number is not None and (StepName.CLOSE, entry.key) not in done:
            session.terminal.next(f"gh pr close {entry.number}   # its branch {entry.branch} stays here")
    entries = [each.entry for each in made.stack.entries]
    published = (StepName.PUSH, None) in done
    if any(entry.number is None and (StepName.CREATE, entry.key) not in done for entry in entries):
        session.terminal.next(task_command("submit", comment="pushes what moved, creates pull requests, retargets"))
    elif published:
        session.terminal.next(task_command("status"))
    else:
        session.terminal.next(task_command("restack", comment="pushes what moved and retargets pull requests"))


def _read(plan: str) -> str:
    """Return the text of a plan.

    Raises:
        UsageError: the file cannot be read.
    """
    try:
        data = sys.stdin.buffer.read() if plan == "-" else Path(plan).read_bytes()
    except OSError as error:
        raise UsageError(
            f"--plan {plan} cannot be read", why=error.strerror or "", next_command=task_command("modify", "--print")
        ) from error
    return data.decode("utf-8", "replace")


def add_to(namespace: Collection) -> None:
    """Add this task to the collection."""
    namespace.add_task(modify)
