"""Count what landing a stack costs others and how long it takes, in each way.

Usage: .venv/bin/python tests/bench/land.py [N,N,...]

Each entry has one commit that adds a file. CI is required, starts with every push and takes 60 simulated seconds; one
approval is required and a push dismisses it; trunk has moved elsewhere. `lines from below`: every second entry also
changes the line that the entry below added. Where an approval is dismissed, the reviewer approves again at once. A
sleep advances the simulated clock by its seconds, and a request by one.

auto, always: `trunkline land` with that `[land] rewrite`. together: `land --together`. native: the entries are one of
GitHub's native stacks; `restack`, then `land --together`. bottom-up: what gh-stack documents for a chain of pull
requests: merge the lowest, rebase all others on trunk, push them, and wait for their CI.
"""

from __future__ import annotations

import json
import os
import sys
import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parents[1]))

from support.bench_arguments import numbers
from support.landing import SLUG, Landing
from support.repo import Repo
from support.simulated import TOKEN
from trunkline.sim.client import ask, running

_ROUNDS = 80
_OK, _PAUSED, _LATER = 0, 3, 6
_CI_SECONDS = 60


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
    github.lever("run_ci", SLUG, names=["build"], seconds=_CI_SECONDS)
    github.lever("protect", SLUG, branch="main", name="main", approvals=1, checks=["build"], dismiss_stale=True)
    for number in numbers:
        github.add_check_run(SLUG, landing.remote_head(f"b{number}"), "build")
        github.review(SLUG, number, "reviewer")


def approve(landing: Landing, entries: int) -> None:
    """Approve whatever lacks an approval."""
    for number in range(1, entries + 1):
        pull = landing.github.pull_request(SLUG, number)
        if pull["state"] == "OPEN" and pull["reviews"][-1]["state"] == "DISMISSED":
            landing.github.review(SLUG, number, "reviewer")


def run(landing: Landing, entries: int, *args: str) -> None:
    """Run a task to its end, by `continue` where it stopped."""
    for _ in range(_ROUNDS):
        timed = str(Path(__file__).with_name("timed.py"))
        ran = landing.run(sys.executable, timed, str(landing.github.socket), SLUG, *args)
        if ran.code == _OK:
            return
        assert ran.code in {_PAUSED, _LATER}, ran.out + ran.err
        approve(landing, entries)
        args = ("continue", "--yes")
    raise AssertionError("it does not come to an end")


def land(landing: Landing, entries: int) -> None:
    """Land entry by entry."""
    run(landing, entries, "land", "--yes", "--skip", "fmt,gates")


def together(landing: Landing, entries: int) -> None:
    """Land all of them at once."""
    run(landing, entries, "land", "--together", "--yes", "--skip", "fmt,gates")


def native(landing: Landing, entries: int) -> None:
    """Bring the native stack onto trunk, and land it with one request."""
    run(landing, entries, "restack", "--yes")
    approve(landing, entries)
    together(landing, entries)


def bottom_up(landing: Landing, entries: int) -> None:
    """Merge the lowest; rebase the others on trunk and push them; wait for CI and an approval; again."""
    author, env = landing.author, landing.environment()
    for number in range(1, entries + 1):
        merge(landing, number)
        author.git("fetch", "--quiet", "origin", env=env)
        below, onto = f"origin/b{number}", "origin/main"
        for above in range(number + 1, entries + 1):
            old = author.git("rev-parse", f"origin/b{above}")
            author.git("switch", "--quiet", "--detach", old)
            author.git("rebase", "--quiet", "--onto", onto, below)
            author.git("branch", "--force", f"b{above}", "HEAD")
            below, onto = old, f"b{above}"
        rest = [f"b{above}" for above in range(number + 1, entries + 1)]
        if rest:
            request(landing, "PATCH", f"pulls/{number + 1}", {"base": "main"})
            author.git("push", "--quiet", "--force", "origin", *rest, env=env)
            landing.github.lever("pass_time", SLUG, seconds=_CI_SECONDS)
            request(landing, "GET", f"pulls/{number + 1}")
            approve(landing, entries)


def merge(landing: Landing, number: int) -> None:
    """Merge as `gh pr merge` does, once CI is green."""
    for _ in range(_ROUNDS):
        if request(landing, "PUT", f"pulls/{number}/merge", {"merge_method": "squash"})[0] == 200:
            return
        landing.github.lever("pass_time", SLUG, seconds=5)
    raise AssertionError(f"#{number} is not merged")


def request(landing: Landing, method: str, path: str, body: Any = None) -> tuple[int, Any]:
    """Send a REST request, which takes a simulated second."""
    content = json.dumps(body or {}).encode()
    found = ask(landing.github.socket, method, f"/repos/{SLUG}/{path}", content, TOKEN)
    landing.github.lever("pass_time", SLUG, seconds=1)
    return found


WAYS: dict[str, tuple[str, Callable[[Landing, int], None]]] = {
    "auto": ("auto", land),
    "together": ("auto", together),
    "native": ("auto", native),
    "always": ("always", land),
    "bottom-up": ("auto", bottom_up),
}


def measure(entries: int, way: str, *, overlap: bool) -> tuple[int, ...]:
    """Return CI runs, dismissed approvals, force-pushes, requests and simulated seconds of one landing."""
    rewrite, do = WAYS[way]
    with tempfile.TemporaryDirectory() as directory, running(Path(directory) / "github") as github:
        github.create_repository(*SLUG.split("/"))
        root = Path(directory)
        landing = Landing(github, Repo(root / "clone"), Repo.create(root / "author"), {})
        build(landing, entries, overlap=overlap, rewrite=rewrite)
        if way == "native":
            github.lever("stack_natively", SLUG, numbers=list(range(1, entries + 1)))
        before, asked, began = github.lever("tally", SLUG), len(github.requests()), github.state()["ticks"]
        do(landing, entries)
        after, ended = github.lever("tally", SLUG), github.state()["ticks"]
        assert all(github.pull_request(SLUG, n)["state"] == "MERGED" for n in range(1, entries + 1))
        keys = ("ci_runs", "dismissed", "force_pushes")
        return (*(after[key] - before[key] for key in keys), len(github.requests()) - asked, ended - began)


def main() -> None:
    """Print the table."""
    (sizes,) = numbers(__doc__, entries="2,5,10")
    with tempfile.TemporaryDirectory() as home:
        os.environ.update(HOME=home, XDG_STATE_HOME=f"{home}/state", GIT_CONFIG_GLOBAL=f"{home}/gitconfig")
        Path(home, "gitconfig").write_text("[user]\n\tname = Bench\n\temail = bench@example.com\n")
        table(sizes)


def table(sizes: Sequence[int]) -> None:
    """Measure and print line by line."""
    print("| entries | touch | way | CI runs | approvals dismissed | force-pushes | requests | simulated seconds |")
    print("|---|---|---|---|---|---|---|---|")
    for entries in sizes:
        for overlap in (False, True):
            for way in WAYS:
                if overlap and way == "together":
                    continue  # together refuses to land it
                found = measure(entries, way, overlap=overlap)
                touch = "lines from below" if overlap else "other lines"
                print(f"| {entries} | {touch} | {way} |", " | ".join(map(str, found)), "|", flush=True)


if __name__ == "__main__":
    main()
