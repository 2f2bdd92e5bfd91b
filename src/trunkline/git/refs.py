"""Move local and remote refs; every move names the object id that the ref must still hold.

No other module pushes a branch.
"""

from __future__ import annotations

import contextlib
import re
import shlex
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from enum import Enum
from pathlib import Path

from trunkline.domain.command import task_command
from trunkline.domain.commits import Commit
from trunkline.domain.errors import ExternalError, NotSignedIn, Refused, TransientError, TrunklineError, UsageError
from trunkline.domain.names import ZERO_OID, BranchName, Oid, PrNumber, branch_ref, oid, short
from trunkline.domain.repository import identity
from trunkline.domain.sign_in import rejection
from trunkline.git.git import Git
from trunkline.git.history import connectivity, has_object, missing, reachable
from trunkline.state.lock import RepositoryLock
from trunkline.system import process
from trunkline.system.retry import is_transient, retrying

BACKUPS = "refs/trunkline/backup"
EVIDENCE = "refs/trunkline/evidence"


def pull_head(pr: PrNumber) -> str:
    """Return GitHub's read-only ref of a pull request's head; it outlives the branch."""
    return f"refs/pull/{pr}/head"


def evidence_ref(pr: PrNumber) -> str:
    """Return the local ref that keeps a copy of a pull request's head."""
    return f"{EVIDENCE}/{pr}/head"


def tracking_ref(remote: str, branch: BranchName) -> str:
    """Return the remote-tracking ref of a branch."""
    return f"refs/remotes/{remote}/{branch}"


def read_refs(git: Git, *prefixes: str) -> dict[str, Oid]:
    """Return the refs under the given names or prefixes, by full name."""
    lines = git.query("for-each-ref", "--format=%(objectname) %(refname)", *prefixes).lines
    found = {name: oid(value) for value, _, name in (line.partition(" ") for line in lines)}
    git.referenced.update(found.values())
    return found


def remote_url(git: Git, remote: str, *, push: bool = False) -> str:
    """Return a remote's URL after insteadOf and pushInsteadOf; cached.

    Raises:
        UsageError: the repository has no such remote.
    """
    flag = ("--push",) if push else ()
    done = git.cached_query("remote", "get-url", *flag, "--", remote, ok=(0, 2, 128))
    if done.returncode != 0:
        names = git.query("remote").lines
        raise UsageError(
            f"this repository has no remote {remote}",
            why=f"it has {', '.join(names)}" if names else "it has no remote at all",
            next_command=f"git remote add {remote} git@github.com:OWNER/NAME.git",
        )
    return done.text


def identity_of(git: Git, remote: str) -> str:
    """Return the name of the remote's repository for receipts; "" without such a remote."""
    done = git.cached_query("remote", "get-url", "--", remote, ok=(0, 2, 128))
    return identity(done.text) if done.returncode == 0 else ""


def list_remote(git: Git, remote: str, names: Sequence[str]) -> dict[str, Oid]:
    """Return the values of these full ref names on the remote, in one round trip.

    Raises:
        ExternalError: the remote did not respond.
    """
    lines = retrying(
        lambda: git.query("ls-remote", "--quiet", "--end-of-options", remote, *names, network=True)
    ).lines
    found = {name: oid(value) for value, _, name in (line.partition("\t") for line in lines)}
    return {name: value for name, value in found.items() if name in names}  # ls-remote matches by suffix


_FETCH = (
    "fetch", "--no-write-fetch-head", "--no-tags", "--no-recurse-submodules", "--no-auto-maintenance", "--quiet",
)  # fmt: skip


def fetch(git: Git, lock: RepositoryLock, remote: str, specs: Mapping[str, str]) -> None:
    """Fetch remote refs into local refs, in one round trip.

    Git moves the refs only after everything that they reach has arrived.

    Args:
        git: the repository.
        lock: proof that the caller holds the repository lock.
        remote: the remote's name.
        specs: full remote ref -> full local ref; every remote ref must exist.
    """
    refspecs = [f"+{theirs}:{ours}" for theirs, ours in specs.items()]
    display = shlex.join(["git", "fetch", "--no-tags", remote, *refspecs])
    arguments = (*_FETCH, *_depth(git), "--end-of-options", remote, *refspecs)
    retrying(lambda: git.mutate(lock, *arguments, network=True, display=display))
    read_refs(git, *specs.values())


def is_shallow(git: Git) -> bool:
    """Return whether a part of the history is missing here (git-clone(1), `--depth`)."""
    return git.query("rev-parse", "--is-shallow-repository").text == "true"


def _depth(git: Git) -> tuple[str, ...]:
    """Return the flag that keeps a shallow clone shallow; () for a complete one."""
    return ("--depth=1",) if is_shallow(git) else ()


def default_branch(git: Git, remote: str, *names: str) -> tuple[str, dict[str, Oid]]:
    """Return the remote's default branch, and the values of these refs, in one round trip.

    Raises:
        ExternalError: the remote did not respond, or has no default branch.
    """
    arguments = ("ls-remote", "--symref", "--quiet", "--end-of-options", remote, "HEAD", *names)
    lines = retrying(lambda: git.query(*arguments, network=True)).lines
    parts = [line.partition("\t")[::2] for line in lines]
    heads = [value for value, name in parts if name == "HEAD" and value.startswith("ref: refs/heads/")]
    if not heads:
        raise ExternalError(
            f"{remote} has no default branch",
            why="its HEAD names no branch",
            next_command=f"git remote show {remote}",
        )
    values = {name: oid(value) for value, name in parts if name in names}
    return heads[0].removeprefix("ref: refs/heads/"), values


def fetch_objects(git: Git, remote: str, names: Sequence[str]) -> None:
    """Fetch the objects of remote refs without moving any ref.

    An interrupted fetch is repeated in full: git only trusts objects that a ref reaches.
    """
    depth = _depth(git)
    retrying(lambda: git.query(*_FETCH, *depth, "--refmap=", "--end-of-options", remote, *names, network=True))


def incomplete(git: Git, remote: str, names: Collection[Oid]) -> ExternalError:
    """Return the error for incomplete commits that the remote had sent."""
    return _incomplete(connectivity(git, sorted(names)), remote, names)


def _incomplete(done: process.Completed, remote: str, names: Collection[Oid]) -> ExternalError:
    listed = ", ".join(short(name) for name in sorted(names))
    return ExternalError(
        f"a part of {listed} is missing in this repository",
        why="a fetch was interrupted, or the disk lost it; no ref was moved",
        command=done.command_line,
        stderr=done.error_text,
        next_command=f"git fetch --refetch {remote}",
    )


def _require_complete(git: Git, tips: Iterable[Oid]) -> None:
    """Refuse commits that reach a missing object: no ref may point to them.

    Raises:
        ExternalError: an object is missing.
    """
    absent = missing(git, tips)
    if absent:
        raise incomplete(git, "--all", absent)


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
        fetch(git, lock, remote, specs)
        return
    moves = "".join(f"update {ours} {listed[theirs]} {local.get(ours, ZERO_OID)}\n" for theirs, ours in specs.items())
    done = git.mutate(lock, "update-ref", *_message(lock, "fetch"), "--stdin", ok=(0, 128), stdin=moves.encode())
    if done.returncode != 0:
        fetch(git, lock, remote, specs)
        return
    for theirs, ours in specs.items():
        git.report_command(f"git update-ref {ours} {short(listed[theirs])}")


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


def move_ref(git: Git, lock: RepositoryLock, ref: str, *, new: Oid, old: Oid | None, why: str) -> None:
    """Move a ref from `old` (None: it must not exist) to `new`.

    Raises:
        Refused: it no longer holds `old`.
        ExternalError: an object that `new` reaches is missing.
    """
    _require_complete(git, [new])
    expected = old or ZERO_OID
    if git.send(_TRANSACTION.format(ref=ref, new=new, old=expected), len(_COMMITTED)) == _COMMITTED:
        return
    done = git.mutate(
        lock, "update-ref", *_message(lock, why), "--create-reflog", "--no-deref",
        ref, new, expected, ok=(0, 1, 128),
    )  # fmt: skip
    if done.returncode != 0:
        current = read_refs(git, ref).get(ref)
        if current == new:
            return  # done by the coprocess, which died before it confirmed
        if current == old and ".lock': File exists" in done.error_text:
            raise Refused(
                f"{ref} is locked",
                why="another git works on it, or one that died left its lock; nothing was changed",
                command=done.command_line,
                stderr=done.error_text,
                next_command=(
                    task_command("continue"),
                    "git status   # once no other git runs, remove the lock it names",
                ),
            )
        raise Refused(
            f"{ref} moved while we worked",
            why=f"expected {expected}, found {current or 'nothing'}; nothing was changed",
            command=done.command_line,
            stderr=done.error_text,
            next_command=task_command("log"),
        )


def update_tracking_ref(git: Git, lock: RepositoryLock, remote: str, branch: BranchName, tip: Oid) -> None:
    """Set the remote-tracking ref of a branch after a push.

    Git does so only for a push by remote name with a matching refspec, and not if it is killed.
    """
    ref = tracking_ref(remote, branch)
    current = read_refs(git, ref).get(ref)
    if current != tip:
        move_ref(git, lock, ref, new=tip, old=current, why="pushed")


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
            lock, "update-ref", *_message(lock, "backup"), "--stdin", stdin=lines.encode()
        )  # fmt: skip
        backups.update(made)


def _backups_of_run(git: Git, run: str) -> dict[str, Oid]:
    """Return the backups that a run has made so far; cached, since only this run writes there."""
    if run not in git.backups:
        git.backups[run] = read_refs(git, f"{BACKUPS}/{run}/")
    return git.backups[run]


def backups_of(git: Git, branch: BranchName) -> tuple[Oid, ...]:
    """Return every old tip of a branch that a backup ref holds."""
    return backups_among(read_refs(git, f"{BACKUPS}/"), branch)


def backups_among(known_refs: Mapping[str, Oid], branch: BranchName) -> tuple[Oid, ...]:
    """Return the old tips of a branch, given refs that were read before."""
    kept = {ref: tip for ref, tip in known_refs.items() if ref.startswith(f"{BACKUPS}/")}
    return tuple(dict.fromkeys(tip for ref, tip in kept.items() if ref.split("/", 5)[5] == branch))


@dataclass(frozen=True)
class WorkTree:
    """One of the repository's work trees: its path and the branch checked out in it, if any."""

    path: Path
    branch: str


def work_trees(git: Git) -> tuple[WorkTree, ...]:
    """Return the repository's work trees, the main one first."""
    found = []
    for block in git.query("worktree", "list", "--porcelain", "-z").text.split("\0\0"):
        fields = dict(line.partition(" ")[::2] for line in block.split("\0") if line)
        if "worktree" in fields and "bare" not in fields:
            branch = fields.get("branch", "").removeprefix("refs/heads/")
            found.append(WorkTree(process.path_of(fields["worktree"]), branch))
    return tuple(found)


def changed_paths(git: Git) -> tuple[str, ...]:
    """Return tracked paths of the work tree with uncommitted changes, staged or not."""
    output = git.query("status", "--porcelain=v1", "-z", "--untracked-files=no", "--ignore-submodules=none").text
    parts = iter(output.split("\0"))
    paths = []
    for part in parts:
        if part:
            paths.append(part[3:])
            if part[0] in "RC":
                next(parts, None)  # the old name of a rename follows
    return tuple(paths)


def foreign_commits(git: Git, remote_tip: Oid, ours: Sequence[Oid]) -> tuple[Commit, ...]:
    """Return commits of the remote branch that none of our tips contains.

    A push would discard them. The remote's commit must have been fetched.
    """
    return reachable(git, [remote_tip], [tip for tip in dict.fromkeys(ours) if has_object(git, tip)])


class PushCapped(Refused):
    """The remote limits the number of refs in one push, and rejected this push.

    Args:
        cap: the limit.
    """

    def __init__(self, remote: str, cap: int) -> None:
        super().__init__(f"{remote} takes {cap} branches a push at most", next_command=task_command("push"))
        self.cap = cap


# The message of some organisations' limit (ejoffe/spr#422, aviator-co/av#638).
_CAPPED = re.compile(r"Pushes can not update more than (\d+) branches")


class Pushed(Enum):
    """Result of a push that succeeded."""

    MOVED = "moved"
    ALREADY = "already there"


@dataclass(frozen=True)
class RefUpdate:
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
        "push", "--porcelain", "--atomic", "--no-follow-tags", "--recurse-submodules=no", "--no-force-if-includes",
        *leases, "--end-of-options", remote, *specs,
    )  # fmt: skip


_UNTYPED = {
    "--porcelain",
    "--no-follow-tags",
    "--recurse-submodules=no",
    "--no-force-if-includes",
    "--end-of-options",
}


def typed(arguments: Sequence[str]) -> str:
    """Return a push as a person would type it."""
    return "git " + shlex.join(part for part in arguments if part not in _UNTYPED)


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
    retrying(lambda: git.query("push", *quiet, remote, spec, ok=ok, network=True))


def delete_remote(git: Git, lock: RepositoryLock, remote: str, branch: BranchName, tip: Oid) -> None:
    """Delete a branch of the remote if it still holds `tip`, and its tracking ref.

    Raises:
        Refused: it holds another commit, or the remote refuses to delete it.
        ExternalError: the remote did not respond.
    """
    push(git, lock, remote, [RefUpdate(branch, tip, None)])
    ref = tracking_ref(remote, branch)
    if ref in read_refs(git, ref):
        git.mutate(lock, "update-ref", "--no-deref", "-d", ref)


def delete(git: Git, lock: RepositoryLock, branch: BranchName, tip: Oid) -> None:
    """Delete a local branch if it still holds `tip`; the caller has made a backup.

    Raises:
        UsageError: it holds another commit.
    """
    git.mutate(lock, "update-ref", "--no-deref", "-d", branch_ref(branch), tip, display=f"git branch -D {branch}")


def push(git: Git, lock: RepositoryLock, remote: str, updates: Sequence[RefUpdate]) -> Pushed:
    """Push branches, each under its lease, all or none, and verify by listing the remote's refs.

    The remote's refs decide, not the exit code of the push: a connection can fail after the remote
    accepted it, and a proxy can report success for nothing. All new: done. All old: refused or
    failed, safe to run again. Anything else: somebody else pushed. After a failed connection the
    same command is retried, a limited number of times, after the remote's refs are listed again.

    Raises:
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
            raise _incomplete(done, remote, tips)


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

    def look() -> dict[str, Oid]:
        found = list_remote(git, remote, names)
        if _holds_old(found, updates):
            listed = ", ".join(f"{u.branch} at {short(u.new) if u.new else 'nothing'}" for u in updates)
            raise TransientError(f"pushed; not confirmed yet: {remote} does not show {listed}")
        return found

    try:
        return retrying(look)
    except TransientError as error:
        why = f"{remote} accepted the push and may show it in a moment; nothing was pushed twice"
        raise ExternalError(error.what, why=why, next_command=task_command("continue")) from error


def _push_once(git: Git, lock: RepositoryLock, remote: str, updates: Sequence[RefUpdate]) -> Pushed:
    names = [branch_ref(update.branch) for update in updates]
    arguments = push_arguments(remote, updates)
    done = git.mutate(lock, *arguments, ok=tuple(range(256)), network=True, hooks=True, display=typed(arguments))
    found = list_remote(git, remote, names)
    if done.returncode == 0 and _holds_old(found, updates):
        found = _confirmed(git, remote, updates)
    if all(found.get(branch_ref(u.branch)) == u.new for u in updates):
        return Pushed.ALREADY if "=\t" in done.text else Pushed.MOVED
    moved = [u for u in updates if found.get(branch_ref(u.branch)) not in {u.old, u.new}]
    if moved:
        raise Refused(
            f"{moved[0].branch} moved on {remote} while we worked",
            why=f"expected {moved[0].old or 'nothing'}, found {found.get(branch_ref(moved[0].branch)) or 'nothing'};"
            " nothing was overwritten",
            command=done.command_line,
            stderr=done.error_text,
            next_command=task_command("fetch"),
        )
    if capped := _CAPPED.search(done.error_text):
        raise PushCapped(remote, int(capped[1]))
    if rejected := rejection(done.error_text):
        raise NotSignedIn(
            rejected.what,
            why=f"{remote} did not take the push; the branch is as it was",
            command=done.command_line,
            stderr=done.error_text,
            next_command=(*rejected.commands, task_command("continue")),
        )
    reasons = [line.partition("\t")[2] for line in done.lines if line.startswith("!")]
    # Without a reason, exit code 128 means that git died (the connection). 1 is a refusal, for
    # example by a pre-push hook, which is the user's own check and is always run.
    refused = bool(reasons) or done.returncode == 1
    guess = "a pre-push hook, or the remote, refused it" if refused else "the connection failed"
    kind: type[TrunklineError] = Refused if refused else ExternalError
    if not refused and is_transient(done.error_text):
        kind = TransientError
    raise kind(
        f"{remote} did not take the push",
        why="; ".join(reasons) or f"{guess}; the branch is as it was",
        command=done.command_line,
        stderr=done.error_text,
        next_command=task_command("push"),
    )
