"""A stack of any size in this process, whose owner of each commit is known by construction.

Every action of `Stage` is one that people or GitHub do to a stack. `Stage.own` follows them, so
`git rebase --onto` with the known fork point gives the expected result.
"""

from __future__ import annotations

import contextlib
import io
import shutil
import sys
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from invoke.program import Program

from support.inprocess import Hub, Pull
from support.killing import MEMORY
from support.printed import check_printed, next_commands
from support.repo import Repo, lead_ssh_to
from trunkline.context import project as context_module
from trunkline.domain.command import argv_of
from trunkline.domain.names import Oid, PrNumber, oid, pr_number
from trunkline.domain.snapshot import ForcePush, PrState, PullRequest
from trunkline.tasks import namespace

SKIP = "fmt,gates,checks,note,checklist"

Edit = Callable[[Repo], object]


@dataclass(frozen=True)
class Ran:
    """The result of a command."""

    code: int
    text: str

    @property
    def next(self) -> list[str]:
        """The next commands that it printed."""
        return next_commands(self.text)


@dataclass
class RecordingHub(Hub):
    """A fake GitHub that records force-pushes to branches, as GitHub's timeline does."""

    seen: dict[int, str] = field(default_factory=dict)

    def _shown(self, number: PrNumber) -> PullRequest:
        pull, tip = self.pulls[number], self.tip(self.pulls[number].head)
        before = self.seen.get(number, "")
        if tip and before and self.bare.git("merge-base", before, tip, check=False) != before:
            pull.pushes.append(ForcePush(oid(before), oid(tip)))
        self.seen[number] = tip or before
        return super()._shown(number)


@dataclass
class Stage:
    """A bare remote, a colleague's clone, the user's clone, and a fake GitHub.

    Attributes:
        trunk: its name.
        names: the branch of each entry, by number.
        own: the own commits of each entry's planned head, oldest first.
    """

    root: Path
    hub: RecordingHub
    author: Repo
    clone: Repo
    trunk: str
    names: dict[int, str]
    own: dict[int, list[Oid]] = field(default_factory=dict)

    # -- actions on branches

    def edit(self, number: int, do: Edit, *, user: bool = False, at: str = "", push: bool = True) -> Oid:
        """Change an entry's branch and force-push it if needed; return its new tip.

        Args:
            number: the entry.
            do: makes the commits.
            user: the user does it, not the colleague.
            at: begin at this commit; "": at the tip.
            push: publish it.
        """
        repo, branch = (self.clone if user else self.author), self.names[number]
        repo.git("fetch", "--quiet", "origin")
        if user:
            repo.git("switch", "--quiet", branch)
            if at:
                repo.git("reset", "--quiet", "--hard", at)
        else:
            repo.git("switch", "--quiet", "--detach", at or f"origin/{branch}")
        do(repo)
        made = repo.head()
        if push:
            self.push(repo, number, made)
        repo.git("switch", "--quiet", self.trunk)
        return made

    def push(self, repo: Repo, number: int, tip: str) -> None:
        """Push a commit to an entry's branch; a force-push is recorded by GitHub."""
        branch = self.names[number]
        before = self.hub.tip(branch)
        repo.git("push", "--quiet", "--force", "origin", f"{tip}:refs/heads/{branch}")
        self.hub.bare.git("update-ref", f"refs/pull/{number}/head", tip)
        if before and self.hub.bare.git("merge-base", before, tip, check=False) != before:
            self.hub.pulls[number].pushes.append(ForcePush(oid(before), oid(tip)))
        self.hub.seen[number] = tip

    def owns(self, number: int, below: str) -> list[Oid]:
        """Set the own commits of an entry to those above a commit on the remote; return them."""
        span = f"{below}..{self.hub.tip(self.names[number])}"
        listed = self.hub.bare.git("rev-list", "--topo-order", "--reverse", span).splitlines()
        self.own[number] = [oid(name) for name in listed]
        return self.own[number]

    def rewrite(self, number: int, do: Edit, *, user: bool = False, push: bool = True) -> None:
        """Replace the own commits of an entry: `do` begins at its fork point with the old tip as argument."""
        fork = self.fork(number)
        made = self.edit(number, do, user=user, at=fork, push=push)
        repo = self.clone if user else self.author
        self.own[number] = [oid(name) for name in repo.git("rev-list", "--reverse", f"{fork}..{made}").splitlines()]

    def fork(self, number: int) -> str:
        """Return the parent of an entry's first own commit."""
        return self.hub.bare.git("rev-parse", f"{self.own[number][0]}^")

    def amend(
        self, number: int, *, text: str = "amended\n", message: str = "", user: bool = False, push: bool = True,
        depth: int = 0, date: str = "",
    ) -> None:  # fmt: skip
        """Amend an own commit of an entry, by default the last one."""
        own = self.own[number]
        at = len(own) - 1 - depth

        def do(repo: Repo) -> None:
            for index, name in enumerate(own):
                repo.git("cherry-pick", "--allow-empty", name)
                if index == at:
                    (repo.path / f"amended-{number}.txt").write_text(text)
                    repo.git("add", "--all")
                    flags = [f"--message={message}"] if message else ["--no-edit"]
                    repo.git("commit", "--quiet", "--amend", *flags, *([f"--date={date}"] if date else []))

        self.rewrite(number, do, user=user, push=push)

    def grow(self, number: int, files: dict[str, str | None], message: str = "more") -> None:
        """Add a commit to an entry."""
        made = self.edit(number, lambda repo: repo.commit(message, files, author="Mallory"))
        self.own[number].append(made)

    def replay(self, number: int, base: str, *, user: bool = False, push: bool = True) -> None:
        """Rebase an entry's own commits onto another commit."""
        own = self.own[number]

        def do(repo: Repo) -> None:
            repo.clock += 1000
            when = {"GIT_COMMITTER_DATE": f"@{repo.clock} +0000"}
            for name in own:
                repo.git("cherry-pick", "--allow-empty", "--keep-redundant-commits", name, env=when)

        made = self.edit(number, do, user=user, at=base, push=push)
        repo = self.clone if user else self.author
        listed = repo.git("rev-list", "--reverse", f"{made}~{len(own)}..{made}").splitlines()
        self.own[number] = [oid(name) for name in listed]

    def author_with(self, number: int) -> Repo:
        """Return the colleague's clone, with the commits of an entry fetched."""
        self.author.git("fetch", "--quiet", "origin", self.names[number])
        return self.author

    def update_branch(self, number: int) -> None:
        """Press "Update branch": merge the base of a pull request into its branch."""
        self.author.git("fetch", "--quiet", "origin")
        base = self.hub.pulls[number].base
        self.edit(number, lambda repo: repo.git("merge", "--quiet", "--no-edit", f"origin/{base}"))

    # -- actions on trunk

    def land(self, *numbers: int, method: str = "squash", delete: bool = True) -> None:
        """Merge entries on GitHub."""
        for number in numbers:
            pull, repo = self.hub.pulls[number], self.author
            head = oid(self.hub.tip(pull.head))
            repo.git("fetch", "--quiet", "origin")
            repo.git("switch", "--quiet", "--detach", f"origin/{self.trunk}")
            if method == "squash":
                repo.git("merge", "--quiet", "--squash", head)
                made = repo.commit(f"{pull.head} (#{number})")
            elif method == "merge":
                repo.git("merge", "--quiet", "--no-ff", "-m", f"Merge pull request #{number}", head)
                made = repo.head()
            elif method == "fast-forward":
                repo.git("merge", "--quiet", "--ff-only", head)
                made = repo.head()
            else:
                repo.git("switch", "--quiet", "--detach", head)
                repo.git("rebase", "--quiet", "--force-rebase", f"origin/{self.trunk}")
                made = repo.head()
            repo.git("push", "--quiet", "origin", f"HEAD:refs/heads/{self.trunk}")
            pull.state, pull.merged_head, pull.merge_commit = PrState.MERGED, head, made
            pull.base = self.trunk
            if delete:
                self.hub.bare.git("update-ref", "-d", f"refs/heads/{pull.head}")
                for other in self.hub.pulls.values():
                    other.target(self.trunk if other.base == pull.head else other.base)

    def trunk_moves(self, files: dict[str, str | None] | None = None, message: str = "trunk moves") -> Oid:
        """Push a commit to trunk."""
        self.author.git("fetch", "--quiet", "origin")
        self.author.git("switch", "--quiet", "--detach", f"origin/{self.trunk}")
        made = self.author.commit(message, files or {"trunk.txt": f"{message}\n"}, author="Mallory")
        self.author.git("push", "--quiet", "origin", f"HEAD:refs/heads/{self.trunk}")
        return made

    def write_stack(self, *numbers: int) -> None:
        """Write stack.toml with these entries."""
        entries = "".join(f'\n[[entry]]\npr = {n}\nbranch = "{self.names[n]}"\n' for n in numbers)
        (self.root / "stack.toml").write_text(f'schema = 1\ntrunk = "{self.trunk}"\nremote = "origin"\n{entries}')

    def take_over(self) -> None:
        """Move every local branch to the remote's version, as `git pull` of an unchanged branch does."""
        self.clone.git("fetch", "--quiet", "origin")
        for branch in self.names.values():
            if self.hub.tip(branch):
                self.clone.git("branch", "--quiet", "--force", branch, f"origin/{branch}")

    def trunk_tip(self) -> Oid:
        """Return trunk's tip, present in the colleague's clone."""
        self.author.git("fetch", "--quiet", "origin")
        return self.author.head(f"origin/{self.trunk}")

    def from_clone(self) -> None:
        """Set the own commits of open entries from the user's branches, as a restack left them."""
        below = f"origin/{self.trunk}"
        for number in self.open_entries():
            listed = self.clone.git("rev-list", "--reverse", f"{below}..{self.names[number]}").splitlines()
            self.own[number], below = [oid(name) for name in listed], self.names[number]

    # -- the oracle and the tasks

    def open_entries(self) -> list[int]:
        """Return the open entries of stack.toml, bottom first."""
        text = (self.root / "stack.toml").read_text()
        listed = [int(line.partition("=")[2]) for line in text.splitlines() if line.startswith("pr =")]
        return [number for number in listed if self.hub.pulls[number].state is PrState.OPEN]

    def expected(self) -> dict[int, tuple[list[str], bool]]:
        """Return the trees of each open entry after `git rebase --onto`, and whether it conflicts."""
        oracle = Repo(self.root / "oracle")
        if not oracle.path.exists():
            self.author.git("clone", "--quiet", "--no-local", "--mirror", str(self.root / "bare"), str(oracle.path))
            oracle.git("config", "core.bare", "false")
        for source in (self.author, self.clone, self.hub.bare):
            objects = source.path / (".git/objects" if source is not self.hub.bare else "objects")
            with (oracle.path / "objects/info/alternates").open("a") as listed:
                listed.write(f"{objects}\n")
        base, found = self.hub.tip(self.trunk), dict[int, tuple[list[str], bool]]()
        there = Repo(self.root / "oracle-tree")
        if not there.path.exists():
            oracle.git("worktree", "add", "--quiet", "--detach", str(there.path), base)
        for number in self.open_entries():
            own = self.own[number]
            fork = there.git("rev-parse", f"{own[0]}^")
            line = there.git("rev-list", "--reverse", f"{fork}..{own[-1]}").splitlines()
            there.git("switch", "--quiet", "--force", "--detach", own[-1])
            if line == list(own):
                flags = ("--quiet", "--empty=keep", "--reapply-cherry-picks", "--no-fork-point")
                there.git("rebase", *flags, "--onto", base, fork, own[-1], check=False)
            else:
                there.git("switch", "--quiet", "--force", "--detach", base)
                there.git("cherry-pick", "--allow-empty", "--keep-redundant-commits", *own, check=False)
            stopped = bool(there.git("diff", "--name-only", "--diff-filter=U"))
            tip = there.head()
            trees = there.git("log", "--reverse", "--topo-order", "--format=%T", f"{base}..{tip}").splitlines()
            found[number] = trees, stopped
            if stopped:
                there.git("rebase", "--abort", check=False)
                there.git("cherry-pick", "--abort", check=False)
                break
            base = tip
        return found

    def run(self, line: str) -> Ran:
        """Run a command as typed, in this process."""
        argv, out, err = list(argv_of(line)), io.StringIO(), io.StringIO()
        before, sys.argv = sys.argv, argv
        code = 0
        try:
            with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
                Program(name="invoke", namespace=namespace).run(argv)
        except SystemExit as end:
            code = int(end.code or 0)
        finally:
            sys.argv = before
        text = out.getvalue() + err.getvalue()
        check_printed(text)
        return Ran(code, text)


@contextlib.contextmanager
def stage(
    patch: pytest.MonkeyPatch, *, entries: int = 3, commits: int = 2, trunk: str = "main", prefix: str = "e",
    fill: Callable[[Repo, int, int], None] | None = None, object_format: str = "sha1",
) -> Iterator[Stage]:  # fmt: skip
    """Yield a stack with open pull requests, cloned by the user.

    Args:
        patch: replaces GitHub, and restores it afterwards.
        entries: the number of entries.
        commits: the number of own commits of each.
        trunk: the name of trunk.
        prefix: what every branch begins with.
        fill: makes an own commit of an entry (number, index from 1).
        object_format: the hash of new repositories.
    """
    patch.setenv("GIT_DEFAULT_HASH", object_format)
    root = Path(tempfile.mkdtemp(prefix="stage-", dir=MEMORY))
    try:
        author = Repo.create(root / "author")
        author.git("symbolic-ref", "HEAD", f"refs/heads/{trunk}")
        shared = "".join(f"line {number}\n" for number in range(40))
        author.commit("start", {"a.txt": "0\n", "shared.txt": shared})
        names, own = {n: f"{prefix}{n}" for n in range(1, entries + 1)}, dict[int, list[Oid]]()
        for number, branch in names.items():
            author.git("switch", "--quiet", "-c", branch)
            for index in range(1, commits + 1):
                if fill:
                    fill(author, number, index)
                else:
                    author.commit(f"{branch} {index}", {f"{number}-{index}.txt": f"{branch}\n"}, author="Grace")
                own.setdefault(number, []).append(author.head())
        author.git("switch", "--quiet", trunk)
        bare = Repo(root / "bare")
        author.git("clone", "--quiet", "--bare", ".", str(bare.path))
        bare.git("symbolic-ref", "HEAD", f"refs/heads/{trunk}")
        bare.git("config", "uploadpack.allowAnySHA1InWant", "true")
        for number, branch in names.items():
            bare.git("update-ref", f"refs/pull/{number}/head", f"refs/heads/{branch}")
        author.git("remote", "add", "origin", str(bare.path))
        for branch in names.values():
            author.git("branch", "--quiet", "-D", branch)
        clone = Repo(root / "clone", 1_763_800_000)
        author.git("clone", "--quiet", "--no-local", f"--branch={trunk}", str(bare.path), str(clone.path))
        clone.git("remote", "set-url", "origin", "git@github.com:octo/tiny.git")
        for branch in names.values():
            clone.git("branch", "--quiet", branch, f"origin/{branch}")
        pulls = {n: Pull(pr_number(str(n)), branch, names.get(n - 1, trunk)) for n, branch in names.items()}
        hub = RecordingHub(bare, pulls)
        lead_ssh_to(bare.path, patch)
        patch.setenv("TRUNKLINE_SKIP", SKIP)
        patch.setenv("TRUNKLINE_STACK_FILE", str(root / "stack.toml"))
        patch.setattr(context_module, "GitHub", hub.opened)
        patch.chdir(clone.path)
        made = Stage(root, hub, author, clone, trunk, names, own)
        made.write_stack(*names)
        yield made
    finally:
        shutil.rmtree(root, ignore_errors=True)
