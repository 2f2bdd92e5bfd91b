"""A real git repository for tests, with deterministic commits."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from trunkline.domain.names import Oid, oid
from trunkline.git.git import Git


@dataclass
class Repo:
    """A repository with its own clock: each commit is a minute after the previous one."""

    path: Path
    clock: int = field(default=1_763_500_000)

    @classmethod
    def create(cls, path: Path) -> Repo:
        """Create an empty repository with the branch main."""
        path.mkdir(parents=True)
        repo = cls(path)
        repo.git("init", "--quiet", "--initial-branch=main")
        return repo

    def git(self, *args: str, stdin: str = "", env: dict[str, str] | None = None, check: bool = True) -> str:
        """Run git in the repository, and return its output."""
        done = subprocess.run(
            ["git", *args], cwd=self.path, input=stdin, capture_output=True, text=True, check=False,
            env={**os.environ, **(env or {})},
        )  # fmt: skip
        if check and done.returncode:
            raise AssertionError(f"git {' '.join(args)}: {done.returncode}\n{done.stdout}\n{done.stderr}")
        return done.stdout.removesuffix("\n")

    def commit(self, message: str, files: dict[str, str | None] | None = None, *, author: str = "Ada") -> Oid:
        """Commit files (None: deleted); without files, the commit is empty."""
        for name, content in (files or {}).items():
            path = self.path / name
            if content is None:
                path.unlink()
                continue
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(content)
        self.git("add", "--all")
        self.clock += 60
        date = f"@{self.clock} +0100"
        env = {
            "GIT_AUTHOR_NAME": author,
            "GIT_AUTHOR_EMAIL": f"{author.lower()}@example.invalid",
            "GIT_AUTHOR_DATE": date,
            "GIT_COMMITTER_DATE": date,
        }
        self.git("commit", "--quiet", "--allow-empty", "--cleanup=verbatim", "--file=-", stdin=message, env=env)
        return self.head()

    def head(self, revision: str = "HEAD") -> Oid:
        """Return the commit that a revision names."""
        return oid(self.git("rev-parse", "--verify", f"{revision}^{{commit}}"))

    def subjects(self, span: str) -> list[str]:
        """Return the subjects of a range, oldest first."""
        return self.git("log", "--reverse", "--format=%s", span).splitlines()

    def refs(self) -> dict[str, str]:
        """Return every ref."""
        lines = self.git("for-each-ref", "--format=%(refname) %(objectname)").splitlines()
        return dict(line.split() for line in lines)

    def unpack(self, source: Repo, names: Sequence[str]) -> None:
        """Unpack objects of another repository, as a killed fetch leaves them."""
        packed = subprocess.run(
            ["git", "pack-objects", "--stdout", "--quiet"], cwd=source.path, capture_output=True, check=True,
            input="".join(f"{name}\n" for name in names).encode(),
        )  # fmt: skip
        unpacking = ["git", "unpack-objects", "-q"]
        subprocess.run(unpacking, cwd=self.path, input=packed.stdout, check=True, capture_output=True)

    @property
    def adapter(self) -> Git:
        """The program's git adapter for this repository."""
        return Git(self.path)


def lead_ssh_to(bare: Path, patch: pytest.MonkeyPatch) -> None:
    """Let every remote that is reached by ssh, such as git@github.com:octo/tiny.git, be a bare repository."""
    program = bare.parent / "ssh"
    program.write_text(f"#!/bin/sh\nservice=${{2%% *}}\nexec git \"${{service#git-}}\" '{bare}'\n")
    program.chmod(0o700)
    patch.setenv("GIT_SSH_COMMAND", str(program))
    patch.setenv("GIT_SSH_VARIANT", "simple")
