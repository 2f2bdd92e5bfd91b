"""Tasks of the simulated GitHub: rehearse a task, or serve the simulator."""

from __future__ import annotations

import contextlib
import itertools
import shlex
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from pathlib import Path

from invoke.collection import Collection

from trunkline import commands, report, sim
from trunkline.domain.command import Command, argv_of, caller, flag_words, task_command
from trunkline.domain.errors import CheckFailed, UsageError, WrongFlag
from trunkline.domain.rehearsal import REHEARSED, Rehearsed
from trunkline.system import installing
from trunkline.tasks import command_line
from trunkline.tasks.definition import landing_task
from trunkline.tasks.flags import one_of, options_of, variables
from trunkline.tasks.opening import open_entry, open_stack
from trunkline.tasks.session import TaskSession


@landing_task("rehearse", mutates=False, help={
    "task": f"the task to rehearse: {', '.join(REHEARSED)}; default: rebase",
    "offline": "do not query GitHub: the pull requests are as stack.toml and the last fetch have them",
    "example": "rehearse in the bundled example: five pull requests, the first merged; needs no checkout",
})  # fmt: skip
def rehearse(
    session: TaskSession,
    pr: str | None = None,
    task: str = "rebase",
    stack: str = "",
    skip: str = "",
    accept_unavailable: str = "",
    accept_flaky: str = "",
    fork_point: str = "",
    drop_emptied: bool = False,
    no_push: bool = False,
    require: str = "",
    offline: bool = False,
    keep: bool = False,
    fault: str = "",
    plan: str = "",
    example: bool = False,
) -> None:
    """Run a task in a sandbox with a simulated GitHub, and show what it would change."""
    with simulator():
        rehearse_command = commands.rehearse
    _refuse_chain()
    one_of("task", task, REHEARSED)
    _require_plan(task, plan)
    with contextlib.ExitStack() as inside:
        single = task in {"rebase", "rescue"}
        if example:
            box = inside.enter_context(sim.sandbox.temporary(keep=keep))
            inside.enter_context(box.entered())
            pr = pr or (str(box.example.pulls[1].number) if single else None)
        options = options_of(skip, accept_unavailable, fork_point, accept_flaky=accept_flaky)
        context = (
            open_entry(session.terminal, pr, stack, options)
            if single
            else open_stack(session.terminal, stack, options)
        )
        flags: dict[str, str | bool] = {
            "stack": stack, "skip": skip, "accept-unavailable": accept_unavailable, "accept-flaky": accept_flaky,
            "fork-point": fork_point, "require": require, "plan": str(Path(plan).absolute()) if plan else "",
            "pr": str(context.entry.key) if single else pr or "", "drop-emptied": drop_emptied, "no-push": no_push,
        }  # fmt: skip
        arguments = [task, *flag_words(_taken(task, flags))]
        session.terminal.headline(f"rehearsing: {' '.join(arguments)}")
        found = rehearse_command.rehearse(
            context.over_the_stack(), arguments, offline=offline, keep=keep, fault=fault, unset=variables()
        )
    _print(session, found)
    if found.code:
        raise _failed(session, task, found)
    session.terminal.next(task_command("init") if example else found.command)


def _failed(session: TaskSession, task: str, found: Rehearsed) -> CheckFailed:
    """Return the error for a rehearsed task that failed."""
    return CheckFailed(
        f"the rehearsed task ended with exit code {found.code}",
        why="nothing outside the sandbox was touched",
        next_command=(
            *dict.fromkeys(_outside(session, task, found.following)),
            shlex.join([f"{found.place}/enter"]) if found.place else session.again({"keep": True}),
        ),
    )


def _print(session: TaskSession, found: Rehearsed) -> None:
    """Show the changes that the rehearsed task made in the sandbox."""
    session.account["rehearsal"] = report.rehearsal.data(found)
    for table, rows in ((report.rehearsal.refs_table, found.refs), (report.rehearsal.pulls_table, found.pulls)):
        if rows:
            session.terminal.console.print(table(found), soft_wrap=False)
    for line in report.rehearsal.descriptions(found):
        session.terminal.line(line)
    session.terminal.line(report.rehearsal.summary(found))
    if found.place:
        session.terminal.line(f"the sandbox is in {found.place}; to go in: {found.place}/enter")


def _taken(task: str, flags: Mapping[str, str | bool]) -> dict[str, str | bool]:
    """Return the flags that are set, without variables for flags that the rehearsed task does not take.

    A flag that was typed stays: the task reports that it does not take it.
    """
    called = command_line.called_as("rehearse", caller().takes)
    typed = command_line.flags_of(called) if called else {}
    return {name: value for name, value in flags.items() if value and (name in caller().takes[task] or name in typed)}


def _outside(session: TaskSession, task: str, following: Sequence[str]) -> Iterator[str]:
    """Yield the rehearsals of the next commands that repeat the rehearsed task with other flags.

    The other ones are for a shell in the sandbox.
    """
    own = set(caller().takes["rehearse"])
    for command in following:
        for typed in command_line.typed(argv_of(command)[1:]):
            flags = command_line.flags_of(typed)
            is_same = command_line.own_name(typed.name, REHEARSED) == task and flags.keys() <= own
            if is_same and (again := session.again(flags)) != session.again({}):
                yield again


def _refuse_chain() -> None:
    """Check that no task to rehearse follows `rehearse`: `rehearse restack` would then run it for real.

    Raises:
        UsageError: one does.
    """
    typed = command_line.typed()
    for own, following in itertools.pairwise(typed):
        name = command_line.own_name(following.name, REHEARSED)
        if own.name.rpartition(".")[2] == "rehearse" and name and not _names_task(own.words):
            argv = sys.argv[1:]
            at = argv.index(following.name, argv.index(own.name) + 1)
            raise UsageError(
                f"rehearse {name}: this would rehearse a rebase, and then run {name} for real",
                why="rehearse takes a task by a flag; nothing was done",
                next_command=Command((*command_line.program()[:1], *argv[:at], "--task", name, *argv[at + 1 :])),
            )


def _names_task(words: Sequence[str]) -> bool:
    return any(word.partition("=")[0] == "--task" for word in words)


def _require_plan(task: str, plan: str) -> None:
    """Check that a rehearsal of modify, and no other, has a file with a stack.

    Raises:
        WrongFlag: it has none.
    """
    if (task == "modify") != bool(plan) or plan == "-":
        raise WrongFlag(
            "a rehearsal of modify takes the stack from --plan FILE",
            why="modify --print prints the text to change; nothing was done",
            flags={"plan": "FILE", "task": "modify"},
        )


@landing_task("sim.serve", mutates=False, help={
    "trunk": "with --repository: the branch that stacks land on; default: as in stack.toml, else the remote's",
})  # fmt: skip
def serve(
    session: TaskSession,
    root: str = "",
    example: bool = False,
    repository: str = "",
    trunk: str = "",
    faults: str = "",
) -> None:
    """Serve a simulated GitHub until Ctrl-C, for a shell whose git and gh use only it."""
    with simulator():
        serve_command = commands.serve
    serve_command.serve(root, session.terminal, example=example, repository=repository, trunk=trunk, faults=faults)


def simulator() -> AbstractContextManager[None]:
    """Explain how to install the simulator if it is missing."""
    return installing.needing("sim", "rehearsals need the simulator")


def add_to(namespace: Collection) -> None:
    """Add these tasks to the collection."""
    namespace.add_task(rehearse)
    namespace.add_collection(Collection("sim", serve))
