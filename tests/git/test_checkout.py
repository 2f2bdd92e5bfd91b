"""Moves of the user's checkout: whatever is not committed is there afterwards, byte for byte."""

from __future__ import annotations

import contextlib
import os
import resource
import subprocess
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from support.killing import MEMORY
from support.repo import Repo
from support.soak import SOAK
from trunkline.domain.errors import Refused, TrunklineError
from trunkline.domain.names import oid
from trunkline.git import checkout
from trunkline.state import lock
from trunkline.state.lock import RepositoryLock

EXAMPLES = SOAK or 30
SOME = settings(
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
    deadline=None,
    max_examples=EXAMPLES,
    phases=[Phase.explicit, Phase.reuse, Phase.generate],  # an example costs eight processes: none is made smaller
)

File = tuple[str, str]
"""Mode and content; a link's content is its target."""
Files = dict[str, File]
PATHS = ("a", "a/b", "a/b/d", "a/c", "e", "e/f", "l/x", "top.txt", ".env")
FILES = st.tuples(
    st.sampled_from(["100644", "100755", "120000"]), st.sampled_from(["one\n", "two\n", "three\nlines\n"])
)
COMMITS = st.dictionaries(st.sampled_from(PATHS), FILES, min_size=1).map(
    lambda drawn: {path: file for path, file in drawn.items() if not any(p.startswith(f"{path}/") for p in drawn)}
)
USERS = st.lists(
    st.tuples(st.sampled_from((*PATHS, "l", "a/b/z", "e/z")), st.sampled_from(["file", "directory", "link", "repo"])),
    max_size=3,
)
MARKS = st.lists(
    st.tuples(st.sampled_from(PATHS), st.sampled_from(["assume-unchanged", "skip-worktree"]), st.booleans()),
    max_size=2,
)
IGNORED = st.sets(st.sampled_from([".env", "b", "f", "x", "z", "l"]))


class GateWorkspace:
    """A repository with two commits, the first of them checked out, and a directory outside of it."""

    def __init__(self, root: Path, old: Files, new: Files) -> None:
        self.repo, self.outside = Repo.create(root / "repo"), root / "outside"
        self.outside.mkdir()
        (self.outside / "x").write_text("outside\n")
        (self.outside / "f").write_text("outside\n")
        self.repo.git("fast-import", "--quiet", stdin=_commit("old", old) + _commit("new", new))
        self.old, self.new = self.repo.head("old"), self.repo.head("new")
        self.repo.git("switch", "--quiet", "old")
        self.git = self.repo.adapter

    def put(self, path: str, kind: str) -> None:
        """Let the user make something, where nothing is."""
        place = self.repo.path / path
        if os.path.lexists(place) or any(p.is_symlink() or p.is_file() for p in place.parents):
            return
        place.parent.mkdir(parents=True, exist_ok=True)
        if kind == "link":
            place.symlink_to(self.outside)
        elif kind == "file":
            place.write_text("mine\n")
        else:
            place.mkdir()
            (place / "mine").write_text("mine\n")
            if kind == "repo":
                (place / ".git").mkdir()
                (place / ".git/HEAD").write_text("ref: refs/heads/main\n")

    def snapshot(self) -> dict[str, File]:
        """Return every file and link, with its bytes; also those outside."""
        found = {}
        for top in (self.repo.path, self.outside):
            for above, directories, names in os.walk(top):
                if above == str(self.repo.path):
                    directories.remove(".git")
                for name in (*names, *(d for d in directories if (Path(above) / d).is_symlink())):
                    found[os.path.relpath(Path(above) / name, self.repo.path)] = _file(Path(above) / name)
        return found

    def index(self) -> str:
        """Return the index, flags included."""
        return self.repo.git("ls-files", "--stage") + self.repo.git("ls-files", "-v")


def _file(path: Path) -> File:
    if path.is_symlink():
        return "120000", str(path.readlink())
    return "100755" if os.access(path, os.X_OK) else "100644", path.read_bytes().decode("latin-1")


def _commit(branch: str, files: Files) -> str:
    who = "committer Ada <ada@example.invalid> 1763500000 +0000"
    listed = "".join(f"M {mode} inline {path}\ndata {len(text)}\n{text}\n" for path, (mode, text) in files.items())
    return f"commit refs/heads/{branch}\n{who}\ndata 1\nc\ndeleteall\n{listed}\n"


@contextlib.contextmanager
def ground(old: Files, new: Files) -> Iterator[tuple[GateWorkspace, RepositoryLock]]:
    """Make a ground, in memory where there is such a place, and remove it afterwards."""
    with tempfile.TemporaryDirectory(prefix="ground-", dir=MEMORY) as root:
        made = GateWorkspace(Path(root), old, new)
        with lock.hold(made.git.state_dir(), run="r") as held:
            yield made, held


@SOME
@given(old=COMMITS, new=COMMITS, users=USERS, marks=MARKS, ignored=IGNORED)
def test_what_is_not_committed_is_never_touched(
    old: Files, new: Files, users: list[tuple[str, str]],
    marks: list[tuple[str, str, bool]], ignored: set[str],
) -> None:  # fmt: skip
    """A move keeps every byte of the user's where it was, or is refused and changes nothing."""
    with ground(old, new) as (place, held):
        (place.repo.path / ".git/info/exclude").write_text("".join(f"{name}\n" for name in ignored))
        for path, kind in users:
            place.put(path, kind)
        marked = set()
        for path, flag, edited in marks:
            if path in old and path not in marked:
                place.repo.git("update-index", f"--{flag}", path)
                marked.add(path)
                if edited and old[path][0] != "120000":
                    (place.repo.path / path).write_text("an edit of mine\n")
        before, index = place.snapshot(), place.index()
        theirs = {path for path in before if path in marked or path not in old}
        if not moved(place, held):
            assert (place.snapshot(), place.index()) == (before, index)
            assert users or marked
            return
        after = place.snapshot()
        assert {path: after.get(path) for path in theirs} == {path: before[path] for path in theirs}
        assert {path: after.get(path) for path in new if path not in marked} == {
            path: new[path] for path in new if path not in marked
        }
        assert not [path for path in old if path not in new and path not in marked and path in after]
        place.repo.git("diff-index", "--cached", "--quiet", place.new)


def moved(place: GateWorkspace, held: RepositoryLock) -> bool:
    """Move the checkout to the new commit, and return whether it did."""
    try:
        checkout.move(place.git, held, old=place.old, new=place.new, what="it cannot move")
    except Refused:
        return False
    return True


class Death(Exception):
    """The move ends here, in the middle."""


def half_move(place: GateWorkspace, old: Files, new: Files, steps: int, partial: int) -> None:
    """Do the first steps of what git does: all that goes is removed, then what comes is written, the index last."""
    for path in sorted(old, reverse=True):
        if old[path] != new.get(path):
            steps = _count(steps)
            (place.repo.path / path).unlink()
            with contextlib.suppress(OSError):
                os.removedirs((place.repo.path / path).parent)  # .git stays
    for path in sorted(new):
        if new[path] != old.get(path):
            mode, text = new[path]
            file = place.repo.path / path
            file.parent.mkdir(parents=True, exist_ok=True)
            if mode == "120000":
                steps = _count(steps)
                file.symlink_to(text)
                continue
            file.write_text(text[: partial if steps == 0 else None])
            file.chmod(0o755 if mode == "100755" else 0o644)
            steps = _count(steps)
    place.repo.git("read-tree", "-i", "-m", place.old, place.new)


def _count(steps: int) -> int:
    if steps == 0:
        raise Death
    return steps - 1


@SOME
@given(
    old=COMMITS,
    new=COMMITS,
    steps=st.integers(0, 12),
    partial=st.integers(0, 6),
    edits=st.sets(st.sampled_from(PATHS)),
)
def test_a_move_that_died_is_taken_back_and_edits_are_kept(
    old: Files, new: Files, steps: int, partial: int, edits: set[str]
) -> None:
    """Wherever git died: the checkout is as it was. Where the user has edited what it moves, all is left as it is."""
    with ground(old, new) as (place, held):
        mine = {path for path in edits if path in old and old[path] == new.get(path) and old[path][0] != "120000"}
        for path in mine:
            place.repo.git("update-index", "--assume-unchanged", path)
            (place.repo.path / path).write_text("an edit of mine\n")
        (place.repo.path / "untracked").write_text("mine\n")
        before, index = place.snapshot(), place.repo.git("ls-files", "--stage")
        with contextlib.suppress(Death):
            half_move(place, old, new, steps, partial)
        touched = next((p for p in sorted(edits - mine) if p in new and new[p] != old.get(p)), None)
        file = place.repo.path / (touched or "")
        if touched is not None and file.is_file() and not file.is_symlink():
            file.write_text("edited since\n")
            now = place.snapshot()
            assert checkout.put_back(place.git, held, old=place.old, new=place.new) is False
            assert place.snapshot() == now
            return
        checkout.put_back(place.git, held, old=place.old, new=place.new)
        assert place.snapshot() == before
        assert place.repo.git("ls-files", "--stage") == index
        assert place.repo.git("status", "--porcelain") == "?? untracked"
        assert checkout.put_back(place.git, held, old=place.old, new=place.new) is False


def plain(text: str) -> File:
    """Return a file that is not executable."""
    return "100644", text


BASE = {"README": plain("read\n")}


@dataclass(frozen=True)
class Situation:
    """Files of the user in places where the new commit has something.

    Attributes:
        name: of the test.
        old: what is tracked beside README.
        new: what the new commit has beside it.
        prepare: makes what is the user's.
        named: what the refusal says of it.
    """

    name: str
    old: Files
    new: Files
    prepare: Callable[[Path, Repo], object]
    named: str


def _write(top: Path, path: str, text: str = "mine\n") -> None:
    (top / path).parent.mkdir(parents=True, exist_ok=True)
    (top / path).write_text(text)


def _ignored(top: Path, path: str) -> None:
    (top / ".git/info/exclude").write_text("local.env\ncache/\n")
    _write(top, path)


def _edited(top: Path, repo: Repo, path: str, flag: str) -> None:
    repo.git("update-index", f"--{flag}", path)
    _write(top, path)


def _nested(top: Path, path: str) -> None:
    _write(top, f"{path}/own.txt")
    Repo(top / path).git("init", "--quiet")


SITUATIONS = [
    Situation("untracked", {}, {"notes": plain("n\n")}, lambda top, _: _write(top, "notes"), "notes (untracked)"),
    Situation(
        "ignored", {}, {"local.env": plain("n\n")}, lambda top, _: _ignored(top, "local.env"),
        "local.env (ignored)",
    ),
    Situation(
        "ignored-in-a-directory-that-becomes-a-file", {}, {"cache": plain("n\n")},
        lambda top, _: _ignored(top, "cache/deep/one"), "cache/deep/one (ignored)",
    ),
    Situation(
        "untracked-beside-tracked-files-of-a-directory-that-becomes-a-file", {"d/a": plain("a\n")},
        {"d": plain("n\n")}, lambda top, _: _write(top, "d/mine"), "d/mine (untracked)",
    ),
    Situation(
        "a-file-that-becomes-a-directory", {}, {"d/a": plain("n\n")}, lambda top, _: _write(top, "d"),
        "d (untracked)",
    ),
    Situation(
        "a-link-to-a-directory-elsewhere", {}, {"d/a": plain("n\n")},
        lambda top, _: (top / "d").symlink_to(top.parent / "outside"), "d (a link)",
    ),
    Situation(
        "another-repository", {}, {"vendor/lib/a": plain("n\n")},
        lambda top, _: _nested(top, "vendor/lib"), "vendor/lib (another repository)",
    ),
    Situation(
        "another-repository-where-a-file-comes", {}, {"vendor": plain("n\n")},
        lambda top, _: _nested(top, "vendor"), "vendor (another repository)",
    ),
    Situation(
        "assume-unchanged", {"config": plain("c\n")}, {"config": plain("n\n")},
        lambda top, repo: _edited(top, repo, "config", "assume-unchanged"), "config (marked assume-unchanged)",
    ),
    Situation(
        "assume-unchanged-that-goes", {"config": plain("c\n")}, {},
        lambda top, repo: _edited(top, repo, "config", "assume-unchanged"), "config (marked assume-unchanged)",
    ),
    Situation(
        "skip-worktree", {"config": plain("c\n")}, {"config": plain("n\n")},
        lambda top, repo: _edited(top, repo, "config", "skip-worktree"), "config (marked skip-worktree)",
    ),
    Situation(
        "skip-worktree-that-only-gets-another-mode", {"config": plain("c\n")}, {"config": ("100755", "c\n")},
        lambda top, repo: _edited(top, repo, "config", "skip-worktree"), "config (marked skip-worktree)",
    ),
]  # fmt: skip


@pytest.mark.parametrize("case", SITUATIONS, ids=lambda case: case.name)
def test_a_file_of_the_users_is_named_and_kept(tmp_path: Path, case: Situation) -> None:
    """Refused before anything moved; once what is printed was typed, the checkout moves and the file is kept."""
    place = GateWorkspace(tmp_path, {**BASE, **case.old}, {**BASE, **case.new})
    case.prepare(place.repo.path, place.repo)
    before, index = place.snapshot(), place.index()
    with lock.hold(place.git.state_dir(), run="r") as held:
        with pytest.raises(Refused, match="it cannot move: 1 file of yours is in the way") as refused:
            checkout.move(place.git, held, old=place.old, new=place.new, what="it cannot move")
        assert (place.snapshot(), place.index()) == (before, index)
        assert refused.value.why == f"  {case.named}\nyour checkout and this branch are unchanged"
        (command,) = refused.value.next_commands
        subprocess.run(command, shell=True, cwd=place.repo.path, check=True)  # noqa: S602 -- as a person types it
        if case.named.endswith(("assume-unchanged)", "skip-worktree)")):
            assert "config" in place.repo.git("status", "--porcelain")  # now git itself sees the edit
            return
        checkout.move(place.git, held, old=place.old, new=place.new, what="it cannot move")
    texts = [[text for _, text in shot.values() if text == "mine\n"] for shot in (before, place.snapshot())]
    assert texts[0] == texts[1]


def test_a_sparse_checkout_moves_and_stays_sparse(tmp_path: Path) -> None:
    """Paths that it leaves out are the index's alone: nothing is written, their flags are kept."""
    old = {**BASE, "in/a": plain("a\n"), "out/b": plain("b\n")}
    place = GateWorkspace(tmp_path, old, {**old, "in/a": plain("A\n"), "out/b": plain("B\n"), "out/c": plain("C\n")})
    place.repo.git("sparse-checkout", "set", "in")
    before = place.snapshot()
    with lock.hold(place.git.state_dir(), run="r") as held:
        checkout.move(place.git, held, old=place.old, new=place.new, what="it cannot move")
        assert place.snapshot() == {**before, "in/a": plain("A\n")}
        assert place.repo.git("ls-files", "-t", "out") == "S out/b\nS out/c"
        assert checkout.put_back(place.git, held, old=place.old, new=place.new)
    assert place.snapshot() == before
    assert place.repo.git("ls-files", "-t", "out") == "S out/b"
    assert place.repo.git("status", "--porcelain") == ""


def test_the_directory_of_a_submodule_is_left_alone(tmp_path: Path) -> None:
    """Its commit moves in the index; what is checked out there is the user's."""
    place = GateWorkspace(tmp_path, BASE, BASE)
    _nested(place.repo.path, "sub")
    inner = Repo(place.repo.path / "sub")
    one, two = inner.commit("one", {"x": "1\n"}), inner.commit("two", {"x": "2\n"})
    place.repo.git("update-index", "--add", "--cacheinfo", f"160000,{two},sub")
    new = place.repo.commit("with sub")
    place.repo.git("update-index", "--cacheinfo", f"160000,{one},sub")
    tree = place.repo.git("write-tree")
    place.repo.git("update-index", "--cacheinfo", f"160000,{two},sub")
    other = oid(place.repo.git("commit-tree", tree, "-m", "another sub"))
    before = place.snapshot()
    with lock.hold(place.git.state_dir(), run="r") as held:
        for a, b in ((new, other), (other, place.old), (place.old, new)):
            checkout.move(place.git, held, old=a, new=b, what="it cannot move")
            assert place.snapshot() == before
    assert inner.head() == two


def test_modes_and_links_move(tmp_path: Path) -> None:
    """Tracked, clean files become those of the new commit, kind and mode included."""
    old = {"a": plain("a\n"), "b": ("100755", "b\n"), "c": ("120000", "a"), "d/e": plain("e\n"), "f": plain("f\n")}
    new = {"a": ("100755", "a\n"), "b": plain("b\n"), "c/g": plain("g\n"), "d": ("120000", "a"), "f/h": plain("h\n")}
    place = GateWorkspace(tmp_path, dict(old), dict(new))
    (place.repo.path / "c").unlink()
    place.repo.git("checkout", "--", "c")
    outside = {path: file for path, file in place.snapshot().items() if path.startswith("..")}
    with lock.hold(place.git.state_dir(), run="r") as held:
        checkout.move(place.git, held, old=place.old, new=place.new, what="it cannot move")
        assert place.snapshot() == {**new, **outside}
        checkout.move(place.git, held, old=place.new, new=place.old, what="it cannot move")
    assert place.snapshot() == {**old, **outside}


def test_a_full_disk_in_the_middle_leaves_the_checkout_as_it_was(tmp_path: Path) -> None:
    """Git stops while it writes files, with its index not written: what it wrote is taken back."""
    large = plain("".join(f"{number}\n" for number in range(40_000)))
    place = GateWorkspace(tmp_path, {**BASE, "a": plain("a\n")}, {**BASE, "a": plain("A\n"), "large": large})
    before, index = place.snapshot(), place.index()
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    with lock.hold(place.git.state_dir(), run="r") as held:
        resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, limits[1]))
        try:
            with pytest.raises(TrunklineError):
                checkout.move(place.git, held, old=place.old, new=place.new, what="it cannot move")
        finally:
            resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    assert (place.snapshot(), place.index()) == (before, index)
    assert place.repo.git("status", "--porcelain") == ""
