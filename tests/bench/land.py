"""Count what landing a stack costs others: CI runs, dismissed approvals, force-pushes; and the requests it takes.

Usage: .venv/bin/python tests/bench/land.py [N,N,...]

Each entry has one commit that adds a file, CI is required and starts with every push, one approval is required and a
push dismisses it; trunk has moved elsewhere. `lines from below`: every second entry also changes the line that the
entry below added. Where an approval is dismissed, the reviewer approves again at once.
"""

from __future__ import annotations

import os
import sys
import tempfile
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))

from support.landing import SLUG, Landing
from support.repo import Repo
from trunkline.sim.client import running

_ROUNDS = 50
_PAUSED = 3


def build(landing: Landing, entries: int, *, overlap: bool, rewrite: str) -> None:
    """Write trunk and the entries, open their pull requests, all green and approved, and clone."""
    author, github = landing.author, landing.github
    numbers = range(1, entries + 1)
    author.git("remote", "add", "origin", github.remote(SLUG))
    tables = "".join(f'[[entry]]\npr = {n}\nbranch = "b{n}"\n' for n in numbers)
    stack = f'schema = 1\n[land]\nrewrite = "{rewrite}"\n{tables}'
    author.commit("start", {"stack.toml": stack, "README.md": "start\n"})
    for number in numbers:
        author.git("switch", "--quiet", "-c", f"b{number}")
        files: dict[str, str | None] = {f"own/{number}.txt": f"{number}\n"}
        if overlap and number % 2 == 0:
            files[f"own/{number - 1}.txt"] = f"changed by {number}\n"
        author.commit(f"own {number}", files)
    env = landing.environment()
    author.git("push", "--quiet", "origin", "--all", env=env)
    for number in numbers:
        below = f"b{number - 1}" if number > 1 else "main"
        github.open_pull_request(SLUG, head=f"b{number}", base=below, title=f"PR {number}", number=number)
    author.git("clone", "--quiet", github.remote(SLUG), str(landing.clone.path), env=env)
    author.git("switch", "--quiet", "main")
    author.commit("trunk moves on", {"TRUNK.md": "moved\n"})
    author.git("push", "--quiet", "origin", "main", env=env)
    github.lever("run_ci", SLUG, names=["build"], requests=4)
    github.lever("protect", SLUG, branch="main", name="main", approvals=1, checks=["build"], dismiss_stale=True)
    for number in numbers:
        github.add_check_run(SLUG, landing.remote_head(f"b{number}"), "build")
        github.review(SLUG, number, "reviewer")


def land(landing: Landing, entries: int) -> None:
    """Land all of it; whatever lacks an approval gets one."""
    args: tuple[str, ...] = ("land", "--yes", "--skip", "fmt,gates")
    for _ in range(_ROUNDS):
        ran = landing.run("trunkline", *args, TRUNKLINE_WAIT_FACTOR="0")
        if ran.code == 0:
            return
        assert ran.code == _PAUSED, ran.out + ran.err
        for number in range(1, entries + 1):
            pull = landing.github.pull_request(SLUG, number)
            if pull["state"] == "OPEN" and pull["reviews"][-1]["state"] == "DISMISSED":
                landing.github.review(SLUG, number, "reviewer")
        args = ("continue", "--yes")
    raise AssertionError("it does not come to an end")


def measure(entries: int, *, overlap: bool, rewrite: str) -> tuple[int, ...]:
    """Return CI runs, dismissed approvals, force-pushes and requests of one landing."""
    with tempfile.TemporaryDirectory() as directory, running(Path(directory) / "github") as github:
        github.create_repository(*SLUG.split("/"))
        root = Path(directory)
        landing = Landing(github, Repo(root / "clone"), Repo.create(root / "author"), {})
        build(landing, entries, overlap=overlap, rewrite=rewrite)
        before, asked = github.lever("tally", SLUG), len(github.requests())
        land(landing, entries)
        after = github.lever("tally", SLUG)
        keys = ("ci_runs", "dismissed", "force_pushes")
        return (*(after[key] - before[key] for key in keys), len(github.requests()) - asked)


def main() -> None:
    """Print the table."""
    with tempfile.TemporaryDirectory() as home:
        os.environ.update(HOME=home, XDG_STATE_HOME=f"{home}/state", GIT_CONFIG_GLOBAL=f"{home}/gitconfig")
        Path(home, "gitconfig").write_text("[user]\n\tname = Bench\n\temail = bench@example.com\n")
        table()


def table() -> None:
    """Measure and print line by line."""
    sizes = [int(each) for each in (sys.argv[1] if len(sys.argv) > 1 else "2,5,10").split(",")]
    print("| entries | touch | rewrite | CI runs | approvals dismissed | force-pushes | requests |")
    print("|---|---|---|---|---|---|---|")
    for entries in sizes:
        for overlap in (False, True):
            for rewrite in ("auto", "always"):
                found = measure(entries, overlap=overlap, rewrite=rewrite)
                touch = "lines from below" if overlap else "other lines"
                print(f"| {entries} | {touch} | {rewrite} |", " | ".join(map(str, found)), "|", flush=True)


if __name__ == "__main__":
    main()
