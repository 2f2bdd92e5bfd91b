"""Work trees of gates: byte for byte what a fresh checkout gives, whatever was checked out or written before."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest

from support.repo import Repo
from trunkline.domain.names import Oid
from trunkline.git.fresh_tree import FreshTree

Facts = dict[str, tuple[int, bytes]]


def facts(top: Path, *left_out: str) -> Facts:
    """Return mode and content of everything in a work tree."""
    found: Facts = {}
    for path in sorted(top.rglob("*")):
        name = str(path.relative_to(top))
        if name == ".git" or name.startswith((".git/", *left_out)):
            continue
        if path.is_symlink():
            found[name] = 0, os.fsencode(path.readlink())
        else:
            found[name] = path.stat().st_mode, path.read_bytes() if path.is_file() else b""
    return found


def fresh(repo: Repo, commit: Oid, place: Path) -> Facts:
    """Return what a fresh checkout of a commit gives."""
    repo.git("worktree", "add", "--quiet", "--detach", str(place), commit)
    return facts(place)


@pytest.fixture
def tree(repo: Repo, tmp_path: Path) -> FreshTree:
    """Return a work tree of ours at a first commit, in which cargo's directory stays."""
    repo.commit("one", {"a.txt": "one\ntwo\n", "b/c.rs": "fn c() {}\n", ".gitignore": "/target\n*.ignored\n"})
    (tmp_path / "trees").mkdir()
    made = FreshTree(repo.adapter, tmp_path / "trees/code", lambda: ("target",))
    made.check_out(repo.head())
    return made


def test_attributes_change_and_nothing_else(repo: Repo, tree: FreshTree, tmp_path: Path) -> None:
    """Blobs stay the same, and yet a fresh checkout writes other bytes: with attributes, and without them again."""
    plain = repo.head()
    repo.commit("attributes", {"b/.gitattributes": "*.rs eol=crlf\n", ".gitattributes": "*.txt text eol=crlf\n"})
    tree.check_out(repo.head())
    assert facts(tree.path) == fresh(repo, repo.head(), tmp_path / "fresh")
    assert (tree.path / "a.txt").read_bytes() == b"one\r\ntwo\r\n"
    assert tree.modified_paths() == ()
    tree.check_out(plain)
    assert facts(tree.path) == fresh(repo, plain, tmp_path / "again")


def test_settings_change_and_nothing_else(repo: Repo, tree: FreshTree) -> None:
    """The user's own settings and attribute files act on a checkout, too."""
    repo.git("config", "core.autocrlf", "true")
    tree.check_out(repo.head())
    assert (tree.path / "a.txt").read_bytes() == b"one\r\ntwo\r\n"
    repo.git("config", "--unset", "core.autocrlf")
    (repo.path / ".git/info").mkdir(exist_ok=True)
    (repo.path / ".git/info/attributes").write_text("b/c.rs text eol=crlf\n")
    tree.check_out(repo.head())
    assert (tree.path / "a.txt").read_bytes() == b"one\ntwo\n"
    assert (tree.path / "b/c.rs").read_bytes() == b"fn c() {}\r\n"


def test_a_filter_is_run_for_every_commit(repo: Repo, tree: FreshTree, tmp_path: Path) -> None:
    """A filter may write another file each time; what it wrote for the commit before does not stay."""
    said = tmp_path / "said"
    said.write_text("first\n")
    repo.git("config", "filter.said.smudge", f"cat {said}")
    repo.git("config", "filter.said.clean", "echo one; echo two")
    repo.commit("filter", {".gitattributes": "a.txt filter=said\n"})
    tree.check_out(repo.head())
    said.write_text("second\n")
    repo.commit("other", {"b/c.rs": "fn d() {}\n"})
    tree.check_out(repo.head())
    assert (tree.path / "a.txt").read_bytes() == b"second\n"


def test_leftovers_modes_and_times(repo: Repo, tree: FreshTree, tmp_path: Path) -> None:
    """New and ignored files, nested repositories, modes and times are reset, also in unreadable directories."""
    before = {path: path.stat().st_mtime_ns for path in (tree.path / "a.txt", tree.path / "b/c.rs", tree.path / "b")}
    (tree.path / "x.ignored").write_text("x")
    (tree.path / "new/deep").mkdir(parents=True)
    (tree.path / "new/deep/file").write_text("x")
    subprocess.run(["git", "init", "--quiet", str(tree.path / "nested")], check=True)
    (tree.path / "target/debug").mkdir(parents=True)
    (tree.path / "target/debug/kept").write_text("x")
    (tree.path / "a.txt").chmod(0o600)
    os.utime(tree.path / "b/c.rs")
    (tree.path / "b/c.rs").chmod(0o755)
    (tree.path / "new/deep").chmod(0)
    (tree.path / "b").chmod(0o500)
    tree.check_out(repo.head())
    assert facts(tree.path, "target") == fresh(repo, repo.head(), tmp_path / "fresh")
    assert (tree.path / "target/debug/kept").exists(), "cargo's directory stays"
    assert {path: path.stat().st_mtime_ns for path in before} == before
    assert len(set(before.values())) == 1, "all have one time"


def test_every_kind_of_change(repo: Repo, tree: FreshTree, tmp_path: Path) -> None:
    """Links, modes, directories in place of files and the other way round, forth and back."""
    first = repo.head()
    (repo.path / "a.txt").unlink()
    (repo.path / "a.txt").symlink_to("b/c.rs")
    (repo.path / "b/c.rs").chmod(0o755)
    (repo.path / "d").mkdir()
    (repo.path / "d/e").write_text("e")
    second = repo.commit("links")
    (repo.path / "a.txt").unlink()
    (repo.path / "d/e").unlink()
    (repo.path / "d").rmdir()
    (repo.path / "a.txt").mkdir()
    third = repo.commit("directories", {"a.txt/inner": "x", "d": "a file now"})
    for number, commit in enumerate((second, third, first, third, second, first)):
        tree.check_out(commit)
        assert facts(tree.path) == fresh(repo, commit, tmp_path / f"fresh{number}")


def test_line_ends_that_git_calls_modified_are_no_change(repo: Repo, tree: FreshTree) -> None:
    """A text attribute over CRLF bytes: git calls it modified in any fresh clone; what is written there counts."""
    repo.git("config", "core.autocrlf", "false")
    (repo.path / "notes.md").write_bytes(b"one\r\ntwo\r\n")
    repo.commit("bytes")
    blob = repo.git("hash-object", "-w", "--stdin", stdin="*.md text\n")
    repo.git("update-index", "--add", "--cacheinfo", f"100644,{blob},.gitattributes")
    repo.git("commit", "--quiet", "-m", "attribute")  # the other file's blob keeps its CRLF
    tree.check_out(repo.head())
    status = subprocess.run(["git", "status", "--short"], cwd=tree.path, capture_output=True, text=True, check=True)
    assert "notes.md" in status.stdout, "git itself does so"
    assert tree.modified_paths() == ()
    (tree.path / "notes.md").write_bytes(b"one\r\ntwo\r\nthree\r\n")
    (tree.path / "a.txt").write_text("other\n")
    assert sorted(tree.modified_paths()) == ["a.txt", "notes.md"]
    tree.check_out(repo.head())
    assert tree.modified_paths() == ()


def test_what_counts_as_written(repo: Repo, tree: FreshTree) -> None:
    """New files count; ignored ones, cargo's directory and directories tagged as caches do not."""
    assert repo.head()
    (tree.path / "x.ignored").write_text("x")
    (tree.path / "target").mkdir()
    (tree.path / "target/x").write_text("x")
    (tree.path / "fixture/target").mkdir(parents=True)
    (tree.path / "fixture/target/CACHEDIR.TAG").write_text("Signature: 8a477f597d28d172789f06886806bc55\n")
    assert tree.modified_paths() == ("fixture/",)
    (tree.path / "fixture/target").rename(tree.path / "cache")
    (tree.path / "fixture").rmdir()
    assert tree.modified_paths() == ()
    (tree.path / "b/new.rs").write_text("x")
    assert tree.modified_paths() == ("b/new.rs",)


def test_a_damaged_work_tree_is_made_anew(repo: Repo, tree: FreshTree, tmp_path: Path) -> None:
    """Without git's own file, with another HEAD, or without our record, everything is checked out."""
    other = repo.commit("other", {"a.txt": "other\n"})
    (tree.path / ".git").unlink()
    tree.check_out(other)
    assert facts(tree.path) == fresh(repo, other, tmp_path / "one")
    subprocess.run(["git", "reset", "--quiet", "--soft", "HEAD~1"], cwd=tree.path, check=True)
    tree.check_out(other)
    tree.path.with_name("code.checkout.json").unlink()
    (tree.path / "a.txt").write_text("damaged\n")
    tree.check_out(other)
    assert facts(tree.path) == fresh(repo, other, tmp_path / "two")


def test_what_code_under_test_hid_from_git(repo: Repo, tree: FreshTree, tmp_path: Path) -> None:
    """Flags in the index, and a setting with which git sets such flags itself."""
    for flag in ("--skip-worktree", "--assume-unchanged"):
        subprocess.run(["git", "update-index", flag, "a.txt"], cwd=tree.path, check=True)
        (tree.path / "a.txt").write_text("hidden\n")
        tree.check_out(repo.head())
        assert facts(tree.path) == fresh(repo, repo.head(), tmp_path / f"fresh{flag}")
    repo.git("config", "core.ignoreStat", "true")
    other = repo.commit("other", {"a.txt": "other\n"})
    tree.check_out(other)
    (tree.path / "a.txt").write_text("hidden\n")
    assert tree.modified_paths() == ("a.txt",)
    tree.check_out(other)
    assert (tree.path / "a.txt").read_text() == "other\n"


def test_an_earlier_checkout_that_cannot_be_compared(repo: Repo, tree: FreshTree) -> None:
    """With other settings, files change that the commits have in common."""
    called: list[int] = []
    tree.check_out(repo.head(), incomparable=lambda: called.append(1))
    assert called == []
    repo.git("config", "core.autocrlf", "true")
    tree.check_out(repo.head(), incomparable=lambda: called.append(1))
    assert called == [1]
    tree.path.with_name("code.checkout.json").unlink()
    tree.check_out(repo.head(), incomparable=lambda: called.append(1))
    assert called == [1, 1]


def test_files_of_the_commit_in_a_directory_that_stays(repo: Repo, tree: FreshTree) -> None:
    """A commit may have files below cargo's directory, which is cleaned after the checkout."""
    commit = repo.commit("kept", {"target/kept/a.txt": "one\n", "target/b": "two\n", ".gitignore": "\n"})
    tree.check_out(commit)
    (tree.path / "target/kept/a.txt").unlink()
    (tree.path / "target/kept").rmdir()
    (tree.path / "target/b").write_text("other\n")
    tree.restore_outputs()
    assert (tree.path / "target/kept/a.txt").read_text() == "one\n"
    assert (tree.path / "target/b").read_text() == "two\n"
    assert len({(tree.path / path).stat().st_mtime_ns for path in ("a.txt", "target/kept/a.txt", "target/b")}) == 1
