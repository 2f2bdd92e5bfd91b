"""`verify` of N receipts, in a full and a shallow clone of a repository with many objects.

Usage: .venv/bin/python tests/bench/verify.py [RUNS] [N,N,...] [OBJECTS]

The policy requires N gates, each with one signed receipt; a thousand other commits have notes, too. Notes are fetched
before, so it is offline. "CPU" is what the process and its children took, which a busy machine does not change.
"""

from __future__ import annotations

import os
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parents[1]))

from support.attesting import NO_OPS, Attesting, attesting
from support.bench_arguments import numbers
from support.repo import Repo
from support.tables import header, row
from trunkline.domain.names import oid
from trunkline.git import notes
from trunkline.state import lock


def grow(place: Attesting, objects: int) -> None:
    """Add commits to trunk, three objects each: a commit, a tree, a blob."""
    lines = []
    for number in range(objects // 3):
        text, start = f"{number}\n", "from refs/heads/main^0\n" if number == 0 else ""
        lines.append(
            f"commit refs/heads/main\ncommitter Ada <a@x.invalid> {1_763_600_000 + number} +0000\ndata 1\nx\n{start}"
            f"M 100644 inline grown/{number % 100}.txt\ndata {len(text)}\n{text}\n"
        )
    place.author.git("fast-import", "--quiet", "--force", stdin="".join(lines))
    place.author.git("reset", "--quiet", "--hard", "main")


def noted(place: Attesting, count: int) -> None:
    """Add notes with receipts to other commits."""
    git, line = place.git, place.line(place.receipt("build"))
    others = git.query("rev-list", f"--max-count={count}", "origin/main").text.split()
    changed = "".join(
        f"N inline {each}\ndata <<END\n{line.replace(place.clone.head(), each)}\nEND\n\n" for each in others
    )
    head = f"commit {notes.REF}\ncommitter Ada <a@example.invalid> 1763700000 +0000\ndata 1\nx\n"
    place.clone.git(
        "fast-import", "--quiet", stdin=head + changed.replace(place.git.tree(oid(place.clone.head())), "0" * 40)
    )
    with lock.hold(git.state_dir(), run="bench") as held:
        notes.push(place.git, held, "origin")


def timed(clone: Repo) -> tuple[float, float]:
    """Return the seconds of `verify` in a clone: on the clock, and of CPU."""
    before, started = resource.getrusage(resource.RUSAGE_CHILDREN), time.perf_counter()
    subprocess.run(["trunkline", "verify"], cwd=clone.path, check=True, capture_output=True)
    took, after = time.perf_counter() - started, resource.getrusage(resource.RUSAGE_CHILDREN)
    return took, after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


def main() -> None:
    """Measure and print medians."""
    (runs,), counts, (objects,) = numbers(__doc__, runs="5", receipts="1,6,60", objects="50000")
    os.environ["PATH"] = f"{Path(sys.executable).parent}:{os.environ['PATH']}"
    with tempfile.TemporaryDirectory() as home, pytest.MonkeyPatch.context() as patch:
        Path(home, "gitconfig").write_text("[user]\n\tname = B\n\temail = b@example.invalid\n")
        os.environ.update(HOME=home, XDG_STATE_HOME=f"{home}/state", GIT_CONFIG_GLOBAL=f"{home}/gitconfig")
        place = attesting(patch, Path(home) / "place")
        grow(place, objects)
        place.set_policy()
        noted(place, 1000)
        header("receipts", "clone", "time", "CPU")
        for count in counts:
            names = [f"gate-{number}" for number in range(count)]
            gates = NO_OPS + "".join(f'[gates.{name}]\nrun = ["true"]\nenv = {{}}\n' for name in names)
            place.set_policy(f"gates = {names}\nmax-age = '999w'", gates=gates)
            started = "2026-11-28T00:00:00+00:00"
            place.share([place.line(place.receipt(name, started=started)) for name in names])
            for kind, depth in (("full", 0), ("shallow", 1)):
                clone = place.second_clone(f"{kind}-{count}", depth=depth)
                subprocess.run(["trunkline", "verify", "--fetch"], cwd=clone.path, check=True, capture_output=True)
                held = _packed(clone)
                rows = [timed(clone) for _ in range(runs)]
                clock, cpu = (statistics.median(each) for each in zip(*rows, strict=True))
                row([str(count), f"{kind}, {held} objects", f"{clock:.2f} s", f"{cpu:.2f} s"])


def _packed(clone: Repo) -> int:
    """Return the number of objects in packs."""
    found = clone.git("count-objects", "-v").splitlines()
    return next(int(line.split()[1]) for line in found if line.startswith("in-pack"))


if __name__ == "__main__":
    main()
