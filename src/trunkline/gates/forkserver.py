"""Run the sessions of one run in parallel, each in its own nox, forked from one process.

`nox --parallel` starts a Python process for each session: six of them take 1.2 CPU s before their
gates start, half of it for imports; forked, they take 0.4 (measured, tests/bench/gates.py --only
overhead). Each child calls nox's own entry point with the arguments that a person would type: `nox
--sessions "gates(clippy)"`. All sessions start at once; the lock of their group serialises them,
and the jobserver limits the cores (`gates/execute.py`).

Usage: python -m trunkline.gates.forkserver RUN. It starts the sessions after a line on stdin, and
exits at end of file. Meanwhile the caller prepares work tree, toolchains and receipts.
"""

from __future__ import annotations

import multiprocessing
import os
import sys
from pathlib import Path

from nox import virtualenv
from nox.__main__ import main as nox

from trunkline.gates import request
from trunkline.gates import session as _preloaded  # noqa: F401 -- what the children would import, each by itself

NOXFILE = Path(__file__).with_name("sessions.py")
"""The packaged noxfile, with the sessions of a repository's own, which a branch may lack."""


def run_sessions(run: Path) -> int:
    """Run the sessions of a run in parallel; return 0 if all passed, else 1."""
    os.environ[request.VARIABLE] = str(run)
    os.environ[request.HEAD_VARIABLE] = f"{run}:{os.getpid()}"
    os.environ[request.UNITS_VARIABLE] = "1"
    # The gates' sessions use no environment. Otherwise nox starts `uv self version` in each of them
    # to list the environments that it could make: 0.6 CPU s for six with pyenv's wrapper of uv.
    virtualenv.OPTIONAL_VENVS = {}
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
    os.setsid()  # like `nox --parallel`: an interrupt reaches a session only once, through this process
    sys.argv = ["nox", "--noxfile", str(NOXFILE), "--sessions", f"gates({name})"]
    nox()


if __name__ == "__main__":
    sys.exit(run_sessions(Path(sys.argv[1])) if sys.stdin.readline() else 0)
