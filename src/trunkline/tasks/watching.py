"""Refresh output on one screen until Ctrl-C."""

from __future__ import annotations

import time
from collections.abc import Callable

from invoke.exceptions import Exit

from trunkline.domain.errors import TransientError
from trunkline.report.terminal import Terminal
from trunkline.system import retry, signals

_SECONDS = 30.0
"""The interval between two rounds."""


def watch(terminal: Terminal, show: Callable[[], None]) -> None:
    """Call a function repeatedly, and show its output on the terminal's alternate screen.

    The scrollback is kept, and the last output is printed at the end. Without a terminal, the
    function is called once. A failure of the network or of GitHub is shown, and the next round
    tries again.

    Args:
        terminal: where the function prints.
        show: prints the output.

    Raises:
        Exit: Ctrl-C or another signal ended it; with the exit code 128 plus its number, and no
            message.
        TrunklineError: the function failed otherwise.
    """
    console = terminal.console
    if not console.is_terminal:
        show()
        return
    from rich.text import Text  # noqa: PLC0415 -- 13 ms, for --watch on a terminal alone

    last = Text()
    try:
        with console.screen() as screen:
            while True:
                with console.capture() as captured:
                    try:
                        show()
                    except TransientError as error:
                        terminal.error(error)
                    at = time.strftime("%H:%M:%S")
                    terminal.line((f"as of {at}, again every {_SECONDS:.0f} s; Ctrl-C ends it", "dim"))
                last = Text.from_ansi(captured.get())
                lines = last.split("\n")
                screen.update(Text("\n").join(lines[-console.height :]))
                retry.sleep(_SECONDS)
    except KeyboardInterrupt as interrupted:
        console.print(last)
        raise Exit(code=signals.exit_code(interrupted)) from None
