"""Set up a stack on a simulated GitHub, with a checkout: the example's, or that of the user's own clone.

In the example, #518 is squash-merged after trunk moved on, and its branch is deleted; CI is down because of a
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
from trunkline.domain.local_stack import LocalStack
from trunkline.sim.client import SimulatedGitHub, running
from trunkline.sim.example import Example, build_example
from trunkline.system import process

OWNER, NAME = "octo", "kv-pool"
SLUG = f"{OWNER}/{NAME}"
_SECONDS = 120.0


@dataclass(frozen=True)
class Workspace:
    """A simulated GitHub and a checkout of its own, isolated from real repositories.

    Attributes:
        root: the directory of everything.
        github: the running simulator.
        checkout: a clone of the repository that it serves.
    """

    root: Path
    github: SimulatedGitHub
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

    def clone(self, url: str) -> None:
        """Make the checkout.

        Raises:
            ExternalError: git failed.
        """
        argv = ["git", "clone", "--quiet", url, str(self.checkout)]
        done = process.run(argv, cwd=self.root, env=self.environment(), timeout=_SECONDS)
        if done.returncode:
            raise ExternalError("the sandbox cannot be cloned", command=done.command_line, stderr=done.error_text)


@dataclass(frozen=True)
class Sandbox(Workspace):
    """The bundled example, served; the checkout is on trunk as it was before #518 was merged.

    Attributes:
        example: the history that was built.
    """

    example: Example

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
    with _github(root) as github:
        example = build_example(github.create_repository(OWNER, NAME))
        github.adopt(SLUG)
        for pull in example.pulls:
            github.open_pull_request(
                SLUG, head=pull.branch, base=pull.base, title=pull.title, body=pull.body, number=pull.number,
                draft=pull is not example.pulls[0],
            )  # fmt: skip
        place = Sandbox(root, github, root / "checkout", example)
        place.clone(github.remote(SLUG))
        github.merge(SLUG, example.pulls[0].number, method="squash", delete_branch="web")
        for pull in example.pulls[1:]:
            github.add_billing_failure(SLUG, pull.head)
        yield place


@contextlib.contextmanager
def local_copy(root: Path, stack: LocalStack) -> Iterator[Workspace]:
    """Serve a copy of a clone within the context, in an empty directory; the clone is only read."""
    owner, _, name = stack.slug.partition("/")
    with _github(root) as github:
        github.create_repository(owner, name, default_branch=stack.trunk)
        github.lever("run_by_the_clock", stack.slug)
        github.lever("place", stack.slug, objects=stack.objects, refs=dict(stack.refs), pulls=[])
        for pull in stack.pulls:
            github.open_pull_request(
                stack.slug, head=pull.branch, base=pull.base, title=pull.title, number=pull.number
            )  # fmt: skip
        place = Workspace(root, github, root / "checkout")
        place.clone(github.remote(stack.slug))
        for pull in stack.pulls:
            place.git("branch", "--quiet", "--track", pull.branch, f"refs/remotes/origin/{pull.branch}")
        place.git("switch", "--quiet", "--", stack.checked_out)
        if stack.stack_toml and not (place.checkout / "stack.toml").exists():
            (place.checkout / "stack.toml").write_text(stack.stack_toml, encoding="utf-8")
            with (place.checkout / ".git/info/exclude").open("a", encoding="utf-8") as excluded:
                excluded.write("/stack.toml\n")
        yield place


@contextlib.contextmanager
def _github(root: Path) -> Iterator[SimulatedGitHub]:
    root.mkdir(parents=True, exist_ok=True)
    (root / "gitconfig").write_text(_gitconfig() + _signer(root), encoding="utf-8")
    with running(root / "github") as github:
        yield github


def _name() -> str:
    return os.environ.get("USER") or "maintainer"


def _gitconfig() -> str:
    name = _name()
    return f"[user]\n\tname = {name}\n\temail = {name}@sandbox.invalid\n[init]\n\tdefaultBranch = main\n"


def _signer(root: Path) -> str:
    """Make a key that is thrown away with the sandbox, and `allowed_signers` that names it.

    Return git's settings that sign receipts with it; "" where ssh-keygen is missing: receipts stay unsigned.
    """
    if shutil.which("ssh-keygen") is None:
        return ""
    key = root / "signer"
    argv = ["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", "sandbox", "-f", str(key)]
    done = process.run(argv, cwd=root, env=process.own_environment(), timeout=_SECONDS)
    if done.returncode:
        raise ExternalError("the sandbox's key cannot be made", command=done.command_line, stderr=done.error_text)
    public = key.with_suffix(".pub")
    text = public.read_text(encoding="utf-8")
    (root / "allowed_signers").write_text(f"{_name()}@sandbox.invalid {text}", encoding="utf-8")
    return f"[gpg]\n\tformat = ssh\n[user]\n\tsigningKey = {public}\n"
