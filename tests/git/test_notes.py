"""Receipts as git notes: notes of a remote are validated before any ref moves."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from support.repo import Repo
from trunkline.commands import receipts
from trunkline.domain.errors import ExternalError
from trunkline.git import notes
from trunkline.state import lock
from trunkline.state.lock import RepositoryLock
from trunkline.state.receipt_store import SharedReceipt


@pytest.fixture
def remote(tmp_path: Path, repo: Repo) -> Repo:
    """Return the bare `origin` of a repository with one commit."""
    bare = Repo.create(tmp_path / "bare")
    bare.git("config", "core.bare", "true")
    repo.commit("base", {"a": "0\n"})
    repo.git("remote", "add", "origin", str(bare.path))
    repo.git("push", "--quiet", "origin", "HEAD:refs/heads/main")
    return bare


@pytest.fixture
def held(repo: Repo) -> Iterator[RepositoryLock]:
    """Return proof that refs may be moved."""
    with lock.hold(repo.adapter.state_dir(), run="r") as proof:
        yield proof


def _blob(bare: Repo) -> str:
    return bare.git("hash-object", "-w", "--stdin", stdin="no notes\n")


def _tag(bare: Repo) -> str:
    bare.git("tag", "--annotate", "-m", "t", "t", "refs/heads/main")
    return bare.git("rev-parse", "refs/tags/t")


def _commit_of(bare: Repo, mode: str, kind: str, name: str) -> str:
    tree = bare.git("mktree", stdin=f"{mode} {kind} {name}\t{'1' * 40}\n")
    return bare.git("commit-tree", tree, "-m", "notes")


def _link(bare: Repo) -> str:
    return _commit_of(bare, "120000", "blob", _blob(bare))


def _large(bare: Repo) -> str:
    name = bare.git("hash-object", "-w", "--stdin", stdin="x" * (notes._LARGEST + 1))
    return _commit_of(bare, "100644", "blob", name)


@pytest.mark.parametrize("make", [_blob, _tag, _link, _large])
def test_what_is_no_notes_moves_no_ref(
    repo: Repo, remote: Repo, held: RepositoryLock, make: Callable[[Repo], str]
) -> None:
    """Exit 6 with the way out; what is here stays readable."""
    git, head = repo.adapter, repo.head()
    notes.add(git, held, {head: ["{}"]})
    before = repo.refs()
    remote.git("update-ref", notes.REF, make(remote))
    with pytest.raises(ExternalError, match="refs/notes/trunkline on origin") as failed:
        notes.pull(repo.adapter, held, "origin")
    assert "git push origin --delete refs/notes/trunkline" in failed.value.next_commands[0]
    assert repo.refs() == before
    assert notes.read(repo.adapter) == {head: ("{}",)}


def test_a_ref_here_that_cannot_take_notes(repo: Repo, held: RepositoryLock) -> None:
    """A tag, and a directory of refs: named, with the command that shows or removes it; not wrong usage."""
    commit = repo.commit("base", {"a": "0\n"})
    repo.git("tag", "--annotate", "-m", "t", "t")
    repo.git("update-ref", notes.REF, repo.git("rev-parse", "refs/tags/t"))
    with pytest.raises(ExternalError, match="is a tag, not a commit") as found:
        notes.add(repo.adapter, held, {commit: ["{}"]})
    repo.git(*found.value.next_commands[0].split()[1:])
    repo.git("update-ref", f"{notes.REF}/below", commit)
    with pytest.raises(ExternalError, match="cannot be written") as found:
        notes.add(repo.adapter, held, {commit: ["{}"]})
    assert f"'{notes.REF}/below' exists" in found.value.stderr


def test_notes_of_both_sides_are_united(repo: Repo, remote: Repo, held: RepositoryLock) -> None:
    """First taken as they are, then united line by line; a line that is no JSON keeps no other from being taken."""
    git, head = repo.adapter, repo.head()
    notes.add(git, held, {head: ['{"a": 1}', "[" * 1000]})
    assert notes.push(git, held, "origin")
    assert remote.refs()[notes.REF] == repo.refs()[notes.REF]
    repo.git("update-ref", "-d", notes.REF)
    repo.git("update-ref", "-d", "refs/notes/trunkline-of/origin")
    git = repo.adapter
    notes.add(git, held, {head: ['{"b": 2}']})
    assert notes.pull(git, held, "origin") == remote.refs()[notes.REF]
    assert set(notes.read(git)[head]) == {'{"a": 1}', '{"b": 2}', "[" * 1000}


def test_a_line_of_many_brackets_keeps_no_receipt_from_being_taken(repo: Repo, held: RepositoryLock) -> None:
    """Lines that cannot be read are left out, however deep they nest."""
    good = '{"name": "n.json", "receipt": "{}", "signature": ""}'
    repo.commit("base", {"a": "0\n"})
    notes.add(repo.adapter, held, {repo.head(): ["[" * 200_000, good]})
    assert list(receipts._shared(repo.adapter)) == [SharedReceipt("n.json", b"{}", b"")]
