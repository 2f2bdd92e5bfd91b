"""Run git plumbing commands on a bare repository; the simulator starts git only here."""

from __future__ import annotations

import shlex
from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING

from trunkline.domain.errors import ExternalError
from trunkline.domain.names import ZERO_OID
from trunkline.system import process

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

SECONDS = 60.0
_FORMAT = "%H%x00%T%x00%P%x00%an%x00%ae%x00%aI%x00%cn%x00%ce%x00%cI%x00%B%x00%x01"
_SEALED = {
    "GIT_CONFIG_GLOBAL": "/dev/null",
    "GIT_CONFIG_NOSYSTEM": "1",
    "LC_ALL": "C",
}
_CONFIG = """\
[uploadpack]
\tallowAnySHA1InWant = true
\tallowFilter = true
[receive]
\thideRefs = refs/pull
\tautogc = false
[gc]
\tauto = 0
[core]
\tfsync = none
"""
# The hook records every push and updates refs/pull/N/head immediately, so that a following fetch
# sees it. The world reads the record before it responds. It writes `pull-heads` (branch, number).
_HOOK = """\
#!/bin/sh
while read -r old new ref; do
  printf '%s %s %s\\n' "$old" "$new" "$ref" >> received.log
  case $new in *[!0]*) ;; *) continue ;; esac
  [ -f pull-heads ] || continue
  while read -r head number; do
    [ "$head" = "$ref" ] && git update-ref "refs/pull/$number/head" "$new"
  done < pull-heads
done
echo >> received.log
exit 0
"""

# Some organisations limit the refs of a push (ejoffe/spr#422); the world writes `ref-cap`.
_GATE = """\
#!/bin/sh
[ -f ref-cap ] || exit 0
cap=$(cat ref-cap)
count=0
while read -r line; do count=$((count + 1)); done
[ "$count" -le "$cap" ] || { echo "error: Pushes can not update more than $cap branches or tags." >&2; exit 1; }
"""


@dataclass(frozen=True)
class Person:
    """An author or a committer, with a time in ISO 8601."""

    name: str
    email: str
    date: str


@dataclass(frozen=True)
class CommitData:
    """A commit as git stores it."""

    oid: str
    tree: str
    parents: tuple[str, ...]
    author: Person
    committer: Person
    message: str

    @property
    def headline(self) -> str:
        """The subject: the first paragraph on one line."""
        return " ".join(self.message.partition("\n\n")[0].split("\n")).strip()

    @property
    def body(self) -> str:
        """The message without the subject."""
        return self.message.partition("\n\n")[2].strip("\n")


@dataclass(frozen=True)
class Bare:
    """A bare repository, with caches of immutable facts about its objects."""

    path: Path
    _commits: dict[str, CommitData] = field(default_factory=dict, compare=False, repr=False)
    _cache: dict[tuple[str, ...], str] = field(default_factory=dict, compare=False, repr=False)

    @cached_property
    def _env(self) -> dict[str, str]:
        return process.environment(extra=_SEALED)

    @classmethod
    def create(cls, path: Path, default_branch: str) -> Bare:
        """Create a bare repository that accepts pushes and serves fetches as GitHub does.

        Any object id may be fetched, and refs/pull/* is read-only ("deny updating a hidden ref",
        GitHub's message).
        """
        path.mkdir(parents=True)
        bare = cls(path)
        bare.git("init", "--quiet", "--bare", f"--initial-branch={default_branch}", "--template=", str(path))
        with (path / "config").open("a", encoding="utf-8") as config:
            config.write(_CONFIG)
        for name, text in (("post-receive", _HOOK), ("pre-receive", _GATE)):
            hook = path / "hooks" / name
            hook.parent.mkdir(exist_ok=True)
            hook.write_text(text)
            hook.chmod(0o755)
        return bare

    def git(
        self, *args: str, stdin: bytes = b"", env: Mapping[str, str] | None = None, ok: Sequence[int] = (0,)
    ) -> str:
        """Run git in the repository and return its standard output without the last newline.

        Raises:
            ExternalError: the exit code is not one of `ok`.
        """
        return self._run(*args, stdin=stdin, env=env, ok=ok).text

    def _run(
        self, *args: str, stdin: bytes = b"", env: Mapping[str, str] | None = None, ok: Sequence[int] = (0,)
    ) -> process.Completed:
        done = process.run(
            ["git", *args], cwd=self.path, env={**self._env, **(env or {})}, timeout=SECONDS, stdin=stdin
        )
        if done.returncode not in ok:
            raise ExternalError(
                f"the simulator's git failed in {self.path.name}",
                why=done.error_text,
                command=shlex.join(done.argv),
                stderr=done.error_text,
            )
        return done

    def refs(self) -> dict[str, str]:
        """Return branch name -> object id."""
        lines = self.git("for-each-ref", "--format=%(objectname) %(refname:lstrip=2)", "refs/heads").splitlines()
        return {name: oid for oid, _, name in (line.partition(" ") for line in lines)}

    def update(self, ref: str, new: str, old: str = "") -> bool:
        """Move a full ref, if given only from `old`; return whether it moved."""
        expected = (old,) if old else ()
        return self._run("update-ref", ref, new, *expected, ok=(0, 128)).returncode == 0

    def delete(self, ref: str) -> None:
        """Delete a full ref."""
        self.git("update-ref", "-d", ref)

    def exists(self, oid: str) -> bool:
        """Return whether the repository has this commit."""
        return self._run("cat-file", "-e", f"{oid}^{{commit}}", ok=(0, 1, 128)).returncode == 0

    def file(self, oid: str, path: str) -> str | None:
        """Return a file of a commit; None: it does not exist."""
        done = self._run("cat-file", "blob", f"{oid}:{path}", ok=(0, 128))
        return done.text if done.returncode == 0 else None

    def commit(self, oid: str) -> CommitData:
        """Return a commit."""
        if oid not in self._commits:
            self._load("--no-walk", oid)
        return self._commits[oid]

    def message(self, oid: str) -> str:
        """Return a commit's message exactly as stored, with its last line ends."""
        stored = self._run("cat-file", "commit", oid).stdout.decode("utf-8", "surrogateescape")
        return stored.partition("\n\n")[2]

    def between(self, base: str, head: str) -> tuple[CommitData, ...]:
        """Return the commits of `head` that `base` lacks, oldest first, parents before children."""
        key = ("between", base, head)
        if key not in self._cache:
            self._cache[key] = " ".join(self._load("--reverse", "--topo-order", head, f"^{base}"))
        return tuple(self._commits[oid] for oid in self._cache[key].split())

    def _load(self, *revisions: str) -> list[str]:
        text = self.git("log", f"--format={_FORMAT}", *revisions, "--")
        loaded = [_commit(record.removeprefix("\n")) for record in text.split("\x01") if record.strip("\n")]
        self._commits.update({commit.oid: commit for commit in loaded})
        return [commit.oid for commit in loaded]

    def contains(self, tip: str, oid: str) -> bool:
        """Return whether `oid` is `tip` or an ancestor of it."""
        key = ("contains", tip, oid)
        if key not in self._cache:
            code = self._run("merge-base", "--is-ancestor", oid, tip, ok=(0, 1)).returncode
            self._cache[key] = "" if code else "yes"
        return bool(self._cache[key])

    def merge_base(self, one: str, other: str) -> str:
        """Return the best common ancestor, or ""."""
        key = ("base", one, other)
        if key not in self._cache:
            self._cache[key] = self.git("merge-base", one, other, ok=(0, 1))
        return self._cache[key]

    def entry_point(self, tip: str, oid: str) -> str:
        """Return the first commit on `tip`'s first-parent line that contains `oid`."""
        line = self.git("rev-list", "--first-parent", f"{oid}..{tip}", "--").split()
        holding = [commit for commit in line if self.contains(commit, oid)]
        first = holding[-1] if holding else oid
        return oid if first != oid and self.commit(first).parents[:1] == (oid,) else first

    def size(self, base: str, head: str) -> tuple[int, int, int]:
        """Return (files, added lines, deleted lines) from the merge base to `head`.

        Binaries count 0.
        """
        start = self.merge_base(base, head)
        key = ("size", start, head)
        if key not in self._cache:
            rows = [line.split("\t")[:2] for line in self.git("diff", "--numstat", start, head).splitlines()]
            added, deleted = (sum(int(row[side]) for row in rows if row[side] != "-") for side in (0, 1))
            self._cache[key] = f"{len(rows)} {added} {deleted}"
        files, plus, minus = map(int, self._cache[key].split())
        return files, plus, minus

    def merged_tree(self, ours: str, theirs: str) -> str:
        """Return the tree of a merge of two commits, or "" on a conflict."""
        key = ("tree", ours, theirs)
        if key not in self._cache:
            done = self._run("merge-tree", "--write-tree", "--allow-unrelated-histories", ours, theirs, ok=(0, 1))
            self._cache[key] = "" if done.returncode else done.text.split("\n")[0]
        return self._cache[key]

    def picked_tree(self, onto: str, oid: str) -> str:
        """Return the tree of a cherry-pick, or "" on a conflict.

        merge-tree has an option for the base only since git 2.40; here it is the common parent of
        two temporary commits.
        """
        commit = self.commit(oid)
        parent = self.commit(commit.parents[0]).tree if commit.parents else self.git("mktree")
        nobody = Person("nobody", "nobody@example.invalid", "2000-01-01T00:00:00+00:00")
        base = self.write_commit(parent, (), "base", nobody, nobody)
        ours = self.write_commit(self.commit(onto).tree, (base,), "ours", nobody, nobody)
        theirs = self.write_commit(commit.tree, (base,), "theirs", nobody, nobody)
        return self.merged_tree(ours, theirs)

    def write_commit(self, tree: str, parents: Sequence[str], message: str, author: Person, committer: Person) -> str:
        """Write a commit and return its object id."""
        env = {
            "GIT_AUTHOR_NAME": author.name, "GIT_AUTHOR_EMAIL": author.email, "GIT_AUTHOR_DATE": author.date,
            "GIT_COMMITTER_NAME": committer.name, "GIT_COMMITTER_EMAIL": committer.email,
            "GIT_COMMITTER_DATE": committer.date,
        }  # fmt: skip
        flags = [flag for parent in parents for flag in ("-p", parent)]
        stdin = message.encode("utf-8", "surrogateescape")
        return self.git("commit-tree", tree, *flags, "-F", "-", stdin=stdin, env=env)

    def pushes(self, offset: int) -> tuple[list[list[tuple[str, str, str]]], int]:
        """Return pushes recorded after `offset` bytes as (old, new, ref), and the new offset."""
        log = self.path / "received.log"
        if not log.exists():
            return [], offset
        with log.open("rb") as stream:
            stream.seek(offset)
            data = stream.read()
        whole = data[: data.rfind(b"\n\n") + 2] if b"\n\n" in data else b""
        pushes = []
        for block in whole.decode("utf-8", "surrogateescape").split("\n\n"):
            lines = [line.split(" ", 2) for line in block.splitlines() if line]
            if lines:
                pushes.append([(old, new, ref) for old, new, ref in lines])
        return pushes, offset + len(whole)


def is_nothing(oid: str) -> bool:
    """Return whether an object id stands for "no such ref"."""
    return oid == ZERO_OID or not oid.strip("0")


def _commit(record: str) -> CommitData:
    oid, tree, parents, an, ae, ad, cn, ce, cd, message = record.split("\x00")[:10]
    return CommitData(oid, tree, tuple(parents.split()), Person(an, ae, ad), Person(cn, ce, cd), message.rstrip("\n"))
