"""Signals that end a process of ours: Ctrl-C, SIGTERM and SIGHUP, all alike.

Loaded before anything else of the program, so it imports next to nothing.
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
"""This many signals end the process at once, whatever it is about."""
_PROGRAMS = frozenset({"trunkline", "invoke", "inv"})
_Handler = Callable[[int, "FrameType | None"], None]


class Interrupted(KeyboardInterrupt):
    """A signal asked the process to end."""

    def __init__(self, number: int) -> None:
        super().__init__(signal.Signals(number).name)
        self.number = number


def exit_code(error: KeyboardInterrupt) -> int:
    """Return the exit code of a process that an interrupt ended: 128 and the signal's number."""
    return 128 + (error.number if isinstance(error, Interrupted) else signal.SIGINT)


def runs_tasks() -> bool:
    """Return whether this process is a program that runs tasks, and not one that imports them."""
    name = sys.argv[0] if sys.argv else ""
    return os.path.basename(name) in _PROGRAMS or os.path.basename(os.path.dirname(name)) == "invoke"  # noqa: PTH119, PTH120 -- pathlib takes 10 ms to load


def end_at_once() -> None:
    """Let a signal end the process with one line where no task runs: while modules load, between tasks."""
    _install(_exit)


@contextlib.contextmanager
def raising() -> Iterator[None]:
    """Let the first signal raise `Interrupted` while the context lasts; a second does not disturb what that ends."""
    count = 0

    def first(number: int, _frame: FrameType | None) -> None:
        nonlocal count
        count += 1
        if count == 1:
            raise Interrupted(number)
        if count >= _LAST:
            _exit(number, None)

    before = _install(first)
    hook, sys.unraisablehook = sys.unraisablehook, _raised_again(sys.unraisablehook)
    try:
        yield
    finally:
        sys.unraisablehook = hook
        for number, handler in before.items():
            signal.signal(number, handler)


def _raised_again(hook: Callable[[sys.UnraisableHookArgs], object]) -> Callable[[sys.UnraisableHookArgs], object]:
    """Return a hook that raises an interrupt again which came where exceptions are ignored.

    Python calls back in such places (weak references of importlib's locks, `__del__`), prints the exception and goes
    on.
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
    """Install a handler for the signals that end us, where they are as Python or we left them; return what was there.

    One that is ignored stays so: `nohup` and a shell's background jobs rely on it. Another's handler stays, too.
    """
    before: dict[int, _Handler] = {}
    for number in ENDING:
        held = signal.getsignal(number)
        ours = callable(held) and getattr(held, "__module__", "") == __name__
        if held is signal.default_int_handler or held == signal.SIG_DFL or ours:
            with contextlib.suppress(ValueError):  # not in the main thread, where no signal arrives
                before[number] = signal.signal(number, handler)  # type: ignore[assignment]  # int values, too
    return before


def _exit(number: int, _frame: FrameType | None) -> None:
    with contextlib.suppress(OSError):
        os.write(2, f"interrupted by {signal.Signals(number).name}: no task was running\n".encode())
    os._exit(128 + number)
