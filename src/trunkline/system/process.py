"""Run other programs. Only `system/` imports subprocess.

Commands are argv lists, never shell strings. stdout and stderr are separate and in bytes. Each
child has its own process group, so that a timeout or Ctrl-C also terminates its descendants:
terminate, wait, kill. Every call has a timeout.
"""

from __future__ import annotations

import contextlib
import functools
import os
import select
import shlex
import subprocess
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

import msgspec

from trunkline.domain.errors import ExternalError
from trunkline.domain.redaction import secret_values
from trunkline.system import children
from trunkline.system import environment as environments

attached = children.attached
environment = environments.environment
own_environment = environments.own_environment


class Completed(msgspec.Struct, frozen=True):
    """Result of a finished program.

    Attributes:
        argv: the command.
        returncode: its exit code; negative: the number of the signal that killed it.
        stdout: its whole standard output (empty if it went to a log file).
        stderr: its whole standard error (empty if it went to a log file).
        seconds: wall time.
        timed_out: it was terminated after its timeout.
        cpu_seconds: CPU time of it and its descendants, if its output went to a log file; includes
            other children of this process that exited meanwhile.
        left: command lines of processes that it left running and that were killed, if its output
            went to a log file.
    """

    argv: tuple[str, ...]
    returncode: int
    stdout: bytes
    stderr: bytes
    seconds: float
    timed_out: bool = False
    cpu_seconds: float = 0.0
    left: tuple[str, ...] = ()

    @property
    def text(self) -> str:
        """Standard output as text without the last newline; undecodable bytes are surrogates."""
        return self.stdout.decode("utf-8", "surrogateescape").removesuffix("\n")

    @property
    def lines(self) -> tuple[str, ...]:
        """Lines of `text`, split at line feeds only: names may contain other Unicode line ends."""
        return tuple(self.text.split("\n")) if self.text else ()

    @property
    def path(self) -> Path:
        """Standard output as one path, with any bytes."""
        return path_of(self.text)

    @property
    def error_text(self) -> str:
        """Standard error as text for people."""
        return self.stderr.decode("utf-8", "replace").strip()

    @property
    def command_line(self) -> str:
        """The command as a person would type it."""
        return shlex.join(self.argv)


def path_of(text: str) -> Path:
    """Return a path from a program's output, decoded like `Completed.text`, in any locale."""
    return Path(os.fsdecode(text.encode("utf-8", "surrogateescape")))


@functools.cache
def secrets() -> tuple[str, ...]:
    """Return the secrets in this process's environment.

    Cached, since every output line is checked.
    """
    return secret_values(os.environ)


def run(
    argv: Sequence[str],
    *,
    cwd: Path,
    env: Mapping[str, str],
    timeout: float,
    stdin: bytes = b"",
    pass_fds: Sequence[int] = (),
) -> Completed:
    """Run a program and return its result; the caller checks the exit code.

    Args:
        argv: the program and its arguments.
        cwd: its working directory.
        env: its whole environment (see `environment`).
        timeout: seconds before its process group is terminated.
        stdin: its input; empty means end of file, so that nothing waits for a keyboard.
        pass_fds: file descriptors to inherit.

    Raises:
        ExternalError: the program is not installed, or the timeout expired.
    """
    started = time.monotonic()
    with children.started(
        argv, cwd=cwd, env=env, stdin=subprocess.PIPE, stdout=subprocess.PIPE, pass_fds=pass_fds
    ) as child:
        return Running(tuple(argv), child, timeout, started).finish(stdin)


class Running(msgspec.Struct, frozen=True):
    """A running program; `finish` waits for it."""

    argv: tuple[str, ...]
    child: subprocess.Popen[bytes]
    timeout: float
    started: float

    def finish(self, stdin: bytes | None = None) -> Completed:
        """Wait for the program and return its result; see `run`."""
        try:
            stdout, stderr = self.child.communicate(stdin, self.timeout)
        except subprocess.TimeoutExpired:
            children.end_group(self.child)
            stdout, stderr = self.child.communicate()
            raise ExternalError(
                f"{self.argv[0]} did not end within {self.timeout:g} s",
                command=shlex.join(self.argv),
                stderr=stderr.decode("utf-8", "replace"),
            ) from None
        return Completed(self.argv, self.child.returncode, stdout, stderr, time.monotonic() - self.started)


@contextlib.contextmanager
def begin(
    argv: Sequence[str], *, cwd: Path, env: Mapping[str, str], timeout: float, stdin: bytes = b""
) -> Iterator[Running]:
    """Start a program without waiting; terminate it if the context ends before `finish`.

    Arguments and errors are those of `run`; the timeout starts with `finish`. Output beyond a
    pipe's 64 KiB blocks the program until `finish`.
    """
    with (
        tempfile.TemporaryFile() as input_file
    ):  # a file, because writing to a pipe would block until the program reads
        input_file.write(stdin)
        input_file.seek(0)
        with children.started(argv, cwd=cwd, env=env, stdin=input_file, stdout=subprocess.PIPE) as child:
            yield Running(tuple(argv), child, timeout, time.monotonic())
        if child.returncode is None:
            children.end_group(child)
            child.communicate()


class Coprocess(msgspec.Struct, frozen=True):
    """A running program that responds to requests line by line; see `coprocess`."""

    argv: tuple[str, ...]
    child: subprocess.Popen[bytes]
    timeout: float

    def send(self, request: bytes, lines: int) -> tuple[bytes, ...]:
        """Send a request and return the response lines; fewer if the program exited.

        Raises:
            ExternalError: the timeout expired.
        """
        assert self.child.stdin is not None  # noqa: S101 -- PIPE in `coprocess`
        assert self.child.stdout is not None  # noqa: S101 -- as above
        with contextlib.suppress(BrokenPipeError):
            self.child.stdin.write(request)
            self.child.stdin.flush()
        response, until = b"", time.monotonic() + self.timeout
        while response.count(b"\n") < lines:
            if not select.select([self.child.stdout], [], [], max(0.0, until - time.monotonic()))[0]:
                raise ExternalError(
                    f"{self.argv[0]} did not respond within {self.timeout:g} s", command=shlex.join(self.argv)
                )
            more = os.read(self.child.stdout.fileno(), 4096)
            if not more:
                break
            response += more
        return tuple(response.removesuffix(b"\n").split(b"\n")) if response else ()


@contextlib.contextmanager
def coprocess(argv: Sequence[str], *, cwd: Path, env: Mapping[str, str], timeout: float) -> Iterator[Coprocess]:
    """Start a program that responds to requests; terminate it when the context ends.

    Arguments and errors are those of `run`; the timeout applies to each response. Its stderr is
    discarded.
    """
    with children.started(
        argv, cwd=cwd, env=env, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL
    ) as child:
        try:
            yield Coprocess(tuple(argv), child, timeout)
            children.end_group(child)
        finally:
            children.close(child)


@contextlib.contextmanager
def background(
    argv: Sequence[str], *, cwd: Path, env: Mapping[str, str], log: Path
) -> Iterator[subprocess.Popen[bytes]]:
    """Run a server in the background; terminate its group when the context or this process ends."""
    with (
        log.open("ab") as sink,
        children.started(
            argv, cwd=cwd, env=env, watched=True, stdin=subprocess.DEVNULL, stdout=sink, stderr=subprocess.STDOUT
        ) as child,
    ):
        yield child
        children.end_group(child)


def spawn(argv: Sequence[str], *, cwd: Path, env: Mapping[str, str], log: Path) -> subprocess.Popen[bytes]:
    """Start a server in the background; the caller terminates it with `end_group`."""
    with log.open("ab") as sink:
        return children.start(argv, cwd=cwd, env=env, stdin=subprocess.DEVNULL, stdout=sink, stderr=subprocess.STDOUT)
