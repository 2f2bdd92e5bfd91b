"""Work trees of our own, outside the user's checkout.

Outside, because cargo and rustup look for `.cargo/config.toml` and `rust-toolchain.toml` in every parent directory:
a tree below the checkout would be built with the checkout's uncommitted configuration (promises, fault 40).
"""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import os
import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from trunkline.adapters.git import Git
from trunkline.domain.errors import OutsideFailed, TrunklineError
from trunkline.domain.names import Oid, oid
from trunkline.kernel.files import private_directory

_SLOTS = 16
_SNAPSHOT_IDENTITY = {
    f"GIT_{who}_{what}": value
    for who in ("AUTHOR", "COMMITTER")
    for what, value in (("NAME", "trunkline"), ("EMAIL", "trunkline@invalid"), ("DATE", "@0 +0000"))
}  # the same files give the same commit


def state_home() -> Path:
    """Return where our work trees are: TRUNKLINE_STATE_DIR, else under XDG_STATE_HOME."""
    named = os.environ.get("TRUNKLINE_STATE_DIR")
    if named:
        return Path(named)
    base = os.environ.get("XDG_STATE_HOME")
    return (Path(base) if base else Path.home() / ".local" / "state") / "trunkline"


def work_dir(common_dir: Path) -> Path:
    """Return the directory of one repository's work trees; stable, since caches are keyed by absolute paths."""
    name = common_dir.parent.name if common_dir.name == ".git" else common_dir.name
    digest = hashlib.sha256(os.fsencode(common_dir.resolve())).hexdigest()[:12]
    return private_directory(private_directory(state_home()) / f"{name}-{digest}")


@dataclass(frozen=True)
class Slot:
    """A persistent work tree at a commit, shared by everybody who works on that commit, with its target dirs.

    Attributes:
        path: the slot's directory.
        commit: what is checked out.
    """

    path: Path
    commit: Oid

    @property
    def tree(self) -> Path:
        """The work tree."""
        return self.path / "tree"

    def target(self, group: str) -> Path:
        """Return the target directory of a group of gates."""
        return self.path / "target" / group


@contextlib.contextmanager
def slot(git: Git, commit: Oid) -> Iterator[Slot]:
    """Hold a work tree at `commit`, clean, for as long as the context lasts.

    The first free slot is brought to the commit; one that is there already is shared; a run on another commit keeps
    its own. Switching is `git checkout --detach`: unchanged files keep their times, so cargo stays incremental.

    Raises:
        OutsideFailed: every slot is busy with another commit.
    """
    here = work_dir(git.common_dir())
    base = private_directory(here / "gates")
    with (here / "choosing").open("a+") as choosing:
        for number in range(_SLOTS):
            path = private_directory(base / str(number))
            with (path / "lock").open("a+") as lock:
                if _taken(lock.fileno(), choosing.fileno(), path, commit, git):
                    yield Slot(path, commit)
                    return
    raise OutsideFailed("every gate work tree is busy", why=f"{_SLOTS} runs at once, in {base}")


def _taken(lock: int, choosing: int, path: Path, commit: Oid, git: Git) -> bool:
    """Hold the slot's lock shared, with the slot at `commit`; False: it is busy with another.

    Slots are chosen one at a time (`choosing`), so that whoever finds one busy can read what for; and a slot is never
    between exclusive and shared (flock(2) gives the lock up in between) while somebody chooses.
    """
    wanted = path / "commit"
    fcntl.flock(choosing, fcntl.LOCK_EX)
    try:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            if not wanted.is_file() or wanted.read_text() != commit:
                return False
            fcntl.flock(choosing, fcntl.LOCK_UN)
            fcntl.flock(lock, fcntl.LOCK_SH)  # whoever switches it to our commit is nearly done
            return wanted.read_text() == commit and _is_at(path / "tree", commit, git)
        wanted.write_text(commit)
        fcntl.flock(choosing, fcntl.LOCK_UN)
        _bring(path / "tree", commit, git)
        if (path / "tree" / ".gitmodules").is_file():
            from trunkline.adapters import submodules  # noqa: PLC0415 -- few have any; it needs `work_dir`

            submodules.fill(git, path / "tree", commit)
        fcntl.flock(choosing, fcntl.LOCK_EX)
        fcntl.flock(lock, fcntl.LOCK_SH)
        return True
    finally:
        fcntl.flock(choosing, fcntl.LOCK_UN)


def _is_at(tree: Path, commit: Oid, git: Git) -> bool:
    try:
        return git.at(tree).resolve("HEAD") == commit
    except TrunklineError:
        return False


def _bring(tree: Path, commit: Oid, git: Git) -> None:
    """Bring a slot's work tree to a commit, clean; made anew where it is missing or damaged.

    `worktree add` and `checkout --detach` in a directory of our own, under the slot's lock, move no ref of the
    user's: they need no lease, and may run beside a task that holds it.
    """
    if (tree / ".git").is_file():
        try:
            here = git.at(tree)
            here.query(*_WHOLE, "checkout", "--quiet", "--detach", "--force", "--no-recurse-submodules", commit)
            here.query("clean", "--quiet", "-ffdx")
        except TrunklineError:
            pass
        else:
            return
    shutil.rmtree(tree, ignore_errors=True)
    with registering(git):
        git.query("worktree", "prune")
        git.query(*_WHOLE, "worktree", "add", "--quiet", "--detach", "--force", "--end-of-options", str(tree), commit)


@contextlib.contextmanager
def registering(git: Git) -> Iterator[None]:
    """Add and prune the repository's work trees alone.

    A prune takes away what another process has just begun to add, before that has locked it (git's
    builtin/worktree.c, add_worktree; seen with runs side by side, 1 of 72).
    """
    with (work_dir(git.common_dir()) / "registering").open("a+") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


_WHOLE = ("-c", "core.sparseCheckout=false")
"""A new work tree takes over a sparse checkout's patterns (git-worktree(1)); gates need the whole tree."""


def leftovers(git: Git, slot_: Slot) -> tuple[str, ...]:
    """Return the paths of a slot that are not as committed: what a gate wrote into its sources."""
    output = git.at(slot_.tree).query("status", "--porcelain=v1", "-z", "--untracked-files=all", "--ignored").text
    return tuple(entry[3:] for entry in output.split("\0") if entry)


def snapshot(git: Git) -> tuple[Oid, bool]:
    """Return the commit that is exactly the checkout's files as they are, and whether that is not HEAD.

    Tracked and untracked files, ignored ones left out. The user's index, refs and stash stay as they are.
    """
    head = git.resolve("HEAD")
    dirty = git.query("status", "--porcelain=v1", "-z", "--untracked-files=normal").stdout
    if head is not None and not dirty:
        return head, False
    index = work_dir(git.common_dir()) / f"index-{os.getpid()}"
    env = {"GIT_INDEX_FILE": str(index)}
    try:
        if head is not None:
            git.query("read-tree", head, env=env)
        git.query("add", "--all", env=env)
        tree = git.query("write-tree", env=env).text
    finally:
        index.unlink(missing_ok=True)
    parents = ("-p", head) if head is not None else ()
    made = git.query("commit-tree", tree, *parents, stdin=b"the checkout as it is\n", env=_SNAPSHOT_IDENTITY)
    return oid(made.text), True
