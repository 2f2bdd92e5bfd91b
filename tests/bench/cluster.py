"""Gates on Dask workers beside gates in nox: the example's five entries, cold, and the engine's overhead a gate.

Ratios are to nox in the same run, on the same machine; each configuration begins with empty caches. Workers of one
machine share its cores through one jobserver: nothing can be N times faster than nox, which fills them already.

Usage: .venv/bin/python tests/bench/cluster.py [N,N,...]
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))

from support import programs
from support.bench_arguments import numbers
from trunkline.sim.sandbox import Sandbox, sandbox

NO_OPS = 300


def seconds(place: Sandbox, settings: str, *task: str) -> tuple[float, str]:
    """Run a task with other settings in `[gates]` and empty caches; return its wall time, and what it printed."""
    file = place.root / "bench.toml"
    text = (place.checkout / "stack.toml").read_text()
    file.write_text(text.replace('features = ["cpu"]', f'{settings}\nfeatures = ["cpu"]'))
    state = Path(tempfile.mkdtemp(prefix="bench-", dir=place.root))
    environment = {**place.environment(), "PATH": programs.path(), "TRUNKLINE_STACK_FILE": str(file)}
    environment["TRUNKLINE_STATE_DIR"] = str(state)
    began = time.monotonic()
    done = subprocess.run(
        ["invoke", *task], cwd=place.checkout, env=environment, stdin=subprocess.DEVNULL, capture_output=True,
        text=True, check=False,
    )  # fmt: skip
    took = time.monotonic() - began
    shutil.rmtree(state, ignore_errors=True)
    return took, done.stdout + done.stderr


def counted(out: str) -> tuple[int, int]:
    """Return how many gates passed and failed."""
    return out.count(" passed ("), out.count(" failed (")


def main() -> None:
    """Measure, and print."""
    (workers,) = numbers(__doc__, workers="1,2,4")
    root = Path(tempfile.mkdtemp(prefix="bench-cluster-"))
    with sandbox(root) as place:
        place.git("fetch", "--quiet", "origin")
        base, out = seconds(place, 'executor = "local"', "gates", "--stack", "--fresh")
        verdicts = counted(out)
        print(f"{os.cpu_count()} cores; nox: {base:.1f} s, {verdicts[0]} passed, {verdicts[1]} failed")
        for count in workers:
            settings = f'executor = "dask"\nworkers = {count}'
            took, out = seconds(place, settings, "gates", "--stack", "--fresh")
            same = "the same" if counted(out) == verdicts else "OTHER"
            print(f"dask, {count} workers: {took:.1f} s, {took / base:.2f} of nox, {same} verdicts")
        # What a gate costs beside its command: many that do nothing, less the run with few.
        branch = place.example.pull(519).branch
        place.git("branch", "--quiet", branch, f"origin/{branch}")
        plain = 'executor = "dask"\nworkers = 2'
        no_ops = "".join(f'\n[gates.n{number}]\nrun = ["true"]' for number in range(NO_OPS))
        six = "".join(f'\n[gates.{name}]\nrun = ["true"]' for name in ("build", "test", "clippy", "fmt", "doc"))
        text = (place.checkout / "stack.toml").read_text()
        for name, more in (("six", ""), (f"{NO_OPS} more", no_ops)):
            (place.checkout / "stack.toml").write_text(
                text.replace('msrv = "1.89.0"', f'[gates.msrv]\nrun = ["true"]{six}{more}')
            )
            took, out = seconds(place, plain, "gates", "--pr", "519", "--fresh")
            print(f"dask, 2 workers, {name} no-op gates: {took:.2f} s; {out.count('passed')} passed")
    shutil.rmtree(root, ignore_errors=True)


if __name__ == "__main__":
    main()
