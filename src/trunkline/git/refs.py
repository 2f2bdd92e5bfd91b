"""Name and read refs, here and on the remote, and fetch them."""

from __future__ import annotations

import re
import shlex
from collections.abc import Collection, Mapping, Sequence

from trunkline.domain.command import task_command
from trunkline.domain.errors import ExternalError, Refused, UsageError
from trunkline.domain.names import BranchName, Oid, PrNumber, oid, short
from trunkline.domain.repository import identity
from trunkline.domain.stack import DEFAULT_REMOTE
from trunkline.git.git import Git
from trunkline.git.history import connectivity
from trunkline.state.change_log import Part
from trunkline.state.lock import RepositoryLock
from trunkline.system import process
from trunkline.system.retry import retrying

EVIDENCE = "refs/trunkline/evidence"
_ANY_URL = "git@github.com:OWNER/NAME.git"
_LOCK = re.compile(r"Unable to create '(.+\.lock)': File exists")


def pull_head(pr: PrNumber) -> str:
    """Return GitHub's read-only ref of a pull request's head; it outlives the branch."""
    return f"refs/pull/{pr}/head"


def evidence_ref(pr: PrNumber) -> str:
    """Return the local ref that keeps a copy of a pull request's head."""
    return f"{EVIDENCE}/{pr}/head"


def tracking_ref(remote: str, branch: BranchName) -> str:
    """Return the remote-tracking ref of a branch."""
    return f"refs/remotes/{remote}/{branch}"


def parts_of(*names: str) -> Part:
    """Return the parts of the world that change when local refs of these full names move: branches alone count."""
    return Part.LOCAL if any(name.startswith("refs/heads/") for name in names) else Part.NOTHING


def read_refs(git: Git, *prefixes: str) -> dict[str, Oid]:
    """Return the refs under the given names or prefixes, by full name."""
    lines = git.query("for-each-ref", "--format=%(objectname) %(refname)", *prefixes).lines
    found = {name: oid(value) for value, _, name in (line.partition(" ") for line in lines)}
    git.referenced.update(found.values())
    return found


def read_ref(git: Git, name: str) -> Oid | None:
    """Return the value of a ref by its full name; None: there is no such ref."""
    return read_refs(git, name).get(name)


def current_branch(git: Git) -> str:
    """Return the branch that is checked out; "" on a detached HEAD."""
    return git.query("symbolic-ref", "--quiet", "--short", "HEAD", ok=(0, 1)).text


def unlocking(error_text: str) -> str:
    """Return the command that removes the lock over which git failed; "": it failed over something else."""
    found = _LOCK.search(error_text)
    return f"rm {shlex.quote(found[1])}   # the lock, once no other git runs" if found else ""


def usual_remote(names: Sequence[str]) -> str | None:
    """Return origin, or the only remote; None: there is none, or there are several without origin."""
    if DEFAULT_REMOTE in names:
        return DEFAULT_REMOTE
    return names[0] if len(names) == 1 else None


def remote_url(git: Git, remote: str, *, push: bool = False) -> str:
    """Return a remote's URL after insteadOf and pushInsteadOf; cached.

    Raises:
        UsageError: the repository has no such remote.
    """
    flag = ("--push",) if push else ()
    done = git.cached_query("remote", "get-url", *flag, "--", remote, ok=(0, 2, 128))
    if done.returncode != 0:
        names = git.query("remote").lines
        urls = [git.query("remote", "get-url", "--", names[0]).text] if len(names) == 1 else []
        raise UsageError(
            f"this repository has no remote {remote}",
            why=f"it has {', '.join(names)}" if names else "it has no remote at all",
            next_command=f"git remote add {shlex.quote(remote)} {shlex.quote((*urls, _ANY_URL)[0])}",
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
    arguments = (*_FETCH, *_depth(git), "--end-of-options", remote, *refspecs)
    try:
        changes = parts_of(*specs.values())
        retrying(lambda: git.mutate(lock, *arguments, network=True, shown=True, changes=changes))
    except ExternalError as error:
        if names := directory_conflict(error.stderr):
            raise occupied(names[1], names, command=error.command) from error
        raise
    read_refs(git, *specs.values())


_DIRECTORY_CONFLICT = re.compile(r"'([^']+)' exists; cannot create '([^']+)'")


def directory_conflict(stderr: str) -> tuple[str, str] | None:
    """Return the existing ref and the new one that git cannot create beside it: `a` and `a/b`; None: neither."""
    found = _DIRECTORY_CONFLICT.search(stderr)
    return (found[1], found[2]) if found else None


def occupied(ref: str, names: tuple[str, str], *, command: str) -> Refused:
    """Return the error for a ref that cannot be created, because a name above or below it is a ref."""
    existing = names[0]
    if existing.startswith("refs/heads/"):
        branch = existing.removeprefix("refs/heads/")
        move_away = f"git branch -m -- {shlex.quote(branch)} ANOTHER-NAME"
    else:
        move_away = f"git update-ref -d {shlex.quote(existing)}"
    return Refused(
        f"{ref} cannot be created",
        why=f"{existing} exists, and git keeps no name that is both a ref and a directory of refs;"
        " nothing was changed",
        command=command,
        next_command=(move_away, task_command("continue"), task_command("abort")),
    )


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
            next_command=f"git remote show {shlex.quote(remote)}",
        )
    values = {name: oid(value) for value, name in parts if name in names}
    return heads[0].removeprefix("ref: refs/heads/"), values


def fetch_objects(git: Git, remote: str, names: Sequence[str]) -> None:
    """Fetch the objects of remote refs without moving any ref.

    An interrupted fetch is repeated in full: git only trusts objects that a ref reaches.
    """
    depth = _depth(git)
    retrying(lambda: git.scratch(*_FETCH, *depth, "--refmap=", "--end-of-options", remote, *names, network=True))


def fetch_commits(git: Git, remote: str, names: Collection[Oid]) -> None:
    """Fetch commits by object id, as far as the remote has them; no ref moves.

    GitHub sends every commit that a branch ever held (git-config(1),
    `uploadpack.allowAnySHA1InWant`). Another remote may refuse: then the commits stay missing.
    """
    wanted = list(names)
    for _ in range(_REFUSALS):
        done = git.scratch(*_FETCH, "--end-of-options", remote, *wanted, ok=(0, 1, 128), network=True)
        refused = _NOT_OURS.findall(done.error_text) if done.returncode else ()
        wanted = [name for name in wanted if name not in refused] if refused else []
        if not wanted:
            return


_NOT_OURS = re.compile(r"not our ref ([0-9a-f]{40,64})\b")  # git's upload-pack.c
_REFUSALS = 5
"""The maximum number of requests for commits: each refusal names one of them, and sends none."""


def incomplete(git: Git, remote: str, names: Collection[Oid]) -> ExternalError:
    """Return the error for incomplete commits that the remote had sent."""
    return incomplete_tips(connectivity(git, sorted(names)), remote, names)


def incomplete_tips(done: process.Completed, remote: str, names: Collection[Oid]) -> ExternalError:
    """Return the error for a connectivity check of these commits that failed."""
    listed = ", ".join(short(name) for name in sorted(names))
    return ExternalError(
        f"a part of {listed} is missing in this repository",
        why="a fetch was interrupted, or the disk lost it; no ref was moved",
        command=done.command_line,
        stderr=done.error_text,
        next_command=f"git fetch --refetch {shlex.quote(remote)}",
    )
