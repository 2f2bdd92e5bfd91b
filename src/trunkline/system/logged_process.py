"""Run programs with their output in a log file and a timeout: gates, and tasks in a sandbox."""

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
from pathlib import Path

import msgspec

from trunkline.system import children
from trunkline.system.process import Completed


class Stream(enum.IntEnum):
    """The output stream of a program that a line came from."""

    STDOUT = 1
    STDERR = 2


_END = 0  # not a stream: the end of the program
_CHUNK = 65536
_REST = 1 << 20  # more than a pipe holds (pipe(7))

Sort = Callable[[Stream, bytes], bytes]
"""Maps a line of a stream to the text for the log; b"" leaves the line out."""


def run_logged(
    argv: Sequence[str],
    *,
    cwd: Path,
    env: Mapping[str, str],
    timeout: float,
    log: Path,
    on_line: Callable[[bytes], None] | None = None,
    sort: Sort | None = None,
    pass_fds: Sequence[int] = (),
) -> Completed:
    """Run a program; append its output to a log, and pass each line to `on_line`.

    A timeout is a result here (`timed_out`) and not an error, because a gate that hangs has a
    verdict. The program's process group is killed when this process exits or is killed.

    Args:
        argv: the program and its arguments.
        cwd: its working directory.
        env: its whole environment.
        timeout: seconds before its process group is terminated.
        log: the file for its output.
        on_line: receives each line.
        sort: maps each line, with its stream, to the text for the log. The streams are then
            separate pipes, so the order of lines of different streams may vary.
        pass_fds: file descriptors to inherit.

    Raises:
        ExternalError: the program is not installed.
    """
    stderr = subprocess.STDOUT if sort is None else subprocess.PIPE
    with begin_logged(
        argv, cwd=cwd, env=env, log=log, stdin=subprocess.DEVNULL, stderr=stderr, pass_fds=pass_fds
    ) as partial:
        return partial.finish(timeout, on_line=on_line, sort=sort)


class Logged(msgspec.Struct):
    """A running program with its output in a log; `finish` waits for it.

    Attributes:
        argv: the program and its arguments.
        child: the process.
        log: the file for its output.
        stop: the signal that terminates it.
        started: start time of the monotonic clock.
        cpu_before: CPU seconds of the children that had exited by then.
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
        """Wait for the program and return its result; see `run_logged`.

        Args:
            timeout: seconds from now before its process group is terminated.
            stdin: input for a program that waits for it.
            on_line: receives each line.
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
        """Yield the lines of both streams as they arrive; the last line may lack its newline.

        The lines end when the program exits. Its children may keep the streams open, and are not
        waited for.
        """
        pipes = {Stream.STDOUT: self.child.stdout, Stream.STDERR: self.child.stderr}
        partial: dict[Stream, list[bytes]] = {
            stream: [] for stream in pipes
        }  # parts of an incomplete line, joined once
        with selectors.DefaultSelector() as selector, children.exit_descriptor(self.child) as end:
            selector.register(end, selectors.EVENT_READ, _END)
            still_open = {stream: pipe for stream, pipe in pipes.items() if pipe is not None}
            for stream, pipe in still_open.items():
                os.set_blocking(pipe.fileno(), False)
                selector.register(pipe, selectors.EVENT_READ, stream)
            ended = False
            while still_open and not ended:
                # If both streams are ready, stderr is read first: cargo writes the command there
                # before the command prints anything. The end is handled last, so that all output is
                # read.
                for key, _ in sorted(selector.select(), key=lambda ready: -ready[0].data):
                    if key.data == _END:
                        ended = True
                        continue
                    chunk = os.read(key.fd, _CHUNK)
                    yield from ((key.data, line) for line in _whole_lines(partial[key.data], chunk))
                    if not chunk:
                        selector.unregister(still_open.pop(key.data))
            for stream, pipe in sorted(still_open.items(), reverse=True):
                rest = _whole_lines(partial[stream], _waiting(pipe.fileno()))
                yield from ((stream, line) for line in (*rest, *_whole_lines(partial[stream], b"")))


def _waiting(handle: int) -> bytes:
    """Return the bytes in a pipe without blocking on processes that still write to it."""
    found = b""
    with contextlib.suppress(BlockingIOError):
        while len(found) < _REST and (chunk := os.read(handle, _CHUNK)):
            found += chunk
    return found


def _whole_lines(partial: list[bytes], chunk: bytes) -> Iterator[bytes]:
    """Yield the lines that a chunk completes.

    Args:
        partial: parts of the incomplete line; updated.
        chunk: new bytes; empty at the end of the stream, which completes the last line.
    """
    head, newline, rest = chunk.partition(b"\n")
    partial.append(head)
    if not newline and chunk:
        return
    if line := b"".join(partial) + newline:
        yield line
    *lines, last = rest.split(b"\n")
    yield from (each + b"\n" for each in lines)
    partial[:] = [last]


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
    """Start a logged program without waiting; terminate it if the context ends before `finish`.

    Arguments and errors are those of `run_logged`; the program may wait on stdin for the input of
    `finish`. `stop` is the signal that terminates it: nox terminates its children only on SIGINT.
    """
    started, before = time.monotonic(), _cpu_of_children()
    partial = children.started(
        argv, cwd=cwd, env=env, watched=True, stop=stop, stdin=stdin, stdout=subprocess.PIPE, stderr=stderr,
        pass_fds=pass_fds,
    )  # fmt: skip
    with partial as child:
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
    """Terminate the programs of other threads that log below a directory; return their number."""
    ours = [(child, stop) for child, log, stop in list(_LOGGED.values()) if log.is_relative_to(under)]
    for child, stop in ours:
        children.end_group(child, stop)
    return len(ours)


def _cpu_of_children() -> float:
    used = resource.getrusage(resource.RUSAGE_CHILDREN)  # of children that were waited for, and their descendants
    return used.ru_utime + used.ru_stime
