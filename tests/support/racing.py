"""The small stack on the simulated GitHub, all in this process: something happens before a chosen request.

Git, the remote, the journal and trunkline's client of GitHub are real. The simulator's server is called directly
in place of gh, so a landing takes a second, and its sleeps advance the simulated clock only. A request is one of
gh, or one of git to the remote.
"""

from __future__ import annotations

import contextlib
import io
import json
import shutil
import sys
import tempfile
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from invoke.program import Program

from support.killing import MEMORY
from support.landing import own_stack
from support.printed import check_printed, next_commands
from support.repo import Repo
from support.templates import copied
from trunkline.context.view import View
from trunkline.domain.command import argv_of
from trunkline.domain.names import Oid
from trunkline.domain.receipt import GateOutcome, Verdict
from trunkline.github import client as github_client
from trunkline.planning import verification
from trunkline.sim import control
from trunkline.sim.client import SimulatedGitHub, _write_shell_side
from trunkline.sim.model import PullRequest, Repository
from trunkline.sim.rest.reply import Reply
from trunkline.sim.server import IncomingRequest, Server
from trunkline.sim.world import World
from trunkline.state import journal
from trunkline.steps import gates, note
from trunkline.system import files, process, retry
from trunkline.tasks import namespace

SLUG = "octo/tiny"
ENTRIES = {1: "one", 2: "two", 3: "three"}
THEIRS = "theirs.txt"
"""The file that somebody else adds."""
SKIP = "fmt,checks,note,checklist"
_REMOTE = frozenset({"ls-remote", "fetch", "push"})
_STACK = 'schema = 1\ntrunk = "main"\nremote = "origin"\n{land}' + "".join(
    f'\n[[entry]]\npr = {number}\nbranch = "{branch}"\n' for number, branch in ENTRIES.items()
)


@dataclass(frozen=True)
class Ran:
    """The result of a command line."""

    line: str
    code: int
    out: str

    @property
    def next(self) -> list[str]:
        """Return our next commands that it printed."""
        return [each for each in next_commands(self.out) if each.startswith("invoke ")]

    @property
    def error(self) -> str:
        """Return the error with its reasons, or ""."""
        return self.out[self.out.find("error: ") :] if "error: " in self.out else ""


@dataclass
class Race:
    """The stack, its simulated GitHub, and what happens at which request.

    Attributes:
        root: the directory of all.
        before: called with the number of each request before it is sent.
        after: called with it after it took effect.
        record: called with the number of each journal record, before and after it is written.
        requests: the requests so far.
        records: the number of journal records so far.
        slept: the seconds that were slept.
        late: GitHub responds when its response is needed, not when the request is sent.
    """

    root: Path
    server: Server
    before: Callable[[int], None] = lambda _: None
    after: Callable[[int], None] = lambda _: None
    record: Callable[[int, str], None] = lambda *_: None
    requests: list[str] = field(default_factory=list)
    records: int = 0
    slept: float = 0.0
    late: bool = False
    gated: set[str] = field(default_factory=set)

    @property
    def world(self) -> World:
        """The simulated GitHub."""
        return self.server.world

    @property
    def repository(self) -> Repository:
        """Its repository."""
        found = self.world.repository(SLUG)
        assert found is not None
        return found

    @property
    def clone(self) -> Repo:
        """The user's clone."""
        return Repo(self.root / "clone", 1_763_800_000)

    @property
    def bare(self) -> Repo:
        """The repository on GitHub."""
        return Repo(self.root / "github/repos" / f"{SLUG}.git")

    def pull(self, number: int) -> PullRequest:
        """Return a pull request."""
        control.call(self.world, "state", {})
        return self.repository.pulls[number]

    def states(self) -> list[str]:
        """Return the states of the three pull requests."""
        return [self.pull(number).state.value for number in ENTRIES]

    def lever(self, name: str, /, **arguments: Any) -> Any:
        """Call a control function of the simulator."""
        found = control.call(self.world, name, {"repository": SLUG, **arguments})
        self.world.save()
        return found

    def act(self, number: int, action: Callable[..., object], **arguments: Any) -> None:
        """Change a pull request as another user does on the web page."""
        action(self.world, self.repository, self.pull(number), "mallory", **arguments)
        self.world.save()

    def push(self, branch: str, name: str = THEIRS, *, amend: bool = False) -> Oid:
        """Push a commit to a branch as another user, in addition or in place of the last one."""
        author = Repo(self.root / "author", 1_763_700_000 + len(self.requests))
        author.git("fetch", "--quiet", "--prune", "origin")
        author.git("switch", "--quiet", "--detach", f"origin/{branch}")
        if amend:
            author.git("reset", "--quiet", "--soft", "HEAD~1")
        made = author.commit(f"theirs on {branch}", {name: "theirs\n"}, author="Mallory")
        author.git("push", "--quiet", "--force", "origin", f"HEAD:refs/heads/{branch}")
        return made

    def trunk(self) -> list[str]:
        """Return the subjects of trunk, oldest first."""
        return self.bare.git("log", "--first-parent", "--reverse", "--format=%s", "main").splitlines()

    def on_trunk(self) -> list[str]:
        """Return the files of trunk."""
        return self.bare.git("ls-tree", "-r", "--name-only", "main").splitlines()

    def __call__(self, line: str) -> Ran:
        """Run a command line in this process."""
        argv = list(argv_of(line))
        out, code = io.StringIO(), 0
        with pytest.MonkeyPatch.context() as patch, contextlib.redirect_stdout(out), contextlib.redirect_stderr(out):
            patch.setattr(sys, "argv", argv)
            try:
                Program(name="invoke", namespace=namespace).run(argv)
            except SystemExit as end:
                code = int(end.code or 0)
        check_printed(out.getvalue())
        return Ran(line, code, out.getvalue())

    # -- in place of gh
    # ------------------------------------------------------------------------------------

    def gh(self, argv: Sequence[str], stdin: bytes) -> process.Completed:
        """Return what `gh api --include` prints."""
        words = list(argv[3:])
        method = words.pop(words.index("-X") + 1) if "-X" in words else ""
        path = next(word for word in words if not word.startswith("-"))
        if path == "graphql":
            method = "POST"
        path, _, query = path.partition("?")
        asked = IncomingRequest(method or "GET", f"/{path}", query, "sim", "application/json", stdin)
        reply = self._counted(f"{asked.method} /{path}", lambda: self.server._respond(asked))
        assert reply is not None
        assert reply.status != 501, reply.body
        return _printed(argv, self.server._with_headers(reply))

    def _counted(self, name: str, do: Callable[[], Any]) -> Any:
        number = len(self.requests)
        self.requests.append(name)
        self.before(number)
        done = do()
        self.after(number)
        return done

    def _sleep(self, seconds: float) -> None:
        self.slept += seconds
        self.world.state.ticks += int(seconds)

    def _append(self, path: Path, line: bytes) -> None:
        number = self.records
        self.records += 1
        self.record(number, "before")
        files.append_line(path, line)
        self.record(number, "after")

    def install(self, patch: pytest.MonkeyPatch) -> None:
        """Replace gh, the sleeps, the gates and the journal's writes by those of this race."""
        run = process.run

        @contextlib.contextmanager
        def begin(argv: Sequence[str], **how: Any) -> Iterator[Any]:
            assert argv[0] == "gh", argv
            stdin = how.get("stdin", b"")
            done = None if self.late else self.gh(argv, stdin)
            yield _Sent(lambda: done or self.gh(argv, stdin))

        def counted(argv: Sequence[str], **how: Any) -> process.Completed:
            word = next((word for word in argv if word in _REMOTE), "") if how["cwd"] != self.bare.path else ""
            if not word or argv[0] != "git":
                return run(argv, **how)
            done: process.Completed = self._counted(f"git {word}", lambda: run(argv, **how))
            return done

        patch.setattr(process, "begin", begin)
        patch.setattr(process, "run", counted)
        patch.setattr(retry, "sleep", self._sleep)
        patch.setattr(github_client, "sleep", self._sleep)
        patch.setattr(journal, "append_line", self._append)
        patch.setattr(gates, "gate_commit", self._gate)
        for module in (verification, note):
            patch.setattr(module, "gates_beside_base", self._known)
        for name, value in SimulatedGitHub(self.root / "github", "").environment().items():
            patch.setenv(name, value)
        patch.setenv("TRUNKLINE_SKIP", SKIP)
        patch.chdir(self.clone.path)

    def _tree(self, commit: Oid) -> str:
        return self.clone.git("rev-parse", f"{commit}^{{tree}}")

    def _gate(self, _cwd: object, commit: Oid, *_: object, **__: object) -> tuple[GateOutcome, ...]:
        self.gated.add(self._tree(commit))
        return (GateOutcome("msrv", Verdict.PASSED),)

    def _known(self, view: View, commit: Oid) -> tuple[tuple[str, GateOutcome | None], ...]:
        known = GateOutcome("msrv", Verdict.PASSED) if view.git.tree(commit) in self.gated else None
        return (("msrv", known),)


@dataclass(frozen=True)
class _Sent:
    respond: Callable[[], process.Completed]

    def finish(self) -> process.Completed:
        """Return the response."""
        return self.respond()


def _printed(argv: Sequence[str], reply: Reply) -> process.Completed:
    head = f"HTTP/2.0 {reply.status} X\r\n" + "".join(f"{key}: {value}\r\n" for key, value in reply.headers.items())
    body = b"" if reply.body is None else json.dumps(reply.body).encode()
    failed = reply.status >= 400 or (isinstance(reply.body, dict) and bool(reply.body.get("errors")))
    message = reply.body.get("message", "") if isinstance(reply.body, dict) else ""
    stderr = f"gh: {message} (HTTP {reply.status})\n".encode() if failed else b""
    return process.Completed(tuple(argv), int(failed), head.encode() + b"\r\n" + body, stderr, 0.0)


@contextlib.contextmanager
def race(patch: pytest.MonkeyPatch, *, land: str = "") -> Iterator[Race]:
    """Yield a copy of the stack: three open pull requests with green checks and approvals; trunk has moved.

    Args:
        patch: restores what is replaced.
        land: the content of `[land]` in stack.toml.
    """
    root = Path(tempfile.mkdtemp(prefix="race-", dir=MEMORY))
    try:
        copied(_build, root)
        bare = root / "github/repos" / f"{SLUG}.git"
        Repo(root / "author").git("remote", "set-url", "origin", str(bare))
        _write_shell_side(root / "github", root / "none")
        own_stack(Repo(root / "clone"), _STACK.format(land=f"[land]\n{land}\n" if land else ""))
        made = Race(root, Server(World.load(root / "github")))
        made.install(patch)
        yield made
    finally:
        shutil.rmtree(root, ignore_errors=True)


def _build(root: Path) -> None:
    world = World.create(root / "github")
    bare = world.create_repository("octo", "tiny")
    author = Repo.create(root / "author")
    author.commit("start", {"a.txt": "0\n"})
    for branch in ENTRIES.values():
        author.git("switch", "--quiet", "-c", branch)
        for number in (1, 2):
            author.commit(f"{branch} {number}", {f"{branch}-{number}.txt": f"{branch}\n"}, author="Grace")
    author.git("remote", "add", "origin", str(bare))
    author.git("push", "--quiet", "origin", "--all")
    control.call(world, "adopt", {"repository": SLUG})
    for number, branch in ENTRIES.items():
        base = ENTRIES.get(number - 1, "main")
        control.call(world, "open_pull_request", {
            "repository": SLUG, "head": branch, "base": base, "title": f"PR {number}", "number": number,
        })  # fmt: skip
        control.call(world, "add_check_run", {"repository": SLUG, "commit": author.head(branch), "name": "build"})
        control.call(world, "review", {"repository": SLUG, "number": number, "author": "grace"})
    author.git("clone", "--quiet", str(bare), str(root / "clone"))
    clone = Repo(root / "clone")
    clone.git("remote", "set-url", "origin", f"git@github.com:{SLUG}.git")
    for branch in ENTRIES.values():
        clone.git("branch", "--quiet", branch, f"origin/{branch}")
    author.git("switch", "--quiet", "main")
    author.commit("trunk moves on", {"TRUNK.md": "moved\n"}, author="Mallory")
    author.git("push", "--quiet", "origin", "main")
    control.call(world, "adopt", {"repository": SLUG})
    world.save()
