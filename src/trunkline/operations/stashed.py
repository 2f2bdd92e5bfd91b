"""Stash uncommitted changes when a branch is left, and bring them back when it is checked out again."""

from __future__ import annotations

from trunkline.domain.names import BranchName, oid
from trunkline.domain.step import StepStatus
from trunkline.engine import StepContext
from trunkline.git import replay, work_trees
from trunkline.git.arguments import typed
from trunkline.git.git import Git

_PREFIX = "trunkline: "


def put_away(git: Git, step_context: StepContext, branch: str) -> None:
    """Stash the uncommitted changes of tracked files, under the name of the branch that is left.

    Raises:
        ExternalError, UsageError: git failed; the changes are where they were.
    """
    message = f"{_PREFIX}{branch or 'a detached HEAD'}"
    git.mutate(step_context.lock, "stash", "push", "--quiet", "--message", message, shown=True)


def bring_back(git: Git, step_context: StepContext, branch: BranchName) -> tuple[StepStatus, tuple[str, ...]]:
    """Apply the newest stash of a branch that is checked out, and drop it; return a mark and messages.

    It stays where it is if the checkout is not clean, or if it conflicts with the branch's tip.
    """
    name = _newest(git, branch)
    if name is None:
        return StepStatus.DONE, ()
    arguments = ("stash", "pop", "--quiet", name)
    pop = typed(arguments)
    if work_trees.changed_paths(git):
        return StepStatus.WARNED, (f"your stashed changes stay in {name}: the checkout is not clean; {pop}",)
    stash, base, head = git.resolve(name), git.resolve(f"{name}^1"), git.resolve("HEAD")
    if stash is None or base is None or head is None:
        return StepStatus.DONE, ()
    merged = replay.three_way(git, base=oid(base), ours=oid(head), theirs=oid(stash))
    if merged.conflicts:
        listed = ", ".join(merged.conflicts)
        return StepStatus.WARNED, (f"your stashed changes stay in {name}: conflict in {listed}; {pop}",)
    done = git.mutate(step_context.lock, *arguments, "--index", ok=(0, 1), shown=True)
    if done.returncode:  # what was staged does not apply to the index; the files do
        git.mutate(step_context.lock, *arguments)
    return StepStatus.DONE, ("your stashed changes are back",)


def _newest(git: Git, branch: BranchName) -> str | None:
    """Return the name of the newest stash of a branch: `stash@{0}`."""
    for line in git.query("stash", "list", "--format=%gd %gs").lines:
        name, _, about = line.partition(" ")
        if about.endswith(f": {_PREFIX}{branch}"):
            return name
    return None
