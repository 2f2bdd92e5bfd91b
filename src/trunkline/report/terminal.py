"""Print a run on the terminal: one line per step with mark, message and duration.

rich is loaded with the first line, in `Terminal._screen`.
"""

from __future__ import annotations

import contextlib
import functools
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import IO, TYPE_CHECKING

from trunkline.domain.errors import InternalError, TrunklineError
from trunkline.domain.status import OpenRun
from trunkline.domain.step import Outcome, Plan, Step, StepStatus
from trunkline.report.encoding import tolerant
from trunkline.report.escape import for_terminal

if TYPE_CHECKING:
    from rich.console import Console
    from rich.status import Status

    from trunkline.report.screen import Screen

_MARKS = {
    StepStatus.DONE: ("✓", "green"),
    StepStatus.NOTHING: ("✓", "green"),
    StepStatus.SKIPPED: ("-", "yellow"),
    StepStatus.WARNED: ("!", "yellow"),
    StepStatus.FAILED: ("✗", "red"),
    StepStatus.PLANNED: ("·", "cyan"),
}
_LABEL_WIDTH = 15
_TOLD_FROM_SECONDS = 1.0
_STDERR_LINES = 8
_BELL_SECONDS = 60.0


class Terminal:
    """Prints progress and results for a person.

    Colours and spinners are used only on a terminal; rich honours NO_COLOR.

    Args:
        stream: the output stream.
        clean: redacts secrets from a text.
    """

    def __init__(self, stream: IO[str], *, clean: Callable[[str], str] = str) -> None:
        tolerant(stream)
        self.stream = stream
        self._clean = clean
        self._commands: list[str] = []
        self._status: Status | None = None
        self._width = _LABEL_WIDTH
        self.commands_next: list[str] = []
        """The commands that were printed as the next ones to type."""
        self.asks = False
        """An interactive user answers the questions of steps."""
        self.attended = False
        """A user is at the terminal."""
        self.approve: Callable[[Sequence[str]], None] = _approve_nothing
        """See `require_approval`."""

    @functools.cached_property
    def _screen(self) -> Screen:
        from trunkline.report.screen import Screen  # noqa: PLC0415 -- rich: 20 ms; `--json`, `--list` print no line

        return Screen(self.stream)

    @property
    def console(self) -> Console:
        """The console that prints."""
        return self._screen.console

    def ask(self, question: str) -> bool:
        """Prompt an interactive user; the default is no."""
        if not self.asks:
            return False
        with self._display_stopped():
            return self.answer(f"     {question} [y/N] ") in {"y", "yes"}

    def ask_person(self, question: str) -> bool:
        """Prompt an interactive user, even with `--yes`; the default is no."""
        if not self.attended:
            return False
        with self._display_stopped():
            return self.answer(f"     {question} [y/N] ") in {"y", "yes"}

    @contextlib.contextmanager
    def _display_stopped(self) -> Iterator[None]:
        """Stop the progress display while the context lasts."""
        was, self._status = self._status, None
        if was is not None:
            was.stop()
        try:
            yield
        finally:
            if was is not None:
                was.start()
                self._status = was

    def require_approval(self, *publishes: str) -> None:
        """Check that publishing was approved; see `Reporter`."""
        with self._display_stopped():
            self.approve(publishes)

    def answer(self, prompt: str) -> str:
        """Return the user's input in lower case, without blanks; no input or end of file means no."""
        try:
            return self.console.input(for_terminal(self._clean(prompt)), markup=False).strip().lower()
        except (EOFError, UnicodeDecodeError):
            self.console.print()
            return "no"

    def line(self, *parts: tuple[str, str] | str, indent: int | None = None) -> None:
        """Print one line made of (text, style) parts.

        Args:
            *parts: the parts of the line.
            indent: the indentation of continuation lines on a terminal; None: do not wrap, so that
                the line can be copied.
        """
        styled = [(part, "") if isinstance(part, str) else part for part in parts]
        self._screen.line([(self._clean(text), style) for text, style in styled], indent)

    def headline(self, text: str) -> None:
        """Print a heading for the following steps."""
        self.line((text, "bold"))

    def open_run(self, run: OpenRun) -> None:
        """Print the open run, and why it stopped."""
        self.line(("open run: ", "bold yellow"), run.what, indent=2)
        for row in run.why.splitlines():
            self.line("  ", row, indent=2)

    def command(self, command_line: str) -> None:
        """Remember a command of the running step; it is printed below the step's line."""
        self._commands.append(command_line)

    @contextlib.contextmanager
    def working(self, step: Step) -> Iterator[None]:
        """Show on a terminal that a step is running."""
        self._commands.clear()
        if not self.console.is_terminal:
            yield
            return
        with self._showing(f"{step.label}: {step.description}"):
            yield

    @contextlib.contextmanager
    def gating(self) -> Iterator[None]:
        """Show the running gates on a terminal during the context; steps call it on their own."""
        if not self.console.is_terminal:
            yield
            return
        with self._showing("gates"):
            yield

    @contextlib.contextmanager
    def _showing(self, text: str) -> Iterator[None]:
        with self._screen.display(text) as status:
            self._status = status
            try:
                yield
            finally:
                self._status = None

    def running(self, gates: Mapping[str, float], lines: Mapping[str, str]) -> None:
        """Show the running gates with their durations on a terminal; elsewhere verdicts have lines."""
        if self._status is not None:
            cleaned = {name: self._clean(line) for name, line in lines.items()}
            self._status.update(self._screen.running(gates, cleaned))

    def gates_ended(self, seconds: float) -> None:
        """Ring the terminal bell after a long wait."""
        if seconds >= _BELL_SECONDS and self.stream.isatty():
            self.console.bell()

    def progress(self, text: str) -> None:
        """Print a line of progress within a step."""
        self.line(f"     {text}", indent=5)

    def outcome(self, outcome: Outcome) -> None:
        """Print the outcome of a step, its commands and its details."""
        mark, style = _MARKS[outcome.mark]
        took = f"  {duration(outcome.seconds)}" if outcome.seconds >= _TOLD_FROM_SECONDS else ""
        label = f"{outcome.label:{self._width}}"
        text = 3 + len(label)
        self.line(" ", (mark, style), " ", (label, "bold"), outcome.message, (took, "dim"), indent=text)
        for detail in outcome.details:
            for row in detail.splitlines():
                self.line(" " * 3, row, indent=3)
        for command_line in self._commands:
            self.line((f"   $ {command_line}", "dim"))
        self._commands.clear()

    def plan(self, plan: Plan) -> None:
        """Print a plan."""
        self._width = max([_LABEL_WIDTH, *(len(step.label) + 1 for step in plan.steps)])
        for step in plan.steps:
            skipped = step.name in plan.skipped
            mark = StepStatus.SKIPPED if skipped else StepStatus.PLANNED
            self._commands = [] if skipped else list(step.commands)
            self.outcome(Outcome(step.label, "skipped by name" if skipped else step.description, mark))

    def next(self, command: str) -> None:
        """Print the last line: the command to type next, and nothing else."""
        self.commands_next.append(command)
        self.line(("next: ", "bold"), command)

    def error(self, error: TrunklineError) -> None:
        """Print an expected failure.

        It consists of what failed, why, the command, the end of its stderr, and the next command.
        """
        self.line(("error: ", "bold red"), error.what, indent=2)
        for row in error.why.splitlines():
            self.line("  ", row, indent=2)
        if error.command:
            self.line((f"  $ {error.command}", "dim"))
        shown = {row.strip() for row in error.why.splitlines()}
        for row in error.stderr.splitlines()[-_STDERR_LINES:]:
            if row.strip() not in shown:
                self.line((f"  | {row}", "dim"))
        for command in error.next_commands:
            self.next(command)


def _approve_nothing(publishes: Sequence[str]) -> None:
    raise InternalError("something would be published without approval", why="\n".join(publishes))


def duration(seconds: float) -> str:
    """Return seconds in words: `0.4s`, `12s`, `1m 42s`."""
    if seconds < 10:  # noqa: PLR2004 -- a decimal is useful below ten seconds
        return f"{seconds:.1f}s"
    minutes, rest = divmod(round(seconds), 60)
    return f"{minutes}m {rest:02d}s" if minutes else f"{rest}s"
