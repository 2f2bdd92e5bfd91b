"""`status` of N entries: what it takes beside one question to GitHub.

Usage: .venv/bin/python tests/bench/status.py [PAIRS] [N,N,...]

"Own" is the whole command less what `gh api graphql` took for the same question in the same run, whose answer status
waits for while git looks. `--offline` sends no request.
"""

from __future__ import annotations

import functools
import os
import statistics
import sys
import tempfile
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))
sys.path.insert(0, str(Path(__file__).parent))

from restack import SLUG, build, copied, synthetic  # type: ignore[import-not-found]  # the bench beside this one

from support.bench_arguments import numbers
from support.landing import Landing
from support.tables import header, row
from trunkline.github.pull_request_nodes import ENTRY, MERGING


def timed(landing: Landing, *argv: str) -> float:
    """Run a command in the clone and return its seconds."""
    started = time.perf_counter()
    ran = landing.run(*argv)
    took = time.perf_counter() - started
    assert ran.code == 0, ran.out + ran.err
    return took


def question(entries: int) -> str:
    """Return the query that status sends."""
    owner, name = SLUG.split("/")
    asked = " ".join(f"pr{n}: pullRequest(number: {n}) {{ ...entry ...merging }}" for n in range(1, entries + 2))
    return f'query {{ repository(owner: "{owner}", name: "{name}") {{ {asked} }} }}{ENTRY}{MERGING}'


def main() -> None:
    """Run the pairs and print medians."""
    (pairs,), counts = numbers(__doc__, pairs="5", entries="5,50")
    os.environ.pop("PYTHONDONTWRITEBYTECODE", None)  # else each start compiles all modules: 0.3 s that no user has
    with tempfile.TemporaryDirectory() as home:
        Path(home, "gitconfig").write_text("[user]\n\tname = B\n\temail = b@example.invalid\n")
        os.environ.update(HOME=home, XDG_STATE_HOME=f"{home}/state", GIT_CONFIG_GLOBAL=f"{home}/gitconfig")
        header("entries", "`status`", "`gh api graphql`, same query", "difference", "Python's start", "`--offline`")
        for entries in counts:
            template = Path(home) / str(entries)
            build(template, entries, functools.partial(synthetic, files=200))
            with copied(template) as landing:
                rows = [
                    (
                        timed(landing, "gh", "api", "graphql", "-f", f"query={question(entries)}"),
                        timed(landing, "trunkline", "status"),
                        timed(landing, "trunkline", "status", "--offline"),
                        timed(landing, "trunkline", "--version"),
                    )
                    for _ in range(pairs)
                ]
            asked, whole, offline, start = (statistics.median(column) for column in zip(*rows, strict=True))
            row([str(entries), f"{whole:.2f} s", f"{asked:.2f} s", f"{whole - asked:.2f} s", f"{start:.2f} s",
                 f"{offline:.2f} s"])  # fmt: skip


if __name__ == "__main__":
    main()
