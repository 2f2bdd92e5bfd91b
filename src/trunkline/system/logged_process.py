"""Programs whose output goes to a log, line by line, and whose time may run out: gates, and tasks in a sandbox."""

from __future__ import annotations

import contextlib
import enum
import os
import resource
import selectors
import signal
import subprocess
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from trunkline.system import children
from trunkline.system.process import Completed


class Stream(enum.IntEnum):
    """Which of a program's two output streams a line came from."""

    STDOUT = 1
    STDERR = 2


_END = 0  # beside the streams: the program's end
_CHUNK = 65536
_REST = 1 << 20  # more than a pipe holds (pipe(7))

Sort = Callable[[Stream, bytes], bytes]
"""Reads one line of a stream and returns what the log gets in its place; b"": nothing."""


def run_logged(  # noqa: PLR0913 -- keyword-only options of a door
    argv: Sequence[str],
    *,
    cwd: Path,
    env: Mapping[str, str],
    timeout: float,
    log: Path,
    on_line: Callable[[bytes], None] | None = None,
    sort: Sort | None = None,
    stop: signal.Signals = signal.SIGTERM,
    pass_fds: Sequence[int] = (),
) -> Completed:
    """Run a program whose output, both streams as they come, is added to a log and goes line by line to `on_line`.

    A timeout is an outcome here (`timed_out`), not an error: a gate that hangs has a verdict. The program's group is
    leashed: it ends with us even when we are killed.

    Args:
        argv: the program and its arguments.
        cwd: where it runs.
        env: its whole environment.
        timeout: seconds before its process group is ended.
        log: where its output goes.
        on_line: told each line.
        sort: reads each line with the stream that it came from, and says what the log gets; the streams are then
            pipes of their own, so lines of one and the other may come a moment apart.
        stop: how it is asked to end; nox ends its children on SIGINT only.
        pass_fds: file descriptors it inherits.

    Raises:
        UsageError: the program is not installed.
    """
    stderr = subprocess.STDOUT if sort is None else subprocess.PIPE
    with begin_logged(
        argv, cwd=cwd, env=env, log=log, stop=stop, stdin=subprocess.DEVNULL, stderr=stderr, pass_fds=pass_fds
    ) as begun:
        return begun.finish(timeout, on_line=on_line, sort=sort)


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
        self,
        timeout: float,
        *,
        stdin: bytes = b"",
        on_line: Callable[[bytes], None] | None = None,
        sort: Sort | None = None,
    ) -> Completed:
        """Wait for the program's end and return what it left; see `run_logged`.

        Args:
            timeout: seconds from now before its process group is ended.
            stdin: what it is told to go on with, where it waits for that.
            on_line: told each line.
            sort: see `run_logged`.
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
            self._read(on_line, sort)
            left = children.end_orphans(self.child)
            self.child.wait()
        finally:
            timer.cancel()
        return Completed(
            self.argv, self.child.returncode, b"", b"", time.monotonic() - self.started,
            timed_out=timed_out.is_set(), cpu_seconds=_cpu_of_children() - self.cpu_before,
            left=left,
        )  # fmt: skip

    def _read(self, on_line: Callable[[bytes], None] | None, sort: Sort | None) -> None:
        with self.log.open("ab") as sink:
            for stream, line in self._lines():
                kept = line if sort is None else sort(stream, line)
                sink.write(kept)
                if on_line is not None and kept:
                    on_line(kept)

    def _lines(self) -> Iterator[tuple[Stream, bytes]]:
        """Yield the lines of both streams as they come; the last of a stream may lack its newline.

        They end with the program. What it started may live on with the streams open: nobody waits for that.
        """
        pipes = {Stream.STDOUT: self.child.stdout, Stream.STDERR: self.child.stderr}
        begun: dict[Stream, list[bytes]] = {stream: [] for stream in pipes}  # parts of a line: copied once
        with selectors.DefaultSelector() as selector, children.end_of(self.child) as end:
            selector.register(end, selectors.EVENT_READ, _END)
            still_open = {stream: pipe for stream, pipe in pipes.items() if pipe is not None}
            for stream, pipe in still_open.items():
                os.set_blocking(pipe.fileno(), False)
                selector.register(pipe, selectors.EVENT_READ, stream)
            ended = False
            while still_open and not ended:
                # Of two that wait, stderr first: cargo says there what it runs before that prints anything. The end
                # comes last: what was printed before it is read.
                for key, _ in sorted(selector.select(), key=lambda ready: -ready[0].data):
                    if key.data == _END:
                        ended = True
                        continue
                    chunk = os.read(key.fd, _CHUNK)
                    yield from ((key.data, line) for line in _whole_lines(begun[key.data], chunk))
                    if not chunk:
                        selector.unregister(still_open.pop(key.data))
            for stream, pipe in sorted(still_open.items(), reverse=True):
                rest = _whole_lines(begun[stream], _waiting(pipe.fileno()))
                yield from ((stream, line) for line in (*rest, *_whole_lines(begun[stream], b"")))


def _waiting(handle: int) -> bytes:
    """Return what waits in a pipe; who still writes to it is not waited for."""
    found = b""
    with contextlib.suppress(BlockingIOError):
        while len(found) < _REST and (chunk := os.read(handle, _CHUNK)):
            found += chunk
    return found


def _whole_lines(begun: list[bytes], chunk: bytes) -> Iterator[bytes]:
    """Yield the lines that a chunk completes; `begun` holds the parts of the one that it does not.

    Args:
        begun: parts of the line so far.
        chunk: what came; empty at the end, which completes what was begun.
    """
    head, newline, rest = chunk.partition(b"\n")
    begun.append(head)
    if not newline and chunk:
        return
    if line := b"".join(begun) + newline:
        yield line
    *lines, last = rest.split(b"\n")
    yield from (each + b"\n" for each in lines)
    begun[:] = [last]


@contextlib.contextmanager
def begin_logged(
    argv: Sequence[str],
    *,
    cwd: Path,
    env: Mapping[str, str],
    log: Path,
    stop: signal.Signals = signal.SIGTERM,
    stdin: int = subprocess.PIPE,
    stderr: int = subprocess.STDOUT,
    pass_fds: Sequence[int] = (),
) -> Iterator[Logged]:
    """Begin a logged program and go on; it is ended when the context is left before it was finished.

    Args and errors as of `run_logged`; it may wait on its stdin for what `finish` tells it.
    """
    started, before = time.monotonic(), _cpu_of_children()
    begun = children.begun(
        argv, cwd=cwd, env=env, leashed=True, stop=stop, stdin=stdin, stdout=subprocess.PIPE, stderr=stderr,
        pass_fds=pass_fds,
    )  # fmt: skip
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
