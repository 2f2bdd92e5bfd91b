"""Run git: queries without the lock, mutations only with it. No other module starts git.

The minimum version is 2.38, for `merge-tree --write-tree`. Every call sets `LC_ALL=C` and disables
prompts, the pager, user configuration that would change a result, and every hook except those of `git push`
(pre-push, and reference-transaction for the tracking branch) and those that `hook` runs.
"""

from __future__ import annotations

import contextlib
import os
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

from trunkline.domain.command import task_command
from trunkline.domain.commits import Commit
from trunkline.domain.errors import ExternalError, TrunklineError, UsageError
from trunkline.domain.names import Oid, oid
from trunkline.git import failures
from trunkline.git.arguments import ENV, READING, SEALED, SHOWN_ENV, subcommand, typed
from trunkline.git.commit_graph import Graph
from trunkline.git.object_buffer import ObjectBuffer
from trunkline.state.change_log import Change, ChangeLog, Part
from trunkline.state.lock import RepositoryLock
from trunkline.system import process

MINIMUM = (2, 38)
"""The first version with `merge-tree --write-tree` (git's release notes)."""
LOCAL_SECONDS = 120.0
NETWORK_SECONDS = 600.0
HOOK_SECONDS = 3600.0
"""Hooks run tests and linters; `git commit` waits for them without a limit."""


@dataclass(frozen=True)
class Git:
    """One repository, used from one directory, with caches of immutable facts about its objects.

    Attributes:
        cwd: a directory inside a work tree, or a git directory.
        echo: receives each mutation as a command line that a person could type.
        git_dir: the git directory, relative to `cwd`, if git shall not search for it: "." for a bare repository.
        changes: receives what each mutation changes.
        existing: commits known to exist; what they reach may be missing.
        complete: commits known to exist with everything that they reach.
        referenced: object ids that refs held when they were read; git keeps what a ref reaches.
        trees: commit -> its tree.
        commits: the commits read so far.
        patch_ids_known: the commits in `commits` whose patch ids have been computed.
        backups: run -> the backup refs that it made.
        object_buffer: objects made here that git does not have yet.
        graphs: the commits of the stack, once loaded (`history.load`).
        tree_cache: tree -> its entries: name -> (mode, object id) (`trees.load`).
        superset_cache: (tree, another) -> whether the other has every path of the first.
        sessions: the open coprocess, if any (`coprocess`).
        merges: (base, ours, theirs) -> the tree of git's three-way merge, and the paths in
            conflict.
        attributes: tree -> its attribute files: path -> blob (see `attributes`).
    """

    cwd: Path
    echo: Callable[[str], None] | None = None
    git_dir: str = ""
    changes: ChangeLog = field(default_factory=ChangeLog, repr=False, compare=False)
    existing: set[Oid] = field(default_factory=set, repr=False, compare=False)
    complete: set[Oid] = field(default_factory=set, repr=False, compare=False)
    referenced: set[Oid] = field(default_factory=set, repr=False, compare=False)
    trees: dict[Oid, Oid] = field(default_factory=dict, repr=False, compare=False)
    commits: dict[Oid, Commit] = field(default_factory=dict, repr=False, compare=False)
    patch_ids_known: set[Oid] = field(default_factory=set, repr=False, compare=False)
    backups: dict[str, dict[str, Oid]] = field(default_factory=dict, repr=False, compare=False)
    object_buffer: ObjectBuffer = field(default_factory=ObjectBuffer, repr=False, compare=False)
    graphs: list[Graph] = field(default_factory=list, repr=False, compare=False)
    tree_cache: dict[Oid, dict[bytes, tuple[bytes, Oid]]] = field(default_factory=dict, repr=False, compare=False)
    superset_cache: dict[tuple[Oid, Oid], bool] = field(default_factory=dict, repr=False, compare=False)
    merges: dict[tuple[Oid, Oid, Oid], tuple[Oid, tuple[str, ...]]] = field(
        default_factory=dict, repr=False, compare=False
    )
    sessions: list[process.Coprocess] = field(default_factory=list, repr=False, compare=False)
    attributes: dict[Oid, Mapping[bytes, Oid]] = field(default_factory=dict, repr=False, compare=False)
    _cached: dict[tuple[object, ...], process.Completed] = field(default_factory=dict, repr=False, compare=False)

    def at(self, cwd: Path, git_dir: str = "") -> Git:
        """Return the same repository with another work tree; the caches are shared."""
        return replace(self, cwd=cwd, git_dir=git_dir)

    def with_echo(self, echo: Callable[[str], None]) -> Git:
        """Return the same repository with another receiver of mutations."""
        return replace(self, echo=echo)

    def cached_query(self, *args: str, ok: Sequence[int] = (0,), stdin: bytes = b"") -> process.Completed:
        """Run a query once and cache it; only for results that cannot change during a run.

        Such results are properties of full object ids, or of the repository's location. A landing
        needs them many times, and each process costs 3 ms.
        """
        key = (self.cwd, args, stdin)
        if key not in self._cached:
            self._cached[key] = self.query(*args, ok=ok, stdin=stdin)
        return self._cached[key]

    def query(
        self,
        *args: str,
        ok: Sequence[int] = (0,),
        stdin: bytes = b"",
        network: bool = False,
        env: dict[str, str] | None = None,
    ) -> process.Completed:
        """Run a git command that only reads.

        Raises:
            TrunklineError: its exit code is not one of `ok`.
        """
        assert subcommand(args) in READING, f"git {subcommand(args)} is no query"  # noqa: S101 -- a proof, not input
        return self._without_lock(args, ok=ok, stdin=stdin, network=network, env=env)

    def scratch(
        self,
        *args: str,
        ok: Sequence[int] = (0,),
        stdin: bytes = b"",
        network: bool = False,
        env: dict[str, str] | None = None,
    ) -> process.Completed:
        """Run a git command that writes objects, or works in an index, work tree or repository of ours.

        The user's refs, index, files and configuration stay as they are.

        Raises:
            TrunklineError: its exit code is not one of `ok`.
        """
        assert subcommand(args) != "push", "only `push` pushes"  # noqa: S101 -- a proof, not input
        return self._without_lock(args, ok=ok, stdin=stdin, network=network, env=env)

    def _without_lock(
        self, args: Sequence[str], *, ok: Sequence[int], stdin: bytes, network: bool, env: dict[str, str] | None
    ) -> process.Completed:
        if self.object_buffer.is_referenced_by(args, stdin):
            self._flush_buffer(durable=False)
        return self._run(args, ok=ok, stdin=stdin, network=network, env=env)

    def mutate(
        self,
        lock: RepositoryLock,
        *args: str,
        ok: Sequence[int] = (0,),
        stdin: bytes = b"",
        network: bool = False,
        shown: bool | str = False,
        changes: Part = Part.LOCAL,
    ) -> process.Completed:
        """Run a git command that changes the user's refs, index, files or configuration.

        Args:
            lock: proof that the caller holds the repository lock.
            *args: the command.
            ok: exit codes that are not failures.
            stdin: its standard input.
            network: the command contacts the remote: longer timeout, tokens passed on.
            shown: echo the command (`typed`); a text: echo this equivalent of one that reads its standard input.
            changes: the parts of the world that it changes, even if it fails.

        Raises:
            TrunklineError: its exit code is not one of `ok`.
        """
        assert lock.run, "a mutation needs a run that holds the lock"  # noqa: S101 -- a proof, not input
        assert subcommand(args) != "push", "only `push` pushes"  # noqa: S101 -- a proof, not input
        if shown:
            self.report_command(typed(args) if shown is True else shown)
        self._flush_buffer(durable=True)
        try:
            return self._run(args, ok=ok, stdin=stdin, network=network)
        finally:
            self.changes.append(Change(changes))

    def push(
        self,
        lock: RepositoryLock | None,
        *args: str,
        ok: Sequence[int] = (0,),
        hooks: bool = False,
        shown: bool = False,
    ) -> process.Completed:
        """Run `git push`: the only way by which commits leave this repository.

        Args:
            lock: proof that the caller holds the repository lock; None: a ref that every writer
                gives the same value, so it needs none.
            *args: the arguments after `push`.
            ok: exit codes that are not failures.
            hooks: run the user's hooks pre-push and reference-transaction.
            shown: echo the command (`typed`).

        Raises:
            TrunklineError: its exit code is not one of `ok`.
        """
        assert lock is None or lock.run, "a push needs a run that holds the lock"  # noqa: S101 -- a proof, not input
        if shown:
            self.report_command(typed(("push", *args)))
        self._flush_buffer(durable=True)
        try:
            return self._run(("push", *args), ok=ok, stdin=b"", network=True, hooks=hooks)
        finally:
            # A hook may edit files.
            self.changes.append(Change(Part.REMOTE | Part.LOCAL if hooks else Part.REMOTE))

    def hook(self, name: str, *args: str, env: dict[str, str]) -> process.Completed:
        """Run one of the user's hooks in the checkout, if there is one; its exit code is in the result."""
        self._flush_buffer(durable=False)
        args = ("hook", "run", "--ignore-missing", name, "--", *args)
        try:
            return self._run(args, ok=range(256), stdin=b"", hooks=True, seconds=HOOK_SECONDS, env=env)
        finally:
            self.changes.append(Change(Part.LOCAL))

    def page(self, *args: str) -> None:
        """Show a git command's output on the terminal with the user's pager, colours and diff settings.

        It moves no ref. The exit code is ignored, because it is the pager's.
        """
        if self.object_buffer.is_referenced_by(args, b""):
            self._flush_buffer(durable=False)
        env = {**process.own_environment(), **{name: ENV[name] for name in SHOWN_ENV}}
        if pager := os.environ.get("GIT_PAGER"):
            env["GIT_PAGER"] = pager
        # Without the setting git advises against GIT_GRAFT_FILE, in front of what the user asked for.
        plain = ("-c", "core.fsmonitor=false", "-c", "advice.graftFileDeprecated=false")
        process.attached(["git", "--paginate", *plain, *args], cwd=self.cwd, env=env)

    def report_command(self, command: str) -> None:
        """Report a command that ran, as a person would type it."""
        if self.echo is not None:
            self.echo(command)

    @contextlib.contextmanager
    def coprocess(self, lock: RepositoryLock, *args: str) -> Iterator[None]:
        """Start a git command that reads mutations from its standard input; `send` writes to it."""
        assert lock.run, "a mutation needs a run that holds the lock"  # noqa: S101 -- a proof, not input
        argv, env = ["git", *SEALED, *args], process.environment(extra=ENV)
        with process.coprocess(argv, cwd=self.cwd, env=env, timeout=LOCAL_SECONDS) as coprocess:
            self.sessions.append(coprocess)
            try:
                yield
            finally:
                self.sessions.clear()

    def send(self, text: str, lines_expected: int) -> tuple[bytes, ...] | None:
        """Write to the coprocess and return its response lines; None: no coprocess is running."""
        if not self.sessions:
            return None
        self._flush_buffer(durable=True)
        lines = self.sessions[-1].send(text.encode(), lines_expected)
        if len(lines) < lines_expected:
            self.sessions.clear()  # it refused or died: later mutations start their own process
        return lines

    def _run(
        self,
        args: Sequence[str],
        *,
        ok: Sequence[int],
        stdin: bytes,
        network: bool = False,
        hooks: bool = False,
        seconds: float | None = None,
        env: dict[str, str] | None = None,
    ) -> process.Completed:
        sealed = [part for part in SEALED if not hooks or part != "core.hooksPath=/dev/null"]
        if hooks:
            sealed.remove("-c")
        if self.git_dir:
            sealed.append(f"--git-dir={self.git_dir}")
        # A hook is the user's own program: it gets their environment.
        kept = process.own_environment(tokens=network) if hooks else process.environment(tokens=network)
        done = process.run(
            ["git", *sealed, *args],
            cwd=self.cwd,
            env={**kept, **ENV, **(env or {})},
            timeout=seconds or (NETWORK_SECONDS if network else LOCAL_SECONDS),
            stdin=stdin,
        )
        # Errors show the command without the options of SEALED.
        display = process.Completed(("git", *args), done.returncode, done.stdout, done.stderr, done.seconds)
        if done.returncode not in ok:
            raise failures.failure(display, network=network)
        return display

    def _flush_buffer(self, *, durable: bool) -> None:
        """Write the buffered objects to the repository.

        Args:
            durable: also fsync them, because a ref may point to them next.

        Raises:
            ExternalError: the disk is full or fails.
        """
        try:
            if self.object_buffer.objects:
                self.object_buffer.write(self.common_dir() / "objects", self.object_format(), self._index_pack)
            if durable:
                self.object_buffer.fsync()
        except (OSError, TrunklineError) as error:
            why = error.stderr if isinstance(error, TrunklineError) else str(error)
            raise ExternalError("objects could not be written", why=why, next_command="df .") from error

    def _index_pack(self, pack: bytes) -> None:
        self._run(("index-pack", "--stdin"), ok=(0,), stdin=pack)

    def object_format(self) -> str:
        """Return sha1 or sha256; hashlib uses the same names."""
        return self.cached_query("rev-parse", "--show-object-format=storage").text

    def resolve(self, revision: str) -> Oid | None:
        """Return the commit that `revision` names; None: this repository has no such commit."""
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
        done = self.cached_query("rev-parse", "--path-format=absolute", "--git-common-dir", ok=(0, 128))
        if done.returncode != 0:
            raise failures.no_repository(self.cwd, done)
        return done.path

    def load_places(self) -> None:
        """Cache the repository's directories and object format: one process of 3 ms instead of four.

        Without a work tree, or if a path has a line break, nothing is cached.
        """
        absolute = ("rev-parse", "--path-format=absolute")
        done = self.query(
            *absolute, "--show-object-format=storage", "--git-common-dir", "--git-dir", "--show-toplevel", ok=(0, 128)
        )
        lines = done.stdout.split(b"\n")
        if done.returncode != 0 or len(lines) != 5:  # noqa: PLR2004 -- four values, each with its line break
            return
        object_format, common_dir, git_dir, top, _ = lines
        for cwd in (self.cwd, Path(os.fsdecode(top))):
            self._prime(cwd, ("rev-parse", "--show-object-format=storage"), object_format)
            self._prime(cwd, (*absolute, "--git-common-dir"), common_dir)
            self._prime(cwd, (*absolute, "--git-dir"), git_dir)
            self._prime(cwd, ("rev-parse", "--show-toplevel"), top)

    def _prime(self, cwd: Path, arguments: tuple[str, ...], stdout: bytes) -> None:
        self._cached[cwd, arguments, b""] = process.Completed(arguments, 0, stdout, b"", 0.0)

    def prime_cache(self, common_dir: Path, commit: Oid, tree: Oid) -> None:
        """Fill the cache with facts that the caller has queried already."""
        arguments = ("rev-parse", "--path-format=absolute", "--git-common-dir")
        self._prime(self.cwd, arguments, os.fsencode(common_dir))
        self.existing.add(commit)
        self.complete.add(commit)
        self.trees[commit] = tree

    def require_minimum_version(self) -> None:
        """Refuse a git version below the minimum.

        Raises:
            UsageError: git is too old.
        """
        display = self.cached_query("version").text
        if is_old(display):
            least = ".".join(map(str, MINIMUM))
            raise UsageError(
                f"{display} is too old", why=f"trunkline needs git {least}", next_command=task_command("doctor")
            )

    def state_dir(self) -> Path:
        """Return the directory of journals and the lock, below `common_dir`."""
        return self.common_dir() / "trunkline"


def is_old(version: str, least: tuple[int, int] = MINIMUM) -> bool:
    """Return whether the output of `git version` names an older release; unknown formats pass."""
    match = re.search(r"(\d+)\.(\d+)", version)
    return match is not None and (int(match[1]), int(match[2])) < least
