"""Files that rightly hold conflict markers, and entries that change the type of a file and change it back."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from support.inprocess import Desk, desk, refusal
from trunkline.engine import RunResult

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
    """The resolution itself documents another conflict: the message says how to go on, and that works."""
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
    """The replay comes to the tree that git's cherry-picks come to; the plan foresees it."""
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
