"""Move, create, back up and delete local refs; every move names the object id that the ref must hold."""

from __future__ import annotations

import contextlib
from collections.abc import Iterable, Iterator, Mapping, Sequence

from trunkline.domain.command import task_command
from trunkline.domain.errors import ExternalError, Refused
from trunkline.domain.names import ZERO_OID, BranchName, Oid, branch_name, branch_ref, short
from trunkline.git import refs
from trunkline.git.arguments import typed
from trunkline.git.git import Git
from trunkline.git.history import missing
from trunkline.state.change_log import Change, Part
from trunkline.state.lock import RepositoryLock

BACKUPS = "refs/trunkline/backup"


def _require_complete(git: Git, tips: Iterable[Oid]) -> None:
    """Refuse commits that reach a missing object: no ref may point to them.

    Raises:
        ExternalError: an object is missing.
    """
    absent = missing(git, tips)
    if absent:
        raise refs.incomplete(git, "--all", absent)


def update_tracking_refs(
    git: Git,
    lock: RepositoryLock,
    remote: str,
    specs: Mapping[str, str],
    local: Mapping[str, Oid],
    listed: Mapping[str, Oid],
) -> None:
    """Set local refs to the values just listed from the remote, without another round trip.

    Falls back to a fetch if a ref moved meanwhile (an editor that fetches), or if objects are
    missing.

    Args:
        git: the repository.
        lock: proof that the caller holds the repository lock.
        remote: the remote's name.
        specs: full remote ref -> full local ref.
        local: local ref -> its value; absent: no such ref.
        listed: remote ref -> its value on the remote.
    """
    if missing(git, [listed[theirs] for theirs in specs]):
        refs.fetch(git, lock, remote, specs)
        return
    moves = "".join(f"update {ours} {listed[theirs]} {local.get(ours, ZERO_OID)}\n" for theirs, ours in specs.items())
    done = git.mutate(
        lock, "update-ref", *_message(lock, "fetch"), "--stdin", ok=(0, 128), stdin=moves.encode(),
        changes=refs.parts_of(*specs.values()),
    )  # fmt: skip
    if done.returncode != 0:
        refs.fetch(git, lock, remote, specs)
        return
    for theirs, ours in specs.items():
        git.report_command(move_command(ours, new=listed[theirs], old=local.get(ours)))


def _message(lock: RepositoryLock, why: str) -> tuple[str, str]:
    """Return the reflog message of a move."""
    return "-m", f"trunkline {lock.run}: {why}"


@contextlib.contextmanager
def update_ref_session(git: Git, lock: RepositoryLock, *, why: str) -> Iterator[None]:
    """Run all ref moves within the context in one git process, each in its own transaction.

    A process for each move takes 2 ms, a line of input 0.5 ms (tests/bench/restack.py).
    """
    with git.coprocess(lock, "update-ref", *_message(lock, why), "--create-reflog", "--no-deref", "--stdin"):
        yield


_TRANSACTION = "start\nupdate {ref} {new} {old}\nprepare\ncommit\n"
_COMMITTED = (b"start: ok", b"prepare: ok", b"commit: ok")


def move_command(ref: str, *, new: Oid, old: Oid | None) -> str:
    """Return the command of `move_ref` as a person would type it."""
    return typed(("update-ref", *_move(ref, new, old)))


def _move(ref: str, new: Oid, old: Oid | None) -> tuple[str, ...]:
    return "--create-reflog", "--no-deref", ref, new, old or ""  # "": it must not exist (git-update-ref(1))


def move_ref(git: Git, lock: RepositoryLock, ref: str, *, new: Oid, old: Oid | None, why: str) -> None:
    """Move a ref from `old` (None: it must not exist) to `new`.

    Raises:
        Refused: it no longer holds `old`.
        ExternalError: an object that `new` reaches is missing, or git cannot write the ref.
    """
    _require_complete(git, [new])
    parts, moved = refs.parts_of(ref), None
    try:
        _move_ref(git, lock, ref, new=new, old=old, why=why)
        moved = (branch_name(ref.removeprefix("refs/heads/")), new) if parts else None
    finally:
        git.changes.append(Change(parts, tip=moved))


def _move_ref(git: Git, lock: RepositoryLock, ref: str, *, new: Oid, old: Oid | None, why: str) -> None:
    expected = old or ZERO_OID
    if git.send(_TRANSACTION.format(ref=ref, new=new, old=expected), len(_COMMITTED)) == _COMMITTED:
        return
    done = git.mutate(
        lock, "update-ref", *_message(lock, why), *_move(ref, new, old), ok=(0, 1, 128), changes=Part.NOTHING,
    )  # fmt: skip
    if done.returncode != 0:
        current = refs.read_ref(git, ref)
        if current == new:
            return  # done by the coprocess, which died before it confirmed
        if current == old and (unlock := refs.unlocking(done.error_text)):
            raise Refused(
                f"{ref} is locked",
                why="another git works on it, or one that died left its lock; nothing was changed",
                command=done.command_line,
                stderr=done.error_text,
                next_command=(task_command("continue"), unlock),
            )
        if current == old and (occupied := refs.directory_conflict(done.error_text)):
            raise refs.occupied(ref, occupied, command=done.command_line)
        if current == old:
            raise ExternalError(
                f"git could not move {ref}",
                why=f"it is still at {short(old)}" if old else "it still does not exist",
                command=done.command_line,
                stderr=done.error_text,
                next_command="df ." if "couldn't write" in done.error_text else (),
            )
        raise Refused(
            f"{ref} moved while we worked",
            why=f"expected {expected}, found {current or 'nothing'}; nothing was changed",
            command=done.command_line,
            stderr=done.error_text,
            next_command=task_command("log"),
        )


def update_tracking_ref(git: Git, lock: RepositoryLock, remote: str, branch: BranchName, tip: Oid) -> None:
    """Set the remote-tracking ref of a branch after a push; see `update_tracking_refs_of`."""
    update_tracking_refs_of(git, lock, remote, {branch: tip})


def update_tracking_refs_of(git: Git, lock: RepositoryLock, remote: str, tips: Mapping[BranchName, Oid]) -> None:
    """Set the remote-tracking refs of branches after a push.

    Git does so only for a push by remote name with a matching refspec, and not if it is killed.
    """
    wanted = {refs.tracking_ref(remote, branch): tip for branch, tip in tips.items()}
    current = refs.read_refs(git, *wanted) if wanted else {}
    for ref, tip in wanted.items():
        if current.get(ref) != tip:
            move_ref(git, lock, ref, new=tip, old=current.get(ref), why="pushed")


def has_upstream(git: Git, branch: BranchName) -> bool:
    """Return whether a local branch has an upstream, which may be another branch than the remote's of its name."""
    return git.query("config", "--get", f"branch.{branch}.merge", ok=(0, 1)).returncode == 0


def upstream_command(remote: str, branch: BranchName) -> str:
    """Return the command of `set_upstream` as a person would type it."""
    return typed(_upstream(remote, branch))


def _upstream(remote: str, branch: BranchName) -> tuple[str, ...]:
    return "branch", "--quiet", f"--set-upstream-to={remote}/{branch}", "--", branch


def set_upstream(git: Git, lock: RepositoryLock, remote: str, branch: BranchName) -> None:
    """Set the upstream of a local branch to the remote's branch of the same name.

    `git branch` refuses where the configured refspecs leave the branch out, as in a clone of a single branch.
    """
    if git.mutate(lock, *_upstream(remote, branch), shown=True, ok=(0, 128)).returncode == 0:
        return
    git.mutate(lock, "config", "--local", f"branch.{branch}.remote", remote)
    git.mutate(lock, "config", "--local", f"branch.{branch}.merge", branch_ref(branch))


def back_up(git: Git, lock: RepositoryLock, branch: BranchName, tip: Oid) -> str:
    """Keep an old tip under a backup ref of this run and return the ref; one ref for each tip.

    `refs/trunkline/backup/RUN/0/BRANCH` is the tip before the run; higher numbers are later tips.
    """
    backups = _backups_of_run(git, lock.run)
    for ref, kept in backups.items():
        if kept == tip and ref.split("/", 5)[5] == branch:
            return ref
    ref = f"{BACKUPS}/{lock.run}/{len(backups)}/{branch}"
    move_ref(git, lock, ref, new=tip, old=None, why=f"backup of {branch}")
    backups[ref] = tip
    return ref


def back_up_all(git: Git, lock: RepositoryLock, tips: Sequence[tuple[BranchName, Oid]]) -> None:
    """Keep old tips of several branches under backup refs, in one transaction; see `back_up`."""
    backups = _backups_of_run(git, lock.run)
    start = len(backups)
    made = {f"{BACKUPS}/{lock.run}/{start + index}/{branch}": tip for index, (branch, tip) in enumerate(tips)}
    if made and not backups:
        _require_complete(git, made.values())
        lines = "".join(f"create {ref} {tip}\n" for ref, tip in made.items())
        git.mutate(
            lock, "update-ref", *_message(lock, "backup"), "--stdin", stdin=lines.encode(),
            changes=Part.NOTHING,
        )  # fmt: skip
        backups.update(made)


def _backups_of_run(git: Git, run: str) -> dict[str, Oid]:
    """Return the backups that a run has made so far; cached, since only this run writes there."""
    if run not in git.backups:
        git.backups[run] = refs.read_refs(git, f"{BACKUPS}/{run}/")
    return git.backups[run]


def backups_among(known_refs: Mapping[str, Oid], branch: BranchName) -> tuple[Oid, ...]:
    """Return the old tips of a branch, given refs that were read before."""
    kept = {ref: tip for ref, tip in known_refs.items() if ref.startswith(f"{BACKUPS}/")}
    return tuple(dict.fromkeys(tip for ref, tip in kept.items() if ref.split("/", 5)[5] == branch))


def delete(git: Git, lock: RepositoryLock, branch: BranchName, tip: Oid) -> None:
    """Delete a local branch if it still holds `tip`; the caller has made a backup.

    Raises:
        UsageError: it holds another commit.
    """
    git.mutate(lock, *_deletion(branch, tip), shown=True)


def delete_command(branch: BranchName, tip: Oid) -> str:
    """Return the command of `delete` as a person would type it."""
    return typed(_deletion(branch, tip))


def _deletion(branch: BranchName, tip: Oid) -> tuple[str, ...]:
    return "update-ref", "--no-deref", "-d", branch_ref(branch), tip
