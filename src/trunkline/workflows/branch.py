"""Moves the entry's local branch; a clean checkout of it moves along, nothing else of the user's does."""

from __future__ import annotations

from pathlib import Path

from trunkline.adapters import refs
from trunkline.adapters.git import Git
from trunkline.adapters.journal import Run
from trunkline.adapters.lease import Lease
from trunkline.domain.errors import Refused, UsageError
from trunkline.domain.names import Oid, branch_ref, oid
from trunkline.engine import Acting
from trunkline.workflows.context import Context
from trunkline.workflows.look import local_state
from trunkline.workflows.steps.switch import refuse_unmovable


def move(context: Context, acting: Acting, *, new: Oid, old: Oid | None, why: str) -> None:
    """Move the entry's branch from `old` to `new`, backup first, under compare-and-swap.

    Raises:
        Refused: it no longer holds `old`, or its checkout is no longer clean.
    """
    if new == old:
        return
    git, branch = context.git, context.entry.branch
    # Look again: the user may have edited or switched since (promises, fault 31).
    local = context.local_again()
    refuse_unmovable(local)
    if old is not None:
        refs.back_up(git, acting.lease, branch, old)
    acting.intend(context.entry, ref=branch_ref(branch), old=old, new=new, checkout=local.checked_out)
    if local.checked_out and old is not None:
        try:
            _move_checkout(context, acting, new=new, old=old)
        except Refused:
            acting.withdraw(context.entry, ref=branch_ref(branch), new=new)
            raise
    try:
        refs.move_ref(git, acting.lease, branch_ref(branch), new=new, old=old, why=why)
    except Refused:
        if local.checked_out and old is not None:
            _move_checkout(context, acting, new=old, old=new)
        acting.withdraw(context.entry, ref=branch_ref(branch), new=new)
        raise
    context.moved(new)


def settle(context: Context, lease: Lease, run: Run) -> bool:
    """Bring back a checkout that a killed run had begun to move along with its branch; say whether there was one.

    Only where every path that differs is, byte for byte, the old commit's or the new one's: anything else is the
    user's, and is left for the refusal that follows.
    """
    intent = next((r for r in reversed(run.records) if r.kind == "intent" and r.data.get("checkout")), None)
    if intent is None or not intent.data["old"] or intent.data["ref"] != branch_ref(context.entry.branch):
        return False
    git, old, new = context.git, oid(str(intent.data["old"])), oid(str(intent.data["new"]))
    local = local_state(git, context.entry.branch)
    if not local.checked_out or local.local != old:
        return False
    sides = _files(git, old), _files(git, new)
    touched = [path for path in sides[0].keys() | sides[1].keys() if sides[0].get(path) != sides[1].get(path)]
    strange = set(local.changes) - set(touched)
    if strange or not all(_is_one_of(git, path, sides) for path in touched):
        return False
    added = [path for path in touched if path not in sides[0] and (git.cwd / path).exists()]
    if not local.changes and not added:
        return False
    git.mutate(lease, "read-tree", "--reset", "-u", "--end-of-options", old)
    for path in added:
        (git.cwd / path).unlink(missing_ok=True)
    context.forget_local()
    return True


def _files(git: Git, commit: Oid) -> dict[str, str]:
    """Return path -> `mode oid` of a commit."""
    listed = git.fact("ls-tree", "-r", "-z", "--full-tree", commit).text.split("\0")
    entries = (line.partition("\t") for line in listed if line)
    return {path: f"{about.split()[0]} {about.split()[2]}" for about, _, path in entries}


def _is_one_of(git: Git, path: str, sides: tuple[dict[str, str], dict[str, str]]) -> bool:
    """Say whether a path of the checkout is as one of the two commits has it; absent counts where one lacks it."""
    wanted = {side[path].split()[1] if path in side else "" for side in sides}
    file = git.cwd / path
    if file.is_symlink() or not file.is_file():
        return not file.exists() and "" in wanted
    return git.query("hash-object", "--path", path, "--", str(Path(path))).text in wanted


def _move_checkout(context: Context, acting: Acting, *, new: Oid, old: Oid) -> None:
    """Bring the user's clean checkout from one commit to another; untracked files are never overwritten."""
    try:
        context.git.mutate(acting.lease, "read-tree", "-m", "-u", "--end-of-options", old, new)
    except UsageError as error:
        raise _in_the_way(error) from error


def _in_the_way(error: UsageError) -> Refused:
    locked = ".lock': File exists" in error.stderr
    what = "another git, or one that died, holds a lock" if locked else "a file of yours is in the way"
    return Refused(
        "your checkout cannot move along with the branch",
        why=f"{what}; nothing was changed",
        command=error.command,
        stderr=error.stderr,
        next_command="git status",
    )
