"""The task collection as an installed program, for repositories without a tasks.py."""

from __future__ import annotations

import os
import sys

from invoke.program import Program

from trunkline import __version__
from trunkline.system import signals
from trunkline.tasks.landing import namespace


def main() -> None:
    """Run `trunkline TASK ...`."""
    signals.end_at_once()
    try:
        Program(name="trunkline", binary="trunkline", version=__version__, namespace=namespace).run()
        sys.stdout.flush()
    except BrokenPipeError:  # the reader was closed, as in `trunkline --list | head`
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
