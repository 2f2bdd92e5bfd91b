"""`rehearse` of a large repository: what making the sandbox takes, and what the task takes in it.

Usage: .venv/bin/python tests/bench/rehearse.py [FILES] [OBJECTS]

The repository is generated: a stack of five, FILES files (default 5,000), and a branch of history with OBJECTS
objects (default 50,000). No gate runs: what is timed is trunkline's own work.
"""

from __future__ import annotations

import functools
import os
import sys
import tempfile
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))
sys.path.insert(0, str(Path(__file__).parent))

from restack import build, copied, synthetic  # type: ignore[import-not-found]  # the bench beside this one

from support.bench_arguments import numbers
from support.repo import Repo

PER_COMMIT = 3
"""Objects that each generated commit adds: itself, its tree, a blob."""


def history(count: int) -> str:
    """Return a fast-import stream of so many commits, each changing one file."""
    who = "B <b@example.invalid> 1763500000 +0000"
    head = f"commit refs/heads/history\ncommitter {who}\ndata 2\nx\n\n"
    return "".join(f"{head}M 100644 inline f{n % 100}\ndata {len(str(n))}\n{n}\n\n" for n in range(count))


def main() -> None:
    """Build, rehearse a rebase and a restack, print the seconds."""
    (files,), (objects,) = numbers(__doc__, files="5000", objects="50000")
    with tempfile.TemporaryDirectory() as home:
        Path(home, "gitconfig").write_text("[user]\n\tname = B\n\temail = b@example.invalid\n")
        os.environ.update(HOME=home, XDG_STATE_HOME=f"{home}/state", GIT_CONFIG_GLOBAL=f"{home}/gitconfig")
        template = Path(home) / "large"
        build(template, 5, functools.partial(synthetic, files=files))
        Repo(template / "clone").git("fast-import", "--quiet", stdin=history(objects // PER_COMMIT))
        with copied(template) as landing:
            count = landing.clone.git("count-objects", "-v")
            packed = sum(int(row.split()[1]) for row in count.splitlines() if row.startswith(("count", "in-pack")))
            for flags in (("--pr", "2"), ("--task", "restack")):
                started = time.perf_counter()
                ran = landing.run("trunkline", "rehearse", *flags, "--skip", "fmt,gates", "--json")
                took = time.perf_counter() - started
                found = ran.json["rehearsal"]
                print(
                    f"{packed} objects, {files} files: {found['command']}: whole {took:.2f} s,"
                    f" sandbox {found['preparing_seconds']:.2f} s, task {found['seconds']:.2f} s,"
                    f" exit {found['task_exit_code']}"
                )


if __name__ == "__main__":
    main()
