"""Keep a work tree identical to a fresh checkout of a commit, without rewriting every file.

`git checkout` rewrites the paths whose blobs differ between two commits. A fresh checkout would
also differ where attributes, filters or line-end settings changed, and it has no leftovers, no
changed modes and no old times. So:

- if attributes, filters or settings that affect a checkout changed, all files are rewritten;
- untracked and ignored files are removed, except cargo's own directories;
- all files have the same modification time, as after a quick fresh checkout. So cargo never
  rebuilds or keeps anything because of the order of checkouts (`gates/invalidation.py` decides what
  is rebuilt);
- a file counts as modified only if git reports it now and did not report it right after the
  checkout: git calls some files modified in a fresh clone too (`*.md text` over a CRLF blob).
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import re
import stat
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path

import msgspec

from trunkline.domain.errors import TrunklineError
from trunkline.domain.names import Oid
from trunkline.git import checkout_settings, submodules
from trunkline.git.checkout_settings import CheckoutSettings
from trunkline.git.git import Git
from trunkline.git.state_directory import registration_lock
from trunkline.system.files import make_accessible, remove_tree, replace_bytes

WHOLE = ("-c", "core.sparseCheckout=false")
"""Disable sparse checkout: a new work tree inherits its patterns, and gates need all files."""
# Settings with which git overlooks modified files (git-config(1)), or trusts the times of directories,
# which `_normalise` sets.
_EXACT = tuple(
    part
    for setting in (
        "core.trustctime=true",
        "core.checkStat=default",
        "core.ignoreStat=false",
        "core.untrackedCache=false",
    )
    for part in ("-c", setting)
)
_CACHE_TAG = "CACHEDIR.TAG"  # bford.info/cachedir: cargo marks every target directory with it
_SUBMODULE = "160000"
_REMOVED = re.compile(r"^Removing (.+)$", re.MULTILINE)
_SPECIAL = re.compile(r"[][*?\\!# ]")  # in a pattern of gitignore(5)


@dataclass(frozen=True)
class Record:
    """State of a checkout right after it was made; stored in a file beside the work tree.

    Attributes:
        commit: the commit checked out.
        instant: the modification time of every file, in nanoseconds.
        settings: hash of the settings and attribute files outside the tree that affect a checkout.
        differing: paths that git reported as modified right after a fresh checkout -> hash of their
            bytes.
    """

    commit: str
    instant: int
    settings: str
    differing: Mapping[str, str] = field(default_factory=dict)


class FreshTree(msgspec.Struct, frozen=True):
    """A linked work tree of a repository, at its own path.

    Attributes:
        git: the repository.
        path: the work tree.
        outputs: returns the directories (relative paths) that are not sources and are kept: cargo's
            target directories as the checked-out files configure them.
    """

    git: Git
    path: Path
    outputs: Callable[[], tuple[str, ...]] = tuple

    def check_out(self, commit: Oid, *, incomparable: Callable[[], object] = bool) -> tuple[str, ...] | None:
        """Check a commit out exactly as a fresh checkout; rebuild a missing or damaged work tree.

        Args:
            commit: the commit.
            incomparable: called before anything is written if a difference between commits does not
                show which files change: the earlier checkout is unknown, or was made with other
                settings.

        Returns:
            The paths of files and directories that the commit does not have, which were removed;
            None: unknown, because everything was rewritten.

        Raises:
            TrunklineError: git cannot check the commit out.
        """
        record, settings = self._record(), checkout_settings.in_force(self.git)
        if record is None or record.settings != settings.digest:
            incomparable()
        with contextlib.suppress(TrunklineError, OSError):
            if record is not None and record.settings == settings.digest:
                removed = self._updated(record, commit, settings)
                if removed is not None:
                    return removed
        self._rebuild(commit, settings.digest, record.instant if record else _before_now())
        return None

    def modified_paths(self) -> tuple[str, ...]:
        """Return the paths modified since the checkout: changed tracked files and new files.

        Ignored files and directories tagged as caches do not count.
        """
        record = self._record()
        differing = record.differing if record else {}
        return tuple(path for path in self._reported() if differing.get(path) != _digest(self.path / path))

    def restore_outputs(self) -> None:
        """Restore the commit's own files in kept directories, after these were cleaned."""
        git, record = self.git.at(self.path), self._record()
        places = [f":(top,literal){path}" for path in self.outputs()]
        if not places or record is None:
            return
        changed = git.query(*_EXACT, "ls-files", "-z", "--modified", "--deduplicate", "--", *places).stdout
        if changed:
            git.scratch("checkout-index", "--force", "-z", "--stdin", stdin=changed)
            for name in os.fsdecode(changed).split("\0")[:-1]:
                os.utime(self.path / name, ns=(record.instant, record.instant), follow_symlinks=False)

    def _updated(self, record: Record, commit: Oid, settings: CheckoutSettings) -> tuple[str, ...] | None:
        """Update the existing checkout; return the removed paths, or None if only a fresh one is safe."""
        git = self.git.at(self.path)
        if not (self.path / ".git").is_file() or git.query("rev-parse", "HEAD").text != record.commit:
            return None
        if self._hides_files():
            return None
        if record.commit != commit:
            if checkout_settings.filters_act(self.git, settings, commit) or not self._is_simple(
                record.commit, commit
            ):
                return None
            self._force(commit)
        removed = self._clean()
        self._fill(commit)
        self._normalise(record.instant)
        if self.modified_paths() or (record.commit != commit and record.differing):
            return None
        self._store(Record(commit, record.instant, record.settings, record.differing))
        return removed

    def _is_simple(self, old: str, new: str) -> bool:
        """Return whether checking out `new` over `old` equals a fresh checkout.

        It does unless the commits differ in attribute files or submodules.
        """
        raw = self.git.query("diff-tree", "-r", "-z", "--raw", "--no-renames", "--end-of-options", old, new).stdout
        fields = raw.decode("utf-8", "surrogateescape").split("\0")
        entries = zip(fields[::2], fields[1::2], strict=False)
        return not any(
            _SUBMODULE in facts.split() or f":{_SUBMODULE}" in facts or Path(path).name == ".gitattributes"
            for facts, path in entries
        )

    def _rebuild(self, commit: Oid, settings: str, instant: int) -> None:
        """Check all files out, into a work tree that holds only the kept directories."""
        self._record_path.unlink(missing_ok=True)
        try:
            self._rewrite_files(commit)
        except (TrunklineError, OSError):
            remove_tree(self.path)
            with registration_lock(self.git):
                self.git.scratch("worktree", "prune")
                self.git.scratch(
                    *WHOLE, "worktree", "add", "--quiet", "--detach", "--force", "--end-of-options",
                    str(self.path), commit,
                )  # fmt: skip
        self._clean()
        self._fill(commit)
        self._normalise(instant)
        differing = {path: _digest(self.path / path) for path in self._reported()}
        self._store(Record(commit, instant, settings, differing))

    def _rewrite_files(self, commit: Oid) -> None:
        if not (self.path / ".git").is_file():
            raise FileNotFoundError(self.path / ".git")
        git = self.git.at(self.path)
        index = Path(git.query("rev-parse", "--path-format=absolute", "--git-path", "index").text)
        for entry in list(_entries(self.path, self._kept_paths(), top=True)):
            remove_tree(entry)
        index.unlink(missing_ok=True)  # without an index every file is written
        self._force(commit)

    def _force(self, commit: Oid) -> None:
        argv = ("checkout", "--quiet", "--detach", "--force", "--no-recurse-submodules", commit)
        self.git.at(self.path).scratch(*WHOLE, *_EXACT, *argv)

    def _hides_files(self) -> bool:
        """Return whether code under test made git ignore changes of files (git-update-index(1))."""
        tagged = self.git.at(self.path).query("ls-files", "-v", "-z").stdout.split(b"\0")
        return any(entry[:1] == b"S" or entry[:1].islower() for entry in tagged)

    def _clean(self) -> tuple[str, ...]:
        """Remove files that the commit does not have, also in unreadable directories; return their paths."""
        git = self.git.at(self.path)
        patterns = [_SPECIAL.sub(r"\\\g<0>", path) for path in self.outputs()]
        argv = ["-c", "core.quotePath=false", "clean", "-ffdx",
                *(part for each in patterns for part in ("-e", f"/{each}"))]  # fmt: skip
        done = git.scratch(*argv, ok=(0, 1))
        removed = _REMOVED.findall(done.text)
        if done.returncode:
            make_accessible(self.path, frozenset(self._kept_paths()))
            removed += _REMOVED.findall(git.scratch(*argv).text)
        return tuple(removed)

    def _fill(self, commit: Oid) -> None:
        """Rewrite the submodules: git does not detect modifications inside them."""
        if (self.path / ".gitmodules").is_file():
            submodules.fill(self.git, self.path, commit, anew=True)

    def _normalise(self, instant: int) -> None:
        """Set the same time on every file, and the modes that git sets."""
        umask = checkout_settings.umask()
        _normalise(self.path, self._kept_paths(), instant, (0o666 & ~umask, 0o777 & ~umask))
        # The times are in git's index. Exit code 1 means that git calls some files modified, which
        # `modified_paths` evaluates.
        self.git.at(self.path).scratch(*_EXACT, "update-index", "-q", "--ignore-submodules", "--refresh", ok=(0, 1))

    def _reported(self) -> list[str]:
        """Return the paths that git reports as modified or new.

        Submodules are skipped: code of the tree could have written their settings, which name
        programs to run.
        """
        excluded = [f":(top,exclude,literal){path}" for path in self.outputs()]
        output = self.git.at(self.path).query(
            *_EXACT, "status", "--porcelain=v1", "-z", "--untracked-files=normal", "--no-renames",
            "--ignore-submodules=all", "--", ":(top)", *excluded,
        )  # fmt: skip
        paths = [entry[3:] for entry in output.text.split("\0") if entry]
        return [path for path in paths if not (self.path / path / _CACHE_TAG).is_file()]

    def _kept_paths(self) -> frozenset[str]:
        return frozenset(str(self.path / each) for each in self.outputs())

    @property
    def _record_path(self) -> Path:
        return self.path.with_name(f"{self.path.name}.checkout.json")

    def _record(self) -> Record | None:
        try:
            return Record(**json.loads(self._record_path.read_bytes()))
        except (OSError, ValueError, TypeError, RecursionError):
            return None

    def _store(self, record: Record) -> None:
        if record != self._record():
            replace_bytes(self._record_path, json.dumps(asdict(record)).encode())


def _entries(folder: Path, kept: frozenset[str], *, top: bool = False) -> Iterator[Path]:
    """Yield the fewest paths that cover a directory, except `.git` and the kept directories."""
    for entry in os.scandir(folder):
        if entry.path in kept or (top and entry.name == ".git"):
            continue
        if any(each.startswith(f"{entry.path}/") for each in kept) and entry.is_dir(follow_symlinks=False):
            yield from _entries(Path(entry.path), kept)
        else:
            yield Path(entry.path)


def _normalise(folder: Path, kept: frozenset[str], instant: int, modes: tuple[int, int], *, top: bool = True) -> None:
    """Set time and mode of a directory and everything below it."""
    plain, executable = modes
    for entry in os.scandir(folder):
        if entry.path in kept or (top and entry.name == ".git"):
            continue
        if entry.is_dir(follow_symlinks=False):
            _normalise(Path(entry.path), kept, instant, modes, top=False)
            continue
        facts = entry.stat(follow_symlinks=False)
        mode = stat.S_IMODE(facts.st_mode)
        if stat.S_ISREG(facts.st_mode) and mode not in modes:
            Path(entry.path).chmod(executable if mode & 0o100 else plain)
        if facts.st_mtime_ns != instant:
            os.utime(entry.path, ns=(instant, instant), follow_symlinks=False)
    if top:
        return
    facts = folder.stat()
    if stat.S_IMODE(facts.st_mode) != executable:
        folder.chmod(executable)
    if facts.st_mtime_ns != instant:
        os.utime(folder, ns=(instant, instant))


def _digest(path: Path) -> str:
    """Return the hash of a file's bytes or of a link's target; "" for anything else."""
    try:
        content = os.fsencode(path.readlink()) if path.is_symlink() else path.read_bytes()
    except OSError:
        return ""
    return hashlib.sha256(content).hexdigest()


def _before_now() -> int:
    """Return a time two seconds ago: later build output is newer on every file system."""
    return (int(time.time()) - 2) * 1_000_000_000
