"""A repository whose trunk has a policy of attested CI, and people with SSH keys who sign receipts.

Git, the remote, notes and ssh-keygen are real; receipts are written as a gate would write them.
"""

from __future__ import annotations

import datetime as dt
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest
from invoke.program import Program

from support.gating import FILES
from support.keys import ssh_key
from support.killing import MEMORY
from support.printed import check_printed
from support.repo import Repo, lead_ssh_to
from support.templates import copied
from support.typist import Ran
from trunkline.commands import verify as verify_command
from trunkline.domain.attestation import Attestation
from trunkline.domain.command import argv_of
from trunkline.domain.names import Oid
from trunkline.domain.receipt import Receipt, Toolchain
from trunkline.git import notes, signing
from trunkline.git.git import Git
from trunkline.state import lock
from trunkline.state.receipt_store import SharedReceipt, Store
from trunkline.tasks import namespace

GATES = ("build", "test", "clippy", "fmt", "doc", "msrv")
NO_OPS = "".join(f'[gates.{name}]\nrun = ["true"]\nenv = {{}}\n' for name in GATES)
SIGNERS = ".trunkline/allowed_signers"
POLICY = 'schema = 1\n\n[gates]\nfeatures = []\nsigners = "{signers}"\n{more}\n{gates}\n[attest]\n{attest}\n{entry}'
ENTRY = '[[entry]]\npr = 1\nbranch = "feat/one"\n'
RUSTC = Toolchain("rustc 1.95.0 (59807616e 2026-04-14)\nhost: x", "cargo 1.95.0")
PEOPLE = ("ada", "bob", "eve")
"""Ada and Bob are in the signers file; Eve is not."""
NOW = dt.datetime(2026, 11, 28, 12, tzinfo=dt.timezone.utc)
REPOSITORY = "github.com/octo/tiny"


def address(person: str) -> str:
    """Return a person's email address."""
    return f"{person}@example.invalid"


@dataclass
class Attesting:
    """The base repository, its author, and a clone of a person who attests.

    Attributes:
        root: the directory of everything.
        bare: the base repository.
        author: who pushes to trunk and branches.
        clone: who attests and verifies; the entry's branch is checked out.
    """

    root: Path
    bare: Repo
    author: Repo
    clone: Repo

    @property
    def git(self) -> Git:
        """A fresh adapter of the clone: nothing is cached."""
        return self.clone.adapter

    @property
    def store(self) -> Store:
        """The clone's receipt store."""
        return Store(self.git.state_dir())

    def key(self, person: str) -> str:
        """Return the path of a person's private key."""
        return str(self.root / "keys" / person)

    def public(self, person: str) -> str:
        """Return a person's public key, without comment."""
        return " ".join(Path(f"{self.key(person)}.pub").read_text().split()[:2])

    def set_policy(
        self,
        attest: str = "",
        *,
        more: str = "",
        gates: str = NO_OPS,
        signers: str = SIGNERS,
        files: dict[str, str | None] | None = None,
    ) -> None:
        """Push another policy to trunk, and fetch it."""
        text = POLICY.format(attest=attest, more=more, gates=gates, signers=signers, entry=ENTRY)
        self.author.git("switch", "--quiet", "main")
        self.author.commit("policy", {"stack.toml": text, **(files or {})})
        self.author.git("push", "--quiet", "origin", "main")
        self.clone.git("fetch", "--quiet", "origin")

    def receipt(self, gate: str, commit: Oid | None = None, **changes: Any) -> Receipt:
        """Return a pass of a gate, an hour old, on a commit; default: the clone's HEAD."""
        on = commit or self.clone.head()
        passed = Receipt(
            gate, on, self.git.tree(on), ("true",), {}, (), RUSTC, "", "none",
            (NOW - dt.timedelta(hours=1)).isoformat(), 1.0, 0, f"{gate}.log", "", executor="nox", host="build-7",
            repository=REPOSITORY,
        )  # fmt: skip
        return replace(passed, **changes)

    def receipts(self, **changes: Any) -> list[Receipt]:
        """Return a pass of every gate, changed."""
        return [self.receipt(gate, **changes) for gate in GATES]

    def line(self, receipt: Receipt, person: str = "ada", namespace: str = signing.NAMESPACE) -> str:
        """Return a receipt as a line of a note, signed by a person; "": unsigned."""
        path = self.store.write(receipt, b"")
        signed = signing.signature_path(path)
        signed.unlink(missing_ok=True)
        if person:
            done = subprocess.run(
                ["ssh-keygen", "-Y", "sign", "-n", namespace, "-f", self.key(person)],
                input=path.read_bytes(), capture_output=True, check=True,
            )  # fmt: skip
            signed.write_bytes(done.stdout)
        return SharedReceipt.of_file(path).to_line()

    def share(self, lines: Sequence[str], on: Oid | None = None) -> None:
        """Push lines in the note of a commit; default: the clone's HEAD."""
        git = self.git
        with lock.hold(git.state_dir(), run="test") as held:
            notes.add(git, held, {on or self.clone.head(): lines})
            notes.push(git, held, "origin")

    def share_all(self, **changes: Any) -> None:
        """Share a pass of every gate, changed, that Ada signed."""
        self.share([self.line(receipt, "ada") for receipt in self.receipts(**changes)])

    def verify(
        self,
        *,
        fetch: bool = False,
        merged: bool = False,
        now: dt.datetime = NOW,
        commit: Oid | None = None,
        clone: Repo | None = None,
    ) -> Attestation:
        """Verify a commit in a clone, as the task does; default: the clone's HEAD."""
        git = (clone or self.clone).adapter
        if fetch:
            verify_command.fetch(git, "origin", None)
        policy = verify_command.policy_of(git, "origin")
        on = commit or (clone or self.clone).head()
        return verify_command.verify(git, "origin", policy, on, merged=merged, now=now, fetched=fetch)

    def reasons(self, **arguments: Any) -> dict[str, str]:
        """Return why gates are not attested, by gate."""
        return {each.gate: each.reason for each in self.verify(**arguments).missing}

    def second_clone(self, name: str = "second", *, depth: int = 0) -> Repo:
        """Clone the base repository anew, as the checkout of CI does, with the entry's branch checked out."""
        path = self.root / name
        flags = [f"--depth={depth}"] if depth else []
        url = f"file://{self.bare.path}"
        self.author.git("clone", "--quiet", "--branch=feat/one", *flags, url, str(path))
        clone = Repo(path)
        clone.git("remote", "set-url", "origin", "git@github.com:octo/tiny.git")
        return clone


@dataclass
class Typing:
    """A person who types commands in a clone; they run in this process."""

    patch: pytest.MonkeyPatch
    capture: pytest.CaptureFixture[str]

    def __call__(self, clone: Repo, line: str) -> Ran:
        """Run a command line of ours, like `trunkline verify`."""
        argv = list(argv_of(line))
        self.patch.chdir(clone.path)
        self.patch.setattr(sys, "argv", argv)
        self.capture.readouterr()
        code = 0
        try:
            Program(name="trunkline", binary="trunkline", namespace=namespace).run(argv)
        except SystemExit as end:
            code = int(end.code or 0)
        captured = self.capture.readouterr()
        check_printed(captured.out + captured.err)
        return Ran(code, captured.out, captured.err)

    def follow(self, clone: Repo, ran: Ran, begins: str = "trunkline") -> Ran:
        """Run a command that was printed to be typed next."""
        return self(clone, next(each for each in ran.next if each.startswith(begins)))


def _build(root: Path) -> None:
    """Build the repositories and the keys."""
    (root / "keys").mkdir()
    for person in PEOPLE:
        ssh_key(root / "keys" / person)
    author = Repo.create(root / "author")
    made = Attesting(root, author, author, author)
    signers = "".join(f"{address(person)} {made.public(person)}\n" for person in ("ada", "bob"))
    text = POLICY.format(attest="", more="", gates=NO_OPS, signers=SIGNERS, entry=ENTRY)
    author.commit("start", {**FILES, "stack.toml": text, SIGNERS: signers}, author="Grace")
    author.git("switch", "--quiet", "-c", "feat/one")
    author.commit("one", {"src/one.rs": "//! One.\n"}, author="Grace")
    author.git("clone", "--quiet", "--bare", ".", str(root / "bare"))
    Repo(root / "bare").git("symbolic-ref", "HEAD", "refs/heads/main")
    Repo(root / "bare").git("update-ref", "refs/pull/1/head", "refs/heads/feat/one")
    author.git("remote", "add", "origin", str(root / "bare"))
    author.git("clone", "--quiet", "--branch=feat/one", str(root / "bare"), str(root / "clone"))
    Repo(root / "clone").git("remote", "set-url", "origin", "git@github.com:octo/tiny.git")


def attesting(patch: pytest.MonkeyPatch, where: Path | None = None) -> Attesting:
    """Return a copy of the repositories; `git@github.com:octo/tiny.git` leads to the bare one."""
    root = where or Path(tempfile.mkdtemp(prefix="attesting-", dir=MEMORY))
    copied(_build, root)
    lead_ssh_to(root / "bare", patch)
    author = Repo(root / "author", 1_763_700_000)
    author.git("remote", "set-url", "origin", str(root / "bare"))
    return Attesting(root, Repo(root / "bare"), author, Repo(root / "clone", 1_763_800_000))
