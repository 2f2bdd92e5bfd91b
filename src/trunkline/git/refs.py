"""Moves refs, here and on the remote; every move names the object id it expects. The only place that pushes."""

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
from trunkline.domain.sign_in import rejection
from trunkline.git.git import Git
from trunkline.git.history import connectivity, has_object, missing, reachable
from trunkline.state.lock import RepositoryLock
from trunkline.system import process
from trunkline.system.retry import passes, retrying

BACKUPS = "refs/trunkline/backup"
EVIDENCE = "refs/trunkline/evidence"


def pull_head(pr: PrNumber) -> str:
    """Return GitHub's read-only ref of a pull request's head; it stays when the branch is deleted."""
    return f"refs/pull/{pr}/head"


def evidence_ref(pr: PrNumber) -> str:
    """Return where we keep our copy of a pull request's head."""
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
    """Return where a remote is, after insteadOf and pushInsteadOf; asked once.

    Raises:
        UsageError: the repository has no such remote.
    """
    flag = ("--push",) if push else ()
    done = git.fact("remote", "get-url", *flag, "--", remote, ok=(0, 2, 128))
    if done.returncode != 0:
        names = git.query("remote").lines
        raise UsageError(
            f"this repository has no remote {remote}",
            why=f"it has {', '.join(names)}" if names else "it has no remote at all",
            next_command=f"git remote add {remote} git@github.com:OWNER/NAME.git",
        )
    return done.text


def list_remote(git: Git, remote: str, names: Sequence[str]) -> dict[str, Oid]:
    """Ask the remote itself which of these full ref names it has, in one round trip.

    Raises:
        ExternalError: the remote did not answer.
    """
    lines = retrying(
        lambda: git.query("ls-remote", "--quiet", "--end-of-options", remote, *names, network=True)
    ).lines
    found = {name: oid(value) for value, _, name in (line.partition("\t") for line in lines)}
    return {name: value for name, value in found.items() if name in names}  # ls-remote matches by suffix


_FETCH = (
    "fetch", "--no-write-fetch-head", "--no-tags", "--no-recurse-submodules", "--no-auto-maintenance", "--quiet",
)  # fmt: skip


def fetch(git: Git, lock: RepositoryLock, remote: str, wanted: Mapping[str, str]) -> None:
    """Fetch remote refs into local refs of ours or remote-tracking refs, in one round trip.

    Git itself moves the refs only once everything that they reach is there.

    Args:
        git: the repository.
        lock: proof.
        remote: the remote's name.
        wanted: full remote ref -> full local ref; every remote ref must exist.
    """
    specs = [f"+{theirs}:{ours}" for theirs, ours in wanted.items()]
    display = shlex.join(["git", "fetch", "--no-tags", remote, *specs])
    arguments = (*_FETCH, "--end-of-options", remote, *specs)
    retrying(lambda: git.mutate(lock, *arguments, network=True, display=display))
    read_refs(git, *wanted.values())


def fetch_objects(git: Git, remote: str, names: Sequence[str]) -> None:
    """Fetch what remote refs hold, and no ref: looking moves nothing.

    A fetch that was interrupted is done again in full: git takes only what a ref reaches as there already.
    """
    retrying(lambda: git.query(*_FETCH, "--refmap=", "--end-of-options", remote, *names, network=True))


def incomplete(git: Git, remote: str, names: Collection[Oid]) -> ExternalError:
    """Return the error for commits of which something is missing, though the remote has sent them."""
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
    """Refuse commits of which anything is missing: no ref may hold them.

    Raises:
        ExternalError: something is.
    """
    missing_tool = missing(git, tips)
    if missing_tool:
        raise incomplete(git, "--all", missing_tool)


def update_tracking_refs(
    git: Git,
    lock: RepositoryLock,
    remote: str,
    wanted: Mapping[str, str],
    held: Mapping[str, Oid],
    seen: Mapping[str, Oid],
) -> None:
    """Let local refs hold what the remote was just seen to hold, as a fetch does, where all of it is here already.

    No second round trip to the remote. Where a ref moved meanwhile (an editor that fetches), or where something of it
    is missing, it is fetched.

    Args:
        git: the repository.
        lock: proof.
        remote: the remote's name.
        wanted: full remote ref -> full local ref.
        held: local ref -> what it holds; absent: nothing.
        seen: remote ref -> what the remote holds.
    """
    if missing(git, [seen[theirs] for theirs in wanted]):
        fetch(git, lock, remote, wanted)
        return
    moves = "".join(f"update {ours} {seen[theirs]} {held.get(ours, ZERO_OID)}\n" for theirs, ours in wanted.items())
    done = git.mutate(lock, "update-ref", *_message(lock, "fetch"), "--stdin", ok=(0, 128), stdin=moves.encode())
    if done.returncode != 0:
        fetch(git, lock, remote, wanted)
        return
    for theirs, ours in wanted.items():
        git.say(f"git update-ref {ours} {short(seen[theirs])}")


def _message(lock: RepositoryLock, why: str) -> tuple[str, str]:
    """Return what the reflog says of a move."""
    return "-m", f"trunkline {lock.run}: {why}"


@contextlib.contextmanager
def moving_several(git: Git, lock: RepositoryLock, *, why: str) -> Iterator[None]:
    """Let the moves within the context be told to one git, each a transaction of its own as ever.

    A process a move costs 2 ms, a line 0.5 (tests/bench/restack.py).
    """
    with git.coprocess(lock, "update-ref", *_message(lock, why), "--create-reflog", "--no-deref", "--stdin"):
        yield


_TRANSACTION = "start\nupdate {ref} {new} {old}\nprepare\ncommit\n"
_COMMITTED = (b"start: ok", b"prepare: ok", b"commit: ok")


def move_ref(git: Git, lock: RepositoryLock, ref: str, *, new: Oid, old: Oid | None, why: str) -> None:
    """Move a ref from `old` (None: it must not exist) to `new`.

    Raises:
        Refused: it no longer holds `old`.
        ExternalError: something that `new` reaches is missing here.
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
        held = read_refs(git, ref).get(ref)
        if held == new:
            return  # as wanted: by the git that was told first, which died before it said so
        if held == old and ".lock': File exists" in done.error_text:
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
            why=f"expected {expected}, found {held or 'nothing'}; nothing was changed",
            command=done.command_line,
            stderr=done.error_text,
            next_command=task_command("log"),
        )


def track(git: Git, lock: RepositoryLock, remote: str, branch: BranchName, tip: Oid) -> None:
    """Let the remote-tracking ref say what the remote holds.

    Git moves it only for a push by remote name with a matching refspec; a killed push leaves it behind.
    """
    ref = tracking_ref(remote, branch)
    held = read_refs(git, ref).get(ref)
    if held != tip:
        move_ref(git, lock, ref, new=tip, old=held, why="pushed")


def back_up(git: Git, lock: RepositoryLock, branch: BranchName, tip: Oid) -> str:
    """Keep an old tip under a ref of this run and return the ref's name; the same tip twice is one backup.

    `refs/trunkline/backup/RUN/0/BRANCH` is the tip before the run; later numbers are tips in between.
    """
    held = _backups_of_run(git, lock.run)
    for ref, kept in held.items():
        if kept == tip and ref.split("/", 5)[5] == branch:
            return ref
    ref = f"{BACKUPS}/{lock.run}/{len(held)}/{branch}"
    move_ref(git, lock, ref, new=tip, old=None, why=f"backup of {branch}")
    held[ref] = tip
    return ref


def back_up_all(git: Git, lock: RepositoryLock, tips: Sequence[tuple[BranchName, Oid]]) -> None:
    """Keep old tips of several branches under refs of this run, all in one transaction; see `back_up`."""
    held = _backups_of_run(git, lock.run)
    start = len(held)
    made = {f"{BACKUPS}/{lock.run}/{start + index}/{branch}": tip for index, (branch, tip) in enumerate(tips)}
    if made and not held:
        _require_complete(git, made.values())
        lines = "".join(f"create {ref} {tip}\n" for ref, tip in made.items())
        git.mutate(
            lock, "update-ref", *_message(lock, "backup"), "--stdin", stdin=lines.encode()
        )  # fmt: skip
        held.update(made)


def _backups_of_run(git: Git, run: str) -> dict[str, Oid]:
    """Return the backups that a run made so far; nobody else writes there."""
    if run not in git.backups:
        git.backups[run] = read_refs(git, f"{BACKUPS}/{run}/")
    return git.backups[run]


def backups_of(git: Git, branch: BranchName) -> tuple[Oid, ...]:
    """Return every old tip of a branch that we kept."""
    return backups_among(read_refs(git, f"{BACKUPS}/"), branch)


def backups_among(held: Mapping[str, Oid], branch: BranchName) -> tuple[Oid, ...]:
    """Return the old tips of a branch that are among refs read before."""
    kept = {ref: tip for ref, tip in held.items() if ref.startswith(f"{BACKUPS}/")}
    return tuple(dict.fromkeys(tip for ref, tip in kept.items() if ref.split("/", 5)[5] == branch))


@dataclass(frozen=True)
class WorkTree:
    """One of the repository's work trees: its path and the branch it has checked out, if any."""

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
    """Return commits of the remote branch that none of our tips contains: what a push would discard.

    The remote's commit must have been fetched.
    """
    return reachable(git, [remote_tip], [tip for tip in dict.fromkeys(ours) if has_object(git, tip)])


class PushCapped(Refused):
    """The remote takes only so many refs a push; it took none of these.

    Args:
        cap: how many it takes.
    """

    def __init__(self, remote: str, cap: int) -> None:
        super().__init__(f"{remote} takes {cap} branches a push at most", next_command=task_command("push"))
        self.cap = cap


# What some organisations answer (ejoffe/spr#422, aviator-co/av#638).
_CAPPED = re.compile(r"Pushes can not update more than (\d+) branches")


class Pushed(Enum):
    """What a push did."""

    MOVED = "moved"
    ALREADY = "already there"


@dataclass(frozen=True)
class RefUpdate:
    """One branch of the remote: the tip it must still have, and the tip it gets; None: it goes."""

    branch: BranchName
    old: Oid
    new: Oid | None


def push_arguments(remote: str, updates: Sequence[RefUpdate]) -> tuple[str, ...]:
    """Build the arguments of every push that trunkline makes; an unconditional force cannot be written here.

    No `--force` and no `+`: either silently overrides an explicit lease (measured: promises, finding 4). Each ref
    names the tip that it must still have; all move or none (`--atomic`).
    """
    leases = [f"--force-with-lease={branch_ref(u.branch)}:{u.old}" for u in updates]
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


def push_temporary_ref(git: Git, remote: str, commit: Oid) -> None:
    """Let the remote have a commit under a ref of ours, no branch: nothing on GitHub follows it.

    No lease is needed: the ref is named by its commit, so whoever writes it writes the same.

    Raises:
        ExternalError: the remote did not take it.
    """
    _lent(git, remote, f"{commit}:{_LENT}/{commit}")


def delete_temporary_ref(git: Git, remote: str, commit: Oid) -> None:
    """Delete what `push_temporary_ref` made, as far as it is there."""
    _lent(git, remote, f":{_LENT}/{commit}", ok=(0, 1))


_LENT = "refs/trunkline/gates"


def _lent(git: Git, remote: str, spec: str, ok: tuple[int, ...] = (0,)) -> None:
    quiet = ("--quiet", "--no-follow-tags", "--recurse-submodules=no", "--end-of-options")
    retrying(lambda: git.query("push", *quiet, remote, spec, ok=ok, network=True))


def delete_remote(git: Git, lock: RepositoryLock, remote: str, branch: BranchName, tip: Oid) -> None:
    """Delete a branch of the remote, if it still holds `tip`, and our tracking ref of it.

    Raises:
        Refused: it holds something else, or the remote does not delete it.
        ExternalError: the remote did not answer.
    """
    push(git, lock, remote, [RefUpdate(branch, tip, None)])
    ref = tracking_ref(remote, branch)
    if ref in read_refs(git, ref):
        git.mutate(lock, "update-ref", "--no-deref", "-d", ref)


def delete(git: Git, lock: RepositoryLock, branch: BranchName, tip: Oid) -> None:
    """Delete a local branch, if it still holds `tip`; whoever calls has kept the tip.

    Raises:
        UsageError: it holds something else.
    """
    git.mutate(lock, "update-ref", "--no-deref", "-d", branch_ref(branch), tip, display=f"git branch -D {branch}")


def push(git: Git, lock: RepositoryLock, remote: str, updates: Sequence[RefUpdate]) -> Pushed:
    """Push branches, each under its lease, all or none, and verify by asking the remote.

    Whatever the push itself says, the remote's refs decide (faults 17 and 18): all new: done; all old: refused or
    failed, safe to run again; anything else: somebody else pushed.

    A connection that failed is tried again with the identical command, bounded, after the remote was asked.

    Raises:
        Refused: the remote rejected it (protection, hook, lease); it holds what it held.
        ExternalError: the remote did not answer; it may be run again. Or something of what is pushed is missing here.
    """
    _refuse_incomplete_push(git, remote, updates)
    return retrying(lambda: _push_once(git, lock, remote, updates))


def _refuse_incomplete_push(git: Git, remote: str, updates: Sequence[RefUpdate]) -> None:
    """Look up everything that a push would publish, whatever our own refs hold.

    The remote would take a commit whose parts it has, though they are missing here.
    """
    tips = [update.new for update in updates if update.new is not None]
    theirs = [update.old for update in updates if update.old in git.complete]
    if tips:
        done = connectivity(git, tips, excluding=(f"--remotes={remote}", *theirs))
        if done.returncode:
            raise _incomplete(done, remote, tips)


def _holds_old(found: Mapping[str, Oid], updates: Sequence[RefUpdate]) -> bool:
    """Return whether a remote shows each branch as it was, or as it was to be, and one as it was."""
    held = [(found.get(branch_ref(update.branch)), update) for update in updates]
    return all(tip in {u.old, u.new} for tip, u in held) and any(tip != u.new for tip, u in held)


def _confirmed(git: Git, remote: str, updates: Sequence[RefUpdate]) -> dict[str, Oid]:
    """Read the remote again until it shows a push that it has accepted: GitHub's replicas may lag behind.

    Raises:
        ExternalError: it does not show it within the attempts; the push is not repeated.
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
    display = "git " + shlex.join(part for part in arguments if part not in _UNTYPED)
    done = git.mutate(lock, *arguments, ok=tuple(range(256)), network=True, hooks=True, display=display)
    found = list_remote(git, remote, names)
    if done.returncode == 0 and _holds_old(found, updates):
        found = _confirmed(git, remote, updates)
    if all(found.get(branch_ref(u.branch)) == u.new for u in updates):
        return Pushed.ALREADY if "=\t" in done.text else Pushed.MOVED
    moved = [u for u in updates if found.get(branch_ref(u.branch)) not in {u.old, u.new}]
    if moved:
        raise Refused(
            f"{moved[0].branch} moved on {remote} while we worked",
            why=f"expected {moved[0].old}, found {found.get(branch_ref(moved[0].branch)) or 'nothing'};"
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
    # Without a reason: 128 is git's own death (the connection); 1 a refusal, as by a pre-push hook (kept: fault 37).
    refused = bool(reasons) or done.returncode == 1
    guess = "a pre-push hook, or the remote, refused it" if refused else "the connection failed"
    kind: type[TrunklineError] = Refused if refused else ExternalError
    if not refused and passes(done.error_text):
        kind = TransientError
    raise kind(
        f"{remote} did not take the push",
        why="; ".join(reasons) or f"{guess}; the branch is as it was",
        command=done.command_line,
        stderr=done.error_text,
        next_command=task_command("push"),
    )
