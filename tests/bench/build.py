"""`add`, `up`, `submit`, `modify --move` and `absorb` on a stack of five, beside other tools on the same work.

Usage: .venv/bin/python tests/bench/build.py [RUNS]

Each entry has two commits and a file of its own. Every run starts from a copy of one repository, and its result is
checked: the own commits of each branch, and their order. Only the commands are timed, not the preparation.

- add: a branch above the topmost one, with the staged file as its commit.
- up: check out the branch above the bottom one.
- modify: move the fourth entry below the second.
- absorb: ten staged hunks, two of each entry, go into the commits that last touched their lines.
- submit: push five branches and create five draft pull requests on a simulated GitHub, which answers at once.

"By hand" is what an expert types: git, `gh pr create`, and for `absorb` git-absorb with `rebase.updateRefs`. Peers
are used where they are on PATH: git-machete (`pip install --group bench`), gt (npm: `@withgraphite/graphite-cli`)
and git-absorb (Debian: `git-absorb`). gt submits to Graphite's server and git-machete to api.github.com, so neither
can submit here. gt reorders in an editor: the bench gives it one that swaps the lines.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))

from support.bench_arguments import numbers
from support.landing import Landing, own_stack
from support.repo import Repo
from support.tables import header, row, seconds
from trunkline.sim.client import running

SLUG = "octo/five"
NUMBERS = range(1, 6)
LINES = 40
Way = Callable[[Landing], None]


def build(root: Path, *, opened: bool) -> None:
    """Write trunk and five entries, with their pull requests or without, and clone."""
    with running(root / "github") as github:
        github.create_repository("octo", "five")
        author = Repo.create(root / "author")
        author.git("remote", "add", "origin", github.remote(SLUG))
        author.commit("start", {"README.md": "start\n"})
        landing = Landing(github, Repo(root / "clone"), author, {})
        env = landing.environment()
        author.git("push", "--quiet", "origin", "main", env=env)
        for number in NUMBERS:
            author.git("switch", "--quiet", "-c", f"b{number}")
            text = "".join(f"{number} {line}\n" for line in range(LINES))
            author.commit(f"own {number}.1", {f"own/{number}.txt": text})
            author.commit(f"own {number}.2", {f"more/{number}.txt": text})
        if opened:
            author.git("push", "--quiet", "origin", "--all", env=env)
            for number in NUMBERS:
                base = f"b{number - 1}" if number > 1 else "main"
                github.open_pull_request(SLUG, head=f"b{number}", base=base, title=f"PR {number}", number=number)
        author.git("clone", "--quiet", github.remote(SLUG), str(root / "clone"), env=env)
        for number in NUMBERS:
            landing.clone.git("fetch", "--quiet", str(author.path), f"b{number}:b{number}")
        known = "pr = {0}\n" if opened else ""
        own_stack(landing.clone, "schema = 1\n" + "".join(
            f'[[entry]]\n{known.format(number)}branch = "b{number}"\n' for number in NUMBERS
        ))  # fmt: skip


@contextlib.contextmanager
def copied(template: Path) -> Iterator[Landing]:
    """Give a copy of what `build` made, its simulator running, the topmost branch checked out."""
    with tempfile.TemporaryDirectory() as directory:
        root = Path(directory) / "copy"
        shutil.copytree(template, root, symlinks=True)
        with running(root / "github") as github:
            landing = Landing(github, Repo(root / "clone"), Repo(root / "author"), {})
            landing.clone.git("remote", "set-url", "origin", github.remote(SLUG))
            landing.clone.git("fetch", "--quiet", "origin", env=landing.environment())
            landing.clone.git("switch", "--quiet", "b5")
            landing.run("trunkline", "status")  # the simulated GitHub parses the query once, before the clock starts
            os.sync()
            yield landing


def typed(*lines: str) -> Way:
    """Return commands to type one after the other."""

    def run(landing: Landing) -> None:
        for line in lines:
            ran = landing.run(*line.split(), GIT_EDITOR="true", GIT_SEQUENCE_EDITOR="true")
            assert ran.code == 0, (line, ran.out + ran.err)

    return run


def nothing(_landing: Landing) -> None:
    """Prepare nothing."""


def file_staged(landing: Landing) -> None:
    """Stage a new file."""
    (landing.clone.path / "NEW.md").write_text("new\n")
    landing.clone.git("add", "NEW.md")


def hunks_staged(landing: Landing) -> None:
    """Stage ten hunks, two for each entry."""
    for number in NUMBERS:
        path = landing.clone.path / f"own/{number}.txt"
        path.write_text(path.read_text().replace(f"{number} 5\n", "changed\n").replace(f"{number} 30\n", "changed\n"))
    landing.clone.git("add", "--update")


def at_the_bottom(landing: Landing) -> None:
    """Check out the bottom branch."""
    landing.clone.git("switch", "--quiet", "b1")


def order(landing: Landing) -> list[str]:
    """Return the subjects of the topmost branch that is left, from trunk up."""
    tips = landing.clone.git("for-each-ref", "--format=%(refname:short)", "refs/heads/b*").split()
    longest = max((landing.clone.subjects(f"origin/main..{tip}") for tip in tips), key=len)
    return [subject.removeprefix("own ") for subject in longest]


def owned(*numbers: int) -> list[str]:
    """Return the subjects of entries."""
    return [f"{number}.{part}" for number in numbers for part in (1, 2)]


def added(landing: Landing) -> bool:
    """Return whether b6 holds one more commit than b5."""
    return landing.clone.subjects("b5..b6") == ["new"] and order(landing) == [*owned(*NUMBERS), "new"]


def is_up(landing: Landing) -> bool:
    """Return whether the second branch is checked out."""
    return landing.clone.git("branch", "--show-current") == "b2"


def moved(landing: Landing) -> bool:
    """Return whether the fourth entry is below the second, and every branch holds its own commits."""
    below = "origin/main"
    for number in (1, 4, 2, 3, 5):
        own = [f"own {number}.1", f"own {number}.2"]
        if landing.clone.subjects(f"{below}..b{number}") != own:
            return False
        below = f"b{number}"
    return True


def absorbed(landing: Landing) -> bool:
    """Return whether the first commit of every entry has its two hunks, and no commit was added."""
    shown = (landing.clone.git("show", f"b{number}:own/{number}.txt").count("changed") for number in NUMBERS)
    return list(shown) == [2] * 5 and order(landing) == owned(*NUMBERS)


def submitted(landing: Landing) -> bool:
    """Return whether five draft pull requests are open, each on the branch below it."""
    pulls = [landing.github.pull_request(SLUG, number) for number in NUMBERS]
    return [(pull["base"], pull["draft"]) for pull in pulls] == [
        ("main", True), *((f"b{number}", True) for number in range(1, 5)),
    ]  # fmt: skip


def machete_tree(landing: Landing, *numbers: int) -> None:
    """Declare the tree of branches to git-machete."""
    landing.clone.git("branch", "--quiet", "--force", "main", "origin/main")
    tree = ["main", *("\t" * depth + f"b{number}" for depth, number in enumerate(numbers, 1))]
    (landing.clone.path / ".git/machete").write_text("\n".join(tree) + "\n")


def known_to_machete(landing: Landing) -> None:
    """Declare the five branches as they are."""
    machete_tree(landing, *NUMBERS)


def machete_moves(landing: Landing) -> None:
    """Declare the new tree; rebase what is out of sync with it."""
    machete_tree(landing, 1, 4, 2, 3, 5)
    typed("git switch --quiet b1", "git-machete traverse -W -y --no-push")(landing)


def known_to_gt(landing: Landing) -> None:
    """Register the five branches with gt."""
    landing.clone.git("branch", "--quiet", "--force", "main", "origin/main")
    below = {number: f"b{number - 1}" if number > 1 else "main" for number in NUMBERS}
    track = [f"gt track b{number} --parent {below[number]} --no-interactive" for number in NUMBERS]
    typed("gt init --trunk main --no-interactive", *track)(landing)
    # What orders the lines of `gt reorder`, which lists the topmost branch first.
    editor = landing.clone.path.parent / "editor"
    editor.write_text('#!/bin/sh\nprintf "b5\\nb3\\nb2\\nb4\\nb1\\n" > "$1"\n')
    editor.chmod(0o755)


def gt_moves(landing: Landing) -> None:
    """Order the branches anew, on a terminal: elsewhere gt opens no editor."""
    editor = str(landing.clone.path.parent / "editor")
    ran = landing.run("script", "-qec", "gt reorder", os.devnull, GIT_EDITOR=editor, EDITOR=editor)
    assert ran.code == 0, ran.out + ran.err


def created_by_hand(landing: Landing) -> None:
    """Push, and create one draft after the other."""
    typed("git push --quiet origin b1 b2 b3 b4 b5")(landing)
    for number in NUMBERS:
        base = f"b{number - 1}" if number > 1 else "main"
        typed(f"gh pr create --draft --head b{number} --base {base} --title own --body own")(landing)


PREPARED: dict[str, Way] = {
    "add": file_staged, "up": at_the_bottom, "modify": nothing, "absorb": hunks_staged, "submit": nothing,
}  # fmt: skip
RIGHT: dict[str, Callable[[Landing], bool]] = {
    "add": added, "up": is_up, "modify": moved, "absorb": absorbed, "submit": submitted,
}  # fmt: skip
WAYS: dict[str, dict[str, Way]] = {
    "by hand": {
        "add": typed("git switch --quiet -c b6", "git commit --quiet -m new"),
        "up": typed("git switch --quiet b2"),
        "modify": typed("git branch old2 b2", "git branch old3 b3", "git branch old4 b4",
                        "git rebase --quiet --onto b1 old3 b4", "git rebase --quiet --onto b4 b1 b2",
                        "git rebase --quiet --onto b2 old2 b3", "git rebase --quiet --onto b3 old4 b5"),
        "absorb": typed("git -c rebase.updateRefs=true absorb --and-rebase --base origin/main"),
        "submit": created_by_hand,
    },
    "trunkline": {
        "add": typed("trunkline add b6 --message new"),
        "up": typed("trunkline up"),
        "modify": typed("trunkline modify --move 4 --onto 1 --no-push"),
        "absorb": typed("trunkline absorb"),
        "submit": typed("trunkline submit --yes"),
    },
    "git-machete": {
        "add": typed("git-machete add --onto b5 -y b6", "git commit --quiet -m new"),
        "up": typed("git-machete go down"),
        "modify": machete_moves,
    },
    "gt": {
        "add": typed("gt create b6 -m new --no-interactive"),
        "up": typed("gt up --no-interactive"),
        "modify": gt_moves,
        "absorb": typed("gt absorb --force --no-interactive"),
    },
}  # fmt: skip
KNOWN: dict[str, Way] = {"git-machete": known_to_machete, "gt": known_to_gt}


def possible(tool: str, task: str) -> bool:
    """Return whether a tool can do the work here, and is installed."""
    needs = {"git-machete": "git-machete", "gt": "gt"}.get(tool, "git")
    if (tool, task) == ("by hand", "absorb"):
        needs = "git-absorb"
    installed = subprocess.check_output(["git", "--exec-path"], text=True).strip()  # Debian has git-absorb there
    where = f"{Path(sys.executable).parent}:{os.environ['PATH']}:{installed}"
    return task in WAYS[tool] and shutil.which(needs, path=where) is not None


def measure(template: Path, tool: str, task: str, runs: int) -> str:
    """Return the median of a tool's seconds, or why there is none."""
    if not possible(tool, task):
        return "not installed" if task in WAYS[tool] else "cannot"
    times, right = [], True
    for _ in range(runs):
        with copied(template) as landing:
            KNOWN.get(tool, nothing)(landing)
            PREPARED[task](landing)
            os.sync()
            started = time.perf_counter()
            WAYS[tool][task](landing)
            times.append(time.perf_counter() - started)
            right = right and RIGHT[task](landing)
    assert right or tool != "trunkline", f"{task}: the result is not what was asked for"
    return seconds(times) + ("" if right else ", another result")


def main() -> None:
    """Print a row for each task."""
    ((runs,),) = numbers(__doc__, runs="5")
    with tempfile.TemporaryDirectory() as home:
        Path(home, "gitconfig").write_text("[user]\n\tname = B\n\temail = b@example.invalid\n")
        os.environ.update(HOME=home, XDG_STATE_HOME=f"{home}/state", GIT_CONFIG_GLOBAL=f"{home}/gitconfig")
        build(Path(home) / "opened", opened=True)
        build(Path(home) / "new", opened=False)
        header(f"median of {runs}", *WAYS)
        for task in PREPARED:
            template = Path(home) / ("new" if task == "submit" else "opened")
            row([f"`{task}`", *(measure(template, tool, task, runs) for tool in WAYS)])


if __name__ == "__main__":
    main()
