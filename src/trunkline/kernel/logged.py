"""Programs whose output goes to a log, line by line, and whose time may run out: gates, and tasks in a sandbox."""

from __future__ import annotations

import contextlib
import resource
import signal
import subprocess
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from trunkline.kernel import children
from trunkline.kernel.proc import Completed


def run_logged(
    argv: Sequence[str],
    *,
    cwd: Path,
    env: Mapping[str, str],
    timeout: float,
    log: Path,
    on_line: Callable[[bytes], None] | None = None,
    stop: signal.Signals = signal.SIGTERM,
) -> Completed:
    """Run a program whose output, both streams as they come, goes to a log file and line by line to `on_line`.

    A timeout is an outcome here (`timed_out`), not an error: a gate that hangs has a verdict. The program's group is
    leashed: it ends with us even when we are killed.

    Args:
        argv: the program and its arguments.
        cwd: where it runs.
        env: its whole environment.
        timeout: seconds before its process group is ended.
        log: where its output goes.
        on_line: told each line.
        stop: how it is asked to end; nox ends its children on SIGINT only.

    Raises:
        UsageError: the program is not installed.
    """
    with begin_logged(argv, cwd=cwd, env=env, log=log, stop=stop, stdin=subprocess.DEVNULL) as begun:
        return begun.finish(timeout, on_line=on_line)


@dataclass
class Logged:
    """A program whose output goes to a log, and that was begun; `finish` waits for its end.

    Attributes:
        argv: the program and its arguments.
        child: it.
        log: where its output goes.
        stop: how it is asked to end.
        started: when, by the monotonic clock.
        cpu_before: seconds of processor time of the children that had ended by then.
    """

    argv: tuple[str, ...]
    child: subprocess.Popen[bytes]
    log: Path
    stop: signal.Signals
    started: float
    cpu_before: float

    def finish(
        self, timeout: float, *, stdin: bytes = b"", on_line: Callable[[bytes], None] | None = None
    ) -> Completed:
        """Wait for the program's end and return what it left; see `run_logged`.

        Args:
            timeout: seconds from now before its process group is ended.
            stdin: what it is told to go on with, where it waits for that.
            on_line: told each line.
        """
        timed_out = threading.Event()

        def expire() -> None:
            timed_out.set()
            children.end_group(self.child, self.stop)

        timer = threading.Timer(timeout, expire)
        timer.daemon = True
        timer.start()
        try:
            if self.child.stdin is not None:
                with contextlib.suppress(BrokenPipeError):
                    self.child.stdin.write(stdin)
                    self.child.stdin.close()
            self._read(on_line)
            children.end_orphans(self.child)
            self.child.wait()
        finally:
            timer.cancel()
        return Completed(
            self.argv, self.child.returncode, b"", b"", time.monotonic() - self.started,
            timed_out=timed_out.is_set(), cpu_seconds=_cpu_of_children() - self.cpu_before,
        )  # fmt: skip

    def _read(self, on_line: Callable[[bytes], None] | None) -> None:
        assert self.child.stdout is not None  # noqa: S101 -- stdout=PIPE where it was begun
        with self.log.open("wb") as sink:
            for line in self.child.stdout:
                sink.write(line)
                if on_line is not None:
                    on_line(line)


@contextlib.contextmanager
def begin_logged(
    argv: Sequence[str],
    *,
    cwd: Path,
    env: Mapping[str, str],
    log: Path,
    stop: signal.Signals = signal.SIGTERM,
    stdin: int = subprocess.PIPE,
) -> Iterator[Logged]:
    """Begin a logged program and go on; it is ended when the context is left before it was finished.

    Args and errors as of `run_logged`; it may wait on its stdin for what `finish` tells it.
    """
    started, before = time.monotonic(), _cpu_of_children()
    begun = children.begun(
        argv, cwd=cwd, env=env, leashed=True, stop=stop, stdin=stdin, stdout=subprocess.PIPE, stderr=subprocess.STDOUT
    )
    with begun as child:
        _LOGGED[child.pid] = child, log, stop
        try:
            yield Logged(tuple(argv), child, log, stop, started, before)
            if child.returncode is None:
                children.end_group(child, stop)
        finally:
            _LOGGED.pop(child.pid, None)
            children.close(child)


_LOGGED: dict[int, tuple[subprocess.Popen[bytes], Path, signal.Signals]] = {}


def end_logged(under: Path) -> int:
    """End the programs that other threads of ours run with a log below a directory; return how many there were."""
    ours = [(child, stop) for child, log, stop in list(_LOGGED.values()) if log.is_relative_to(under)]
    for child, stop in ours:
        children.end_group(child, stop)
    return len(ours)


def _cpu_of_children() -> float:
    used = resource.getrusage(resource.RUSAGE_CHILDREN)  # of those that were waited for, and of theirs
    return used.ru_utime + used.ru_stime
