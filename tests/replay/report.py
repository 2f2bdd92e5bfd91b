"""Print how stacks of histories come out: `python tests/replay/report.py 1000 [REPOSITORY...]`."""

from __future__ import annotations

import argparse
import os
import sys
import tempfile
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))

from support import histories
from support.replaying import Result, run


def main() -> None:
    """Check stacks; print a table and every stack that is wrong."""
    parser = argparse.ArgumentParser()
    parser.add_argument("count", type=int, help="stacks of each history")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("repositories", nargs="*", type=Path, help="default: a generated history")
    given = parser.parse_intermixed_args()
    os.environ.update(GIT_CONFIG_GLOBAL=os.devnull, GIT_CONFIG_NOSYSTEM="1")
    for role in ("AUTHOR", "COMMITTER"):
        os.environ.update({f"GIT_{role}_NAME": "Tess", f"GIT_{role}_EMAIL": "tess@example.invalid"})
    print("history", *(result.value for result in Result), sep="\t", flush=True)
    for source in given.repositories or [None]:
        with tempfile.TemporaryDirectory() as folder:
            place = Path(folder)
            if source is None:
                histories.generate(place / "generated", commits=max(300, given.count), seed=given.seed)
            counts, odd = run(source or place / "generated", place / "scratch", count=given.count, seed=given.seed)
        print(source or "generated", *(counts[result] for result in Result), sep="\t", flush=True)
        for comparison in odd:
            print(f"  {comparison.result.value}: {comparison.plan}\n    {comparison.why}", flush=True)


if __name__ == "__main__":
    main()
