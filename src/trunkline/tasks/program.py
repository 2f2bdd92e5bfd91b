"""The same collection as an installed program, for repositories that want no tasks.py."""

from __future__ import annotations

import difflib
import os
import re
import shlex
import sys
from collections.abc import Sequence

from invoke.exceptions import Exit, ParseError
from invoke.program import Program

from trunkline import __version__
from trunkline.domain.errors import ExitCode
from trunkline.kernel import signals
from trunkline.tasks.landing import namespace, task_names

_UNKNOWN = re.compile("No idea what '(.+)' is!")
_LIKE = 0.5
"""How alike two words must be, from 0 to 1 (difflib): `statsu` and `status` are at 0.83."""


class LandingProgram(Program):
    """Invoke's program, with the contract's exit code for a command line that cannot be parsed."""

    def parse_core(self, argv: list[str] | None) -> None:
        """Parse the program's own flags."""
        try:
            super().parse_core(argv)
        except ParseError as error:
            raise _usage(error, self.argv) from error

    def parse_tasks(self) -> None:
        """Parse task names and their flags."""
        try:
            super().parse_tasks()
        except ParseError as error:
            raise _usage(error, self.argv) from error


def _usage(error: ParseError, argv: Sequence[str]) -> Exit:
    """Return the error of a command line that cannot be parsed, with the nearest task or flag."""
    unknown, task = _UNKNOWN.match(str(error)), (error.context.name if error.context is not None else "")
    word = unknown[1] if unknown else ""
    what = f"{task or 'trunkline'} has no flag {word}" if word.startswith("-") else f"there is no task {word!r}"
    lines = [f"error: {what if word else error}"]
    known = _flags_of(error) if word.startswith("-") else sorted(task_names())
    like = difflib.get_close_matches(word, known, n=3, cutoff=_LIKE) if word else []
    if like:
        lines.append(f"  did you mean {' or '.join(like)}?")
        mended = [like[0] if each == word else each for each in argv[1:]]
        lines.append(f"next: {shlex.join(['trunkline', *mended])}")
    else:
        lines += [f"next: trunkline --help {task}"] if task else []
        lines.append("next: trunkline --list")
    return Exit("\n".join(lines), code=int(ExitCode.USAGE))


def _flags_of(error: ParseError) -> list[str]:
    """Return the long flags of the task that the error is about."""
    return [name for name in error.context.flags if name.startswith("--")] if error.context is not None else []


def main() -> None:
    """Run `trunkline TASK ...`."""
    signals.end_at_once()
    try:
        LandingProgram(name="trunkline", binary="trunkline", version=__version__, namespace=namespace).run()
        sys.stdout.flush()
    except BrokenPipeError:  # `trunkline --list | head`: whoever read has seen enough
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
