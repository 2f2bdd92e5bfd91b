"""The Dask executor with more machines than there are: gates that sleep, workers that share only the processors.

Each worker is a host of its own: its state, its job pool, and with `--namespaces` (root) its network namespace. A
gate that sleeps uses no CPU, so N workers do the work of N machines. The engine's own work shares the cores of this
machine.

Writes the measurements to tests/bench/scale.json; `scripts/model-scale` compares its predictions with them.

Usage: .venv/bin/python tests/bench/scale.py [--namespaces]
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import re
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))

import psutil

from support.repo import Repo
from trunkline.domain.names import Oid
from trunkline.domain.receipt import GateOutcome, Verdict
from trunkline.domain.reuse import Reuse
from trunkline.domain.stack import GateOverride, GateSettings
from trunkline.gates.catalogue import catalogue, gate_names
from trunkline.gates.executor import GateJob
from trunkline.gates.run import run_gate_jobs
from trunkline.git.git import Git

TARGET = Path(__file__).with_name("scale.json")
BRIDGE, NET = "trunkline0", "10.77.0"
SHAPES = ((1, 8, 0.0), (2, 50, 0.0), (1, 4, 0.5), (4, 16, 0.5), (8, 24, 0.5), (16, 48, 0.5), (16, 48, 2.0))
"""(workers, entries, seconds a gate sleeps)."""


def ip(*args: str) -> None:
    """Run `ip`, which changes the network."""
    subprocess.run(["ip", *args], check=True, capture_output=True)


@contextlib.contextmanager
def network(hosts: int) -> Iterator[None]:
    """Make a bridge and a network namespace for each host behind it."""
    names = [f"trunkline{number}" for number in range(1, hosts + 1)]
    ip("link", "add", BRIDGE, "type", "bridge")
    try:
        ip("addr", "add", f"{NET}.1/24", "dev", BRIDGE)
        ip("link", "set", BRIDGE, "up")
        for number, name in enumerate(names, 1):
            ip("netns", "add", name)
            ip("link", "add", f"tl{number}", "type", "veth", "peer", "name", "eth0", "netns", name)
            ip("link", "set", f"tl{number}", "master", BRIDGE, "up")
            ip("-n", name, "addr", "add", f"{NET}.{number + 1}/24", "dev", "eth0")
            ip("-n", name, "link", "set", "eth0", "up")
            ip("-n", name, "link", "set", "lo", "up")
        yield
    finally:
        for name in names:
            subprocess.run(["ip", "netns", "del", name], check=False, capture_output=True)
        ip("link", "del", BRIDGE)


@dataclass
class Machines:
    """A scheduler, and workers that are hosts of their own."""

    address: str
    processes: list[subprocess.Popen[str]]

    def cpu(self) -> float:
        """Return the CPU seconds of all processes and of their children."""
        times = [psutil.Process(each.pid).cpu_times() for each in self.processes]
        return float(sum(each.user + each.system + each.children_user + each.children_system for each in times))


@contextlib.contextmanager
def machines(root: Path, workers: int, *, namespaces: bool) -> Iterator[Machines]:
    """Run a scheduler and workers."""
    host = f"{NET}.1" if namespaces else "127.0.0.1"
    made = Machines("", [])

    def start(said: str, prefix: list[str], *args: str, state: str = "") -> str:
        environment = {**os.environ, "XDG_STATE_HOME": str(root / state)}
        child = subprocess.Popen(
            [*prefix, sys.executable, "-m", *args], text=True, env=environment, stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, start_new_session=True,
        )  # fmt: skip
        made.processes.append(child)
        assert child.stderr is not None
        for line in child.stderr:
            if match := re.search(said, line):
                return match[1]
        raise AssertionError(f"{args[0]} ended")

    scheduler = ("distributed.cli.dask_scheduler", "--host", host, "--port", "0", "--no-dashboard")
    try:
        made.address = start(r"Scheduler at:\s+(tcp://\S+)", [], *scheduler)
        for number in range(1, workers + 1):
            prefix = ["ip", "netns", "exec", f"trunkline{number}"] if namespaces else []
            own = ("--host", f"{NET}.{number + 1}") if namespaces else ("--host", "127.0.0.1")
            start(
                r"Registered to:\s+(\S+)", prefix, "distributed.cli.dask_worker", made.address, "--nthreads", "1",
                "--no-nanny", "--no-dashboard", "--resources", "gate=1", *own, state=f"host{number}",
            )  # fmt: skip
        yield made
    finally:
        for child in reversed(made.processes):
            with contextlib.suppress(ProcessLookupError):
                os.killpg(child.pid, signal.SIGKILL)
            child.wait()


def stack(root: Path, entries: int) -> tuple[Git, list[Oid]]:
    """Make a chain of commits."""
    repo = Repo.create(root / "repo")
    repo.commit("workspace", {"Cargo.toml": "[workspace]\n"})
    tips = [repo.commit(f"entry {number}", {"entry.rs": f"// {number}\n"}) for number in range(entries)]
    return Git(repo.path), tips


def measured(workers: int, entries: int, sleep: float, *, namespaces: bool) -> dict[str, float]:
    """Gate a stack once; return the elapsed seconds, and the CPU seconds here and of the workers."""
    with tempfile.TemporaryDirectory(prefix="bench-scale-") as folder:
        root = Path(folder)
        with contextlib.ExitStack() as held:
            if namespaces:
                held.enter_context(network(workers))
            group = held.enter_context(machines(root, workers, namespaces=namespaces))
            git, tips = stack(root, entries)
            run = ("sleep", f"{sleep}") if sleep else ("true",)
            override = GateOverride(run=run, env={}, needs=())
            overrides = dict.fromkeys(gate_names(GateSettings()), override)
            settings = GateSettings(executor="dask", scheduler=group.address, overrides=overrides)
            ended: list[GateOutcome] = []
            starts: list[float] = []
            gates = catalogue(settings)

            def started(_gate: str) -> None:
                starts.append(time.monotonic())

            orders = [
                GateJob(git, tip, gates, settings, Reuse.DEPENDENCIES, ended.append, started, print) for tip in tips
            ]
            before, own, began = group.cpu(), time.process_time(), time.monotonic()
            run_gate_jobs(orders)
            took = time.monotonic() - began
            own, theirs = time.process_time() - own, group.cpu() - before
            scheduler = psutil.Process(group.processes[0].pid).cpu_times()
        assert all(outcome.verdict is Verdict.PASSED for outcome in ended), ended
        return {
            "workers": workers, "entries": entries, "gates": len(ended), "sleep": sleep, "seconds": round(took, 2),
            "first": round(min(starts) - began, 2),
            "cpu_here": round(own + scheduler.user + scheduler.system, 2), "cpu_workers": round(theirs, 2),
        }  # fmt: skip


def main() -> None:
    """Measure, print, write."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--namespaces", action="store_true", help="one network namespace for each host")
    namespaces: bool = parser.parse_args().namespaces
    with tempfile.TemporaryDirectory(prefix="bench-state-") as state:
        os.environ["XDG_STATE_HOME"] = state
        rows = []
        for shape in SHAPES:
            rows.append(measured(*shape, namespaces=namespaces))
            print(json.dumps(rows[-1]), flush=True)
    message = {"hosts": "network namespaces" if namespaces else "processes", "cores": os.cpu_count()}
    TARGET.write_text(json.dumps({**message, "runs": rows}, indent=1) + "\n")


if __name__ == "__main__":
    main()
