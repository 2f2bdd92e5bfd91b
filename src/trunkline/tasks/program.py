"""The task collection as an installed program, for repositories without a tasks.py."""

from __future__ import annotations

import os
import sys

from invoke.program import Program

from trunkline import __version__
from trunkline.domain.errors import ExitCode
from trunkline.system import bytecode, signals
from trunkline.tasks import project_settings
from trunkline.tasks.registry import namespace

_FIRST = """\
trunkline lands stacks of GitHub pull requests of Rust workspaces.

  trunkline doctor               check tools, sign-in and settings
  trunkline init                 write stack.toml from the open pull requests
  trunkline status               show the stack, and the command to type next
  trunkline rebase --pr NUMBER   rebase one entry, run its gates, push it, mark it ready
  trunkline rehearse --example   land an example in a sandbox; reaches nobody

  trunkline --list               list every task
  trunkline --help TASK          show the flags of a task
"""


class _Program(Program):
    """Invoke's program, which caches compiled modules."""

    def print_help(self) -> None:
        """Print the commands to begin with, every task, and then Invoke's own options."""
        print(_FIRST)  # noqa: T201 -- as Invoke prints the rest
        self.list_tasks()
        print("Options before the task:\n")  # noqa: T201 -- as above
        self.print_columns(self.initial_context.help_tuples())

    def parse_core(self, argv: list[str] | None) -> None:
        """Read the options before the first task."""
        super().parse_core(argv)
        bytecode.cache()


def main() -> None:
    """Run `trunkline TASK ...`."""
    signals.end_at_once()
    try:
        if len(sys.argv) == 1:
            sys.stdout.write(_FIRST)
            return
        project_settings.take_dry_run()
        try:
            _Program(name="trunkline", binary="trunkline", version=__version__, namespace=namespace).run()
        finally:
            sys.stdout.flush()
    except BrokenPipeError:  # the reader was closed, as in `trunkline --list | head`
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    except OSError as error:  # of --list and --help; a task has a message of its own
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        sys.stderr.write(f"error: standard output cannot be written\n  the system reports: {error.strerror}\n")
        sys.exit(int(ExitCode.OUTSIDE))
