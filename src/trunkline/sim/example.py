"""Build the example's history with git: five stacked pull requests of a Rust workspace.

The sources are in examples/. Authors, committers and dates are fixed, so the object ids are the
same on every machine (examples/README.md).
"""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from email.utils import parseaddr
from pathlib import Path
from typing import Any

import tomli

from trunkline.domain.errors import UsageError
from trunkline.domain.names import BranchName, Oid, PrNumber, branch_name, oid, pr_number
from trunkline.sim.bare import Bare
from trunkline.system import installing

_PACKAGED = Path(__file__).parents[1] / "examples"
EXAMPLES = _PACKAGED if _PACKAGED.is_dir() else Path(__file__).parents[3] / "examples"
"""The sources: in the installed package (see pyproject.toml), else in the checkout."""

_NOT_COPIED = shutil.ignore_patterns("target", "__pycache__", ".nox")


@dataclass(frozen=True)
class ExamplePull:
    """A pull request of the example, before any of them is merged.

    Attributes:
        number: its number.
        title: its title.
        body: its description, byte for byte what the file has.
        branch: its head branch.
        base: the branch it is opened against: that of the pull request below, or trunk.
        head: the head branch's tip.
        own: the number of its own commits.
    """

    number: PrNumber
    title: str
    body: str
    branch: BranchName
    base: BranchName
    head: Oid
    own: int


@dataclass(frozen=True)
class Example:
    """The repository's history that was built.

    Attributes:
        trunk: trunk's name.
        trunk_at_branch: the commit of trunk that the stack branches off.
        trunk_moved: trunk's tip after commits of other people; nothing of the stack is merged.
        pulls: the stack, bottom first.
        stack_toml: the text of stack.toml, which is also committed on trunk.
    """

    trunk: BranchName
    trunk_at_branch: Oid
    trunk_moved: Oid
    pulls: tuple[ExamplePull, ...]
    stack_toml: str

    @property
    def heads(self) -> dict[PrNumber, Oid]:
        """Pull request number -> the tip of its branch."""
        return {pull.number: pull.head for pull in self.pulls}

    def pull(self, number: int) -> ExamplePull:
        """Return a pull request by its number."""
        return next(pull for pull in self.pulls if pull.number == number)


def build_example(bare: Path, source: Path = EXAMPLES) -> Example:
    """Build the history in a bare repository, which is created if missing.

    Args:
        bare: the repository; trunk and the five branches must not exist in it.
        source: the directory with kv-pool and kv-pool-stack.

    Raises:
        UsageError: `source` is not the examples of a checkout.
        ExternalError: git failed, for instance because a patch does not apply.
    """
    workspace, stack = source / "kv-pool", source / "kv-pool-stack"
    history = _read_history(stack / "history.toml")
    stack_toml = (workspace / "stack.toml").read_bytes().decode()
    declared = tomli.loads(stack_toml)
    trunk = branch_name(declared["trunk"])
    destination = Bare(bare) if bare.exists() else Bare.create(bare, trunk)
    with tempfile.TemporaryDirectory(prefix="trunkline-example-") as scratch:
        work = Bare(Path(scratch))
        work.git("init", "--quiet", "--template=", f"--initial-branch={trunk}")
        _configure(work)
        _commit_initial(work, workspace, history["initial"])
        trunk_at_branch = oid(work.git("rev-parse", "HEAD"))
        pulls = []
        base = trunk
        for entry in declared["entry"]:
            pull = _stack_pull(work, stack / str(entry["pr"]), entry, base, history["committer"]["stack"])
            pulls.append(pull)
            base = pull.branch
        work.git("checkout", "--quiet", trunk)
        _apply(work, stack / "main", history["committer"]["trunk"])
        trunk_moved = oid(work.git("rev-parse", "HEAD"))
        # A fetch, because the bare repository's hook would record a push.
        branches = "refs/heads/*:refs/heads/*"
        destination.git("fetch", "--quiet", "--no-tags", "--no-write-fetch-head", scratch, branches)
    return Example(trunk, trunk_at_branch, trunk_moved, tuple(pulls), stack_toml)


def _read_history(path: Path) -> dict[str, Any]:
    try:
        return tomli.loads(path.read_bytes().decode())
    except (FileNotFoundError, NotADirectoryError):
        raise UsageError(
            "the example's sources are not here",
            why=f"expected {path}",
            next_command=installing.newer(),
        ) from None


def _configure(work: Bare) -> None:
    """Override settings that depend on the machine, or cost time in a temporary directory."""
    settings = {"core.autocrlf": "false", "core.fileMode": "false", "core.fsync": "none", "gc.auto": "0"}
    for name, value in settings.items():
        work.git("config", name, value)


def _commit_initial(work: Bare, workspace: Path, commits: list[dict[str, Any]]) -> None:
    for commit in commits:
        for name in commit["paths"]:
            origin, copy = workspace / name, work.path / name
            copy.parent.mkdir(parents=True, exist_ok=True)
            if origin.is_dir():
                shutil.copytree(origin, copy, ignore=_NOT_COPIED)
            else:
                shutil.copyfile(origin, copy)
        work.git("add", "--force", "--", *commit["paths"])
        who = _identity("AUTHOR", commit["author"]) | _identity("COMMITTER", commit["author"])
        when = {"GIT_AUTHOR_DATE": commit["date"], "GIT_COMMITTER_DATE": commit["date"]}
        message = commit["message"].strip().encode()
        work.git("commit", "--quiet", "--file=-", stdin=message, env={**who, **when})


def _stack_pull(work: Bare, patches: Path, entry: Mapping[str, Any], base: BranchName, committer: str) -> ExamplePull:
    branch = branch_name(entry["branch"])
    below = work.git("rev-parse", "HEAD")
    work.git("checkout", "--quiet", "-b", branch)
    _apply(work, patches, committer)
    return ExamplePull(
        number=pr_number(entry["pr"]),
        title=entry["title"],
        body=(patches / "body.md").read_bytes().decode(),
        branch=branch,
        base=base,
        head=oid(work.git("rev-parse", "HEAD")),
        own=int(work.git("rev-list", "--count", f"{below}..HEAD")),
    )


def _apply(work: Bare, patches: Path, committer: str) -> None:
    """Commit every patch of a directory, in the order of their names, with their authors' dates."""
    mails = sorted(str(path.resolve()) for path in patches.glob("*.patch"))
    work.git(
        "am", "--quiet", "--committer-date-is-author-date", "--whitespace=nowarn", "--", *mails,
        env=_identity("COMMITTER", committer),
    )  # fmt: skip


def _identity(role: str, person: str) -> dict[str, str]:
    name, email = parseaddr(person)
    return {f"GIT_{role}_NAME": name, f"GIT_{role}_EMAIL": email}
