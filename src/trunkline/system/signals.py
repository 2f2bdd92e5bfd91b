"""Handle the signals that terminate the program: Ctrl-C, SIGTERM and SIGHUP, all alike.

This module is loaded before all others, so it imports very little.
"""

from __future__ import annotations

import contextlib
import os
import signal
import sys
from collections.abc import Callable, Iterator
from types import FrameType

ENDING = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
_LAST = 3
"""The signal with this number terminates the process at once, even during clean-up."""
_PROGRAMS = frozenset({"trunkline", "invoke", "inv"})
_Handler = Callable[[int, "FrameType | None"], None]


class Interrupted(KeyboardInterrupt):
    """The process received a terminating signal."""

    def __init__(self, number: int) -> None:
        super().__init__(signal.Signals(number).name)
        self.number = number


def exit_code(error: KeyboardInterrupt) -> int:
    """Return the exit code after an interrupt: 128 plus the signal number."""
    return 128 + (error.number if isinstance(error, Interrupted) else signal.SIGINT)


def runs_tasks() -> bool:
    """Return whether this process runs tasks, as opposed to importing them."""
    name = sys.argv[0] if sys.argv else ""
    return os.path.basename(name) in _PROGRAMS or os.path.basename(os.path.dirname(name)) == "invoke"  # noqa: PTH119, PTH120 -- pathlib takes 10 ms to load


def end_at_once() -> None:
    """Make a signal exit with a one-line message while no task runs."""
    _install(_exit)


@contextlib.contextmanager
def raising() -> Iterator[None]:
    """Make the first signal raise `Interrupted`; ignore the second, so that clean-up can finish."""
    count = 0

    def first(number: int, _frame: FrameType | None) -> None:
        nonlocal count
        count += 1
        if count == 1:
            raise Interrupted(number)
        if count >= _LAST:
            _exit(number, None)

    before = _install(first)
    hook, sys.unraisablehook = sys.unraisablehook, _raising_hook(sys.unraisablehook)
    try:
        yield
    finally:
        sys.unraisablehook = hook
        for number, handler in before.items():
            signal.signal(number, handler)


def _raising_hook(hook: Callable[[sys.UnraisableHookArgs], object]) -> Callable[[sys.UnraisableHookArgs], object]:
    """Return a hook that raises an interrupt again if it came where Python ignores exceptions.

    Such places are weak reference callbacks of importlib's locks and `__del__`: Python prints the
    exception and goes on.
    """

    def unraisable(ignored: sys.UnraisableHookArgs) -> object:
        error = ignored.exc_value
        if not isinstance(error, Interrupted):
            return hook(ignored)

        def again(_number: int, _frame: FrameType | None) -> None:
            raise error

        signal.signal(signal.SIGALRM, again)
        signal.setitimer(signal.ITIMER_REAL, 0.001)
        return None

    return unraisable


def _install(handler: _Handler) -> dict[int, _Handler]:
    """Install a handler for the terminating signals; return the handlers that it replaced.

    Ignored signals stay ignored, because `nohup` and background jobs of a shell rely on that.
    Handlers of other code stay too.
    """
    before: dict[int, _Handler] = {}
    for number in ENDING:
        current = signal.getsignal(number)
        ours = callable(current) and getattr(current, "__module__", "") == __name__
        if current is signal.default_int_handler or current == signal.SIG_DFL or ours:
            with contextlib.suppress(ValueError):  # not in the main thread, which alone handles signals
                before[number] = signal.signal(number, handler)  # type: ignore[assignment]  # int values, too
    return before


def _exit(number: int, _frame: FrameType | None) -> None:
    with contextlib.suppress(OSError):
        os.write(2, f"interrupted by {signal.Signals(number).name}: no task was running\n".encode())
    os._exit(128 + number)
