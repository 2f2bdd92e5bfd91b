"""Push branches under leases, and temporary refs.

No other module pushes a branch.
"""

from __future__ import annotations

import re
import shlex
from collections.abc import Mapping, Sequence
from enum import Enum

import msgspec

from trunkline.domain.command import task_command
from trunkline.domain.errors import ExternalError, NotSignedIn, Refused, TransientError, TrunklineError
from trunkline.domain.names import BranchName, Oid, branch_ref, short
from trunkline.domain.sign_in import rejection
from trunkline.git import refs
from trunkline.git.arguments import typed
from trunkline.git.git import Git
from trunkline.git.history import connectivity
from trunkline.state.change_log import Part
from trunkline.state.lock import RepositoryLock
from trunkline.system.process import Completed
from trunkline.system.retry import is_transient, retrying


class PushCapped(Refused):
    """The remote limits the number of refs in one push, and rejected this push.

    Args:
        cap: the limit.
    """

    def __init__(self, remote: str, cap: int) -> None:
        super().__init__(f"{remote} takes {cap} branches a push at most", next_command=task_command("continue"))
        self.cap = cap


class MovedMeanwhile(Refused):
    """A remote branch holds neither the expected commit nor the new one: somebody else pushed or deleted it."""


# The message of some organisations' limit (ejoffe/spr#422, aviator-co/av#638).
_CAPPED = re.compile(r"Pushes can not update more than (\d+) branches")


class Pushed(Enum):
    """Result of a push that succeeded."""

    MOVED = "moved"
    ALREADY = "already there"


class RefUpdate(msgspec.Struct, frozen=True):
    """An update of one remote branch: the expected tip (None: it must not exist) and the new tip.

    None as the new tip deletes the branch.
    """

    branch: BranchName
    old: Oid | None
    new: Oid | None


def push_arguments(remote: str, updates: Sequence[RefUpdate]) -> tuple[str, ...]:
    """Build the arguments of every push of a branch; an unconditional force is not possible.

    There is no `--force` and no `+`: either silently overrides an explicit lease (measured with git
    2.39, tests/git/test_push_lease.py). Each ref names the tip that it must still have; all refs
    move or none (`--atomic`).
    """
    leases = [f"--force-with-lease={branch_ref(u.branch)}:{u.old or ''}" for u in updates]
    specs = [f"{u.new or ''}:{branch_ref(u.branch)}" for u in updates]
    return (
        "--porcelain", "--atomic", "--no-follow-tags", "--recurse-submodules=no", "--no-force-if-includes",
        *leases, "--end-of-options", remote, *specs,
    )  # fmt: skip


def typed_push(remote: str, updates: Sequence[RefUpdate]) -> str:
    """Return the push of branches as a person would type it, with its leases."""
    return typed(("push", *push_arguments(remote, updates)))


def push_temporary_ref(git: Git, remote: str, commit: Oid) -> None:
    """Push a commit to a temporary ref that is not a branch, so GitHub triggers nothing.

    It needs no lease: the ref's name contains the commit, so every writer writes the same value.

    Raises:
        ExternalError: the remote did not accept it.
    """
    _push_temporary(git, remote, f"{commit}:{_TEMPORARY_REFS}/{commit}")


def delete_temporary_ref(git: Git, remote: str, commit: Oid) -> None:
    """Delete the ref of `push_temporary_ref`, if it exists."""
    _push_temporary(git, remote, f":{_TEMPORARY_REFS}/{commit}", ok=(0, 1))


_TEMPORARY_REFS = "refs/trunkline/gates"


def _push_temporary(git: Git, remote: str, spec: str, ok: tuple[int, ...] = (0,)) -> None:
    quiet = ("--quiet", "--no-follow-tags", "--recurse-submodules=no", "--end-of-options")
    retrying(lambda: git.push(None, *quiet, remote, spec, ok=ok))


def delete_remote(git: Git, lock: RepositoryLock, remote: str, branch: BranchName, tip: Oid) -> None:
    """Delete a branch of the remote if it still holds `tip`, and its tracking ref.

    Raises:
        MovedMeanwhile: it holds another commit.
        Refused: the remote refuses to delete it.
        ExternalError: the remote did not respond.
    """
    push(git, lock, remote, [RefUpdate(branch, tip, None)])
    ref = refs.tracking_ref(remote, branch)
    if refs.read_ref(git, ref) is not None:
        git.mutate(lock, "update-ref", "--no-deref", "-d", ref, changes=Part.NOTHING)


def push(git: Git, lock: RepositoryLock, remote: str, updates: Sequence[RefUpdate]) -> Pushed:
    """Push branches, each under its lease, all or none, and verify by listing the remote's refs.

    The remote's refs decide, not the exit code of the push: a connection can fail after the remote
    accepted it, and a proxy can report success for nothing. All new: done. All old: refused or
    failed, safe to run again. Anything else: somebody else pushed. After a failed connection the
    same command is retried, a limited number of times, after the remote's refs are listed again.

    Raises:
        MovedMeanwhile: a branch is at another commit, and nothing was pushed.
        Refused: the remote rejected it (protection, hook, lease); its refs are unchanged.
        ExternalError: the remote did not respond, and the push may be run again; or an object to be
            pushed is missing.
    """
    _refuse_incomplete_push(git, remote, updates)
    return retrying(lambda: _push_once(git, lock, remote, updates))


def _refuse_incomplete_push(git: Git, remote: str, updates: Sequence[RefUpdate]) -> None:
    """Check that everything a push would publish exists, whatever our own refs hold.

    The remote would accept an incomplete commit if it has the missing objects itself.
    """
    tips = [update.new for update in updates if update.new is not None]
    theirs = [update.old for update in updates if update.old is not None and update.old in git.complete]
    if tips:
        done = connectivity(git, tips, excluding=(f"--remotes={remote}", *theirs))
        if done.returncode:
            raise refs.incomplete_tips(done, remote, tips)


def _holds_old(found: Mapping[str, Oid], updates: Sequence[RefUpdate]) -> bool:
    """Return whether a remote branch is unchanged, and all others unchanged or updated."""
    held = [(found.get(branch_ref(update.branch)), update) for update in updates]
    return all(tip in {u.old, u.new} for tip, u in held) and any(tip != u.new for tip, u in held)


def _confirmed(git: Git, remote: str, updates: Sequence[RefUpdate]) -> dict[str, Oid]:
    """List the remote's refs until they show an accepted push: GitHub's replicas may lag.

    Raises:
        ExternalError: they do not show it within the attempts; the push is not repeated.
    """
    names = [branch_ref(update.branch) for update in updates]

    def observe() -> dict[str, Oid]:
        found = refs.list_remote(git, remote, names)
        if _holds_old(found, updates):
            listed = ", ".join(f"{u.branch} at {short(u.new) if u.new else 'nothing'}" for u in updates)
            raise TransientError(f"pushed; not confirmed yet: {remote} does not show {listed}")
        return found

    try:
        return retrying(observe)
    except TransientError as error:
        why = f"{remote} accepted the push and may show it in a moment; nothing was pushed twice"
        raise ExternalError(error.what, why=why, next_command=task_command("continue")) from error


_ANY_END = range(-64, 256)
"""Every exit code, and the negative number of every signal: the remote's refs decide what a push did."""


def _push_once(git: Git, lock: RepositoryLock, remote: str, updates: Sequence[RefUpdate]) -> Pushed:
    names = [branch_ref(update.branch) for update in updates]
    done = git.push(lock, *push_arguments(remote, updates), ok=_ANY_END, hooks=True, shown=True)
    found = refs.list_remote(git, remote, names)
    if done.returncode == 0 and _holds_old(found, updates):
        found = _confirmed(git, remote, updates)
    if all(found.get(branch_ref(u.branch)) == u.new for u in updates):
        return Pushed.ALREADY if "=\t" in done.text else Pushed.MOVED
    raise _failure(done, remote, updates, found)


def _failure(done: Completed, remote: str, updates: Sequence[RefUpdate], found: Mapping[str, Oid]) -> TrunklineError:
    """Return the error of a push after which the remote does not hold the new tips.

    Args:
        done: the finished `git push`.
        remote: the remote.
        updates: the updates.
        found: the values of the refs on the remote after the push.
    """
    moved = [u for u in updates if found.get(branch_ref(u.branch)) not in {u.old, u.new}]
    if moved:
        return MovedMeanwhile(
            f"{moved[0].branch} moved on {remote} while we worked",
            why=f"expected {moved[0].old or 'nothing'}, found {found.get(branch_ref(moved[0].branch)) or 'nothing'};"
            " nothing was overwritten",
            command=done.command_line,
            stderr=done.error_text,
            next_command=(task_command("continue"), task_command("abort")),
        )
    if capped := _CAPPED.search(done.error_text):
        return PushCapped(remote, int(capped[1]))
    if "--mirror can't be combined with refspecs" in done.error_text:
        return Refused(
            f"{remote} takes pushes only as a mirror",
            why=f"remote.{remote}.mirror is set, so git takes no single branch; nothing was pushed",
            command=done.command_line,
            stderr=done.error_text,
            next_command=(
                f"git config --unset-all {shlex.quote(f'remote.{remote}.mirror')}",
                task_command("continue"),
            ),
        )
    if rejected := rejection(done.error_text):
        return NotSignedIn(
            rejected.what,
            why=f"{remote} did not take the push; the branch is as it was",
            command=done.command_line,
            stderr=done.error_text,
            next_command=(*rejected.commands, task_command("continue")),
        )
    return _not_taken(done, remote)


def _not_taken(done: Completed, remote: str) -> TrunklineError:
    """Return the error of a push that was refused without a known cause, or whose connection failed."""
    reasons = [line.partition("\t")[2] for line in done.lines if line.startswith("!")]
    # Without a reason, exit code 128 means that git died (the connection). 1 is a refusal, for
    # example by a pre-push hook, which is the user's own check and is always run.
    refused = bool(reasons) or done.returncode == 1
    guess = "a pre-push hook, or the remote, refused it" if refused else "the connection failed"
    kind: type[TrunklineError] = Refused if refused else ExternalError
    if not refused and is_transient(done.error_text):
        kind = TransientError
    return kind(
        f"{remote} did not take the push",
        why="; ".join(reasons) or f"{guess}; the branch is as it was",
        command=done.command_line,
        stderr=done.error_text,
        next_command=task_command("continue"),
    )
