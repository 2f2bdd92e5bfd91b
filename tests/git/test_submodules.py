"""Submodules of the gates' work trees: from the user's own clones, else fetched; what cannot be filled is named."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest

from support.repo import Repo
from trunkline.domain.receipt import Receipt, Toolchain
from trunkline.domain.stack import GateSettings
from trunkline.gates import proof, slots
from trunkline.git import submodules
from trunkline.state.receipt_store import Store

LOCAL = ("-c", "protocol.file.allow=always")


def adopt(repo: Repo, path: str, url: str) -> None:
    """Add a submodule, its clone in .git/modules, and commit that."""
    repo.git(*LOCAL, "submodule", "--quiet", "add", url, path)
    repo.commit(f"adopt {path}")


@pytest.fixture
def library(tmp_path: Path) -> Repo:
    """Return the repository of a submodule."""
    repo = Repo.create(tmp_path / "library")
    repo.commit("start", {"Cargo.toml": "# library\n", "src/lib.rs": "// one\n"})
    return repo


@pytest.fixture
def repo(tmp_path: Path, library: Repo) -> Repo:
    """Return a repository with a submodule that is checked out."""
    made = Repo.create(tmp_path / "repo")
    made.commit("start", {"README.md": "x\n"})
    adopt(made, "vendor/library", str(library.path))
    return made


def filled(repo: Repo) -> tuple[dict[str, str], tuple[tuple[str, str], ...], tuple[str, ...]]:
    """Return a slot at HEAD: the texts of its files below vendor, what is missing, what git calls written to."""
    with slots.slot(repo.adapter, repo.head()) as slot:
        files = sorted(path for path in (slot.tree / "vendor").rglob("*") if path.is_file())
        texts = {str(path.relative_to(slot.tree / "vendor")): path.read_text() for path in files}
        return texts, submodules.missing(slot.tree), slots.leftovers(repo.adapter, slot)


def test_files_come_from_the_users_own_clone(repo: Repo, library: Repo) -> None:
    """Without a network, and though the address leads nowhere any more; git calls the work tree clean."""
    library.path.rename(library.path.with_name("moved"))
    texts, missing, written = filled(repo)
    assert texts == {"library/Cargo.toml": "# library\n", "library/src/lib.rs": "// one\n"}
    assert (missing, written) == ((), ())
    assert filled(repo)[0] == texts


def test_another_commit_of_a_submodule(repo: Repo, library: Repo) -> None:
    """Its files are that commit's; deleted files and deleted submodules are removed."""
    filled(repo)
    library.commit("two", {"src/lib.rs": None, "src/two.rs": "// two\n"})
    repo.git("-C", "vendor/library", "pull", "--quiet")
    repo.commit("bump")
    assert filled(repo)[0] == {"library/Cargo.toml": "# library\n", "library/src/two.rs": "// two\n"}
    repo.git("rm", "--quiet", "vendor/library")
    repo.commit("without")
    assert filled(repo) == ({}, (), ())


def test_a_submodule_of_a_submodule(repo: Repo, library: Repo, tmp_path: Path) -> None:
    """The user's clones of both are used."""
    inner = Repo.create(tmp_path / "inner")
    inner.commit("start", {"deep.rs": "// deep\n"})
    adopt(library, "deep", str(inner.path))
    repo.git("-C", "vendor/library", "pull", "--quiet", "--no-recurse-submodules")
    repo.commit("bump")
    repo.git(*LOCAL, "submodule", "--quiet", "update", "--init", "--recursive")
    inner.path.rename(inner.path.with_name("moved"))
    texts, missing, _ = filled(repo)
    assert missing == ()
    assert texts["library/deep/deep.rs"] == "// deep\n"


def test_a_registered_submodule_is_fetched(repo: Repo, tmp_path: Path) -> None:
    """A clone that has `git submodule init` behind it, and nothing more; its configuration stays as it is."""
    clone = Repo(tmp_path / "clone")
    repo.git("clone", "--quiet", str(repo.path), str(clone.path))
    clone.git("submodule", "--quiet", "init")
    before = (clone.path / ".git/config").read_text()
    texts, missing, _ = filled(clone)
    assert texts["library/src/lib.rs"] == "// one\n"
    assert missing == ()
    assert (clone.path / ".git/config").read_text() == before
    assert not (clone.path / ".git/modules").exists()


@pytest.mark.parametrize(
    ("name", "url"),
    [
        ("library", "/nowhere/at/all"), ("library", "file:///nowhere"), ("library", "ext::touch CANARY"),
        ("library", "-uCANARY"), ("library", "--upload-pack=touch CANARY"), ("../../../hooks", "/nowhere"),
        ("library", ""),
    ],
)  # fmt: skip
def test_what_a_pull_request_names_runs_and_reads_nothing(repo: Repo, tmp_path: Path, name: str, url: str) -> None:
    """Local paths, helper programs, options and names that lead elsewhere are no places; the submodule is named."""
    clone = Repo(tmp_path / "clone")
    repo.git("clone", "--quiet", str(repo.path), str(clone.path))
    canary = tmp_path / "canary"
    line = f"\turl = {url.replace('CANARY', str(canary))}\n" if url else ""
    clone.commit("hostile", {".gitmodules": f'[submodule "{name}"]\n\tpath = vendor/library\n{line}'})
    texts, missing, _ = filled(clone)
    assert texts == {}
    assert [path for path, _ in missing] == ["vendor/library"]
    assert missing[0][1]
    assert not canary.exists()


def test_addresses_relative_to_the_superprojects() -> None:
    """As git-submodule(1) has them."""
    for url, base, expected in (
        ("../b.git", "https://host/x/a.git", "https://host/x/b.git"), ("./b", "/srv/a", "/srv/a/b"),
        ("../../y/b", "git@host:x/a", "git@host/y/b"), ("https://z/b", "https://host/a", "https://z/b"),
        ("../b", "", ""),
    ):  # fmt: skip
        assert submodules._resolved(url, base) == expected


def test_a_submodule_of_a_submodule_leads_nowhere_else(
    repo: Repo, library: Repo, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A server can send a tree that has a name twice, once for a link: no file outside is replaced."""
    victim = tmp_path / "victim"
    (victim / "x").mkdir(parents=True)
    (victim / "x/mine.txt").write_text("mine\n")
    inner, inside = repo.head(), f'[submodule "x"]\npath = d/x\nurl = {repo.path}\n'
    settings = library.git("hash-object", "-w", "--stdin", stdin=inside)
    link = library.git("hash-object", "-w", "--stdin", stdin=str(victim))
    folder = _tree(library, ("160000", "x", inner))
    made = _tree(library, ("100644", ".gitmodules", settings), ("40000", "d", folder), ("120000", "d", link))
    library.git("update-ref", "HEAD", library.git("commit-tree", made, "-m", "hostile"))
    repo.git("update-index", "--cacheinfo", f"160000,{library.head()},vendor/library")
    repo.git("commit", "--quiet", "-m", "hostile")
    monkeypatch.setattr(submodules, "_NETWORK", ("protocol.allow=always",))  # local paths stand for servers
    with slots.slot(repo.adapter, repo.head()) as slot:
        missing = submodules.missing(slot.tree)
    assert missing == (("vendor/library/d/x", "d/x: d is a symbolic link"),)
    assert [path.name for path in victim.rglob("*")] == ["x", "mine.txt"]


def _tree(repo: Repo, *entries: tuple[str, str, str]) -> str:
    """Write a tree with these entries (mode, name, object), whatever they are."""
    data = b"".join(f"{mode} {name}\0".encode() + bytes.fromhex(what) for mode, name, what in entries)
    argv = ["git", "hash-object", "-t", "tree", "-w", "--stdin", "--literally"]
    done = subprocess.run(argv, cwd=repo.path, input=data, capture_output=True, check=True)
    return done.stdout.decode().strip()


def test_a_receipt_of_a_run_without_a_submodule(repo: Repo) -> None:
    """A pass counts as long as the submodule is missing; nothing is fetched to determine that."""
    tree = repo.adapter.tree(repo.head())
    receipt = Receipt(
        "build", repo.head(), tree, ("true",), {}, (), Toolchain("", ""), "", "none", "2026-01-01T00:00:00+00:00",
        1.0, 0, "x.log", "", missing=("vendor/library",),
    )  # fmt: skip
    Store(repo.adapter.state_dir()).write(receipt, b"")
    (known,) = proof.known_receipts(repo.adapter, tree, GateSettings()).receipts
    assert known.receipt == receipt
    assert known.changed == "the submodule vendor/library was missing when it ran, and is available now"
    shutil.rmtree(repo.path / ".git/modules")
    (known,) = proof.known_receipts(repo.adapter, tree, GateSettings()).receipts
    assert known.changed == ""
    assert submodules.unavailable(repo.adapter, tree) == {"vendor/library"}
