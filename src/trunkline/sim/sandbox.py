"""Set up the example's stack on a simulated GitHub, with a checkout.

#518 is squash-merged after trunk moved on, and its branch is deleted; CI is down because of a
billing failure; #519 to #522 are drafts on top of one another.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from trunkline.domain.errors import ExternalError
from trunkline.sim.client import SimulatedGitHub, running
from trunkline.sim.example import Example, build_example
from trunkline.system import process

OWNER, NAME = "octo", "kv-pool"
SLUG = f"{OWNER}/{NAME}"
_SECONDS = 120.0


@dataclass(frozen=True)
class Sandbox:
    """A simulated GitHub and a checkout, in which landing a stack affects nobody.

    Attributes:
        root: the directory of everything.
        github: the running simulator.
        example: the history that was built.
        checkout: a clone of it, on trunk before #518 was merged.
    """

    root: Path
    github: SimulatedGitHub
    example: Example
    checkout: Path

    def environment(self) -> dict[str, str]:
        """Return the environment of a shell in the checkout: git and gh use only the sandbox."""
        return {**process.own_environment(), **self.variables()}

    def variables(self) -> dict[str, str]:
        """Return the variables of the environment that the sandbox sets."""
        return {
            **self.github.environment(),
            "TRUNKLINE_STATE_DIR": str(self.root / "state"),
            "GIT_CONFIG_GLOBAL": str(self.root / "gitconfig"),
            "GIT_CONFIG_NOSYSTEM": "1",
        }

    @contextlib.contextmanager
    def entered(self) -> Iterator[None]:
        """Make this process work in the checkout, with its environment, within the context."""
        before, directory = dict(os.environ), Path.cwd()
        os.environ.update(self.variables())
        os.chdir(self.checkout)
        try:
            yield
        finally:
            os.chdir(directory)
            os.environ.clear()
            os.environ.update(before)

    def git(self, *args: str) -> str:
        """Run git in the checkout and return its output.

        Raises:
            ExternalError: it failed.
        """
        done = process.run(["git", *args], cwd=self.checkout, env=self.environment(), timeout=_SECONDS)
        if done.returncode:
            raise ExternalError(
                f"git {args[0]} failed in the sandbox", command=done.command_line, stderr=done.error_text
            )
        return done.text

    def description(self, number: int) -> str:
        """Return a pull request's description on the simulated GitHub."""
        return str(self.github.pull_request(SLUG, number)["body"])


@contextlib.contextmanager
def temporary(*, keep: bool) -> Iterator[Sandbox]:
    """Build the sandbox in a temporary directory, and remove it afterwards unless it is kept."""
    root = Path(tempfile.mkdtemp(prefix="trunkline-example-")).resolve()
    try:
        with sandbox(root) as place:
            yield place
    finally:
        if not keep:
            shutil.rmtree(root, ignore_errors=True)


@contextlib.contextmanager
def sandbox(root: Path) -> Iterator[Sandbox]:
    """Build the sandbox in an empty directory and serve it within the context."""
    root.mkdir(parents=True, exist_ok=True)
    (root / "gitconfig").write_text(_gitconfig(), encoding="utf-8")
    with running(root / "github") as github:
        example = build_example(github.create_repository(OWNER, NAME))
        github.adopt(SLUG)
        for pull in example.pulls:
            github.open_pull_request(
                SLUG, head=pull.branch, base=pull.base, title=pull.title, body=pull.body, number=pull.number,
                draft=pull is not example.pulls[0],
            )  # fmt: skip
        place = Sandbox(root, github, example, root / "checkout")
        url = github.remote(SLUG)
        done = process.run(
            ["git", "clone", "--quiet", url, str(place.checkout)], cwd=root, env=place.environment(), timeout=_SECONDS
        )
        if done.returncode:
            raise ExternalError("the sandbox cannot be cloned", command=done.command_line, stderr=done.error_text)
        github.merge(SLUG, example.pulls[0].number, method="squash", delete_branch="web")
        for pull in example.pulls[1:]:
            github.add_billing_failure(SLUG, pull.head)
        yield place


def _gitconfig() -> str:
    name = os.environ.get("USER") or "maintainer"
    return f"[user]\n\tname = {name}\n\temail = {name}@sandbox.invalid\n[init]\n\tdefaultBranch = main\n"
