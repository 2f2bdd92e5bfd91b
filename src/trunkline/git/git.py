"""The only module that spells `git`: queries that look, mutations that take the lease.

Minimum version 2.38: `merge-tree --write-tree`. Every call: `LC_ALL=C`, prompts off, no pager, no hooks but
pre-push, no configuration of the user's that would change a result (faults 12, 37, 38).
"""

from __future__ import annotations

import contextlib
import os
import re
import shutil
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

from trunkline.domain import sign_in
from trunkline.domain.command import task_command
from trunkline.domain.commits import Commit
from trunkline.domain.errors import ExternalError, NotSignedIn, TransientError, TrunklineError, UsageError
from trunkline.domain.names import Oid, oid
from trunkline.git.commit_graph import Graph
from trunkline.git.object_buffer import ObjectBuffer
from trunkline.state.lock import RepositoryLock
from trunkline.system import process
from trunkline.system.retry import passes

MINIMUM = (2, 38)
"""`merge-tree --write-tree` came with it (git's release notes)."""
LOCAL_SECONDS = 120.0
NETWORK_SECONDS = 600.0

_SEALED = (
    "--no-pager",
    "-c", "core.hooksPath=/dev/null",
    "-c", "core.fsmonitor=false",  # a repository's own configuration could name a command (promises, fault 55)
    "-c", "core.fsync=all",  # git's default makes no fsync call for refs and objects (promises, finding 5)
    "-c", "rerere.enabled=false",
    "-c", "advice.detachedHead=false",
    "-c", "gc.auto=0",  # nothing of ours may be collected, or wait on a collector, while we run
    "-c", "maintenance.auto=false",
)  # fmt: skip
_ENV = {
    "LC_ALL": "C", "GIT_TERMINAL_PROMPT": "0", "GIT_OPTIONAL_LOCKS": "0", "GIT_EDITOR": "true",
    # Replacements and grafts are this clone's alone (git-replace(1)): a replay would publish them.
    "GIT_NO_REPLACE_OBJECTS": "1", "GIT_GRAFT_FILE": os.devnull,
}  # fmt: skip


@dataclass(frozen=True)
class Git:
    """One repository, seen from one directory.

    Attributes:
        cwd: a directory inside a work tree, or a git directory.
        echo: told each mutation, as a person would type it.
        existing: commits known to exist, whatever they reach (nothing of ours removes any).
        complete: commits proven to exist with everything that they reach.
        referenced: object ids that refs held when they were read; git keeps what a ref reaches.
        trees: commit -> its tree, as far as read or written.
        commits: the commits read so far; those that are `patched` with their patch ids.
        backups: run -> the backup refs that it made.
        pending: objects that we made and no git has seen yet.
        graphs: the commits of the stack, where they were loaded (`history.load`).
        tree_cache: the trees read so far: name -> (mode, object id) (`trees.load`).
        keeping: (tree, another) -> whether the other has every path of the first.
        talks: the git that is told one thing after the other, while there is one (`coprocess`).
        merges: the three-way merges that git has done: (base, ours, theirs) -> its tree, the paths in conflict.
        attributes: the attribute files of trees: tree -> path -> blob (see `attributes`).
    """

    cwd: Path
    echo: Callable[[str], None] | None = None
    existing: set[Oid] = field(default_factory=set, repr=False, compare=False)
    complete: set[Oid] = field(default_factory=set, repr=False, compare=False)
    referenced: set[Oid] = field(default_factory=set, repr=False, compare=False)
    trees: dict[Oid, Oid] = field(default_factory=dict, repr=False, compare=False)
    commits: dict[Oid, Commit] = field(default_factory=dict, repr=False, compare=False)
    patched: set[Oid] = field(default_factory=set, repr=False, compare=False)
    backups: dict[str, dict[str, Oid]] = field(default_factory=dict, repr=False, compare=False)
    pending: ObjectBuffer = field(default_factory=ObjectBuffer, repr=False, compare=False)
    graphs: list[Graph] = field(default_factory=list, repr=False, compare=False)
    tree_cache: dict[Oid, dict[bytes, tuple[bytes, Oid]]] = field(default_factory=dict, repr=False, compare=False)
    keeping: dict[tuple[Oid, Oid], bool] = field(default_factory=dict, repr=False, compare=False)
    merges: dict[tuple[Oid, Oid, Oid], tuple[Oid, tuple[str, ...]]] = field(
        default_factory=dict, repr=False, compare=False
    )
    talks: list[process.Coprocess] = field(default_factory=list, repr=False, compare=False)
    attributes: dict[Oid, Mapping[bytes, Oid]] = field(default_factory=dict, repr=False, compare=False)
    _facts: dict[tuple[object, ...], process.Completed] = field(default_factory=dict, repr=False, compare=False)

    def at(self, cwd: Path) -> Git:
        """Return the same repository seen from another work tree; what is known of its objects stays known."""
        return replace(self, cwd=cwd)

    def echoing(self, echo: Callable[[str], None]) -> Git:
        """Return the same with somebody who is told each mutation."""
        return replace(self, echo=echo)

    def fact(self, *args: str, ok: Sequence[int] = (0,), stdin: bytes = b"") -> process.Completed:
        """Run a query whose answer does not change under us, once: about full object ids, or about where we are.

        A landing asks such things over and over; each costs a process of 3 ms.
        """
        key = (self.cwd, args, stdin)
        if key not in self._facts:
            self._facts[key] = self.query(*args, ok=ok, stdin=stdin)
        return self._facts[key]

    def query(
        self,
        *args: str,
        ok: Sequence[int] = (0,),
        stdin: bytes = b"",
        network: bool = False,
        env: dict[str, str] | None = None,
    ) -> process.Completed:
        """Run a git command that changes nothing but may write objects.

        Raises:
            TrunklineError: its exit code is not one of `ok`.
        """
        if self.pending.named_by(args, stdin):
            self._hand_over(settled=False)
        return self._run(args, ok=ok, stdin=stdin, network=network, env=env)

    def mutate(
        self,
        lock: RepositoryLock,
        *args: str,
        ok: Sequence[int] = (0,),
        stdin: bytes = b"",
        network: bool = False,
        hooks: bool = False,
        display: str = "",
    ) -> process.Completed:
        """Run a git command that moves a ref, a work tree or the remote.

        Args:
            lock: proof that this run may.
            *args: the command.
            ok: exit codes that are no failure.
            stdin: what it reads.
            network: it talks to the remote: longer timeout, tokens passed on.
            hooks: pre-push may run.
            display: the command as a person would type it, echoed; "": housekeeping, not echoed.

        Raises:
            TrunklineError: its exit code is not one of `ok`.
        """
        assert lock.run, "a mutation needs a run that holds the lease"  # noqa: S101 -- a proof, not input
        if display:
            self.say(display)
        self._hand_over(settled=True)
        return self._run(args, ok=ok, stdin=stdin, network=network, hooks=hooks)

    def say(self, command: str) -> None:
        """Report a command that ran, as a person would type it."""
        if self.echo is not None:
            self.echo(command)

    @contextlib.contextmanager
    def coprocess(self, lock: RepositoryLock, *args: str) -> Iterator[None]:
        """Let `send` have a git command that moves what it is told, one thing after the other."""
        assert lock.run, "a mutation needs a run that holds the lease"  # noqa: S101 -- a proof, not input
        argv, env = ["git", *_SEALED, *args], process.environment(extra=_ENV)
        with process.talk(argv, cwd=self.cwd, env=env, timeout=LOCAL_SECONDS) as coprocess:
            self.talks.append(coprocess)
            try:
                yield
            finally:
                self.talks.clear()

    def send(self, said: str, answers: int) -> tuple[bytes, ...] | None:
        """Tell the command of `coprocess` something and return what it answers; None: there is none (any more)."""
        if not self.talks:
            return None
        self._hand_over(settled=True)
        heard = self.talks[-1].send(said.encode(), answers)
        if len(heard) < answers:
            self.talks.clear()  # it refused, or died: what is told next is told another
        return heard

    def _run(
        self,
        args: Sequence[str],
        *,
        ok: Sequence[int],
        stdin: bytes,
        network: bool = False,
        hooks: bool = False,
        env: dict[str, str] | None = None,
    ) -> process.Completed:
        sealed = [part for part in _SEALED if not hooks or part != "core.hooksPath=/dev/null"]
        if hooks:
            sealed.remove("-c")
        # A pre-push hook is the user's own program: it gets what they set for it.
        kept = process.own_environment(tokens=network) if hooks else process.environment(tokens=network)
        done = process.run(
            ["git", *sealed, *args],
            cwd=self.cwd,
            env={**kept, **_ENV, **(env or {})},
            timeout=NETWORK_SECONDS if network else LOCAL_SECONDS,
            stdin=stdin,
        )
        # What a person reads is what they would type: without our seals.
        display = process.Completed(("git", *args), done.returncode, done.stdout, done.stderr, done.seconds)
        if done.returncode not in ok:
            raise _failure(display, network=network)
        return display

    def _hand_over(self, *, settled: bool) -> None:
        """Let git have the objects that wait; settled: durably, since a ref may hold them next.

        Raises:
            ExternalError: the disk is full, or does not take them.
        """
        try:
            if self.pending.objects:
                self.pending.write(self.common_dir() / "objects", self.object_format(), self._index_pack)
            if settled:
                self.pending.settle()
        except (OSError, TrunklineError) as error:
            why = error.stderr if isinstance(error, TrunklineError) else str(error)
            raise ExternalError("objects could not be written", why=why, next_command="df .") from error

    def _index_pack(self, pack: bytes) -> None:
        self._run(("index-pack", "--stdin"), ok=(0,), stdin=pack)

    def object_format(self) -> str:
        """Return sha1 or sha256: git's names are hashlib's."""
        return self.fact("rev-parse", "--show-object-format=storage").text

    def resolve(self, revision: str) -> Oid | None:
        """Return the commit that `revision` names, or None when it names none here."""
        if revision in self.existing:
            return oid(revision)
        done = self.query(
            "rev-parse", "--verify", "--quiet", "--end-of-options", f"{revision}^{{commit}}", ok=(0, 1, 128)
        )
        if done.returncode != 0:
            return None
        self.existing.add(oid(done.text))
        return oid(done.text)

    def tree(self, commit: Oid) -> Oid:
        """Return the tree of a commit."""
        if commit not in self.trees:
            self.trees[commit] = oid(
                self.query("rev-parse", "--verify", "--end-of-options", f"{commit}^{{tree}}").text
            )
        return self.trees[commit]

    def common_dir(self) -> Path:
        """Return the git directory that all work trees share.

        Raises:
            UsageError: this is not a git repository.
        """
        done = self.fact("rev-parse", "--path-format=absolute", "--git-common-dir", ok=(0, 128))
        if done.returncode != 0:
            raise UsageError(
                f"{self.cwd} is not in a git repository",
                why=next(iter(done.error_text.splitlines()), ""),
                next_command="cd to the checkout of your Rust workspace",
            )
        return done.path

    def knows(self, common_dir: Path, commit: Oid, tree: Oid) -> None:
        """Take what whoever started us has asked git already, instead of three processes more."""
        asked = ("rev-parse", "--path-format=absolute", "--git-common-dir")
        self._facts[self.cwd, asked, b""] = process.Completed(asked, 0, os.fsencode(common_dir), b"", 0.0)
        self.existing.add(commit)
        self.complete.add(commit)
        self.trees[commit] = tree

    def refuse_old(self) -> None:
        """See that git is new enough (promises, fault 39).

        Raises:
            UsageError: it is not.
        """
        display = self.fact("version").text
        if is_old(display):
            least = ".".join(map(str, MINIMUM))
            raise UsageError(
                f"{display} is too old", why=f"trunkline needs git {least}", next_command=task_command("doctor")
            )

    def state_dir(self) -> Path:
        """Return where journals and the lease live: inside the git common dir, so that all work trees share it."""
        return self.common_dir() / "trunkline"


def is_old(version: str, least: tuple[int, int] = MINIMUM) -> bool:
    """Say whether `git version` tells of one below a release; what it does not tell is not held against it."""
    match = re.search(r"(\d+)\.(\d+)", version)
    return match is not None and (int(match[1]), int(match[2])) < least


LFS_INSTALL = "sudo apt-get install git-lfs && git lfs install"
"""How to install Git LFS; git-lfs.com has the packages of other systems."""


def _failure(done: process.Completed, *, network: bool) -> TrunklineError:
    what = f"git {done.argv[1]} failed"
    if "git-lfs" in done.error_text and shutil.which("git-lfs") is None:
        return ExternalError(
            f"{what}: files are in Git LFS, and git-lfs is not installed",
            why="the repository's attributes send them through its filter", command=done.command_line,
            stderr=done.error_text, next_command=LFS_INSTALL,
        )  # fmt: skip
    if network and (rejected := sign_in.rejection(done.error_text)):
        return NotSignedIn(
            rejected.what, why=what, command=done.command_line, stderr=done.error_text, next_command=rejected.commands
        )
    # git's own complaints exit with 1, 128 or 129 (git(1)); anything else is a tool that died.
    kind: type[TrunklineError] = UsageError if done.returncode in {1, 128, 129} and not network else ExternalError
    if network and passes(done.error_text):
        kind = TransientError
    why, full = f"exit code {done.returncode}", "No space left on device" in done.error_text
    return kind(what, why=why, command=done.command_line, stderr=done.error_text, next_command="df ." if full else ())
