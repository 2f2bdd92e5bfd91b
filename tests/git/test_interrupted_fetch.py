"""A fetch that was interrupted: no ref moves to a commit of which a part is missing, and the next look fetches it."""

from __future__ import annotations

import contextlib
import hashlib
import itertools
import os
import resource
import select
import shlex
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from support.repo import Repo
from support.soak import SOAK
from trunkline.context.observation import observe_remote
from trunkline.domain.errors import ExternalError
from trunkline.domain.names import Oid, branch_name, branch_ref, oid, pr_number
from trunkline.domain.stack import Entry, Stack
from trunkline.git import history, local_refs, push, refs
from trunkline.git.git import Git
from trunkline.git.push import RefUpdate
from trunkline.planning import completeness
from trunkline.state import lock
from trunkline.state.lock import RepositoryLock
from trunkline.system import children

MAIN, ONE = branch_name("main"), branch_name("feat/one")
STACK = Stack(MAIN, "origin", (Entry(number=pr_number("1"), branch=ONE),))
TRACKING = refs.tracking_ref("origin", MAIN)


@dataclass
class Remote:
    """A repository whose main has moved on, and a clone from before that.

    Attributes:
        origin: the bare repository.
        clone: the clone; `main` and its tracking branch are at the old tip.
        tip: main's new tip.
        objects: the new objects, in the order in which git puts them into a pack.
    """

    origin: Repo
    clone: Repo
    tip: Oid
    objects: list[str]

    def unpack(self, count: int) -> None:
        """Leave what a fetch leaves that was killed while git unpacked: the first so many objects, each a file."""
        self.clone.unpack(self.origin, self.objects[:count])

    def cut_off(self, after: int) -> None:
        """Let the remote's answers end after so many bytes."""
        script = self.clone.path.parent / "upload-pack"
        script.write_text(f'#!/bin/sh\ngit-upload-pack "$@" | dd bs=1 count={after} status=none\n')
        script.chmod(0o755)
        self.clone.git("config", "remote.origin.uploadpack", str(script))

    def shorten_pack(self, size: int) -> None:
        """Let the remote send only so many bytes of its pack.

        `cut_off` may leave nothing: upload-pack sends as one packet what it finds in the pipe, up to 65515 bytes
        (git's upload-pack.c, relay_pack_data), and git drops a packet that is cut. On a busy machine this is all.
        """
        hook, script = (self.clone.path.parent / name for name in ("pack-objects", "upload-pack"))
        hook.write_text(f'#!/bin/sh\n"$@" --threads=1 | head -c {size}\n')
        script.write_text(f"#!/bin/sh\nexec git -c uploadpack.packObjectsHook='{hook}' upload-pack \"$@\"\n")
        for each in (hook, script):
            each.chmod(0o755)
        self.clone.git("config", "remote.origin.uploadpack", str(script))

    def restore(self) -> None:
        """Let the remote answer as ever."""
        self.clone.git("config", "--unset", "remote.origin.uploadpack")

    def assert_healed(self, git: Git, held: RepositoryLock) -> None:
        """Observe and move the tracking branch as a task does; check with git that every object exists."""
        seen = observe_remote(git, STACK, STACK.entries)
        assert seen[branch_ref(MAIN)] == self.tip
        before = refs.read_refs(git, TRACKING)
        local_refs.update_tracking_refs(git, held, "origin", {branch_ref(MAIN): TRACKING}, before, seen)
        assert self.clone.refs()[TRACKING] == self.tip
        self.assert_sound()

    def assert_sound(self) -> None:
        """Nothing that a ref reaches is missing."""
        self.clone.git("rev-list", "--objects", "--quiet", "--all")
        assert "missing" not in self.clone.git("fsck", "--connectivity-only", "--no-dangling")


def _history(commits: int, first: int = 0, large: int = 1) -> str:
    """Return a fast-import stream: commits on main, each changing a file at the top and adding one below.

    Args:
        commits: how many.
        first: the number of the first.
        large: how many times 64 bytes, which cannot be compressed by more than half, are in each file at the top.
    """
    lines = []
    for number in range(first, first + commits):
        lines += [
            "commit refs/heads/main", f"committer Ada <ada@example.invalid> {1_763_500_000 + number} +0000",
            f"data <<END\nc{number}\nEND",
            *(["from refs/heads/main^0"] if first and number == first else []),
            f"M 100644 inline top.txt\ndata <<END\n{number}\n{_noise(number, large)}\nEND",
            f"M 100644 inline d/{number}.txt\ndata <<END\n{number}\nEND", "",
        ]  # fmt: skip
    return "\n".join(lines) + "\n"


def _noise(number: int, lines: int) -> str:
    return "\n".join(hashlib.sha256(b"%d %d" % (number, line)).hexdigest() for line in range(lines))


def _remote(root: Path, commits: int, large: int = 1) -> Remote:
    origin = Repo(root / "origin.git")
    origin.path.mkdir(parents=True)
    origin.git("init", "--quiet", "--bare", "--initial-branch=main")
    origin.git("fast-import", "--quiet", stdin=_history(2))
    base = origin.head("main")
    origin.git("branch", ONE, base)
    origin.git("update-ref", "refs/pull/1/head", base)
    clone = Repo(root / "clone")
    origin.git("clone", "--quiet", "--no-local", str(origin.path), str(clone.path))
    origin.git("fast-import", "--quiet", stdin=_history(commits, 2, large))
    tip = origin.head("main")
    listed = origin.git("rev-list", "--objects", tip, f"^{base}").splitlines()
    return Remote(origin, clone, tip, [line.split()[0] for line in listed])


@pytest.fixture
def remote(tmp_path: Path) -> Remote:
    """Return a remote whose main is 20 commits ahead of the clone."""
    return _remote(tmp_path, 20)


@pytest.fixture
def held(remote: Remote) -> Iterator[RepositoryLock]:
    """Return proof that refs may be moved."""
    with lock.hold(remote.clone.adapter.state_dir(), run="r") as proof:
        yield proof


CUTS = range(1, 101) if SOAK else (1, 19, 20, 21, 60, 99, 100)


@pytest.mark.parametrize("cut", CUTS)
def test_killed_while_git_unpacked(remote: Remote, held: RepositoryLock, cut: int) -> None:
    """The tip is there, a part of what it reaches is not: the rest is fetched before the ref moves."""
    assert len(remote.objects) == 100
    remote.unpack(cut)
    git = remote.clone.adapter
    assert remote.clone.git("cat-file", "-t", remote.tip) == "commit"
    assert history.missing(git, [remote.tip]) == (frozenset() if cut == 100 else {remote.tip})
    remote.assert_healed(git, held)


@pytest.mark.parametrize("commits", [1, 2, 99, 200] if SOAK else [1, 200])
@pytest.mark.parametrize("limit", ["1", "1000"], ids=["kept as a pack", "unpacked"])
def test_short_and_long_fetches(tmp_path: Path, commits: int, limit: str) -> None:
    """For each size of a fetch: loose objects and packs."""
    remote = _remote(tmp_path, commits)
    remote.clone.git("config", "fetch.unpackLimit", limit)
    remote.unpack(len(remote.objects) // 2)
    git = remote.clone.adapter
    with lock.hold(git.state_dir(), run="r") as held:
        remote.assert_healed(git, held)


BYTES = range(2000, 60_000, 400 if SOAK else 16_000)


@pytest.mark.parametrize("limit", ["1", "1000"], ids=["kept as a pack", "unpacked"])
@pytest.mark.parametrize("after", BYTES)
def test_the_connection_ends_in_the_middle(tmp_path: Path, after: int, limit: str) -> None:
    """Cut at a byte, git leaves what it had unpacked by then; no ref moved; the same again brings the rest."""
    remote = _remote(tmp_path, 20, large=64)
    git, before = remote.clone.adapter, remote.clone.refs()
    git.scratch("config", "fetch.unpackLimit", limit)
    remote.cut_off(after)
    with contextlib.suppress(ExternalError):  # the last cuts are late enough to do no harm
        observe_remote(git, STACK, STACK.entries)
    assert remote.clone.refs() == before
    remote.assert_sound()
    remote.restore()
    git = remote.clone.adapter
    with lock.hold(git.state_dir(), run="r") as held:
        remote.assert_healed(git, held)


LOOKS = """
import os, sys
from test_interrupted_fetch import STACK
from trunkline.git.git import Git
from trunkline.system import signals
from trunkline.context.observation import observe_remote as look_at_remote
from pathlib import Path
try:
    with signals.raising():
        look_at_remote(Git(Path(sys.argv[1])), STACK, STACK.entries)
except signals.Interrupted as interrupt:
    os._exit(signals.exit_code(interrupt))
"""
STALLS = """#!{python}
import os, signal, subprocess, sys
sent = subprocess.Popen(["git-upload-pack", *sys.argv[1:]], stdout=subprocess.PIPE)
left = {after}
while left > 0 and (some := os.read(sent.stdout.fileno(), min(left, 4096))):
    left -= os.write(1, some)
if left:
    sys.exit(sent.wait())  # it was only asked for its refs
there = open({fifo!r}, "w")  # until it is killed
print(os.getpgrp(), file=there, flush=True)
signal.pause()
"""
PIPES = 2 * 65536
"""Bytes that the pipes between the remote and the git that unpacks can hold: what exceeds them was unpacked."""


@pytest.mark.parametrize(
    ("number", "limit"),
    [(signal.SIGINT, "1000"), (signal.SIGTERM, "1"), (signal.SIGKILL, "1000"), (signal.SIGKILL, "1")],
    ids=["SIGINT, unpacked", "SIGTERM, kept as a pack", "SIGKILL, unpacked", "SIGKILL, kept as a pack"],
)
def test_a_signal_while_git_unpacks(tmp_path: Path, number: signal.Signals, limit: str) -> None:
    """Ours ends with its children, or all die at once: no ref has moved, and the same again brings the rest."""
    remote = _remote(tmp_path, 20, large=640)
    git, before = remote.clone.adapter, remote.clone.refs()
    git.scratch("config", "fetch.unpackLimit", limit)
    fifo, script = tmp_path / "reached", tmp_path / "stalls"
    os.mkfifo(fifo)
    script.write_text(STALLS.format(python=sys.executable, after=PIPES + 100_000, fifo=str(fifo)))
    script.chmod(0o755)
    remote.clone.git("config", "remote.origin.uploadpack", str(script))
    path = os.pathsep.join([str(Path(__file__).parent), str(Path(__file__).parents[1])])
    looks = subprocess.Popen(
        [sys.executable, "-c", LOOKS, str(remote.clone.path)], env={**os.environ, "PYTHONPATH": path}
    )
    with fifo.open() as there:
        group = int(there.readline())  # comes when so many bytes are sent
        looks.send_signal(number)
        assert looks.wait(60) == (-number if number == signal.SIGKILL else 128 + number)
        if number == signal.SIGKILL:
            os.killpg(group, number)
        assert select.select([there], [], [], 60)[0], "the children of the process live on"
        assert there.read() == ""
    assert remote.clone.refs() == before
    remote.assert_sound()
    assert remote.clone.git("cat-file", "-t", remote.tip, check=False) == ("commit" if limit == "1000" else "")
    assert history.missing(remote.clone.adapter, [remote.tip]) == {remote.tip}
    remote.restore()
    with lock.hold(git.state_dir(), run="r") as held:
        remote.assert_healed(remote.clone.adapter, held)


@pytest.mark.parametrize("size", [20_000, 50_000])
def test_a_pack_that_ends_early_leaves_a_tip_without_its_parts(tmp_path: Path, size: int) -> None:
    """Of a pack of 53,618 bytes: the tip is here and counts as missing; the same again brings the rest."""
    remote = _remote(tmp_path, 20, large=64)
    remote.shorten_pack(size)
    remote.clone.git("-c", "fetch.unpackLimit=1000", "fetch", "--quiet", "origin", "main", check=False)
    assert remote.clone.git("cat-file", "-t", remote.tip) == "commit"
    assert history.missing(remote.clone.adapter, [remote.tip]) == {remote.tip}
    remote.restore()
    with lock.hold(remote.clone.adapter.state_dir(), run="r") as held:
        remote.assert_healed(remote.clone.adapter, held)


def test_a_full_disk(tmp_path: Path) -> None:
    """Git cannot write a large file: exit 6, and once there is room the same again brings everything."""
    remote = _remote(tmp_path, 3)
    author = Repo(tmp_path / "author")
    remote.origin.git("clone", "--quiet", str(remote.origin.path), str(author.path))
    remote.tip = author.commit("large", {"large.bin": _noise(0, 9000)})
    author.git("push", "--quiet", "origin", "main")
    git, before = remote.clone.adapter, remote.clone.refs()
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, limits[1]))
    try:
        with pytest.raises(ExternalError, match="git fetch failed"):
            observe_remote(git, STACK, STACK.entries)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    assert remote.clone.refs() == before
    remote.assert_sound()
    with lock.hold(git.state_dir(), run="r") as held:
        remote.assert_healed(git, held)


def test_tracking_refs_are_fetched_where_a_part_is_missing(remote: Remote, held: RepositoryLock) -> None:
    """Incomplete objects lead to a fetch, which proves that they are complete."""
    remote.unpack(30)
    git, spoken = remote.clone.adapter, list[str]()
    seen = {branch_ref(MAIN): remote.tip}
    wanted, before = {branch_ref(MAIN): TRACKING}, refs.read_refs(git, TRACKING)
    local_refs.update_tracking_refs(git.with_echo(spoken.append), held, "origin", wanted, before, seen)
    assert remote.clone.refs()[TRACKING] == remote.tip
    remote.assert_sound()
    assert spoken == [f"git fetch --no-tags origin +refs/heads/main:{TRACKING}"]


def test_what_is_echoed_is_what_ran(remote: Remote, held: RepositoryLock) -> None:
    """No fetch runs or is shown if every object is present."""
    git, spoken = remote.clone.adapter, list[str]()
    seen = observe_remote(git, STACK, STACK.entries)
    wanted, before = {branch_ref(MAIN): TRACKING}, refs.read_refs(git, TRACKING)
    local_refs.update_tracking_refs(git.with_echo(spoken.append), held, "origin", wanted, before, seen)
    assert spoken == [f"git update-ref {TRACKING} {remote.tip} {before[TRACKING]}"]


def test_no_ref_moves_to_a_commit_of_which_a_part_is_missing(remote: Remote, held: RepositoryLock) -> None:
    """Branches, tracking branches and backups alike; the error names git's own way to mend it."""
    remote.unpack(30)
    git, before, old = remote.clone.adapter, remote.clone.refs(), remote.clone.head("main")
    moves: list[Callable[[], object]] = [
        lambda: local_refs.move_ref(git, held, branch_ref(MAIN), new=remote.tip, old=old, why="a test"),
        lambda: local_refs.move_ref(git, held, "refs/heads/new", new=remote.tip, old=None, why="a test"),
        lambda: local_refs.update_tracking_ref(git, held, "origin", MAIN, remote.tip),
        lambda: local_refs.back_up(git, held, MAIN, remote.tip),
        lambda: local_refs.back_up_all(git, held, [(MAIN, remote.tip)]),
    ]
    for move in moves:
        with pytest.raises(ExternalError, match="is missing in this repository") as failed:
            move()
        assert failed.value.next_commands == ("git fetch --refetch --all",)
    assert remote.clone.refs() == before


def test_an_incomplete_commit_is_not_pushed(remote: Remote, held: RepositoryLock) -> None:
    """Even where our own ref holds it and the remote has what is missing here, so that git itself would push it."""
    git = remote.clone.adapter
    remote.unpack(99)
    assert history.missing(git, [remote.tip]) == {remote.tip}
    (remote.clone.path / ".git/refs/heads/broken").write_text(f"{remote.tip}\n")
    assert refs.read_refs(git, "refs/heads/broken")
    base = remote.clone.head("main")
    with pytest.raises(ExternalError, match="is missing in this repository"):
        push.push(git, held, "origin", [RefUpdate(ONE, base, remote.tip)])
    assert remote.origin.refs()[branch_ref(ONE)] == base


@pytest.mark.parametrize("lacks", ["the files", "the commit"])
def test_doctor_names_refs_that_are_not_complete(remote: Remote, lacks: str) -> None:
    """As an older version, or a disk, may have left them; what it says to type brings back what is missing."""
    git = remote.clone.adapter
    assert list(completeness.findings(git, STACK)) == []
    if lacks == "the files":
        remote.unpack(30)
    names = (TRACKING, "refs/trunkline/backup/r/0/main", "refs/trunkline/evidence/1/head")
    for name in names:
        place = remote.clone.path / ".git" / name
        place.parent.mkdir(parents=True, exist_ok=True)
        place.write_text(f"{remote.tip}\n")
    found = list(completeness.findings(git, STACK))
    assert [each.message.split()[0] for each in found] == list(names)
    for each in found:
        subprocess.run(shlex.split(each.fix), cwd=remote.clone.path, check=True)
    assert list(completeness.findings(remote.clone.adapter, STACK)) == []


def test_a_branch_that_moves_while_it_is_fetched(
    remote: Remote, held: RepositoryLock, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The remote names a tip and has another one by the time of the fetch: it is read again."""
    gone = oid("1" * 40)
    listed = refs.list_remote
    answers = itertools.chain([{branch_ref(MAIN): gone}], itertools.repeat(None))

    def list_remote(*args: Any) -> dict[str, Oid]:
        return next(answers) or listed(*args)

    monkeypatch.setattr(refs, "list_remote", list_remote)
    remote.assert_healed(remote.clone.adapter, held)


def test_a_remote_that_never_sends_it(remote: Remote, monkeypatch: pytest.MonkeyPatch) -> None:
    """The number of reads is limited; the error names the commit and the next command."""
    monkeypatch.setattr(refs, "list_remote", lambda *_: {branch_ref(MAIN): oid("1" * 40)})
    with pytest.raises(ExternalError, match="a part of 1111111 is missing") as failed:
        observe_remote(remote.clone.adapter, STACK, STACK.entries)
    assert failed.value.next_commands == ("git fetch --refetch origin",)


def test_nothing_is_looked_up_where_nothing_is_new(remote: Remote, monkeypatch: pytest.MonkeyPatch) -> None:
    """A commit that a ref holds was proven when the ref moved; of a new one, what refs reach is left out."""
    started: list[list[str]] = []
    start = children.start

    def noted(argv: list[str], **more: Any) -> subprocess.Popen[bytes]:
        started.append([part for part in argv if not part.startswith("core.")])
        return start(argv, **more)

    git = remote.clone.adapter
    refs.read_refs(git)
    monkeypatch.setattr(children, "start", noted)
    history.missing(git, [remote.clone.head("main")])
    assert not [argv for argv in started if "rev-list" in argv]
    remote.unpack(100)
    history.missing(git, [remote.tip])
    (walk,) = [argv for argv in started if "rev-list" in argv]
    assert walk[-2:] == ["--not", "--all"]


def test_a_partial_clone_is_complete_without_its_files(tmp_path: Path) -> None:
    """Files that the remote has promised are not missing, and looking fetches none of them."""
    remote = _remote(tmp_path, 3)
    remote.origin.git("config", "uploadpack.allowFilter", "true")
    shutil.rmtree(remote.clone.path)
    remote.origin.git(
        "clone", "--quiet", "--no-local", "--no-checkout", "--filter=blob:none", f"file://{remote.origin.path}",
        str(remote.clone.path),
    )  # fmt: skip
    author = Repo(tmp_path / "author")
    remote.origin.git("clone", "--quiet", str(remote.origin.path), str(author.path))
    remote.tip = author.commit("more", {"more.txt": "more\n"})
    author.git("push", "--quiet", "origin", "main")
    git = remote.clone.adapter
    with lock.hold(git.state_dir(), run="r") as held:
        seen = observe_remote(git, STACK, STACK.entries)
        local_refs.update_tracking_refs(
            git, held, "origin", {branch_ref(MAIN): TRACKING}, refs.read_refs(git, TRACKING), seen
        )
    assert remote.clone.refs()[TRACKING] == remote.tip
    missing = remote.clone.git("rev-list", "--objects", "--missing=print", "--all").splitlines()
    blob = author.git("rev-parse", "HEAD:more.txt")
    assert f"?{blob}" in missing
