"""Runs the sessions of one run, each in a nox of its own, forked from one process that has nox and us imported.

`nox --parallel` starts a Python for each session: six of them spent 1.2 CPU s before their gates began, half of it on
imports; forked, they spend 0.4 (measured, tests/bench/gates.py --only overhead). What each child calls is nox's own
entry point, with the arguments that a person types: `nox --sessions "gates(clippy)"`. Nothing is scheduled here: all
begin at once; the lock of their group keeps an order, the jobserver keeps the cores full (`gates/execute.py`).

Usage: python -m trunkline.gates.forkserver RUN; it begins when a line comes on its stdin, and ends when none does:
whoever
asks looks for work tree, toolchains and receipts while we import.
"""

from __future__ import annotations

import multiprocessing
import os
import sys
from pathlib import Path

from nox.__main__ import main as nox

from trunkline.gates import request
from trunkline.gates import session as _preloaded  # noqa: F401 -- what the children would import, each by itself

NOXFILE = Path(__file__).with_name("sessions.py")
"""The packaged noxfile: the same sessions as a repository's own, which may be on a branch without one."""


def run_sessions(run: Path) -> int:
    """Run the sessions that a run asks for, all at once; return 0 where all passed, else 1."""
    os.environ[request.VARIABLE] = str(run)
    os.environ[request.HEAD_VARIABLE] = f"{run}:{os.getpid()}"
    os.environ[request.UNITS_VARIABLE] = "1"
    forking = multiprocessing.get_context("fork")
    sessions = [forking.Process(target=_session, args=(gate.name,)) for gate in request.read(run).gates]
    for each in sessions:
        each.start()
    try:
        for each in sessions:
            each.join()
    except KeyboardInterrupt:
        for each in sessions:
            each.terminate()
        for each in sessions:
            each.join()
        raise
    return 1 if any(each.exitcode for each in sessions) else 0


def _session(name: str) -> None:
    os.setsid()  # as `nox --parallel` does: an interrupt ends a session once, through us
    sys.argv = ["nox", "--noxfile", str(NOXFILE), "--sessions", f"gates({name})"]
    nox()


if __name__ == "__main__":
    sys.exit(run_sessions(Path(sys.argv[1])) if sys.stdin.readline() else 0)
