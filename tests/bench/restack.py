"""Restack of N entries after a squash merge with trunk moved on: ours beside bare `git rebase --update-refs`.

Usage: .venv/bin/python tests/bench/restack.py [PAIRS] [N,N,...] [FILES,FILES,...] [--commits K]
       [--replayed [REPOSITORY]]

Each entry has K commits, two unless it is given. With `--replayed` they are consecutive commits of a real history, or
of a generated one that resembles one, in place of new files. FILES does not matter then.

Beside them, where they are on PATH (`pip install --group bench`, npm: `@withgraphite/graphite-cli`):

- git-machete's `traverse`, which recognises the squash merge by itself (`--squash-merge-detection=exact`);
- Graphite's `gt delete b1`, arc-prs' `arc drop b1`: each is given the merged branch, and restacks.

Their knowledge of the stack is prepared before the clock starts. No push either.

The floor is the command of an expert with the fork point at hand: one `git rebase --onto`, with all branches. It
needs the checkout, changes it while it runs, and checks nothing. Both start from copies of one repository; ours
reads a simulated GitHub and pushes nothing (`--no-push`), the floor sends nothing.
"""

from __future__ import annotations

import argparse
import contextlib
import functools
import os
import shutil
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))

from support import histories
from support.landing import Landing
from support.repo import Repo
from support.tables import header, row, seconds
from trunkline.sim.client import running

SLUG = "octo/big"


class StoppedError(Exception):
    """A peer stopped at a conflict, where the commits that it replays are not only an entry's own."""


def synthetic(author: Repo, numbers: range, stack: str, files: int, commits: int = 2) -> None:
    """Write trunk with `files` files, and branches of `commits` commits that add a file each."""
    tree: dict[str, str | None] = {f"d{n % 100}/f{n}.txt": f"{n}\n" * 5 for n in range(files)}
    author.commit("start", {"stack.toml": stack, **tree})
    for number in numbers:
        author.git("switch", "--quiet", "-c", f"b{number}")
        for part in range(1, commits + 1):
            author.commit(f"own {number}.{part}", {f"own/{number}-{part}.txt": f"{number}\n"})


def replayed(author: Repo, numbers: range, stack: str, source: Path, commits: int) -> None:
    """Write branches of `commits` commits each from the newest run of single-parent commits of a history."""
    author.git("fetch", "--quiet", str(source), "HEAD")
    listed = author.git("rev-list", "--first-parent", "--min-parents=1", "FETCH_HEAD")
    several = set(author.git("rev-list", "--min-parents=2", "FETCH_HEAD").splitlines())
    touching = set(author.git("rev-list", "FETCH_HEAD", "--", "stack.toml").splitlines())
    line = [name for name in listed.splitlines() if name not in several | touching]
    chosen = _consecutive(author, line, commits * len(numbers))
    author.git("checkout", "--quiet", "-B", "main", f"{chosen[0]}^")
    author.commit("start", {"stack.toml": stack})
    for number in numbers:
        author.git("switch", "--quiet", "-c", f"b{number}")
        own = chosen[commits * (number - 1) : commits * number]
        author.git("cherry-pick", "--allow-empty", "--keep-redundant-commits", *own)


def _consecutive(repo: Repo, line: list[str], count: int) -> list[str]:
    """Return the newest `count` commits in which each is the parent of the next, oldest first."""
    parents = dict(
        each.split()[:2] for each in repo.git("rev-list", "--parents", "--min-parents=1", *line).splitlines()
    )
    run: list[str] = []
    for name in line:
        run = [*run, name] if run and parents[run[-1]] == name else [name]
        if len(run) == count:
            return run[::-1]
    raise SystemExit(f"the history has no {count} consecutive commits without a merge or a change of stack.toml")


def build(root: Path, entries: int, fill: Callable[[Repo, range, str], None]) -> None:
    """Write trunk, a merged bottom and `entries` entries, and open their pull requests."""
    with running(root / "github") as github:
        github.create_repository("octo", "big")
        author = Repo.create(root / "author")
        author.git("remote", "add", "origin", github.remote(SLUG))
        numbers = range(1, entries + 2)
        tables = "".join(f'[[entry]]\npr = {n}\nbranch = "b{n}"\n' for n in numbers)
        fill(author, numbers, f"schema = 1\n{tables}")
        landing = Landing(github, Repo(root / "clone"), author, {})
        env = landing.environment()
        author.git("push", "--quiet", "origin", "--all", env=env)
        for number in numbers:
            below = f"b{number - 1}" if number > 1 else "main"
            github.open_pull_request(SLUG, head=f"b{number}", base=below, title=f"PR {number}", number=number)
        author.git("clone", "--quiet", github.remote(SLUG), str(root / "clone"), env=env)
        for number in numbers:
            landing.clone.git("branch", "--quiet", f"b{number}", f"origin/b{number}")
        author.git("switch", "--quiet", "main")
        author.commit("trunk moves on", {"TRUNK.md": "moved\n"})
        author.git("push", "--quiet", "origin", "main", env=env)
        github.merge(SLUG, 1, delete_branch="web")


@contextlib.contextmanager
def copied(template: Path) -> Iterator[Landing]:
    """Give a copy of what `build` made, its simulator running."""
    with tempfile.TemporaryDirectory() as directory:
        root = Path(directory) / "copy"
        shutil.copytree(template, root, symlinks=True)
        with running(root / "github") as github:
            landing = Landing(github, Repo(root / "clone"), Repo(root / "author"), {})
            remote = github.remote(SLUG)
            landing.clone.git("remote", "set-url", "origin", remote)
            landing.clone.git("fetch", "--quiet", "origin", env=landing.environment())
            os.sync()  # else whoever calls fsync first pays for the copy: the bare rebase took 0.3 or 0.8 s
            yield landing


def floor(landing: Landing, entries: int) -> float:
    """Time what an expert types."""
    clone, top = landing.clone, f"b{entries + 1}"
    clone.git("switch", "--quiet", top)
    started = time.perf_counter()
    clone.git("rebase", "--quiet", "--update-refs", "--onto", "origin/main", "b1", top)
    return time.perf_counter() - started


def ours(landing: Landing, _entries: int) -> float:
    """Time the task; the simulated GitHub, which shares our cores, has parsed the query before (80 ms)."""
    landing.run("trunkline", "restack", "--dry-run")
    os.sync()
    started = time.perf_counter()
    ran = landing.run("trunkline", "restack", "--no-push", "--yes")
    took = time.perf_counter() - started
    assert ran.code == 0, ran.out + ran.err
    return took


def machete(landing: Landing, entries: int) -> float:
    """Time git-machete on the same: the tree of branches is declared, the whole is traversed without a question."""
    clone = landing.clone
    clone.git("switch", "--quiet", "b1")
    clone.git("branch", "--quiet", "--force", "main", "origin/main")
    tree = "\n".join(["main", *("\t" * number + f"b{number}" for number in range(1, entries + 2))])
    (clone.path / ".git" / "machete").write_text(tree + "\n")
    return timed(
        landing, "git-machete", "traverse", "-W", "-y", "--no-push", "--squash-merge-detection=exact",
        GIT_EDITOR="true",
    )  # fmt: skip


def graphite(landing: Landing, entries: int) -> float:
    """Time gt on the same: its metadata is there, the merged branch is deleted, its children are restacked."""
    landing.clone.git("switch", "--quiet", "b1")
    landing.clone.git("branch", "--quiet", "--force", "main", "origin/main")
    timed(landing, "gt", "init", "--trunk", "main", "--no-interactive")
    for number in range(1, entries + 2):
        below = f"b{number - 1}" if number > 1 else "main"
        timed(landing, "gt", "track", f"b{number}", "--parent", below, "--no-interactive")
    return timed(landing, "gt", "delete", "b1", "--force", "--no-interactive")


def arc(landing: Landing, entries: int) -> float:
    """Time arc on the same: its stack is there, the merged branch is dropped."""
    landing.clone.git("switch", "--quiet", "b1")
    landing.clone.git("branch", "--quiet", "--force", "main", "origin/main")
    timed(landing, "arc", "--no-input", "init", "--base", "main")
    for number in range(1, entries + 2):
        timed(landing, "arc", "--no-input", "add", f"b{number}")
    return timed(landing, "arc", "--no-input", "drop", "b1", "--force")


def timed(landing: Landing, *argv: str, **environment: str) -> float:
    """Run a peer's command and return its seconds.

    Raises:
        StoppedError: it stopped at a conflict.
    """
    started = time.perf_counter()
    ran = landing.run(*argv, cwd=None, **environment)
    took = time.perf_counter() - started
    if ran.code and "CONFLICT" in ran.out + ran.err:
        raise StoppedError
    assert ran.code == 0, (argv, ran.out + ran.err)
    return took


PEERS: dict[str, Callable[[Landing, int], float]] = {"git-machete": machete, "gt": graphite, "arc": arc}


def right(landing: Landing, entries: int) -> bool:
    """Return whether every branch holds exactly its own commits over the one below."""
    below = "origin/main"
    for number in range(2, entries + 2):
        if landing.clone.subjects(f"{below}..b{number}") != landing.author.subjects(f"b{number - 1}..b{number}"):
            return False
        below = f"b{number}"
    return True


def main() -> None:
    """Run the pairs and print medians and ratios."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("pairs", nargs="?", type=int, default=3)
    parser.add_argument("entries", nargs="?", default="5,20,100")
    parser.add_argument("files", nargs="?", default="200,20000")
    parser.add_argument("--commits", type=int, default=2)
    parser.add_argument("--replayed", nargs="?", type=Path, const=Path(), metavar="REPOSITORY")
    given = parser.parse_args()
    counts, sizes = ([int(n) for n in text.split(",")] for text in (given.entries, given.files))
    os.environ.pop("PYTHONDONTWRITEBYTECODE", None)  # else each start compiles all modules: 0.3 s that no user has
    with tempfile.TemporaryDirectory() as home:
        Path(home, "gitconfig").write_text("[user]\n\tname = B\n\temail = b@example.invalid\n")
        os.environ.update(HOME=home, XDG_STATE_HOME=f"{home}/state", GIT_CONFIG_GLOBAL=f"{home}/gitconfig")
        if given.replayed is not None:
            source = given.replayed.resolve() if given.replayed.parts else Path(home) / "generated"
            if not given.replayed.parts:
                histories.generate(source, commits=(given.commits + 1) * max(counts) + 100, seed=1, merges=False)
            header("entries, history", "bare rebase", "trunkline", "of bare", *PEERS)
            for entries in counts:
                fill = functools.partial(replayed, source=source, commits=given.commits)
                build(Path(home) / f"{entries}", entries, fill)
                measure(Path(home) / f"{entries}", entries, given.commits, source.name, given.pairs)
            return
        header("entries, files", "bare rebase", "trunkline", "of bare", *PEERS)
        for files in sizes:
            for entries in counts:
                template = Path(home) / f"{entries}-{files}"
                build(template, entries, functools.partial(synthetic, files=files, commits=given.commits))
                measure(template, entries, given.commits, str(files), given.pairs)


def measure(template: Path, entries: int, commits: int, kind: str, pairs: int) -> None:
    """Measure one size."""
    timed_runs: dict[str, Callable[[Landing, int], float]] = {"floor": floor, "ours": ours}
    programs = f"{Path(sys.executable).parent}:{os.environ['PATH']}"
    timed_runs.update({name: peer for name, peer in PEERS.items() if shutil.which(name, path=programs)})
    taken: dict[str, list[float]] = {name: [] for name in timed_runs}
    wrong: dict[str, str] = {}
    for _ in range(pairs):
        for name, timed_run in timed_runs.items():
            with copied(template) as landing:
                try:
                    taken[name].append(timed_run(landing, entries))
                except StoppedError:
                    wrong[name] = "stops at a conflict"
                    continue
                if not right(landing, entries):
                    assert name in PEERS, f"{name}: a branch does not hold exactly its own commits"
                    wrong[name] = f"{taken[name][-1]:.2f} s, wrong commits"
    ratios = [mine / bare for mine, bare in zip(taken["ours"], taken["floor"], strict=True)]
    peers = ["not installed" if name not in taken else wrong.get(name) or seconds(taken[name]) for name in PEERS]
    size = f"{entries} of {commits} commits, {kind}"
    row([size, seconds(taken["floor"]), seconds(taken["ours"]), f"{statistics.median(ratios):.2f}", *peers])


if __name__ == "__main__":
    main()
