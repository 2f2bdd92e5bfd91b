"""The same collection as an installed program, for repositories that want no tasks.py."""

from __future__ import annotations

import os
import sys

from invoke.exceptions import Exit, ParseError
from invoke.program import Program

from trunkline import __version__
from trunkline.domain.errors import ExitCode
from trunkline.kernel import signals
from trunkline.tasks.landing import namespace


class LandingProgram(Program):
    """Invoke's program, with the contract's exit code for a command line that cannot be parsed."""

    def parse_core(self, argv: list[str] | None) -> None:
        """Parse the program's own flags."""
        try:
            super().parse_core(argv)
        except ParseError as error:
            raise _usage(error) from error

    def parse_tasks(self) -> None:
        """Parse task names and their flags."""
        try:
            super().parse_tasks()
        except ParseError as error:
            raise _usage(error) from error


def _usage(error: ParseError) -> Exit:
    return Exit(f"error: {error}\nnext: trunkline --list", code=int(ExitCode.USAGE))


def main() -> None:
    """Run `trunkline TASK ...`."""
    signals.end_at_once()
    try:
        LandingProgram(name="trunkline", binary="trunkline", version=__version__, namespace=namespace).run()
        sys.stdout.flush()
    except BrokenPipeError:  # `trunkline --list | head`: whoever read has seen enough
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
