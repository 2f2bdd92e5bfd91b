"""A small stack on the simulated GitHub, with a clone: real git, real gh, real invoke."""

from __future__ import annotations

import contextlib
import json
import os
import pty
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import jsonschema

from support import programs
from support.printed import check_printed
from support.repo import Repo
from support.templates import copied
from trunkline.domain.names import Oid
from trunkline.report.json_schema import schema_of
from trunkline.sim.client import SimulatedGitHub, running
from trunkline.tasks.session import SCHEMA

SLUG = "octo/tiny"
BODY = (
    "## Summary\n\nAdds *things*. <!-- a comment -->\n\n```rust\nfn main() {}\n```\n\n"
    "- [ ] reviewed by @nobody 🦀  \n"
)
LIB = "//! Tiny.\n\n/// Adds.\npub fn add(a: u32, b: u32) -> u32 {\n    a + b\n}\n"
STACK = """\
schema = 1
trunk = "main"
remote = "origin"
issue = 319

[gates]
features = ["cpu"]
{gates}
[[entry]]
pr = 518
branch = "feat/one"
title = "Arena"

[[entry]]
pr = 519
branch = "feat/two"
title = "Entry"
next = "PR-3 will use `pool.deallocate(entry.block)`."

[[entry]]
pr = 520
branch = "feat/three"
title = "Eviction"
"""
NO_OP_GATES = "".join(
    f'[gates.{name}]\nrun = ["true"]\nenv = {{}}\nneeds = []\n'
    for name in ("build", "test", "clippy", "fmt", "doc", "msrv")
)


@dataclass
class Ran:
    """The output and exit code of a task."""

    code: int
    out: str
    err: str

    @property
    def json(self) -> dict[str, Any]:
        """Standard output as a JSON object that conforms to the task's schema."""
        value: dict[str, Any] = json.loads(self.out)
        if "task" in value:
            jsonschema.validate(value, schema_of(value["task"], SCHEMA))
        return value


@dataclass
class Landing:
    """The clone, its simulator, and the heads of the stack when it was opened."""

    github: SimulatedGitHub
    clone: Repo
    author: Repo
    heads: dict[int, Oid]

    def environment(self, **extra: str) -> dict[str, str]:
        """Return the environment of a shell in the clone."""
        state = os.environ["XDG_STATE_HOME"]
        return {**os.environ, **self.github.environment(), "XDG_STATE_HOME": state, "PATH": programs.path(), **extra}

    def invoke(self, *args: str, cwd: Path | None = None, **extra: str) -> Ran:
        """Run `invoke` in the clone as a user would; printed commands must be valid for Invoke."""
        ran = self.run(sys.executable, "-m", "invoke", *args, cwd=cwd, **extra)
        check_printed(ran.out + ran.err)
        return ran

    def unattended(self, *args: str, **extra: str) -> Ran:
        """Run `invoke` in the clone without a terminal and without an approval."""
        return self.invoke(*args, **{"TRUNKLINE_YES": "", **extra})  # type: ignore[arg-type]  # cwd is no variable

    def run(self, *argv: str, cwd: Path | None = None, **extra: str) -> Ran:
        """Run any command in the clone."""
        done = subprocess.run(
            argv, cwd=cwd or self.clone.path, env=self.environment(**extra), capture_output=True, text=True,
            check=False, stdin=subprocess.DEVNULL, timeout=300,
        )  # fmt: skip
        return Ran(done.returncode, done.stdout, done.stderr)

    def on_terminal(self, *args: str, typed: bytes, **extra: str) -> Ran:
        """Run `invoke` in the clone on a pseudo-terminal, with input that was typed ahead."""
        ours, theirs = pty.openpty()
        with os.fdopen(ours, "r+b", buffering=0) as screen, os.fdopen(theirs, "r+b", buffering=0) as terminal:
            screen.write(typed)
            child = subprocess.Popen(
                [sys.executable, "-m", "invoke", *args], cwd=self.clone.path, start_new_session=True,
                env=self.environment(**{"TERM": "xterm", "TRUNKLINE_YES": "", **extra}),
                stdin=terminal, stdout=terminal, stderr=terminal,
            )  # fmt: skip
            terminal.close()
            shown = b""
            with contextlib.suppress(OSError):  # EIO: the other side is closed
                while chunk := screen.read(65536):
                    shown += chunk
            return Ran(child.wait(), shown.decode(), "")

    def remote_head(self, branch: str) -> str:
        """Return the tip of a branch on the simulated GitHub, or ""."""
        return Repo(self.github.bare(SLUG)).refs().get(f"refs/heads/{branch}", "")

    def pr(self, number: int) -> dict[str, Any]:
        """Return the simulator's data of a pull request."""
        return self.github.pull_request(SLUG, number)

    def world(self) -> dict[str, Any]:
        """Return all state that a refused task must keep: refs, files, remote, pull requests."""
        status = self.clone.git("status", "--porcelain"), (self.clone.path / ".git/HEAD").read_text()
        keys = ("state", "draft", "base", "head_oid", "body", "title")
        pulls = {number: {key: self.pr(number)[key] for key in keys} for number in (518, 519, 520)}
        refs = {k: v for k, v in self.clone.refs().items() if not k.startswith(("refs/trunkline", "refs/remotes"))}
        return {"refs": refs, "status": status, "remote": Repo(self.github.bare(SLUG)).refs(), "pulls": pulls}

    def push_as_author(self, branch: str, *, force: bool = False) -> None:
        """Push a branch from the author's own clone."""
        flags = ("--force",) if force else ()
        self.author.git("push", "--quiet", *flags, "origin", branch, env=self.environment())

    def move_trunk(self) -> None:
        """Push a commit to trunk as another person."""
        self.author.git("switch", "--quiet", "main")
        self.author.commit("trunk moves on", {"TRUNK.md": "moved\n"}, author="Mallory")
        self.push_as_author("main")

    def land_setting(self, line: str) -> None:
        """Write a line of `[land]` into stack.toml."""
        file = self.clone.path / "stack.toml"
        file.write_text(file.read_text().replace("\n[gates]", f"\n[land]\n{line}\n\n[gates]", 1))

    def waiting_tree(self) -> Path:
        """Return the work tree of the unresolved conflict."""
        listed = self.clone.git("worktree", "list", "--porcelain").splitlines()
        (tree,) = [line.split()[1] for line in listed if line.startswith("worktree ") and "/replay/" in line]
        return Path(tree)

    def merge_parent(self, method: str = "squash", *, delete: str = "web") -> str:
        """Move trunk, then merge #518 and delete its branch as GitHub's web page does."""
        self.move_trunk()
        return self.github.merge(SLUG, 518, method=method, delete_branch=delete)


def rewrites(number: int) -> str:
    """Return the source file after the parent's commit `number`; each rewrites the same lines."""
    return f"//! Arena, version {number}.\n\n/// Version.\npub const ARENA: u32 = {number};\n"


@contextlib.contextmanager
def small_stack(root: Path, *, gates: str = NO_OP_GATES, merged: bool = False) -> Iterator[Landing]:
    """Open #518 to #520 on a simulated GitHub, and clone the repository.

    Args:
        root: an empty directory.
        gates: the gates' tables in stack.toml.
        merged: #518 is squash-merged onto a trunk that moved on, its branch deleted; #519's gates
            have receipts.
    """
    heads = copied(_build, root, gates, merged)
    with running(root / "github") as github:
        yield Landing(github, Repo(root / "clone"), Repo(root / "author", _LATER), dict(heads))


_LATER = 1_763_600_000


def _build(root: Path, gates: str, merged: bool) -> dict[int, Oid]:  # noqa: FBT001 -- an argument of `small_stack`
    with running(root / "github") as github:
        github.create_repository("octo", "tiny")
        author = Repo.create(root / "author")
        author.git("remote", "add", "origin", github.remote(SLUG))
        heads = _history(author)
        landing = Landing(github, Repo(root / "clone"), author, heads)
        for branch in ("main", "feat/one", "feat/two", "feat/three"):
            landing.push_as_author(branch)
        bases = {518: ("feat/one", "main"), 519: ("feat/two", "feat/one"), 520: ("feat/three", "feat/two")}
        for number, (head, base) in bases.items():
            github.open_pull_request(
                SLUG, head=head, base=base, title=f"PR {number}", body=BODY, number=number, draft=number > 518
            )
        author.git("clone", "--quiet", github.remote(SLUG), str(landing.clone.path), env=landing.environment())
        own_stack(landing.clone, STACK.format(gates=gates))
        if merged:
            landing.merge_parent()
            keep_receipts(landing, _rebase)
    return heads


def own_stack(clone: Repo, text: str) -> None:
    """Write an untracked and ignored stack.toml: the user's own, and so trusted."""
    (clone.path / "stack.toml").write_text(text)
    with (clone.path / ".git/info/exclude").open("a") as excluded:
        excluded.write("/stack.toml\n")


def keep_receipts(landing: Landing, run: Callable[[Landing], None]) -> None:
    """Do `run` in a temporary clone, and keep the receipts of the gates that it ran.

    The resulting tree is the same in every test, so each would otherwise run six nox sessions (2.6
    CPU seconds, measured). Tests of the gates themselves and `open_stack` start without receipts.
    """
    scratch = landing.clone.path.parent / "scratch"
    landing.clone.git("clone", "--quiet", landing.github.remote(SLUG), str(scratch), env=landing.environment())
    own_stack(Repo(scratch), (landing.clone.path / "stack.toml").read_text())
    run(replace(landing, clone=Repo(scratch)))
    state = landing.clone.path / ".git/trunkline"
    state.mkdir(mode=0o700)
    shutil.copytree(scratch / ".git/trunkline/receipts", state / "receipts")
    shutil.rmtree(scratch)


def _rebase(landing: Landing) -> None:
    ran = landing.invoke("rebase", "--pr", "519", "--no-push")
    assert ran.code == 0, ran.out + ran.err


def _history(author: Repo) -> dict[int, Oid]:
    """Write main, three commits for #518, two for #519, one for #520; return the heads."""
    author.commit(
        "start",
        {
            "Cargo.toml": '[package]\nname = "tiny"\nversion = "0.1.0"\nedition = "2021"\n\n[features]\ncpu = []\n',
            "Cargo.lock": 'version = 4\n\n[[package]]\nname = "tiny"\nversion = "0.1.0"\n',
            ".gitignore": "target/\n__pycache__/\n",
            "src/lib.rs": LIB,
            "tasks.py": "from trunkline.tasks import namespace as ns\n",
        },
    )
    author.git("switch", "--quiet", "-c", "feat/one")
    for number in (1, 2, 3):
        author.commit(f"arena {number}", {"src/arena.rs": rewrites(number)}, author="Grace")
    one = author.head()
    author.git("switch", "--quiet", "-c", "feat/two")
    author.commit("entry struct", {"src/entry.rs": "//! Entry.\n\n/// Entry.\npub struct Entry;\n"}, author="Grace")
    author.commit(
        "use the arena\n\nBody: with #518 and @somebody\n", {"src/lib.rs": f"{LIB}\npub mod arena;\npub mod entry;\n"}
    )
    two = author.head()
    author.git("switch", "--quiet", "-c", "feat/three")
    author.commit("evict", {"src/evict.rs": "//! Evict.\n"})
    three = author.head()
    author.git("switch", "--quiet", "main")
    return {518: one, 519: two, 520: three}
