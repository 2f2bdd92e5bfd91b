"""Merges in memory against git's own, and objects that wait in memory against what git finds of them."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from support.repo import Repo
from trunkline.domain.names import Oid, oid
from trunkline.git import history, objects, replay, trees
from trunkline.git.git import Git
from trunkline.system import process

LINES = ("1\n2\n3\n4\n5\n6\n7\n8\n", "one\n2\n3\n4\n5\n6\n7\n8\n", "1\n2\n3\n4\n5\n6\n7\neight\n", "another\n")
PATHS = ("a", "d", "d.x", "d/x", "d/y", "d/e/z", "f/x")
"""`d` is a file and a directory; `d.x` sorts before the directory and after the file."""
PLACES = ("a", "d", "d/e", "d/x", "f", "f/x", "g", "g/h")
"""Files and directories are moved from and to these."""

Files = dict[str, int]


def put(files: Files, path: str, content: int | None) -> Files:
    """Return files with one written (None: deleted); what is in its way as a file or a directory goes."""
    kept = {p: c for p, c in files.items() if not (p.startswith(f"{path}/") or path.startswith(f"{p}/"))}
    kept.pop(path, None)
    return kept if content is None else {**kept, path: content}


contents = st.integers(0, len(LINES) - 1)
files = st.dictionaries(st.sampled_from(PATHS), contents).map(
    lambda drawn: {path: text for path, text in drawn.items() if not any(p.startswith(f"{path}/") for p in drawn)}
)
Edit = tuple[str, int | str | None]
edits = st.lists(
    st.one_of(
        st.tuples(st.sampled_from(PATHS), st.one_of(contents, contents, st.none())),
        st.tuples(st.sampled_from(PLACES), st.sampled_from(PLACES)),
    ),
    max_size=3,
)


def edited(base: Files, changes: list[Edit]) -> Files:
    """Return files after changes: a content is written, None deletes, and a place is where the path is moved to."""
    for path, change in changes:
        if not isinstance(change, str):
            base = put(base, path, change)
            continue
        moved = {p: c for p, c in base.items() if p == path or p.startswith(f"{path}/")}
        base = {p: c for p, c in base.items() if p not in moved}
        for name, content in moved.items():
            base = put(base, change + name.removeprefix(path), content)
    return base


def tree_of(git: Git, blobs: list[Oid], files: Files, below: str = "") -> Oid:
    """Write files as a tree."""
    names = {path.removeprefix(below).split("/")[0] for path in files if path.startswith(below)}
    entries: dict[bytes, tuple[bytes, Oid]] = {}
    for name in names:
        path = below + name
        if path in files:
            entries[name.encode()] = b"100644", blobs[files[path]]
        else:
            entries[name.encode()] = b"40000", tree_of(git, blobs, files, f"{path}/")
    return trees._written(git, entries)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None, max_examples=150)
@given(start=files, ours=edits, theirs=edits)
def test_what_is_merged_in_memory_is_what_git_merges(
    tmp_path_factory: pytest.TempPathFactory, start: Files, ours: list[Edit], theirs: list[Edit]
) -> None:
    """For all changes of both sides: git's own tree if the merge is clean, else None; git checks every new object."""
    git, blobs = ground(tmp_path_factory)
    names = [tree_of(git, blobs, each) for each in (start, edited(start, ours), edited(start, theirs))]
    git.tree_cache.clear()
    trees.load(git, [(names[0], names[1]), (names[0], names[2])])
    found = trees.merged(git, names[0], names[1], names[2])
    if found is not None:
        commits = [replay._synthetic_commit(git, names[0])]
        commits += [replay._synthetic_commit(git, tree, commits[0]) for tree in names[1:]]
        assert replay.automatic_merge(git, commits[1], commits[2]) == replay.Merge(found, ())


_GROUND: list[tuple[Git, list[Oid]]] = []


def ground(factory: pytest.TempPathFactory) -> tuple[Git, list[Oid]]:
    """Return one repository for all examples, with the contents as blobs."""
    if not _GROUND or not _GROUND[0][0].cwd.is_dir():
        repo = Repo.create(factory.mktemp("trees") / "repo")
        blobs = [oid(repo.git("hash-object", "-w", "--stdin", stdin=text)) for text in LINES]
        _GROUND[:] = [(repo.adapter, blobs)]
    return _GROUND[0]


@pytest.fixture
def chained(repo: Repo) -> Repo:
    """A topic of three commits in directories of their own, main moved on beside them."""
    repo.commit("start", {f"d{n}/f{m}.txt": f"{n}{m}\n" for n in range(3) for m in range(3)})
    repo.git("switch", "--quiet", "-c", "topic")
    for number in range(3):
        repo.commit(f"own {number}", {f"d{number}/f0.txt": "mine\n", f"d{number}/new/{number}.txt": "new\n"})
    repo.git("switch", "--quiet", "main")
    repo.commit("moved on", {"d0/f1.txt": "theirs\n", "m.txt": "m\n"})
    return repo


def test_entries_that_meet_nowhere_take_no_process_each(chained: Repo, monkeypatch: pytest.MonkeyPatch) -> None:
    """Three commits need two reads of trees, no merge and no write; git finds every object afterwards."""
    git, onto = chained.adapter, chained.head("main")
    own = history.chain(git, chained.head("topic~3"), chained.head("topic"))
    before = loose(chained.path)
    ran: list[tuple[str, ...]] = []
    query = Git._run

    def watched(self: Git, args: tuple[str, ...], **more: object) -> process.Completed:
        ran.append(args)
        return query(self, args, **more)  # type: ignore[arg-type]

    monkeypatch.setattr(Git, "_run", watched)
    done = replay.replay(git, own, onto, by="T <t@example.invalid> 1763600000 +0000")
    assert [args[0] for args in ran if args[0] != "rev-parse"] == ["cat-file", "cat-file"]
    assert loose(chained.path) == before
    replay.check_replayed(git, own, base=onto, tip=done.tip)
    assert chained.git("diff", "--name-only", "main", done.tip).splitlines() == [
        f"d{number}/{name}" for number in range(3) for name in ("f0.txt", f"new/{number}.txt")
    ]
    assert chained.git("show", f"{done.tip}:d0/f1.txt") == "theirs"


def test_git_merges_only_the_commits_that_meet_trunk(repo: Repo, monkeypatch: pytest.MonkeyPatch) -> None:
    """After a merge of lines, and with files moved and deleted, the rest is merged in memory again."""
    text = "".join(f"{number}\n" for number in range(20))
    repo.commit("start", {"shared.txt": text, "old/a.txt": text, "old/b.txt": "b\n", "d/gone.txt": "1\n"})
    repo.git("switch", "--quiet", "-c", "topic")
    for number in (3, 5):
        repo.commit(f"meets main's {number}", {"shared.txt": text.replace(f"\n{number}\n", "\nmine\n")})
    repo.commit("moved", {"old/a.txt": None, "old/b.txt": None, "new/a.txt": f"{text}more\n", "new/b.txt": "b\n"})
    repo.commit("deleted", {"d/gone.txt": None, "d/x.txt": "1\n"})
    repo.git("switch", "--quiet", "main")
    repo.commit("moved on", {"shared.txt": f"{text}more\n", "d/m.txt": "m\n"})
    git, ran, query = repo.adapter, list[str](), Git._run

    def watched(self: Git, args: tuple[str, ...], **more: object) -> process.Completed:
        ran.append(args[0])
        return query(self, args, **more)  # type: ignore[arg-type]

    own = history.chain(git, repo.head("main~1"), repo.head("topic"))
    monkeypatch.setattr(Git, "_run", watched)
    done = replay.replay(git, own, repo.head("main"), by="T <t@example.invalid> 1763600000 +0000")
    assert (ran.count("merge-tree"), ran.count("diff-tree")) == (2, 0)
    assert git.tree(done.tip) == replay.merged_by_git(git, own, repo.head("main"))


def loose(path: Path) -> set[str]:
    """Return the repository's object files."""
    return {str(each) for each in (path / ".git/objects").rglob("*") if each.is_file()}


@pytest.mark.parametrize("count", [3, 60])
def test_objects_that_wait_are_there_when_git_reads_them(repo: Repo, count: int) -> None:
    """A few as files, many as one pack; not before a git command names one of them, by argument or on its input."""
    base = repo.commit("start", {"a": "1\n"})
    git = repo.adapter
    tree, before = git.tree(base), loose(repo.path)
    tip = base
    for number in range(count):
        content = f"tree {tree}\nparent {tip}\nauthor A <a@b> {number} +0000\ncommitter A <a@b> 0 +0000\n\n{number}\n"
        tip = objects.make(git, b"commit", content.encode())
    git.query("rev-parse", "HEAD")
    assert loose(repo.path) == before
    if count > 3:
        assert git.query("cat-file", "--batch-check", stdin=f"{tip}\n".encode()).text.split()[1] == "commit"
        assert len([path for path in loose(repo.path) - before if path.endswith(".pack")]) == 1
    else:
        assert git.query("rev-list", "--count", tip).text == str(count + 1)
        assert len(loose(repo.path) - before) == count
    assert repo.git("fsck", "--strict", "--no-dangling") == ""


def test_an_object_left_empty_by_a_power_failure_is_written_again(repo: Repo) -> None:
    """Nothing referred to it; made once more, it is sound."""
    base = repo.commit("start", {"a": "1\n"})
    content = f"tree {repo.adapter.tree(base)}\nauthor A <a@b> 1 +0000\ncommitter A <a@b> 1 +0000\n\nm\n".encode()
    name = objects.make(repo.adapter, b"commit", content)
    path = repo.path / ".git/objects" / name[:2] / name[2:]
    path.parent.mkdir(exist_ok=True)
    path.touch()
    os.truncate(path, 0)
    git = repo.adapter
    objects.make(git, b"commit", content)
    assert git.query("cat-file", "-t", name).text == "commit"


def test_three_way_merges_at_once_are_those_one_by_one(chained: Repo, monkeypatch: pytest.MonkeyPatch) -> None:
    """`merge-tree --stdin`, and git 2.38, which has none: the same trees, the same paths in conflict."""
    chained.git("switch", "--quiet", "topic")
    chained.commit("meets main's", {"d0/f1.txt": "mine too\n"})
    base, ours = chained.head("topic~4"), chained.head("main")
    wanted = [(base, ours, chained.head(f"topic~{number}")) for number in range(4)]
    git, older = chained.adapter, chained.adapter
    replay.three_ways(git, wanted)
    monkeypatch.setattr(replay, "is_old", lambda *_: True)
    replay.three_ways(older, wanted)
    assert git.merges == older.merges
    assert [conflicts for _, conflicts in git.merges.values()] == [("d0/f1.txt",), (), (), ()]
