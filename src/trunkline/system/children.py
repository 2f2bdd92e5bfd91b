"""Start child processes in their own process group and terminate the group with this process.

The group is terminated when a context is left by an exception, and also when this process is
killed, if the caller asks for a watchdog. Only `process` and `logged_process` use this module.
"""

from __future__ import annotations

import contextlib
import os
import shlex
import shutil
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from trunkline.domain.errors import ExternalError, UsageError
from trunkline.system import installing, orphans, signals

GRACE_SECONDS = 3.0
"""Seconds between the request to terminate and SIGKILL."""


def end_group(child: subprocess.Popen[bytes], stop: signal.Signals = signal.SIGTERM) -> None:
    """Terminate a child's process group: send `stop`, wait `GRACE_SECONDS`, then send SIGKILL."""
    signal_group(child, stop)
    with contextlib.suppress(subprocess.TimeoutExpired):
        child.wait(GRACE_SECONDS)
    # Members of the group may survive their leader, for example children of a build script.
    signal_group(child, signal.SIGKILL)
    child.wait()


def end_orphans(child: subprocess.Popen[bytes]) -> tuple[str, ...]:
    """Wait for a child, kill the processes that it left running, and return their command lines."""
    if sys.platform == "linux":
        leader: int | None = None
        with contextlib.suppress(ChildProcessError):  # a timeout has reaped it and terminated its group
            # While the child is not reaped, its number still identifies its own group.
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
def exit_descriptor(child: subprocess.Popen[bytes]) -> Iterator[int]:
    """Yield a descriptor that becomes readable when a child exits; Linux does not reap it then."""
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
        with contextlib.suppress(ChildProcessError):  # a timeout has reaped it
            os.waitid(os.P_PID, child.pid, os.WEXITED | os.WNOWAIT)
    else:
        child.wait()


def signal_group(child: subprocess.Popen[bytes], number: signal.Signals) -> None:
    """Send a signal to a child's process group."""
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(child.pid, number)


def close(child: subprocess.Popen[bytes]) -> None:
    """Close this process's ends of a child's pipes."""
    for pipe in (child.stdin, child.stdout, child.stderr):
        if pipe is not None:
            with contextlib.suppress(BrokenPipeError):
                pipe.close()


def attached(argv: Sequence[str], *, cwd: Path, env: Mapping[str, str]) -> int:
    """Run a program on the user's terminal, such as a pager or an editor, and return its exit code.

    It stays in this process group, which owns the terminal. Ctrl-C is for the program alone.

    Raises:
        ExternalError: it is not installed.
    """
    with delayed_signals():
        child = start(argv, cwd=cwd, env=env, start_new_session=False, stderr=None)
    before = signal.signal(signal.SIGINT, signal.SIG_IGN)  # after the start: the child would inherit it
    try:
        return child.wait()
    finally:
        signal.signal(signal.SIGINT, before)


@contextlib.contextmanager
def started(
    argv: Sequence[str],
    *,
    cwd: Path,
    env: Mapping[str, str],
    watched: bool = False,
    stop: signal.Signals = signal.SIGTERM,
    **streams: object,
) -> Iterator[subprocess.Popen[bytes]]:
    """Start a child, and terminate its group if the context is left by an exception.

    This also covers an exception that arrives while the child starts.
    """
    with contextlib.ExitStack() as guards:
        with delayed_signals():
            orphans.register_children()
            child = start(argv, cwd=cwd, env=env, **streams)
            orphans.register(child.pid)
            if watched:
                guards.enter_context(watchdog(child))
            guards.enter_context(ending(child, stop))
        yield child


@contextlib.contextmanager
def delayed_signals() -> Iterator[None]:
    """Delay Ctrl-C, SIGTERM and SIGHUP while a child starts.

    An interrupted start would leave the child running (seen under load). This uses handlers instead
    of the signal mask, because a child inherits the mask.
    """
    handlers = {number: signal.getsignal(number) for number in signals.ENDING}
    if threading.current_thread() is not threading.main_thread() or None in handlers.values():
        yield  # signals interrupt only the main thread
        return
    received: list[int] = []
    for number in handlers:
        signal.signal(number, lambda number, _frame: received.append(number))
    try:
        yield
    finally:
        for number, handler in handlers.items():
            signal.signal(number, handler)
        if received:
            signal.raise_signal(received[0])


@contextlib.contextmanager
def ending(child: subprocess.Popen[bytes], stop: signal.Signals = signal.SIGTERM) -> Iterator[None]:
    """Terminate a child's group if the context is left by an exception, Ctrl-C included."""
    try:
        yield
    except BaseException:
        end_group(child, stop)
        raise


@contextlib.contextmanager
def watchdog(child: subprocess.Popen[bytes]) -> Iterator[None]:
    """Kill a child's group when this process is killed (SIGKILL, the OOM killer).

    A shell in its own process group waits on a pipe that only this process holds. A line means
    success. End of file means that this process has ended, or that a second interrupt stopped it
    while it terminated the child. PR_SET_PDEATHSIG would only reach the direct child, not the
    compilers that it started.
    """
    watch = subprocess.Popen(
        ["/bin/sh", "-c", 'read -r _ || kill -s KILL -- "-$1"', "leash", str(child.pid)],
        stdin=subprocess.PIPE, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, start_new_session=True,
    )  # fmt: skip
    orphans.register(watch.pid)
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
    """Encode an argument or variable as UTF-8, whatever the locale.

    Names come from git and stack.toml, which both use UTF-8. Python would encode them for the
    locale and fail in an ASCII locale.
    """
    try:
        return text.encode("utf-8", "surrogateescape")
    except UnicodeEncodeError as error:  # a lone surrogate, which JSON may contain
        raise UsageError(f"{text!r} cannot be given to a program", why=error.reason) from None


def _own_program(name: str, env: Mapping[str, str]) -> str | None:
    """Return the gh of the extra `sim` where PATH has none.

    pipx and `uv tool` put the programs of the package on PATH, but not those of its dependencies.
    """
    if name != "gh" or shutil.which(name, path=env.get("PATH")):
        return None
    return shutil.which(name, path=str(Path(sys.executable).parent))


def start(argv: Sequence[str], *, cwd: Path, env: Mapping[str, str], **streams: object) -> subprocess.Popen[bytes]:
    """Start a child, by default in its own process group, without the clean-up of `started`.

    Raises:
        UsageError: the working directory does not exist.
        ExternalError: the program is not installed, or the operating system cannot start it.
    """
    streams = {"stderr": subprocess.PIPE, "start_new_session": True, **streams}
    if (own := _own_program(argv[0], env)) is not None:
        streams["executable"] = own
    try:
        return subprocess.Popen(  # type: ignore[call-overload,no-any-return]  # the streams are passed through
            [_encoded(part) for part in argv],
            cwd=cwd,
            env={_encoded(name): _encoded(value) for name, value in env.items()},
            close_fds=True,
            **streams,
        )
    except FileNotFoundError:
        if not cwd.is_dir():
            raise UsageError(f"no such directory: {cwd}", command=shlex.join(argv)) from None
        raise ExternalError(
            f"{argv[0]} is not installed",
            why="it was not found on PATH",
            next_command=installing.missing_program(argv[0]),
        ) from None
    except (OSError, ValueError) as error:  # not executable, too many arguments, or a NUL in one
        raise ExternalError(
            f"{argv[0]} could not be started", why=str(error), command=shlex.join(argv)[:300]
        ) from None
