"""Read the local branches of a clone as a stack for the simulated GitHub; changes nothing, sends nothing."""

from __future__ import annotations

import contextlib
import re
import shlex
from pathlib import Path

from trunkline.config import location, validation
from trunkline.context.loading import top_of
from trunkline.domain.command import task_command
from trunkline.domain.errors import UsageError
from trunkline.domain.local_stack import LocalPull, LocalStack, bases, numbered
from trunkline.domain.names import BranchName, Oid, branch_name, branch_ref
from trunkline.domain.repository import repository_of
from trunkline.domain.stack import DEFAULT_REMOTE, Entry
from trunkline.git import history, refs
from trunkline.git.git import Git

_HEADS = "refs/heads/"
_USUAL = ("main", "master", "trunk", "develop")
"""Names of a trunk, for a clone that does not know the default branch of its remote."""
_UNUSUAL = re.compile(r"[^\w.-]+")


def read_local_stack(path: Path, trunk: str = "") -> LocalStack:
    """Return the stack that the local branches of a clone form.

    Trunk and the branches of stack.toml that are not here locally are taken from the last fetch.

    Args:
        path: a directory in the clone.
        trunk: the name of trunk; "": as stack.toml says, else the remote's default branch.

    Raises:
        UsageError: it is no clone, its history is incomplete, or trunk is not known.
    """
    git = _clone(path)
    found = location.locate(git, git.cwd)
    stacks = () if found is None else validation.stacks_of(found, entries=False)
    entries = {entry.branch: entry for stack in stacks for entry in stack.entries}
    remote = stacks[0].remote if stacks else _remote(git)
    held = refs.read_refs(git, _HEADS, f"refs/remotes/{remote}/")
    local = {branch_name(ref.removeprefix(_HEADS)): tip for ref, tip in held.items() if ref.startswith(_HEADS)}
    name = branch_name(trunk) if trunk else stacks[0].trunk if stacks else _trunk(git, path, remote, local)
    tip = held.get(refs.tracking_ref(remote, name)) or local.get(name)
    if tip is None:
        raise UsageError(
            f"there is no branch {name} in {git.cwd}", why="it was taken for the branch that stacks land on",
            next_command=task_command("sim.serve", "--repository", path, "--trunk", "BRANCH"),
        )  # fmt: skip
    fetched = {
        branch: upstream
        for branch in entries
        if (upstream := held.get(refs.tracking_ref(remote, branch))) is not None
    }
    tips = {branch: at for branch, at in {**fetched, **local}.items() if branch != name}
    head = refs.current_branch(git)
    return LocalStack(
        slug=_slug(git, remote),
        trunk=name,
        objects=str(git.common_dir() / "objects"),
        refs={branch_ref(name): tip, **{branch_ref(branch): at for branch, at in tips.items()}},
        pulls=_pulls(git, name, tip, tips, entries),
        checked_out=next((branch for branch in tips if branch == head), name),
        stack_toml=found.text if found is not None and not found.of_trunk else "",
    )


def _clone(path: Path) -> Git:
    """Return the clone that a directory is in.

    Raises:
        UsageError: there is no such directory, it is in no clone, or the history of the clone is incomplete.
    """
    if not path.is_dir():
        raise UsageError(
            f"--repository {path}: there is no such directory", next_command=task_command("sim.serve", "--example")
        )
    git = top_of(Git(path.resolve()))
    if refs.is_shallow(git):
        raise UsageError(
            f"{git.cwd} is a shallow clone", why="fork points need its whole history",
            next_command=f"git -C {shlex.quote(str(git.cwd))} fetch --unshallow",
        )  # fmt: skip
    return git


def _remote(git: Git) -> str:
    names = git.query("remote").lines
    return refs.usual_remote(names) or next(iter(names), DEFAULT_REMOTE)


def _trunk(git: Git, path: Path, remote: str, local: dict[BranchName, Oid]) -> BranchName:
    """Return the remote's default branch as of the clone, else a usual name, else the only branch."""
    known = git.query("symbolic-ref", "--quiet", f"refs/remotes/{remote}/HEAD", ok=(0, 1)).text
    if known:
        return branch_name(known.removeprefix(f"refs/remotes/{remote}/"))
    names = [name for name in _USUAL if name in local] or list(local)
    if not names:
        raise UsageError(f"{git.cwd} has no commit yet", next_command=f"cd {shlex.quote(str(git.cwd))} && git commit")
    if names[0] not in _USUAL and len(names) > 1:
        raise UsageError(
            "which branch do stacks land on?", why=f"there are {', '.join(sorted(names))}",
            next_command=task_command("sim.serve", "--repository", path, "--trunk", "BRANCH"),
        )  # fmt: skip
    return branch_name(names[0])


def _slug(git: Git, remote: str) -> str:
    """Return `owner/name` of the remote; of a repository that is not on GitHub, `local/` and its directory's name."""
    with contextlib.suppress(UsageError):
        return repository_of(refs.remote_url(git, remote)).slug
    return f"local/{_UNUSUAL.sub('-', git.cwd.name).strip('.-') or 'repository'}"


def _pulls(
    git: Git, trunk: BranchName, tip: Oid, tips: dict[BranchName, Oid], entries: dict[BranchName, Entry]
) -> tuple[LocalPull, ...]:
    own = {branch: history.reachable(git, [at], [tip]) for branch, at in tips.items()}
    found = bases(trunk, {branch: [commit.oid for commit in commits] for branch, commits in own.items()})
    known = {branch: entries[branch].number for branch in found if branch in entries}
    numbers = numbered(list(found), {branch: number for branch, number in known.items() if number is not None})
    pulls = []
    for branch, base in found.items():
        below = {commit.oid for commit in own.get(base, ())}
        first = next(commit for commit in own[branch] if commit.oid not in below)
        title = entries[branch].title if branch in entries else ""
        pulls.append(LocalPull(numbers[branch], branch, base, title or first.subject or str(branch)))
    return tuple(pulls)
