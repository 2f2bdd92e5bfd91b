"""Gates behind sccache: the example's #519, its target directories wiped, with the cache off, empty, and filled.

Ratios are to the cache being off, in the same run. The work trees keep their path, by which sccache identifies
compilations.

Usage: .venv/bin/python tests/bench/cache.py [REPEATS]
"""

from __future__ import annotations

import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))

from support import programs
from support.bench_arguments import numbers
from trunkline.sim.sandbox import Sandbox, sandbox


def seconds(place: Sandbox, cache: str, directory: Path) -> float:
    """Gate #519 with empty target directories; return the wall time."""
    shutil.rmtree(place.root / "state", ignore_errors=True)
    text = (place.checkout / "stack.toml").read_text()
    file = place.root / "bench.toml"
    file.write_text(text.replace('features = ["cpu"]', f'cache = "{cache}"\nfeatures = ["cpu"]'))
    environment = {**place.environment(), "PATH": programs.path(), "TRUNKLINE_STACK_FILE": str(file)}
    environment |= {"SCCACHE_DIR": str(directory), "SCCACHE_SERVER_UDS": str(place.root / "sccache.sock")}
    task = ["invoke", "gates", "--pr", "519", "--fresh", "--accept-unavailable", "msrv"]
    began = time.monotonic()
    done = subprocess.run(task, cwd=place.checkout, env=environment, capture_output=True, text=True, check=False)
    took = time.monotonic() - began
    assert done.returncode == 0, done.stdout + done.stderr
    return took


def main() -> None:
    """Measure, and print medians."""
    ((repeats,),) = numbers(__doc__, repeats="3")
    root = Path(tempfile.mkdtemp(prefix="bench-cache-"))
    rows = []
    with sandbox(root) as place:
        branch = place.example.pull(519).branch
        place.git("fetch", "--quiet", "origin")
        place.git("branch", "--quiet", branch, f"origin/{branch}")
        for number in range(repeats):
            cache = root / f"cache-{number}"
            rows.append(
                (seconds(place, "", cache), seconds(place, "sccache", cache), seconds(place, "sccache", cache))
            )
            stop = {**place.environment(), "PATH": programs.path(), "SCCACHE_SERVER_UDS": str(root / "sccache.sock")}
            subprocess.run(["sccache", "--stop-server"], env=stop, capture_output=True, check=False)
    shutil.rmtree(root, ignore_errors=True)
    off, empty, filled = (statistics.median(column) for column in zip(*rows, strict=True))
    print(f"{os.cpu_count()} cores, median of {repeats}: off {off:.1f} s; empty {empty:.1f} s, {empty / off:.2f};"
          f" filled {filled:.1f} s, {filled / off:.2f}")  # fmt: skip


if __name__ == "__main__":
    main()
