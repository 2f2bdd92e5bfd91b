"""Scenarios: a story in a text file, whose commands run and whose output is compared.

An indented line is output. A line `NAME$ COMMAND` is a command of somebody; every other line is prose.
Who NAME is:

- `you`: the user, in the clone. `invoke` runs trunkline, and anything else a shell, in which
  $WORKTREE is the work tree of the conflict. `export` lasts to the end of the file. `edit-stack
  518:feat/one ...` stands for an editor that writes the entries into stack.toml in this order;
  `kill-after-record N invoke ...` kills trunkline with SIGKILL after record N of its journal.
- `github`: what happens on the web page: see `_ON_GITHUB`.
- another name: an author of that name, in a shell in a clone of their own.

The output of `invoke` may be piped into a filter; the exit code is always that of `invoke`. Output is
the same in every run: without durations, gates sorted by name, paths from `~`, and for a commit the
subject of its message in angle brackets. A second commit with the same subject has a prime.
"""

from __future__ import annotations

import re
import shlex
import subprocess
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from support.killing import NO_KILL, Kill, YardLanding
from support.landing import SLUG
from support.repo import Repo
from support.stacking import write_stack

_COMMAND = re.compile(r"(?P<who>[a-z]+)\$ (?P<line>.+)")
_ID = re.compile(r"(?<![\w/-])[0-9a-f]{7,64}(?![\w-])")
_VOLATILE = (
    (re.compile(r" +(\(\d+\.\d+ ?s\)|\d+\.\d+ ?s$)", re.MULTILINE), ""),
    (re.compile(r"/clone-[0-9a-f]{12}/"), "/tiny/"),
    (re.compile(r"\d{8}T\d{6}\.\d{6}-(\d+-)?[0-9a-f]{4}"), "<run>"),
    (re.compile(r"(?<=/resolution-)[0-9a-f]{7}"), "<id>"),
)
_GATES = re.compile(r"(?:^ {5}\w+ +(?:passed|failed).*\n)+", re.MULTILINE)


def _merge(stack: YardLanding, number: str, method: str) -> None:
    stack.github.merge(SLUG, int(number), method=method.removeprefix("--"), delete_branch="web")


def _refuse_to_run(stack: YardLanding, branch: str) -> None:
    stack.github.add_billing_failure(SLUG, stack.remote_head(branch))


def _open(stack: YardLanding, number: str, branch: str, base: str) -> None:
    stack.github.open_pull_request(SLUG, head=branch, base=base, title=f"PR {number}", number=int(number))


_ON_GITHUB: dict[str, Callable[..., None]] = {
    "merge": _merge,  # merge 518 --squash: with the button; the branch is deleted
    "open": _open,  # open 521 feat/new main: a pull request
    "bill-unpaid": _refuse_to_run,  # bill-unpaid feat/two: Actions does not start the checks of its head
}


@dataclass
class Player:
    """Plays scenarios on a stack."""

    stack: YardLanding
    exported: dict[str, str] = field(default_factory=dict)
    names: dict[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        """Name the commits that the stack has at the beginning."""
        for line in self.stack.author.git("log", "--all", "--format=%H %s").splitlines():
            commit, _, subject = line.partition(" ")
            self.names[commit] = subject

    def play(self, text: str) -> str:
        """Run the commands of a scenario, and return it with the output that they have now."""
        played = []
        for line in text.splitlines():
            if line.startswith("  "):
                continue
            played.append(line)
            if command := _COMMAND.fullmatch(line):
                played += self._indented(*self._run(command["who"], command["line"]))
        return "\n".join(played) + "\n"

    def _run(self, who: str, line: str) -> tuple[str, int]:
        words = shlex.split(line, comments=True)
        if who == "github":
            _ON_GITHUB[words[0]](self.stack, *words[1:])
            return "", 0
        if who != "you":
            return self._author(who, line)
        if words[0] == "export":
            for word in words[1:]:
                name, _, value = word.partition("=")
                self.exported[name] = value
            return "", 0
        if words[0] == "edit-stack":
            entries = [word.split(":") for word in words[1:]]
            write_stack(self.stack, [(int(number), branch) for number, branch in entries])
            return "", 0
        kill = NO_KILL
        if words[0] == "kill-after-record":
            kill, words = Kill("record", "after", int(words[1])), words[2:]
        if words[0] == "invoke":
            typed, _, pipe = line.partition(" | ")
            arguments = shlex.split(typed[typed.index("invoke") :])[1:]
            ran = self.stack.kill(kill, *arguments, cwd=None, **self.exported)
            return _filtered(self._settled(ran.out + ran.err), pipe), ran.code
        trees = self.stack.clone.git("worktree", "list", "--porcelain").splitlines()
        waiting = next((each.partition(" ")[2] for each in trees if "/replay/" in each), "")
        environment = self.stack.environment(**self.exported, WORKTREE=waiting)
        return self._shell(line, self.stack.clone.path, environment)

    def _author(self, who: str, line: str) -> tuple[str, int]:
        author = self.stack.author
        author.clock += 60
        dates = dict.fromkeys(("GIT_AUTHOR_DATE", "GIT_COMMITTER_DATE"), f"@{author.clock} +0100")
        named = {"GIT_AUTHOR_NAME": who.title(), "GIT_AUTHOR_EMAIL": f"{who}@example.invalid"}
        return self._shell(line, author.path, self.stack.environment(**dates, **named))

    def _shell(self, line: str, place: Path, environment: dict[str, str]) -> tuple[str, int]:
        done = subprocess.run(
            ["bash", "-c", line], cwd=place, env=environment, stdin=subprocess.DEVNULL, check=False, text=True,
            stdout=subprocess.PIPE, stderr=subprocess.STDOUT, timeout=60,
        )  # fmt: skip
        return done.stdout, done.returncode

    def _indented(self, output: str, code: int) -> list[str]:
        lines = [
            f"  {line}".rstrip() for line in _ID.sub(self._named, self._settled(output)).splitlines() if line.strip()
        ]
        return [*lines, *([f"  [exit {code}]"] if code else [])]

    def _settled(self, output: str) -> str:
        """Return output without what differs between runs, but for the ids of commits."""
        assert self.stack.yard is not None
        box = str(self.stack.yard.box)
        output = output.replace(f"{box}/home", "~").replace(f"{box}/clone", "~/tiny").replace(box, "~")
        for pattern, replacement in _VOLATILE:
            output = pattern.sub(replacement, output)
        return _GATES.sub(lambda match: "".join(sorted(match[0].splitlines(keepends=True))), output)

    def _named(self, match: re.Match[str]) -> str:
        full, subject = self._looked_up(match[0])
        if full not in self.names:
            taken = sum(each.rstrip("'") == subject for each in self.names.values())
            self.names[full] = subject + "'" * taken
        return f"<{self.names[full]}>"

    def _looked_up(self, short: str) -> tuple[str, str]:
        """Return the whole id of a commit and its subject; of another object, its type."""
        for repo in (self.stack.clone, Repo(self.stack.github.bare(SLUG)), self.stack.author):
            if kind := repo.git("cat-file", "-t", short, check=False):
                full = repo.git("rev-parse", short)
                return full, repo.git("log", "-1", "--format=%s", full) if kind == "commit" else kind
        return short, "id"


def _filtered(output: str, pipe: str) -> str:
    """Return what is left of output behind a pipe."""
    if not pipe:
        return output
    return subprocess.run(
        ["bash", "-c", pipe], input=output, text=True, check=False, stdout=subprocess.PIPE, timeout=60
    ).stdout


__all__ = ["Player"]
