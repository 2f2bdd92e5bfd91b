"""A stack of three pull requests on a running simulator, with a clone for real gh and git."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from support import openapi, programs
from support.repo import Repo
from trunkline.domain.names import Oid
from trunkline.sim.client import SimulatedGitHub, ask

TOKEN = {"Authorization": "token sim", "Content-Type": "application/json"}


@dataclass(frozen=True)
class Octo:
    """A repository on the simulator, with branches main and s1 to s4.

    Pull requests #518 to #520 have the heads s1 to s3; #519 is a draft. s4 has no pull request. `clone`
    has the repository as `origin`.
    """

    github: SimulatedGitHub
    slug: str
    clone: Repo

    @classmethod
    def create(cls, github: SimulatedGitHub, slug: str, path: Path, *, template: Path | None = None) -> Octo:
        """Create the repository, push the stack and open its pull requests.

        Args:
            github: the simulator.
            slug: `owner/name`.
            path: the path of the clone.
            template: a result of `history` to copy, which is faster than creating it.
        """
        github.create_repository(*slug.split("/"))
        if template is None:
            history(path)
        else:
            shutil.copytree(template, path)
        octo = cls(github, slug, Repo(path))
        octo.git("remote", "add", "origin", github.remote(slug))
        octo.push("main", "s1", "s2", "s3", "s4")
        for number, head, base in ((518, "s1", "main"), (519, "s2", "s1"), (520, "s3", "s2")):
            github.open_pull_request(
                slug, head=head, base=base, title=f"T{head}", body=f"B{head}\n", number=number, draft=number == 519
            )
        return octo

    @property
    def environment(self) -> dict[str, str]:
        """The environment of git and gh."""
        return {**os.environ, **self.github.environment(), "PATH": programs.path()}

    def run(self, *argv: str, stdin: str = "") -> subprocess.CompletedProcess[str]:
        """Run a command in the clone."""
        return subprocess.run(
            argv, cwd=self.clone.path, env=self.environment, input=stdin, capture_output=True, text=True,
            check=False, timeout=60,
        )  # fmt: skip

    def gh(self, *args: str, stdin: str = "") -> subprocess.CompletedProcess[str]:
        """Run the real gh in the clone."""
        return self.run("gh", *args, stdin=stdin)

    def gh_json(self, *args: str) -> Any:
        """Run the real gh, which must succeed, and return the JSON that it prints."""
        done = self.gh(*args)
        assert done.returncode == 0, done.stderr
        return json.loads(done.stdout)

    def git(self, *args: str) -> str:
        """Run git in the clone; it must succeed."""
        return self.clone.git(*args, env=self.environment)

    def push(self, *refs: str, force: bool = False) -> None:
        """Push to the simulator."""
        self.git("push", "--quiet", *(("--force",) if force else ()), "origin", *refs)

    def amend(self, branch: str, text: str = "amended\n") -> Oid:
        """Rewrite a branch's tip in the clone and return it."""
        self.git("switch", "--quiet", branch)
        (self.clone.path / f"{branch}.txt").write_text(text)
        self.git("add", "--all")
        self.git("commit", "--quiet", "--amend", "--no-edit")
        return self.clone.head()

    def commit_on(self, branch: str, message: str, files: dict[str, str | None]) -> Oid:
        """Commit on a branch in the clone and return it."""
        self.git("switch", "--quiet", branch)
        return self.clone.commit(message, files)

    def rest(
        self, method: str, path: str, body: Any = None, *, headers: Mapping[str, str] = TOKEN
    ) -> tuple[int, Any]:
        """Send a REST request below the repository, or to an absolute path; return status and JSON.

        The test fails unless GitHub's own description allows the response.
        """
        target = path if path.startswith("/") else f"/repos/{self.slug}/{path}"
        content = b"" if body is None else json.dumps(body).encode()
        status, answer = ask(self.github.socket, method, target, content, dict(headers))
        complaints = openapi.complaints(method, target.partition("?")[0], status, answer)
        assert not complaints, "\n".join(complaints)
        return status, answer

    def graphql(self, query: str, variables: Mapping[str, Any] | None = None) -> dict[str, Any]:
        """Send a GraphQL request and return its JSON."""
        payload = json.dumps({"query": query, "variables": variables or {}}).encode()
        status, answer = ask(self.github.socket, "POST", "/graphql", payload, TOKEN)
        assert status == 200
        result: dict[str, Any] = answer
        return result

    def pull(self, number: int) -> dict[str, Any]:
        """Return the simulator's data of a pull request."""
        return self.github.pull_request(self.slug, number)

    def events(self, number: int) -> list[str]:
        """Return the kinds of a pull request's timeline events, oldest first."""
        return [event["kind"] for event in self.pull(number)["events"]]

    def remote_refs(self) -> dict[str, str]:
        """Return the refs that a fetch would see."""
        lines = self.git("ls-remote", "origin").splitlines()
        return {name: oid for oid, _, name in (line.partition("\t") for line in lines)}

    def message(self, oid: str) -> str:
        """Return a commit's complete message from the simulator's repository."""
        return Repo(self.github.bare(self.slug)).git("log", "-1", "--format=%B", oid)


def history(path: Path) -> None:
    """Create a repository of main and s1 to s4, one commit each, each based on the previous one."""
    clone = Repo.create(path)
    clone.commit("start", {"README.md": "start\n"})
    for number in (1, 2, 3, 4):
        clone.git("switch", "--quiet", "-c", f"s{number}")
        clone.commit(f"feat {number}\n\nWhy {number}.\n", {f"f{number}": f"{number}\n"}, author="Grace")
