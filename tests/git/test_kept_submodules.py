"""Work in a submodule of a conflict's work tree: git deletes it with the work tree, so it is moved out before."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from support.inprocess import Desk, desk, refusal
from support.repo import Repo
from trunkline.commands import doctor
from trunkline.domain.health import Finding

LOCAL = ("-c", "protocol.file.allow=always")


@pytest.fixture
def paused(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[Desk]:
    """Yield a restack that paused in a work tree whose submodule `lib` is initialised."""
    library = Repo.create(tmp_path / "library")
    library.commit("start", {"lib.rs": "// one\n", ".gitignore": "target\n"})
    with desk(monkeypatch) as stack:
        author = stack.author
        author.git("switch", "--quiet", "--detach", "main")
        author.git(*LOCAL, "submodule", "--quiet", "add", str(library.path), "lib")
        author.commit("trunk takes two, and a library", {"two.txt": "trunk's own\n"})
        author.git("push", "--quiet", "origin", "HEAD:refs/heads/main")
        assert int(refusal(stack.restack).code) == 3
        stack.tree().git(*LOCAL, "submodule", "--quiet", "update", "--init")
        yield stack


def submodule(stack: Desk) -> Repo:
    """Return the submodule in the work tree."""
    return Repo(stack.tree().path / "lib")


def kept(stack: Desk) -> list[Finding]:
    """Return what doctor says about kept directories."""
    return [each for each in doctor._state(stack.clone.adapter) if each.about == "kept"]


def place(stack: Desk) -> Path:
    """Return the only kept directory."""
    (finding,) = kept(stack)
    assert finding.message.startswith("1 directory in ")
    (found,) = Path(finding.fix.split()[1]).iterdir()
    return found


@pytest.mark.parametrize("way", ["continue", "abort"])
def test_commits(paused: Desk, way: str) -> None:
    """A commit that no remote has is in the kept repository, and the directory is named."""
    made = submodule(paused).commit("mine", {"lib.rs": "// mine\n"})
    if way == "continue":
        (paused.tree().path / "two.txt").write_text("both\n")
        paused.tree().git("add", "--all")
        done = paused.resume()
        assert done is not None
        assert done.error is None
        said = [line for outcome in done.outcomes.values() for line in outcome.details]
        assert paused.clone.git("rev-parse", "two~1:lib") == made
    else:
        outcome = paused.abort()
        assert outcome is not None
        said = list(outcome.details)
    assert f"submodule lib has work that none of its remotes has; it is kept: {place(paused)}/lib" in said
    library = Repo(place(paused) / "lib")
    assert library.head() == made
    assert library.git("status", "--porcelain") == ""
    assert paused.clone.git("worktree", "list").count("\n") == 0


@pytest.mark.parametrize("name", ["lib.rs", "new.rs"])
def test_edits(paused: Desk, name: str) -> None:
    """Files that no commit has are kept with the submodule."""
    (submodule(paused).path / name).write_text("// an edit\n")
    assert paused.abort() is not None
    assert (place(paused) / "lib" / name).read_text() == "// an edit\n"


def test_an_untouched_submodule(paused: Desk) -> None:
    """The submodule is removed with the work tree: its remote has everything."""
    assert paused.abort() is not None
    assert kept(paused) == []


def test_a_work_tree_without_files(paused: Desk) -> None:
    """The user removed its directory; the submodule's repository, which git keeps elsewhere, is moved out."""
    made = submodule(paused).commit("mine", {"lib.rs": "// mine\n"})
    shutil.rmtree(paused.tree().path)
    assert paused.abort() is not None
    objects = place(paused) / "modules/lib/objects"  # the settings there name a work tree that is gone
    assert (objects / made[:2] / made[2:]).is_file()
