"""Move the local trunk forward to the fetched one, if that is a fast-forward and no work tree uses it."""

from __future__ import annotations

import shlex

import msgspec

from trunkline.context.observation import local_state
from trunkline.domain.commits import counted
from trunkline.domain.names import BranchName, Oid, branch_ref, short
from trunkline.git import history, local_refs, refs
from trunkline.git.git import Git
from trunkline.state.lock import RepositoryLock


class Behind(msgspec.Struct, frozen=True):
    """A local trunk that lacks commits of the remote's, and has none of its own.

    Attributes:
        old: its tip.
        use: why it must stay, in a sentence; "" if it can move.
    """

    old: Oid
    use: str


def behind(git: Git, remote: str, trunk: BranchName, tip: Oid) -> Behind | None:
    """Return the local trunk if a fast-forward to `tip` would move it, else None.

    A branch of that name with another upstream belongs to something else.
    """
    old = refs.read_ref(git, branch_ref(trunk))
    if old is None or old == tip or not history.is_ancestor(git, old, tip):
        return None
    upstream = git.query("config", "--get-regexp", rf"^branch\.{trunk}\.(remote|merge)$", ok=(0, 1)).lines
    if {line.partition(" ")[2] for line in upstream} != {remote, branch_ref(trunk)}:
        return None
    return Behind(old, local_state(git, trunk).use)


def command(remote: str, trunk: BranchName) -> str:
    """Return git's command for a fast-forward of a trunk that is not checked out."""
    return f"git fetch {shlex.quote(remote)} {shlex.quote(f'{trunk}:{trunk}')}"


def advance(git: Git, lock: RepositoryLock, remote: str, trunk: BranchName, tip: Oid) -> tuple[Oid | None, str]:
    """Move the local trunk forward.

    Returns:
        Its former tip, or None if it stays; and a line about it, "" if there is nothing to say.
    """
    found = behind(git, remote, trunk, tip)
    if found is None:
        return None, ""
    count = counted(len(history.reachable(git, [tip], [found.old])))
    if found.use:
        merge = f"git merge --ff-only {shlex.quote(f'{remote}/{trunk}')}"
        return None, f"your {trunk} stays {count} behind, because {found.use}; to move it there: {merge}"
    local_refs.move_ref(git, lock, branch_ref(trunk), new=tip, old=found.old, why="sync")
    git.report_command(command(remote, trunk))
    return found.old, f"your {trunk} moved forward by {count}: {short(found.old)}..{short(tip)}"
