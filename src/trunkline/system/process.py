"""The only door to other programs.

argv lists, never a shell. stdout and stderr apart, as bytes. A process group of its own for each child, so that
a timeout or Ctrl-C ends what the child started too: terminate, wait, kill. Always a timeout.
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
from dataclasses import dataclass
from pathlib import Path

from trunkline.domain.errors import ExternalError
from trunkline.domain.redaction import secret_values
from trunkline.system import children
from trunkline.system import environment as environments

environment = environments.environment
own_environment = environments.own_environment


@dataclass(frozen=True)
class Completed:
    """What a finished program left behind.

    Attributes:
        argv: what was run.
        returncode: its exit code; negative: ended by that signal.
        stdout: its whole standard output (empty where it went to a log file).
        stderr: its whole standard error (empty where it went to a log file).
        seconds: wall time.
        timed_out: it was ended by us because its time was up.
        cpu_seconds: CPU time of it and its descendants, where its output went to a log file; of whatever else of
            ours ended meanwhile too.
        left: command lines of what it left running, where its output went to a log file; that was ended.
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
        """Standard output as text, undecodable bytes kept as surrogates, the last newline removed."""
        return self.stdout.decode("utf-8", "surrogateescape").removesuffix("\n")

    @property
    def lines(self) -> tuple[str, ...]:
        """Lines of `text`, ended by line feeds alone: names may hold other characters that end a line in Unicode."""
        return tuple(self.text.split("\n")) if self.text else ()

    @property
    def path(self) -> Path:
        """Standard output as the one path that it is, whatever its bytes."""
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
    """Return a path that another program printed, decoded as `Completed.text` is, for any locale of ours."""
    return Path(os.fsdecode(text.encode("utf-8", "surrogateescape")))


@functools.cache
def secrets() -> tuple[str, ...]:
    """Return the secrets that this process's environment holds; asked for with every line that is told."""
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
    """Run a program to its end and return what it left; its exit code is the caller's to judge.

    Args:
        argv: the program and its arguments.
        cwd: where it runs.
        env: its whole environment (see `environment`).
        timeout: seconds before its process group is ended.
        stdin: what it reads; empty means end of file at once, so nothing can wait for a keyboard.
        pass_fds: file descriptors it inherits.

    Raises:
        UsageError: the program is not installed.
        ExternalError: its time was up.
    """
    started = time.monotonic()
    with children.begun(
        argv, cwd=cwd, env=env, stdin=subprocess.PIPE, stdout=subprocess.PIPE, pass_fds=pass_fds
    ) as child:
        return Running(tuple(argv), child, timeout, started).finish(stdin)


@dataclass(frozen=True)
class Running:
    """A program that was begun; `finish` waits for its end."""

    argv: tuple[str, ...]
    child: subprocess.Popen[bytes]
    timeout: float
    started: float

    def finish(self, stdin: bytes | None = None) -> Completed:
        """Wait for the program's end and return what it left; see `run`."""
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
    """Begin a program and go on; it is ended when the context is left before it was finished.

    Args and errors as of `run`; the time counts from `finish`. Output beyond a pipe's 64 KiB waits for `finish`.
    """
    with tempfile.TemporaryFile() as given:  # a file: a pipe would make us wait until the program reads
        given.write(stdin)
        given.seek(0)
        with children.begun(argv, cwd=cwd, env=env, stdin=given, stdout=subprocess.PIPE) as child:
            yield Running(tuple(argv), child, timeout, time.monotonic())
        if child.returncode is None:
            children.end_group(child)
            child.communicate()


@dataclass(frozen=True)
class Coprocess:
    """A program that answers what it is told, a line a line; see `talk`."""

    argv: tuple[str, ...]
    child: subprocess.Popen[bytes]
    timeout: float

    def send(self, said: bytes, answers: int) -> tuple[bytes, ...]:
        """Tell it something and return the lines that it answers with: fewer where it ended instead.

        Raises:
            ExternalError: its time was up.
        """
        assert self.child.stdin is not None  # noqa: S101 -- PIPE where it was begun
        assert self.child.stdout is not None  # noqa: S101 -- as above
        with contextlib.suppress(BrokenPipeError):
            self.child.stdin.write(said)
            self.child.stdin.flush()
        heard, until = b"", time.monotonic() + self.timeout
        while heard.count(b"\n") < answers:
            if not select.select([self.child.stdout], [], [], max(0.0, until - time.monotonic()))[0]:
                raise ExternalError(
                    f"{self.argv[0]} did not answer within {self.timeout:g} s", command=shlex.join(self.argv)
                )
            more = os.read(self.child.stdout.fileno(), 4096)
            if not more:
                break
            heard += more
        return tuple(heard.removesuffix(b"\n").split(b"\n")) if heard else ()


@contextlib.contextmanager
def talk(argv: Sequence[str], *, cwd: Path, env: Mapping[str, str], timeout: float) -> Iterator[Coprocess]:
    """Begin a program that is told one thing after the other; with the context it ends.

    Args and errors as of `run`; the time is that of one answer. What it complains of is not kept.
    """
    with children.begun(
        argv, cwd=cwd, env=env, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL
    ) as child:
        try:
            yield Coprocess(tuple(argv), child, timeout)
            children.end_group(child)
        finally:
            children.close(child)


@contextlib.contextmanager
def beside(argv: Sequence[str], *, cwd: Path, env: Mapping[str, str], log: Path) -> Iterator[subprocess.Popen[bytes]]:
    """Run a server beside us; its group ends with the context, and with us, however we end."""
    with (
        log.open("ab") as sink,
        children.begun(
            argv, cwd=cwd, env=env, leashed=True, stdin=subprocess.DEVNULL, stdout=sink, stderr=subprocess.STDOUT
        ) as child,
    ):
        yield child
        children.end_group(child)


def spawn(argv: Sequence[str], *, cwd: Path, env: Mapping[str, str], log: Path) -> subprocess.Popen[bytes]:
    """Start a server that runs beside us; end it with `end_group`."""
    with log.open("ab") as sink:
        return children.start(argv, cwd=cwd, env=env, stdin=subprocess.DEVNULL, stdout=sink, stderr=subprocess.STDOUT)
