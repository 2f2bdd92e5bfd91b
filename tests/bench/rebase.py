"""The tool's own time around cargo, beside the same git and gh commands typed by hand.

Usage: .venv/bin/python tests/bench/rebase.py [PAIRS]
"""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))

from support.bench_arguments import numbers
from support.landing import Landing, small_stack
from support.tables import header, row, seconds


def by_hand(landing: Landing) -> None:
    """Type the runbook's git and gh commands, with the right fork point, and look at what came of it."""
    env, cwd = landing.environment(), landing.clone.path
    body = cwd.parent / "body.md"

    def typed(*argv: str) -> str:
        done = subprocess.run(argv, cwd=cwd, env=env, capture_output=True, text=True, check=False)
        assert done.returncode == 0, (argv, done.stderr)
        return done.stdout

    typed("gh", "pr", "view", "518", "--json", "state,mergedAt,mergeCommit,headRefOid,baseRefName")
    typed("git", "switch", "--quiet", "feat/two")
    typed("git", "status")
    typed("git", "fetch", "--quiet", "origin", "main", "feat/two", "refs/pull/518/head")
    typed("git", "rebase", "--quiet", "--onto", "origin/main", landing.heads[518], "feat/two")
    typed("git", "push", "--quiet", f"--force-with-lease=feat/two:{landing.heads[519]}", "origin", "feat/two")
    typed("gh", "pr", "ready", "519")
    body.write_text(typed("gh", "pr", "view", "519", "--json", "body", "--jq", ".body") + "\n## Reviewer Note\n")
    typed("gh", "pr", "edit", "519", "--body-file", str(body))
    typed("gh", "pr", "view", "519", "--json", "state,isDraft,headRefOid,baseRefName,body")
    typed("git", "ls-remote", "origin", "refs/heads/feat/two")


def by_tool(*flags: str) -> Callable[[Landing], None]:
    """Return how the tool does it."""

    def run(landing: Landing) -> None:
        ran = landing.invoke("rebase", "--yes", "--pr", "519", *flags)
        assert ran.code == 0, ran.out + ran.err

    return run


def clocked(way: Callable[[Landing], None]) -> float:
    """Time one way on a stack of its own."""
    with tempfile.TemporaryDirectory() as directory, small_stack(Path(directory)) as landing:
        landing.merge_parent()
        started = time.perf_counter()
        way(landing)
        return time.perf_counter() - started


def main() -> None:
    """Run the pairs and print medians."""
    ((pairs,),) = numbers(__doc__, pairs="5")
    with tempfile.TemporaryDirectory() as home:
        Path(home, "gitconfig").write_text("[user]\n\tname = B\n\temail = b@example.invalid\n")
        real = Path.home()
        rust = {f"{name}_HOME": os.environ.get(f"{name}_HOME", str(real / d)) for name, d in
                (("RUSTUP", ".rustup"), ("CARGO", ".cargo"))}  # fmt: skip
        os.environ.update(rust, HOME=home, XDG_STATE_HOME=f"{home}/state", GIT_CONFIG_GLOBAL=f"{home}/gitconfig")
        handlers = {
            "by hand": by_hand,
            "trunkline": by_tool("--skip", "fmt,gates"),
            "trunkline with fmt and six gates that do nothing": by_tool(),
        }
        taken: dict[str, list[float]] = {name: [] for name in handlers}
        for _ in range(pairs):
            for name, way in handlers.items():
                taken[name].append(clocked(way))
    header(f"median of {pairs}", *handlers)
    row(["rebase, push, ready, note", *(seconds(times) for times in taken.values())])


if __name__ == "__main__":
    main()
