"""Run a task with the simulator's clock: a sleep advances it at once, and so does each request.

Usage: .venv/bin/python tests/bench/timed.py SOCKET OWNER/NAME TASK [ARGUMENT ...]
"""

from __future__ import annotations

import json
import sys
from types import SimpleNamespace
from typing import Any

from trunkline.github import client
from trunkline.sim.client import ask
from trunkline.system import process, retry
from trunkline.tasks.program import main

socket, slug = sys.argv[1:3]
sys.argv = ["trunkline", *sys.argv[3:]]
left = [0.0]
clock = [0.0]


def sleep(seconds: float) -> None:
    """Advance the simulated clock by whole seconds."""
    clock[0] += seconds
    left[0] += seconds
    whole = int(left[0])
    left[0] -= whole
    if whole:
        ask(socket, "POST", "/_sim/pass_time", json.dumps({"repository": slug, "seconds": whole}).encode())


begin = process.begin


def timed(argv: Any, *args: Any, **more: Any) -> Any:
    """Start a program; gh takes a simulated second."""
    if argv[0] == "gh":
        sleep(1)
    return begin(argv, *args, **more)


retry.sleep = sleep
vars(retry)["time"] = SimpleNamespace(monotonic=lambda: clock[0])  # the pause between two mutations
client.sleep = sleep  # type: ignore[attr-defined]
process.begin = timed
main()
