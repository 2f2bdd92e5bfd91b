"""Manage trunkline's own work trees, outside the user's checkout.

Cargo and rustup look for `.cargo/config.toml` and `rust-toolchain.toml` in every parent directory.
So a work tree below the checkout would be built with the checkout's uncommitted configuration.
"""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import os
import shlex
from collections.abc import Iterator
from functools import partial
from pathlib import Path, PurePosixPath

import msgspec
from msgspec.structs import replace

from trunkline.domain.errors import ExternalError, Refused, TrunklineError
from trunkline.domain.names import Oid, oid, short
from trunkline.git.fresh_tree import FreshTree
from trunkline.git.git import Git
from trunkline.git.state_directory import registration_lock, state_home, work_dir
from trunkline.rust import build_places
from trunkline.rust.inherited_files import refuse_other_toolchain, refuse_settings_of_others
from trunkline.system.files import private_directory, remove_tree

__all__ = ["Slot", "leftovers", "registration_lock", "slot", "snapshot", "state_home", "work_dir"]

_SLOTS = 16
_LONGEST = 80  # bytes; this leaves 27 of a socket's 107 for `/target/tmp/NAME`
_SNAPSHOT_IDENTITY = {
    f"GIT_{who}_{what}": value
    for who in ("AUTHOR", "COMMITTER")
    for what, value in (("NAME", "trunkline"), ("EMAIL", "trunkline@invalid"), ("DATE", "@0 +0000"))
}  # equal files give an equal commit


class Slot(msgspec.Struct, frozen=True):
    """A persistent directory for one commit, shared by all processes that work on that commit.

    Each group of gates has its own work tree in it. So a gate that modifies its sources does not
    affect others, and cargo's target directory is at its usual place, without a variable that code
    under test could see.

    Attributes:
        path: the slot's directory.
        commit: the commit checked out.
        group: the group of gates whose work tree is used; "": the one in which no gate runs.
    """

    path: Path
    commit: Oid
    group: str = ""

    @property
    def tree(self) -> Path:
        """The work tree."""
        return self._trees() / self.group if self.group else self.path / "tree"

    def of(self, group: str) -> Slot:
        """Return the work tree of a group of gates in the same slot."""
        return replace(self, group=group)

    def _trees(self) -> Path:
        """Return the directory of the groups' work trees."""
        near, far = self.path / "t", trees_of(self.path)
        # Sessions of the same run come here at once. Without the lock, one would remove what another
        # has just created.
        with (self.path / "trees.lock").open("a+") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            before = near.readlink() if near.is_symlink() else near
            if before != far:  # the first time, or the base is another one now
                for obsolete in (before, far):
                    remove_tree(obsolete)
                near.unlink(missing_ok=True)
                if far != near:
                    private_directory(far_base())
                    near.symlink_to(far)
        return private_directory(far)

    def checkout(self, git: Git, root: str) -> FreshTree:
        """Return the checkout in which gates run.

        Args:
            git: the repository.
            root: the Cargo workspace's directory in it, relative.
        """
        return FreshTree(git, self.tree, partial(build_places.locations, self.tree, root) if self.group else tuple)


def trees_of(slot_: Path) -> Path:
    """Return the directory of the groups' work trees of a slot, short enough for sockets (unix(7))."""
    near = slot_ / "t"
    far = far_base() / hashlib.sha256(os.fsencode(slot_)).hexdigest()[:12]
    return near if len(os.fsencode(near)) <= _LONGEST or len(os.fsencode(far)) >= len(os.fsencode(near)) else far


def first_place(git: Git) -> Path:
    """Return the work tree that a group of gates is most likely to run in.

    Every slot's work trees have the same parents, whose settings cargo, rustfmt and clippy read.
    """
    return trees_of(work_dir(git.common_dir()) / "gates" / "0") / "any"


def far_base() -> Path:
    """Return the base of work trees whose path in the state directory would be too long.

    Not in /var/tmp: cargo would read the settings that any user can put there.
    """
    named = os.environ.get("TRUNKLINE_GATES_DIR")
    if named:
        return Path(named)
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "trunkline"


def refuse_links(git: Git, commit: Oid, root: str) -> None:
    """Refuse a commit in which the gates' directory is reached through a symbolic link.

    A link can lead out of the tree. Then gates would read and write other files of this machine,
    and the receipt would claim that the tree passed.

    Raises:
        Refused: a part of its path is a link.
    """
    parts = [PurePosixPath(root), *PurePosixPath(root).parents]
    names = [str(part) for part in parts if str(part) != "."]
    listed = git.cached_query("ls-tree", "-z", commit, "--", *names).text.split("\0") if names else []
    links = [line.partition("\t")[2] for line in listed if line.startswith("120000 ")]
    if links:
        raise Refused(
            f"the commit's {links[0]} is a link: no gate runs behind it",
            why=f"[gates] root = {root!r} leads through it, out of what would be judged; nothing was run",
            next_command=f"git ls-tree {short(commit)} -- {shlex.quote(links[0])}",
        )


@contextlib.contextmanager
def slot(git: Git, commit: Oid) -> Iterator[Slot]:
    """Lock a clean work tree at `commit` within the context.

    The first free slot is used. A slot at the same commit is shared; a run on another commit keeps
    its own.

    Raises:
        ExternalError: every slot is in use for another commit.
    """
    home = work_dir(git.common_dir())
    base = private_directory(home / "gates")
    with (home / "choosing").open("a+") as choosing:
        for number in range(_SLOTS):
            path = private_directory(base / str(number))
            with (path / "lock").open("a+") as lock:
                if _try_lock(lock.fileno(), choosing.fileno(), path, commit, git):
                    chosen = Slot(path, commit)
                    for place in (path, chosen.of("any").tree):
                        refuse_settings_of_others(place)
                    refuse_other_toolchain(chosen.of("any").tree, path / "tree")
                    yield chosen
                    return
    raise ExternalError("every gate work tree is busy", why=f"{_SLOTS} runs at once, in {base}")


def _try_lock(lock: int, choosing: int, path: Path, commit: Oid, git: Git) -> bool:
    """Take the slot's lock shared, with the slot at `commit`; False: another commit uses it.

    Slots are chosen one at a time (`choosing`), so that the commit of a busy slot can be read.
    Also, no slot is between exclusive and shared while another process chooses, because flock(2)
    releases the lock in between.
    """
    commit_file = path / "commit"
    fcntl.flock(choosing, fcntl.LOCK_EX)
    try:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            if not commit_file.is_file() or commit_file.read_text() != commit:
                return False
            fcntl.flock(choosing, fcntl.LOCK_UN)
            fcntl.flock(lock, fcntl.LOCK_SH)  # the process that switches it to this commit is nearly done
            return commit_file.read_text() == commit and _is_at(path / "tree", commit, git)
        commit_file.write_text(commit)
        fcntl.flock(choosing, fcntl.LOCK_UN)
        FreshTree(git, path / "tree").check_out(commit)
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


def leftovers(git: Git, slot_: Slot) -> tuple[str, ...]:
    """Return the paths of a slot that differ from the commit, because a gate wrote to them."""
    return slot_.checkout(git, ".").modified_paths()


def snapshot(git: Git) -> tuple[Oid, bool]:
    """Return a commit of the checkout's current files, and whether it differs from HEAD.

    It contains tracked and untracked files, but no ignored ones. The user's index, refs and stash
    stay as they are.
    """
    head = git.resolve("HEAD")
    dirty = git.query("status", "--porcelain=v1", "-z", "--untracked-files=normal").stdout
    if head is not None and not dirty:
        return head, False
    index = work_dir(git.common_dir()) / f"index-{os.getpid()}"
    env = {"GIT_INDEX_FILE": str(index)}
    try:
        if head is not None:
            git.scratch("read-tree", head, env=env)
        git.scratch("add", "--all", env=env)
        tree = git.scratch("write-tree", env=env).text
    finally:
        index.unlink(missing_ok=True)
    parents = ("-p", head) if head is not None else ()
    made = git.scratch("commit-tree", tree, *parents, stdin=b"the checkout as it is\n", env=_SNAPSHOT_IDENTITY)
    return oid(made.text), True
