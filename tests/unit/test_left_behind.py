"""Processes that a program leaves behind: they are named and killed, without a wait for them."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from trunkline.system.logged_process import run_logged

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="found by /proc")
SECONDS = 300.0
"""How long a program may take before it counts as hanging: far less than what it leaves behind would run."""
BEGUN = 'until [ "$(head -c 5 /proc/$!/cmdline)" = sleep ]; do :; done'
"""Shell: what was started last is the program itself by now, with its arguments, no copy of the shell any more."""
CHILD, DAEMON = f"sleep 1{os.getpid():07}", f"sleep 2{os.getpid():07}"
"""What the programs leave behind; no other test run on this machine has a process with the same arguments."""
OWN_SESSION = """\
import os, sys
from pathlib import Path
from trunkline.system import orphans
from trunkline.system.logged_process import run_logged
orphans.become_subreaper()
argv = ["sh", "-c", "setsid DAEMON & BEGUN; echo printed"]
done = run_logged(argv, cwd=Path("/"), env={"PATH": os.environ["PATH"]}, timeout=60, log=Path(sys.argv[1]))
print(done.returncode, done.timed_out, done.left)
"""


EARLIER = """\
import os, subprocess, sys
from pathlib import Path
from trunkline.system import orphans
from trunkline.system.logged_process import run_logged
orphans.become_subreaper()
subprocess.run(["sh", "-c", "setsid sleep 1121 >/dev/null 2>&1 & BEGUN; echo $! > " + sys.argv[2]], check=True)
done = run_logged(["true"], cwd=Path("/"), env={"PATH": os.environ["PATH"]}, timeout=60, log=Path(sys.argv[1]))
print(done.returncode, done.left)
"""


def running(name: str) -> bool:
    """Return whether a process with this command line is alive."""
    for each in Path("/proc").glob("[0-9]*/cmdline"):
        with contextlib.suppress(OSError):  # it has ended since
            if each.read_bytes().replace(b"\0", b" ").strip() == name.encode():  # a zombie has no command line
                return True
    return False


def test_a_child_that_holds_the_output_open(tmp_path: Path) -> None:
    """The program ends with its own exit code, although what it started still has its output; that is ended."""
    log = tmp_path / "log"
    argv = ["sh", "-c", f"{CHILD} & {BEGUN}; echo printed; printf unfinished; exit 3"]
    done = run_logged(argv, cwd=tmp_path, env={"PATH": os.environ["PATH"]}, timeout=SECONDS, log=log)
    assert (done.returncode, done.timed_out) == (3, False)
    assert done.left == (CHILD,)
    assert not running(CHILD)
    assert log.read_bytes() == b"printed\nunfinished", "what was printed before the end is there"


def test_a_child_in_a_session_of_its_own(tmp_path: Path) -> None:
    """A daemon that left the process group is found by the process that adopts orphans."""
    log = tmp_path / "log"
    script = OWN_SESSION.replace("BEGUN", BEGUN.replace('"', '\\"')).replace("DAEMON", DAEMON)
    argv = [sys.executable, "-c", script, str(log)]
    done = subprocess.run(argv, capture_output=True, text=True, check=True, timeout=SECONDS)
    assert done.stdout == f"0 False {(DAEMON,)}\n"
    assert not running(DAEMON)


def test_a_daemon_that_ran_before(tmp_path: Path) -> None:
    """A cache server that was started for all gates is not what one of them left."""
    pid = tmp_path / "pid"
    argv = [
        sys.executable,
        "-c",
        EARLIER.replace("BEGUN", BEGUN.replace('"', '\\"')),
        str(tmp_path / "log"),
        str(pid),
    ]
    done = subprocess.run(argv, capture_output=True, text=True, check=True, timeout=SECONDS)
    try:
        assert done.stdout == "0 ()\n"
        assert running("sleep 1121")
    finally:
        os.kill(int(pid.read_text()), signal.SIGKILL)


def test_a_child_that_prints_without_end(tmp_path: Path) -> None:
    """Output of a child after the program's end is not awaited."""
    argv = ["sh", "-c", "yes 1118 & echo printed"]
    done = run_logged(argv, cwd=tmp_path, env={"PATH": os.environ["PATH"]}, timeout=SECONDS, log=tmp_path / "log")
    assert (done.returncode, done.timed_out, len(done.left)) == (0, False, 1)


def test_a_child_without_a_command_line(tmp_path: Path) -> None:
    """A child whose command line is empty, as it is during execve(2), is named by its program."""
    argv = ["bash", "-c", "(exec -a '' yes) & until [ \"$(cat /proc/$!/comm)\" = yes ]; do :; done"]
    done = run_logged(argv, cwd=tmp_path, env={"PATH": os.environ["PATH"]}, timeout=SECONDS, log=tmp_path / "log")
    assert (done.returncode, done.left) == (0, ("[yes]",))


def test_nothing_left(tmp_path: Path) -> None:
    """A program that waits for what it starts leaves nothing."""
    argv = ["sh", "-c", "sleep 0 & wait; echo printed >&2"]
    done = run_logged(argv, cwd=tmp_path, env={"PATH": os.environ["PATH"]}, timeout=SECONDS, log=tmp_path / "log")
    assert (done.returncode, done.left) == (0, ())
    assert (tmp_path / "log").read_bytes() == b"printed\n"


def test_children_of_other_code_are_left_alone(tmp_path: Path) -> None:
    """A process that adopts no orphans may have children that were not started by us."""
    with subprocess.Popen(["sleep", "1120"]) as other:
        argv = ["sh", "-c", "echo printed"]
        run_logged(argv, cwd=tmp_path, env={"PATH": os.environ["PATH"]}, timeout=SECONDS, log=tmp_path / "log")
        assert other.poll() is None
        other.kill()
