"""A stack whose user types tasks in this process, beside others who push, merge and close.

Every change that anybody makes is a line of its own, a mark. So a lost change is a mark that no tip holds.
"""

from __future__ import annotations

import contextlib
import io
import os
import re
import shlex
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from invoke.program import Program

from support.inprocess import Desk, desk
from support.printed import next_commands
from support.repo import Repo
from support.typist import Ran
from trunkline.domain.command import argv_of
from trunkline.domain.names import oid
from trunkline.domain.snapshot import ForcePush, PrState
from trunkline.tasks import namespace

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

SKIP = "fmt,gates,checks,note,checklist"
SHARED = "shared.txt"
"""The file that conflicting changes edit at the same place."""
MARK = re.compile(r"\bm\d+\b")


@dataclass(frozen=True)
class Declared:
    """An entry of stack.toml."""

    branch: str
    pr: int | None


@dataclass
class Verbs:
    """A desk whose stack.toml git does not track, and what happened at it so far."""

    desk: Desk
    patch: pytest.MonkeyPatch
    count: int = 0
    story: list[str] = field(default_factory=list)

    # -- what the user types
    # ------------------------------------------------------------------------------

    def type(self, line: str) -> Ran:
        """Run a command line of ours in this process, and check what it prints."""
        out, err = io.StringIO(), io.StringIO()
        argv, code = list(argv_of(line)), 0
        with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err), pytest.MonkeyPatch.context() as patch:
            patch.setattr(sys, "argv", argv)
            patch.chdir(self.desk.clone.path)
            try:
                Program(name="invoke", namespace=namespace).run(argv)
            except SystemExit as end:
                code = int(end.code or 0)
        ran = Ran(code, out.getvalue(), err.getvalue())
        self.story.append(f"{line}  -> {code} {ran.error}")
        return ran

    def follow(self, command: str) -> Ran | None:
        """Run a printed command as a person does; None for one that needs a person."""
        if command.startswith("invoke "):
            return self.type(command.partition("   #")[0])
        if not command.startswith("git ") or re.search(r"\b[A-Z]{3,}\b", command):
            return None
        typed = f"{command} --message 'by hand'" if command in {"git commit", "git commit --all"} else command
        done = subprocess.run(
            ["bash", "-c", typed], cwd=self.desk.clone.path, capture_output=True, text=True, check=False,
            env={**os.environ, "GIT_EDITOR": "true"},
        )  # fmt: skip
        self.story.append(f"{command}  -> {done.returncode}")
        if (self.desk.clone.path / ".git/rebase-merge").exists():  # it conflicts, which a person sees
            self.desk.clone.git("rebase", "--abort", check=False)
            self.desk.clone.git("rebase", "--quit", check=False)  # a file of the user's was in the way
            return None
        return Ran(done.returncode, done.stdout, done.stderr)

    # -- what the user does by hand
    # -----------------------------------------------------------------------

    def mark(self) -> str:
        """Return a new mark."""
        self.count += 1
        return f"m{self.count}"

    def change(self, place: Path, *, shared: bool) -> dict[str, str | None]:
        """Return a change to the files in a directory: a new file, or a line at the end of the shared one."""
        made = self.mark()
        if not shared:
            return {f"{made}.txt": f"{made}\n"}
        old = (place / SHARED).read_text() if (place / SHARED).exists() else ""
        return {SHARED: f"{old}{made}\n"}

    def write(self, *, shared: bool, staged: bool) -> None:
        """Edit the checkout."""
        for name, text in self.change(self.desk.clone.path, shared=shared).items():
            (self.desk.clone.path / name).write_text(str(text))
            if staged:
                self.desk.clone.git("add", name)
        self.story.append(f"write m{self.count} shared={shared} staged={staged}")

    def commit(self, *, shared: bool) -> None:
        """Commit on the branch that is checked out, with what is staged or edited already."""
        place = self.desk.clone
        place.commit(f"c{self.count + 1}", self.change(place.path, shared=shared))
        self.story.append(f"git commit m{self.count} on {self.current()}")

    def switch(self, branch: str) -> None:
        """Switch by git, if git does it."""
        self.desk.clone.git("switch", "--quiet", branch, check=False)
        self.story.append(f"git switch {branch} -> {self.current()}")

    def current(self) -> str:
        """Return the branch that is checked out."""
        return self.desk.clone.git("branch", "--show-current")

    # -- what others do
    # -----------------------------------------------------------------------------------

    def others_commit(self, branch: str, *, shared: bool, amend: bool = False) -> None:
        """Push a commit to a branch, or an amended tip."""
        author = self._author_at(branch)
        old = author.head()
        files = self.change(author.path, shared=shared)
        if amend:
            for name, text in files.items():
                (author.path / name).write_text(str(text))
            author.git("add", "--all")
            author.git("commit", "--quiet", "--amend", "--no-edit")
        else:
            author.commit(f"theirs {self.count}", files, author="Mallory")
        author.git("push", "--quiet", "--force", "origin", f"HEAD:refs/heads/{branch}")
        for pull in self.desk.hub.pulls.values():
            if amend and pull.head == branch:
                pull.pushes.append(ForcePush(old, author.head()))
        self.story.append(f"others {'amend' if amend else 'push'} m{self.count} on {branch} shared={shared}")

    def merge(self, number: int, how: str, *, delete: bool) -> None:
        """Merge a pull request into trunk on the web, if GitHub would."""
        pull = self.desk.hub.pulls[number]
        head = oid(self.desk.hub.tip(pull.head))
        author = self._author_at("main")
        if author.git("merge-base", head, "HEAD") == head:
            return
        if how == "squash":
            done = author.git("merge", "--squash", head, check=False)
            failed = bool(author.git("ls-files", "--unmerged")) or not done
            if failed:
                author.git("reset", "--quiet", "--hard")
                return
            author.commit(f"{pull.head} (#{number})")
        elif how == "merge":
            author.git("merge", "--quiet", "--no-ff", "-m", f"Merge #{number}", head, check=False)
        else:
            author.git("cherry-pick", "--allow-empty", "--keep-redundant-commits", f"HEAD..{head}", check=False)
        if author.git("ls-files", "--unmerged"):
            author.git("cherry-pick" if how == "rebase" else "merge", "--abort")
            return
        author.git("push", "--quiet", "origin", "HEAD:refs/heads/main")
        pull.state, pull.merged_head, pull.merge_commit = PrState.MERGED, head, author.head()
        self.desk.hub.bare.git("update-ref", f"refs/pull/{number}/head", head)
        if delete:
            self._delete(pull.head)
        self.story.append(f"web: {how} #{number} delete={delete}")

    def close(self, number: int) -> None:
        """Close a pull request on the web."""
        pull = self.desk.hub.pulls[number]
        self.desk.hub.bare.git("update-ref", f"refs/pull/{number}/head", self.desk.hub.tip(pull.head))
        pull.state = PrState.CLOSED
        self.story.append(f"web: close #{number}")

    def _delete(self, branch: str) -> None:
        self.desk.hub.bare.git("update-ref", "-d", f"refs/heads/{branch}")
        for other in self.desk.hub.pulls.values():
            other.base = "main" if other.base == branch else other.base

    def _author_at(self, branch: str) -> Repo:
        author = self.desk.author
        author.git("fetch", "--quiet", "--prune", "origin")
        author.git("switch", "--quiet", "--force", "--detach", f"origin/{branch}")
        return author

    # -- what there is
    # ------------------------------------------------------------------------------------

    def declared(self) -> list[Declared]:
        """Return the entries of stack.toml, bottom first."""
        entries = tomllib.loads((self.desk.root / "stack.toml").read_text()).get("entry", [])
        return [Declared(each["branch"], each.get("pr")) for each in entries]

    def state(self, entry: Declared) -> PrState | None:
        """Return the state of an entry's pull request; None without one."""
        return self.desk.hub.pulls[entry.pr].state if entry.pr is not None else None

    def open(self) -> list[Declared]:
        """Return the entries that are neither merged nor closed."""
        return [each for each in self.declared() if self.state(each) in {None, PrState.OPEN}]

    def own(self, branch: str) -> list[str]:
        """Return the commits of a local branch that neither trunk nor the open entry below has."""
        branches = [each.branch for each in self.open()]
        at = branches.index(branch) if branch in branches else 0
        below = branches[at - 1] if at else "origin/main"
        return self.desk.clone.git("rev-list", "--reverse", f"{below}..{branch}", check=False).splitlines()

    def heads(self) -> dict[str, str]:
        """Return the local branches."""
        return {name: tip for name, tip in self.desk.clone.refs().items() if name.startswith("refs/heads/")}

    def remote_heads(self) -> dict[str, str]:
        """Return the remote's branches."""
        return {name: tip for name, tip in self.desk.hub.bare.refs().items() if name.startswith("refs/heads/")}

    def marks(self) -> set[str]:
        """Return the marks in the checkout, its index, every branch here and there, and merged heads."""
        clone, found = self.desk.clone, set[str]()
        for repo, refs in ((clone, self.heads()), (self.desk.hub.bare, self.desk.hub.bare.refs())):
            tips = sorted({*refs.values(), *(self._stashed() if repo is clone else ())})
            found |= set(MARK.findall(repo.git("grep", "-h", "-w", "-E", "m[0-9]+", *tips, "--", check=False)))
        found |= set(MARK.findall(clone.git("grep", "--cached", "-h", "-E", "m[0-9]+", check=False)))
        for path in [*clone.path.glob("*.txt")]:
            found |= set(MARK.findall(path.read_text()))
        return found

    def _stashed(self) -> set[str]:
        """Return the commits of the stash, with those of untracked files."""
        stashes = self.desk.clone.git("stash", "list", "--format=%H %P").split()
        return set(stashes)

    def reachable(self, *more: str) -> set[str]:
        """Return the commits that refs of the clone reach, without those of the stash."""
        return set(self.desk.clone.git("rev-list", *(more or ("--exclude=refs/stash", "--all"))).splitlines())


@contextlib.contextmanager
def verbs(patch: pytest.MonkeyPatch) -> Iterator[Verbs]:
    """Yield a stack of three entries with pull requests."""
    patch.setenv("TRUNKLINE_SKIP", SKIP)
    with desk(patch) as made:
        made.own_stack(patch)
        yield Verbs(made, patch)


def quoted(*words: str) -> str:
    """Return a command line of ours."""
    return shlex.join(("invoke", *words))


__all__ = ["Declared", "Verbs", "next_commands", "quoted", "verbs"]
