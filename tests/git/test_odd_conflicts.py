"""Files that rightly hold conflict markers, and entries that change the type of a file and change it back."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from support.inprocess import STACK, Desk, desk, refusal
from support.repo import Repo
from trunkline.engine import RunResult
from trunkline.git import replay

DOCUMENT = "<<<<<<< HEAD\nours\n=======\ntheirs\n>>>>>>> feature\n"


@pytest.fixture
def stack(monkeypatch: pytest.MonkeyPatch) -> Iterator[Desk]:
    """Return a stack of three entries, cloned, with local branches."""
    with desk(monkeypatch) as made:
        yield made


@pytest.mark.parametrize("text", [f"{DOCUMENT}two\n", "two\n", DOCUMENT])
def test_markers_that_a_version_of_the_file_holds_are_no_conflict(stack: Desk, text: str) -> None:
    """Trunk's file documents conflicts: the resolution may keep the markers, or leave them out."""
    stack.trunk_commits("trunk documents conflicts", {"two.txt": DOCUMENT})
    assert int(refusal(stack.restack).code) == 3
    stack.resolve(text=text)
    if text == DOCUMENT:  # the commit's whole change
        assert "nothing was resolved" in refusal(stack.resume).what
        return
    done = stack.resume()
    assert done is not None
    assert done.error is None, done.error
    assert stack.hub.bare.git("show", "two:two.txt") == text.rstrip()


@pytest.mark.parametrize("size", [7, 12])
@pytest.mark.parametrize("committed", [False, True])
def test_markers_that_git_wrote_for_the_conflict_are_refused(stack: Desk, size: int, *, committed: bool) -> None:
    """Beside those of the document, staged or committed, and with a longer marker set by an attribute."""
    files = {"two.txt": DOCUMENT, ".gitattributes": f"two.txt conflict-marker-size={size}\n"}
    stack.trunk_commits("trunk documents conflicts", dict(files))
    assert int(refusal(stack.restack).code) == 3
    tree = stack.tree()
    assert f"{'<' * size} HEAD" in (tree.path / "two.txt").read_text()
    tree.git("add", "--all")
    if committed:
        tree.git("commit", "--quiet", "--no-edit")
    error = refusal(stack.resume)
    assert "conflict markers are left in two.txt" in error.why
    assert "If they belong there" not in error.why


def test_new_markers_that_belong_to_the_file_are_accepted_once_committed(stack: Desk) -> None:
    """The resolution documents another conflict: the message names the command to continue, and the command works."""
    stack.conflict(2)
    assert int(refusal(stack.restack).code) == 3
    stack.resolve(text=DOCUMENT)
    error = refusal(stack.resume)
    assert "If they belong there, commit the file (`git commit --no-edit`)" in error.why
    stack.tree().git("commit", "--quiet", "--no-edit")
    done = stack.resume()
    assert done is not None
    assert done.error is None, done.error
    assert stack.hub.bare.git("show", "two:two.txt") == DOCUMENT.rstrip()


def link(top: Path) -> None:
    """Turn the file into a symbolic link."""
    (top / "one.txt").unlink()
    (top / "one.txt").symlink_to("a.txt")


def file(text: str) -> Callable[[Path], None]:
    """Return a function that makes it a file."""

    def change(top: Path) -> None:
        place = top / "one.txt"
        if place.is_dir():
            (place / "inside.txt").unlink()
            place.rmdir()
        place.unlink(missing_ok=True)
        place.write_text(text)

    return change


def directory(top: Path) -> None:
    """Turn the file into a directory."""
    (top / "one.txt").unlink(missing_ok=True)
    (top / "one.txt").mkdir()
    (top / "one.txt/inside.txt").write_text("inside\n")


BACK = file("one\n"), file("one\n")
CHANGES: dict[str, tuple[Callable[[Path], None], Callable[[Path], None]]] = {
    "link and back": (link, BACK[0]),
    "link and another file": (link, file("other\n")),
    "directory and back": (directory, BACK[1]),
    "directory and another file": (directory, file("other\n")),
}


@pytest.mark.parametrize("copied", [1, 2], ids=["first copied", "both copied"])
@pytest.mark.parametrize("changes", CHANGES.values(), ids=CHANGES)
def test_a_type_changed_and_changed_back_while_trunk_holds_a_copy(
    stack: Desk, changes: tuple[Callable[[Path], None], Callable[[Path], None]], copied: int
) -> None:
    """The replay gives the tree of git's cherry-picks; the plan foresees it."""
    clone, author = stack.clone, stack.author
    clone.git("switch", "--quiet", "two")
    made = []
    for number, change in enumerate(changes, 1):
        change(clone.path)
        made.append(clone.commit(f"change {number}"))
    clone.git("switch", "--quiet", "main")
    author.git("fetch", "--quiet", str(clone.path), "two")
    stack.merge(1)
    author.git("fetch", "--quiet", "origin")
    author.git("switch", "--quiet", "--detach", "origin/main")
    for name in made[:copied]:
        author.git("cherry-pick", "--allow-empty", name)
    author.git("push", "--quiet", "origin", "HEAD:refs/heads/main")
    result: RunResult | None = stack.restack()
    assert result is not None
    if copied == len(changes) and changes[1] not in BACK:  # git's own rebase conflicts there too
        assert result.error is not None
        assert int(result.error.code) == 3
        result = stack.resume(skip=True)
        assert result is not None
    assert result.error is None, (result.error.what, result.error.why)
    subjects = stack.hub.bare.subjects("main..two")
    assert [each for each in subjects if each.startswith("two")] == ["two 1", "two 2"]
    assert stack.hub.bare.git("rev-parse", "two:one.txt") == clone.git("rev-parse", f"{made[-1]}:one.txt")
    stack.assert_stacked()


_CRASHING_GIT = """\
#!/bin/sh
for last; do :; done
case "$*" in
  *directoryRenames=false*) ;;
  *merge-tree*--stdin*) kill -ABRT $$ ;;
  *merge-tree*|*cherry-pick*)
    if [ "$({git} log -1 --format=%s "$last" 2>/dev/null)" = settings ]; then kill -ABRT $$; fi ;;
esac
exec {git} "$@"
"""


@pytest.fixture
def crashing_git(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Make git crash in each merge of the commit "settings" that follows moved directories."""
    shim = tmp_path / "crashing/git"
    shim.parent.mkdir()
    shim.write_text(_CRASHING_GIT.format(git=shutil.which("git")))
    shim.chmod(0o700)
    monkeypatch.setenv("PATH", f"{shim.parent}:{os.environ['PATH']}")


@pytest.mark.usefixtures("crashing_git")
def test_a_conflict_in_which_git_crashes_is_left_to_the_user(stack: Desk) -> None:
    """Without moved directories git merges it: the run pauses with that conflict, and goes on once it is resolved."""
    stack.push_commit("three", "settings", {"stack.toml": f"{STACK}# three\n"})
    stack.trunk_commits("settings of trunk", {"stack.toml": f"{STACK}# trunk\n"})
    error = refusal(stack.restack)
    assert int(error.code) == 3, error
    assert "<<<<<<<" in (stack.tree().path / "stack.toml").read_text()
    stack.resolve(text=f"{STACK}# three\n# trunk\n")
    done = stack.resume()
    assert done is not None
    assert done.error is None, done.error
    assert "# three\n# trunk" in stack.hub.bare.git("show", "three:stack.toml")


@pytest.mark.usefixtures("crashing_git")
def test_a_merge_in_which_git_crashes_is_never_clean(stack: Desk) -> None:
    """Git reports no conflict without moved directories, where it would with them: the changed files are one."""
    base = stack.author.head("main")
    ours = stack.trunk_commits("settings of trunk", {"stack.toml": f"# trunk\n{STACK}"})
    stack.author.git("switch", "--quiet", "--detach", base)
    theirs = stack.author.commit("settings", {"stack.toml": f"{STACK}# three\n"})
    merge = replay.three_way(stack.author.adapter, base=base, ours=ours, theirs=theirs)
    assert merge.conflicts == ("stack.toml",)
    assert stack.author.git("show", f"{merge.tree}:stack.toml").startswith("# trunk\n")


def test_git_crashes_in_no_merge_that_follows_moved_directories(repo: Repo) -> None:
    """A merge that fails an assertion of merge-ort.c in git 2.39 returns its conflict."""
    one, two = ("".join(f"{name} {line}\n" for line in range(9)) for name in ("one", "two"))
    repo.commit("start", {"e/w": one, "b/x": two})
    base = repo.head()
    ours = repo.commit("ours", {"b/x": None, "e/w": None, "e/x": one})
    repo.git("switch", "--quiet", "--detach", base)
    theirs = repo.commit("theirs", {"e/w": None, "b/x": None, "c/y": two, "b/w": one})
    git = repo.adapter
    replay.three_ways(git, [(base, ours, theirs), (base, theirs, ours)])
    assert replay.three_way(git, base=base, ours=ours, theirs=theirs).conflicts
    assert replay.three_way(git, base=base, ours=theirs, theirs=ours).conflicts
