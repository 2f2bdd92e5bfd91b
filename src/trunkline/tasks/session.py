"""The session of a task: output, approval, and errors as exit codes."""

from __future__ import annotations

import contextlib
import json
import os
import shlex
import sys
import textwrap
import time
import traceback
from collections.abc import Iterator, Mapping, Sequence
from typing import IO, TYPE_CHECKING, Any

from invoke.exceptions import Exit

from trunkline import context as contexts
from trunkline.domain.command import Command, argv_of, caller, exact_command, program_help, task_command
from trunkline.domain.errors import (
    Declined,
    ExitCode,
    TransientError,
    TrunklineError,
    UsageError,
    WrongFlag,
)
from trunkline.domain.redaction import redacted, redacted_data
from trunkline.domain.step import PUBLISHING, Outcome, Plan, StepName, step_names
from trunkline.report import as_json
from trunkline.report.terminal import Terminal
from trunkline.system import file_errors, process, signals
from trunkline.system.files import append_line, private_directory
from trunkline.tasks import command_line
from trunkline.tasks.flags import from_environment, variable
from trunkline.tasks.opening import checkout

if TYPE_CHECKING:
    from trunkline.engine import RunResult
    from trunkline.state.journal import Run


def _terminal(stream: IO[str]) -> Terminal:
    return Terminal(stream, clean=lambda text: redacted(text, process.secrets()))


_NEEDED = dict.fromkeys(("modify", "submit", "undo"), StepName.PUSH.value)
"""Tasks without `--skip`, and the step without which they would do half of their work."""
SCHEMA = 1
"""The version of the JSON object."""


class TaskSession:
    """The output of one task: progress on the terminal, or with `--json` one object at the end."""

    def __init__(self, task: str, *, json_wanted: bool) -> None:
        self.task = task
        self.json_wanted = json_wanted
        self.terminal = _terminal(sys.stderr if json_wanted else sys.stdout)
        self.account: dict[str, Any] = {"task": task}
        self.yes = False
        """`--yes`: publish without a prompt."""
        self.dry_run = False
        """`--dry-run`, or Invoke's own: print the plan, change nothing."""
        self.given: Mapping[str, str | bool] = {}
        """The flags of this command without dashes, including those from the environment."""
        self.began = time.time()
        """Seconds since the epoch."""
        self.summary: tuple[str, ...] = ()
        """The summary, as last shown."""
        self._approved = False
        self.terminal.approve = self.approve

    def approve(self, publishes: Sequence[str]) -> None:
        """Prompt once for the whole command whether it may publish; `--yes` answers it.

        Args:
            publishes: lines that describe what others will see; empty: no prompt.

        Raises:
            UsageError: there is no interactive user, and `--yes` was not given.
            Declined: the user declined, which is the default.
        """
        if not publishes or self._approved:
            return
        self._refuse_held_back()
        if self.yes:
            return
        self.account["publishes"] = list(publishes)
        listed = "\n".join(publishes)
        if not self.interactive:
            raise UsageError(
                f"{self.task} publishes, and there is no terminal to ask on",
                why=f"it would\n{textwrap.indent(listed, '  ')}\nnothing was done; to publish without being asked:",
                next_command=self._with_yes(),
            )
        self.terminal.line("This publishes:")
        for line in publishes:
            self.terminal.line(f"  {line}")
        self.summarise(self.summary)
        if self.terminal.answer("Publish? [y/N] ") not in {"y", "yes"}:
            raise Declined("nothing was published", why=listed)
        self._approved = True

    def _refuse_held_back(self) -> None:
        """Refuse to publish while the environment or `--skip` says not to.

        A variable may be set for a whole chain, whose other tasks honour it.

        Raises:
            UsageError: it does; nothing was published.
        """
        skipped = str(self.given.get("skip") or from_environment("skip", ""))
        if from_environment("no-push", default=False):
            setting, command = f"{variable('no-push')} is set", f"unset {variable('no-push')}"
        elif held := self._skipped_step(skipped):
            by_flag = not from_environment("skip", "")
            setting = f"{'--skip' if by_flag else variable('skip')} names {held}"
            command = self.again({"skip": ""}) if by_flag else f"unset {variable('skip')}"
        else:
            return
        raise UsageError(f"{self.task} publishes, and {setting}", why="nothing was done", next_command=command)

    def _skipped_step(self, skipped: str) -> str:
        """Return the skipped step that this task is, or that it cannot do without; "" if none."""
        names = {step.value for step in PUBLISHING & step_names(skipped)}
        return next((each for each in (self.task, _NEEDED.get(self.task, "")) if each in names), "")

    def summarise(self, lines: Sequence[str]) -> None:
        """Show the summary, before the plan and again with the prompt."""
        self.summary = tuple(lines)
        for line in lines:
            self.terminal.line(line, indent=5)

    @property
    def interactive(self) -> bool:
        """An interactive user is at the terminal."""
        return sys.stdin is not None and sys.stdin.isatty() and self.terminal.stream.isatty()

    def _with_yes(self) -> str:
        """Return the command line with the approval: a flag, or a variable for a chain of tasks."""
        if len(command_line.typed()) > 1:
            return f"TRUNKLINE_YES=1 {shlex.join((*caller().program, *sys.argv[1:]))}"
        return self.again({"yes": True})

    def again(self, flags: Mapping[str, str | bool]) -> str:
        """Return this command with other flags.

        Args:
            flags: values by flag, without dashes; True for a switch; "" to leave the flag out. A
                flag that the task does not take is left out.
        """
        takes = caller().takes.get(self.task, flags)
        changed = {name: value for name, value in flags.items() if name in takes}
        values = {name: value for name, value in {**self.given, **changed}.items() if value != ""}
        return exact_command(self.task, values)

    def plan(self, plan: Plan) -> None:
        """Print a plan, unless the run would be refused because it publishes.

        Raises:
            UsageError: the environment or `--skip` says not to publish.
        """
        if plan.publishes:
            self._refuse_held_back()
        self.account["plan"] = as_json.plan(plan)
        self.terminal.plan(plan)

    def after_dry_run(self) -> None:
        """Name the command that carries the printed plan out."""
        if "plan" in self.account and "dry-run" in self.given:
            self.terminal.next(self.again({"dry-run": ""}))

    def outcome(self, outcome: Outcome) -> None:
        """Print the outcome of a task without steps."""
        self.account["outcome"] = as_json.outcome(outcome)
        self.terminal.outcome(outcome)

    def nothing_to_do(self, nothing: Outcome) -> None:
        """Print that the stack is as the task would make it, with the open run, if there is one."""
        self.outcome(nothing)
        run = contexts.open_run.find_open_run()
        if run is not None:
            self.terminal.open_run(run)
            for command in run.commands:
                self.terminal.next(command)

    def finish_run(self, result: RunResult) -> None:
        """Put the steps of a run into the JSON object, and raise the error that stopped the run.

        Raises:
            TrunklineError: the error that stopped the run.
        """
        self.account["steps"] = [
            {"step": name.value, **({"pr": pr} if pr else {}), **as_json.outcome(outcome)}
            for (name, pr), outcome in result.outcomes.items()
        ]
        if result.error is not None:
            raise result.error

    def close(self, code: int) -> None:
        """Complete the JSON object, and print it if that was requested."""
        error: Mapping[str, Any] | None = self.account.setdefault("error", None)
        commands = [*self.terminal.commands_next, *((error or {}).get("next") or [])]
        account = self.account | {
            "schema": SCHEMA,
            "ok": int(code) == ExitCode.OK,
            "exit_code": int(code),
            "outcomes": self.account.get("steps") or [each for each in [self.account.get("outcome")] if each],
            "next": [list(argv_of(command)) for command in commands],
        }
        self.account = redacted_data(account, process.secrets())
        if self.json_wanted:
            sys.stdout.write(json.dumps(self.account, indent=2, sort_keys=True) + "\n")
            sys.stdout.flush()


@contextlib.contextmanager
def task_session(task: str, *, json_wanted: bool) -> Iterator[TaskSession]:
    """Create the session of a task, and turn its errors into exit codes.

    Raises:
        Exit: with the documented exit code, and never with a traceback.
    """
    session = TaskSession(task, json_wanted=json_wanted)
    code: int
    try:
        with signals.raising(), file_errors.explained():
            yield session
    except Declined as declined:
        session.account["declined"] = True
        session.terminal.line(declined.what)
        session.close(ExitCode.OK)
        raise Exit(code=int(ExitCode.OK)) from None  # the following tasks of a chain do not run either
    except TrunklineError as error:
        if isinstance(error, WrongFlag):
            error.next_commands = tuple(session.again(flags) for flags in error.choices)
        if isinstance(error, TransientError) and not any(isinstance(each, Command) for each in error.next_commands):
            error.next_commands = (session.again({}), *error.next_commands)
        error.next_commands = error.next_commands or (_next(task, error),)
        session.account["error"] = as_json.error(error)
        _terminal(sys.stderr).error(error)
        code = error.code
    except KeyboardInterrupt as error:
        session.account["error"] = {"what": f"interrupted by {error}" if str(error) else "interrupted"}
        _print_interrupted(session, error)
        code = signals.exit_code(error)
    except Exit:
        raise
    except Exception as error:  # noqa: BLE001 -- the outermost handler: a bug must not look like an expected error
        session.account["error"] = {"what": "a defect of trunkline", "log": _print_defect(task, error)}
        code = ExitCode.DEFECT
    else:
        code = ExitCode.OK
    session.close(code)
    if code != ExitCode.OK:
        raise Exit(code=int(code))


def _open_run() -> Run | None:
    with contextlib.suppress(TrunklineError, OSError):  # the directory of the process may be gone, or unreadable
        return contexts.open_run.open_run(checkout().state_dir())
    return None


def _next(task: str, error: TrunklineError) -> Command:
    """Return the command after an error that names none."""
    if isinstance(error, UsageError):
        return program_help(task)
    return task_command("continue" if _open_run() else "doctor")


def _after_interrupt(session: TaskSession) -> list[str]:
    """Return the commands after an interrupt: they continue the run of this process, or run the task again.

    A run that was open before may have begun with other flags: `continue` would not do what was typed.
    """
    run = _open_run()
    if run is None:
        return [task_command("status")]
    with contextlib.suppress(OSError):
        if run.path.stat().st_mtime < session.began:
            return [session.again({})]
    return [task_command(name) for name in ("continue", "abort")]


def _print_interrupted(session: TaskSession, error: KeyboardInterrupt) -> None:
    """Report that a signal ended the task, and how to continue; ignore a closed terminal (SIGHUP)."""
    by = f" by {error}" if str(error) else ""
    commands = _after_interrupt(session)
    try:
        terminal = _terminal(sys.stderr)
        terminal.line((f"interrupted{by}: ", "bold yellow"), "nothing is lost; every child process was ended")
        for command in commands:
            terminal.next(command)
        sys.stdout.flush()
    except OSError:
        nowhere = os.open(os.devnull, os.O_RDWR)
        for stream in (1, 2):
            os.dup2(nowhere, stream)


def _print_defect(task: str, error: Exception) -> str:
    """Write the defect's log and name it; return its path, or "" if it cannot be written."""
    from trunkline.git.state_directory import state_home  # noqa: PLC0415 -- 4 ms, after a defect alone

    log, unwritten = state_home() / "defect.log", ""
    text = f"task {task}\n{''.join(traceback.format_exception(error))}"
    try:
        private_directory(log.parent)
        append_line(log, redacted(text, process.secrets()).encode("utf-8", "backslashreplace"))
    except (OSError, TrunklineError) as refused:  # a full disk is often the reason
        unwritten = str(refused)
    terminal = _terminal(sys.stderr)
    terminal.line(("defect: ", "bold red"), f"{type(error).__name__}: {error}")
    terminal.line("  this is a fault of trunkline, not of your repository; nothing was pushed by the failing step")
    if unwritten:
        terminal.line(f"  its log cannot be written: {unwritten}")
        terminal.next(f"ls -ld {shlex.quote(str(log.parent))}")
        return ""
    terminal.next(f"less {shlex.quote(str(log))}")
    return str(log)
