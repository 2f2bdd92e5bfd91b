"""Ctrl-C, SIGTERM and SIGHUP end a task alike, at any moment: one line, and 128 and the signal's number."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest

from trunkline.system import signals
from trunkline.system.signals import Interrupted
from trunkline.tasks import session

ENDING = [signal.SIGINT, signal.SIGTERM, signal.SIGHUP]

# A program that runs `trunkline --list` or a task, and sends itself a signal when a module begins to load.
AT_IMPORT = """
import os, sys
class Sender:
    def find_spec(self, name, path, target=None):
        if name == {module!r}:
            os.kill(os.getpid(), {number})
        return None
sys.meta_path.insert(0, Sender())
sys.argv = ["trunkline", *{argv!r}]
from trunkline.tasks.program import main
main()
"""


def run_to(module: str, number: int, *argv: str, cwd: Path) -> subprocess.CompletedProcess[str]:
    """Run the program in a process of its own that gets a signal when it begins to load a module."""
    script = AT_IMPORT.format(module=module, number=int(number), argv=list(argv))
    return subprocess.run(
        [sys.executable, "-c", script], cwd=cwd, capture_output=True, text=True, check=False, timeout=60
    )


@pytest.mark.parametrize("number", ENDING)
@pytest.mark.parametrize("module", ["trunkline.tasks.landing", "trunkline.tasks.session", "invoke.program"])
def test_a_signal_while_modules_load_is_one_line(tmp_path: Path, module: str, number: signal.Signals) -> None:
    """No traceback, exit 128 and its number."""
    ran = run_to(module, number, "--list", cwd=tmp_path)
    assert ran.returncode == 128 + number, ran.stderr
    assert ran.stderr == f"interrupted by {number.name}: no task was running\n"


@pytest.mark.parametrize("number", ENDING)
def test_a_signal_within_a_task_is_one_line_and_what_to_type(tmp_path: Path, number: signal.Signals) -> None:
    """The task's own modules load when it runs: as Ctrl-C anywhere in it."""
    subprocess.run(["git", "init", "--quiet"], cwd=tmp_path, check=True)
    ran = run_to("trunkline.commands.log", number, "log", cwd=tmp_path)
    assert ran.returncode == 128 + number, ran.stderr
    first, *rest = ran.stderr.splitlines()
    assert first == f"interrupted by {number.name}: nothing is lost; every child process was ended"
    assert rest == ["next: trunkline status"]


def test_an_interrupt_before_the_run_of_this_task_began(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The open run is an older one, with other flags: the task is typed again, not `continue`."""
    held = tmp_path / "journal.jsonl"
    held.touch()
    monkeypatch.setattr(session, "_open_run", lambda: SimpleNamespace(path=held))
    running = session.TaskSession("rebase", json_wanted=False)
    running.given = {"pr": "519", "accept-unavailable": "msrv"}
    os.utime(held, (running.began - 9, running.began - 9))
    assert session._after_interrupt(running) == ["invoke rebase --pr 519 --accept-unavailable msrv"]
    os.utime(held, (running.began + 9, running.began + 9))
    assert session._after_interrupt(running) == ["invoke continue", "invoke abort"]


def test_a_closed_terminal_is_no_failure(tmp_path: Path) -> None:
    """After SIGHUP writes to the terminal fail: the exit code stays, without another error."""
    subprocess.run(["git", "init", "--quiet"], cwd=tmp_path, check=True)
    script = AT_IMPORT.format(module="trunkline.commands.log", number=int(signal.SIGHUP), argv=["log"])
    gone, theirs = os.openpty()
    os.close(gone)
    ran = subprocess.run([sys.executable, "-c", script], cwd=tmp_path, stdout=theirs, stderr=theirs, check=False)
    os.close(theirs)
    assert ran.returncode == 128 + signal.SIGHUP


@pytest.mark.parametrize("number", ENDING)
def test_the_first_raises_and_the_second_does_not_disturb(number: signal.Signals) -> None:
    """The first signal's shutdown runs to its end; afterwards the handlers are as before."""
    before = [signal.getsignal(each) for each in ENDING]
    ended = []

    def ends() -> None:
        try:
            signal.raise_signal(number)
        finally:
            signal.raise_signal(signal.SIGINT)
            ended.append("in peace")

    with pytest.raises(Interrupted) as caught, signals.raising():
        ends()
    assert (signals.exit_code(caught.value), ended) == (128 + number, ["in peace"])
    assert [signal.getsignal(each) for each in ENDING] == before


def test_an_ignored_signal_stays_ignored() -> None:
    """As nohup and a shell's background jobs want it."""
    held = signal.signal(signal.SIGHUP, signal.SIG_IGN)
    try:
        with signals.raising():
            signal.raise_signal(signal.SIGHUP)
    finally:
        signal.signal(signal.SIGHUP, held)


def test_an_interrupt_where_exceptions_are_ignored_comes_again() -> None:
    """Python drops what is raised in `__del__`: the interrupt is raised again a moment later."""

    class Ends:
        def __del__(self) -> None:
            signal.raise_signal(signal.SIGINT)

    def loses_it() -> None:
        ends = Ends()
        del ends
        signal.pause()

    with pytest.raises(Interrupted), signals.raising():
        loses_it()
